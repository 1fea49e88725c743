"""What int8 makes of a model, a channel at a time: which inputs and outputs become constants, why, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from micro.signal.scaling import LIMIT
from micro.tflite.graph import Graph, Quantization
from micro.tflite.layer_names import all_layers, phrase

if TYPE_CHECKING:
    import keras

# An input that moves by fewer steps of its scale than this is all but constant.
FEWEST_STEPS = 4
# Fewer calibration samples than this show too little of what the model will meet.
FEWEST_SAMPLES = 8
# A range that a few samples make so many times wider than all others need has lost three of its eight bits.
WIDENED = 8.0
# How far the calibrated range must reach beyond what all but the outermost samples need, to be head-room.
HEAD_ROOM = 1.25


@dataclass(frozen=True)
class Fidelity:
    """Root mean squared `error`, the channels (last axis) that int8 makes all but constant, and what is wrong in words."""

    error: float
    constant_inputs: tuple[int, ...]
    constant_outputs: tuple[int, ...]
    problems: tuple[str, ...]


def judge(
    graph: Graph,
    model: keras.Model,
    calibration: np.ndarray,
    samples: np.ndarray,
    expected: np.ndarray,
    found: np.ndarray,
    anomaly_detector: bool | None,
) -> Fidelity:
    """Compare an int8 model with the Keras model that it was made from, on samples apart from the calibration.

    Args:
        graph: The int8 model.
        calibration: (n, *input) as it was handed in.
        samples, expected, found: (m, *input), and the outputs (m, *output) of both models for them.
        anomaly_detector: Whether faults will exceed the calibrated range; None to tell by the model's shape.
    """
    source = graph.tensors[graph.inputs[0]].quantization
    inputs = constant_inputs(samples, source) if source is not None else ()
    outputs = constant_outputs(expected, found)
    problems = []
    if len(calibration) < FEWEST_SAMPLES:
        problems.append(
            f"ranges are calibrated on {len(calibration)} sample{'s' if len(calibration) > 1 else ''}: what others reach "
            "beyond them is cut off; give a few hundred typical inputs"
        )
    elif (calibration == calibration[:1]).all():
        problems.append(
            f"the {len(calibration)} calibration samples are all the same, which is one sample: what others reach beyond it is "
            "cut off; give a few hundred that differ"
        )
    outlier = _outlier(calibration)
    if outlier:
        problems.append(outlier)
    if inputs:
        assert source is not None
        problems.append(
            f"input{_numbers(inputs, samples)} fewer than {FEWEST_STEPS} steps of the input's scale of {source.scale[0]:.3g}: "
            f"to the int8 model they are constants; {_input_remedy(model, outlier)}"
        )
    if outputs:
        problems.append(
            f"output{_numbers(outputs, expected)} no more than the int8 model errs in them: they tell nothing; "
            + ("the inputs' range is the cause" if inputs or outlier else _output_remedy(expected))
        )
    if not inputs and not outlier and _lacks_head_room(model, calibration, anomaly_detector):
        problems.append(
            f"the input's range, {calibration.min():.3g} to {calibration.max():.3g}, ends where the calibration data ends: "
            "faults beyond it are cut off and look healthy; calibrate on micro.calibration_data(healthy), or tell that this is "
            "no anomaly detector by anomaly_detector=False"
        )
    return Fidelity(rms(found, expected), inputs, outputs, tuple(problems))


def rms(found: np.ndarray, expected: np.ndarray) -> float:
    """Root mean squared difference."""
    return float(np.sqrt(np.mean((found.reshape(expected.shape).astype(np.float64) - expected) ** 2)))


def constant_inputs(samples: np.ndarray, quantization: Quantization) -> tuple[int, ...]:
    """Channels that move, by fewer than `FEWEST_STEPS` steps of the input's scale."""
    flat = _channels(samples)
    # Quantiles leave wild values out; the deviation counts features that are mostly at rest.
    low, high = np.quantile(flat, (0.01, 0.99), axis=0)
    width = np.maximum(high - low, 2 * flat.std(axis=0))
    moves = flat.max(axis=0) > flat.min(axis=0)
    return tuple(np.flatnonzero(moves & (width < FEWEST_STEPS * quantization.scale[0])).tolist())


def constant_outputs(expected: np.ndarray, found: np.ndarray) -> tuple[int, ...]:
    """Channels in which the error is as large as the spread of the exact values."""
    exact, ours = _channels(expected), _channels(found.reshape(expected.shape))
    spread = exact.std(axis=0)
    moves = spread > 1e-6 * np.abs(exact).max(axis=0)
    error = np.sqrt(np.mean((ours - exact) ** 2, axis=0))
    return tuple(np.flatnonzero(moves & ((error >= spread) | (ours.std(axis=0) == 0))).tolist())


def _channels(values: np.ndarray) -> np.ndarray:
    """(rows, channels) float64; a value a sample is one channel."""
    return values.reshape(-1, values.shape[-1] if values.ndim > 1 else 1).astype(np.float64)


def _numbers(chosen: Sequence[int], values: np.ndarray) -> str:
    """`s 0, 1 and 4 (of 8) move by`."""
    total = values.shape[-1] if values.ndim > 1 else 1
    shown = ", ".join(map(str, chosen[:12])) + (f" and {len(chosen) - 12} more" if len(chosen) > 12 else "")
    return f" {shown} (of {total}) moves by" if len(chosen) == 1 else f"s {shown} (of {total}) move by"


def _outlier(calibration: np.ndarray) -> str:
    """What a sample in a hundred does to the input's range; empty where it does little."""
    if len(calibration) < 16:
        return ""
    rows = calibration.reshape(len(calibration), -1)
    few = max(1, len(rows) // 100)
    highs, lows = np.sort(rows.max(axis=1)), np.sort(rows.min(axis=1))
    low, high = min(float(lows[few]), 0.0), max(float(highs[-few - 1]), 0.0)
    width = max(float(highs[-1]), 0.0) - min(float(lows[0]), 0.0)
    if width <= WIDENED * (high - low) or high == low:
        return ""
    row, column = np.unravel_index(np.argmax(np.abs(rows)), rows.shape)
    return (
        f"the input's range is set by sample {row} of {len(rows)}, which holds {rows[row, column]:.3g}; nearly all others lie "
        f"within {low:.3g} to {high:.3g}: leave it out if it is a fault of the sensor, and clip inputs in front of the model "
        "if such values will come"
    )


def _input_remedy(model: keras.Model, outlier: str) -> str:
    if outlier:
        return "that sample is the cause"
    inside = [layer for layer in all_layers(model) if type(layer).__name__ in ("Normalization", "BatchNormalization")]
    if inside and type(inside[0]).__name__ == "Normalization":
        return f"{phrase(inside[0])} comes too late for them: take it out of the model and apply it to the data in front of it"
    return "bring features to one size in front of the model (micro.fit_scaling)"


def _output_remedy(expected: np.ndarray) -> str:
    spread = _channels(expected).std(axis=0)
    if len(spread) > 1 and spread.max() > WIDENED * max(float(spread.min()), 1e-30):
        return "bring what the outputs are trained on to one size, or take micro.quantize_aware(model, x, activations='int16')"
    return "train the model further, by micro.quantize_aware too, or take micro.quantize_aware(model, x, activations='int16')"


def _lacks_head_room(model: keras.Model, calibration: np.ndarray, anomaly_detector: bool | None) -> bool:
    if anomaly_detector is None:
        anomaly_detector = tuple(model.outputs[0].shape[1:]) == tuple(model.inputs[0].shape[1:])
    if not anomaly_detector or len(calibration) < 16:
        return False
    low, high = float(calibration.min()), float(calibration.max())
    if low <= -LIMIT and high >= LIMIT:
        return False  # micro's scaled features go no further
    rows = calibration.reshape(len(calibration), -1)
    usual = np.sort(rows.max(axis=1))[-2] - np.sort(rows.min(axis=1))[1]
    return high - low < HEAD_ROOM * usual
