"""How faithful an int8 model is: its error, the inputs and outputs that become constants, why, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from micro.keras_graph.ends import inputs_of, outputs_of
from micro.signal.scaling import LIMIT
from micro.tflite.graph import Graph
from micro.tflite.layer_names import all_layers, phrase

if TYPE_CHECKING:
    import keras

# An input that varies by fewer steps of its scale than this is all but constant.
FEWEST_STEPS = 4
# Fewer calibration samples than this show too little of what the model will meet.
FEWEST_SAMPLES = 8
# A range that a few samples make this many times wider than all others need has lost three of its eight bits.
WIDENED = 8.0
# How far the calibrated range must reach beyond what all but the outermost samples need, to be headroom.
HEADROOM = 1.25


@dataclass(frozen=True)
class Fidelity:
    """Root mean squared error of each output, channels (last axis) that int8 makes all but constant, the problems in words."""

    errors: tuple[float, ...]
    constant_inputs: tuple[int, ...]
    constant_outputs: tuple[int, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """An int8 model next to the Keras model that it was made from, on samples apart from the calibration.

    Attributes:
        graph: The int8 model.
        calibration: (n, *input) of each input, as they were passed in.
        samples, expected, outputs: (m, *input) of each input, and each output (m, *output) of the Keras and of the int8 model.
        anomaly_detector: Whether faults will exceed the calibrated range; None to decide by the model's shape.
    """

    graph: Graph
    model: keras.Model
    calibration: Sequence[np.ndarray]
    samples: Sequence[np.ndarray]
    expected: Sequence[np.ndarray]
    outputs: Sequence[np.ndarray]
    anomaly_detector: bool | None

    @property
    def input_scales(self) -> list[float | None]:
        """The scale of each input; None where it is not quantized, as indices are not."""
        found = (self.graph.tensors[index].quantization for index in self.graph.inputs)
        return [None if quantization is None else quantization.scale[0] for quantization in found]

    @property
    def detects_anomalies(self) -> bool:
        """As passed in, or decided by shape: an autoencoder gives what it takes."""
        if self.anomaly_detector is not None:
            return self.anomaly_detector
        taken, given = ([tuple(each.shape[1:]) for each in side] for side in (self.model.inputs, self.model.outputs))
        return taken == given


def judge(comparison: Comparison) -> Fidelity:
    """The error of an int8 model, and what is wrong with its ranges."""
    inputs, of_inputs, outlier = _input_problems(comparison)
    outputs, of_outputs = _output_problems(comparison, bool(inputs or outlier))
    problems = [_too_few(comparison.calibration), *of_inputs, *of_outputs]
    if not inputs and not outlier:
        problems.append(_no_headroom(comparison))
    errors = tuple(rms([one], [other]) for one, other in zip(comparison.outputs, comparison.expected))
    return Fidelity(errors, inputs, outputs, tuple(problem for problem in problems if problem))


def _input_problems(comparison: Comparison) -> tuple[tuple[int, ...], list[str], bool]:
    """Channels of the inputs that are all but constant, what is wrong, and whether a sample widens a range."""
    channels, problems, counted, widened = list[int](), list[str](), 0, False
    names = _of_each("input", inputs_of(comparison.model).names)
    for which, scale, values, calibration in zip(
        names, comparison.input_scales, comparison.samples, comparison.calibration, strict=True
    ):
        found = () if scale is None else constant_inputs(values, scale)
        outlier = _outlier(calibration, which)
        problems.append(outlier)
        if found:
            problems.append(
                f"{which}{_numbers(found, values)} fewer than {FEWEST_STEPS} steps of the input's scale of {scale:.3g}: "
                f"constant to the int8 model; {_input_remedy(comparison.model, outlier)}"
            )
        channels += [counted + channel for channel in found]
        counted += _channels(values[:1]).shape[-1]
        widened = widened or bool(outlier)
    return tuple(channels), problems, widened


def _output_problems(comparison: Comparison, by_inputs: bool) -> tuple[tuple[int, ...], list[str]]:
    """Channels of the outputs that are all but constant, and what is wrong."""
    channels, problems, counted = list[int](), list[str](), 0
    names = _of_each("output", outputs_of(comparison.model).names)
    for which, expected, outputs in zip(names, comparison.expected, comparison.outputs, strict=True):
        found = constant_outputs(expected, outputs)
        if found:
            problems.append(
                f"{which}{_numbers(found, expected)} no more than the int8 model's error there, which leaves no "
                f"information; {_output_remedy(expected, by_inputs)}"
            )
        channels += [counted + channel for channel in found]
        counted += _channels(expected[:1]).shape[-1]
    return tuple(channels), problems


def _of_each(what: str, names: Sequence[str]) -> list[str]:
    """What an input or output is called in a problem."""
    return [what] if len(names) == 1 else [f"{what} {name!r}, channel" for name in names]


def _too_few(calibration: Sequence[np.ndarray]) -> str:
    """What is wrong with the number of calibration samples; empty where nothing is."""
    count = len(calibration[0])
    if count < FEWEST_SAMPLES:
        return (
            f"ranges are calibrated on {count} sample{'s' if count > 1 else ''}: inputs beyond their "
            "range will be clipped; give a few hundred typical inputs"
        )
    if all((each == each[:1]).all() for each in calibration):
        return (
            f"the {count} calibration samples are all the same, which is one sample: inputs beyond its range will "
            "be clipped; give a few hundred that differ"
        )
    return ""


def rms(outputs: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """Root mean squared difference over all values of all outputs."""
    apart = [
        np.ravel(one.reshape(other.shape).astype(np.float64) - other)
        for one, other in zip(outputs, expected, strict=True)
    ]
    return float(np.sqrt(np.mean(np.concatenate(apart) ** 2)))


def constant_inputs(samples: np.ndarray, scale: float) -> tuple[int, ...]:
    """Channels that vary, but by fewer than `FEWEST_STEPS` steps of the input's scale."""
    flat = _channels(samples)
    # Quantiles leave outliers out; the deviation counts features that are mostly at rest.
    low, high = np.quantile(flat, (0.01, 0.99), axis=0)
    width = np.maximum(high - low, 2 * flat.std(axis=0))
    varies = flat.max(axis=0) > flat.min(axis=0)
    return tuple(np.flatnonzero(varies & (width < FEWEST_STEPS * scale)).tolist())


def constant_outputs(expected: np.ndarray, outputs: np.ndarray) -> tuple[int, ...]:
    """Channels in which the error is as large as the standard deviation of the exact values."""
    exact, ours = _channels(expected), _channels(outputs.reshape(expected.shape))
    deviation = exact.std(axis=0)
    varies = deviation > 1e-6 * np.abs(exact).max(axis=0)
    error = np.sqrt(np.mean((ours - exact) ** 2, axis=0))
    return tuple(np.flatnonzero(varies & ((error >= deviation) | (ours.std(axis=0) == 0))).tolist())


def _channels(values: np.ndarray) -> np.ndarray:
    """(rows, channels) float64; samples of a single value have one channel."""
    return values.reshape(-1, values.shape[-1] if values.ndim > 1 else 1).astype(np.float64)


def _numbers(chosen: Sequence[int], values: np.ndarray) -> str:
    """`s 0, 1, 4 (of 8) vary by`."""
    total = values.shape[-1] if values.ndim > 1 else 1
    shown = ", ".join(map(str, chosen[:12])) + (f" and {len(chosen) - 12} more" if len(chosen) > 12 else "")
    return f" {shown} (of {total}) varies by" if len(chosen) == 1 else f"s {shown} (of {total}) vary by"


def _outlier(calibration: np.ndarray, which: str) -> str:
    """How far one sample in a hundred widens the input's range; empty where it does little."""
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
        f"the {which.removesuffix(', channel')}'s range is set by sample {row} of {len(rows)}, which holds "
        f"{rows[row, column]:.3g}; nearly all others lie within {low:.3g} to {high:.3g}: leave it out if it is a "
        "fault of the sensor, and clip inputs before they reach the model if such values can occur"
    )


def _input_remedy(model: keras.Model, outlier: str) -> str:
    if outlier:
        return "that sample is the cause"
    inside = [layer for layer in all_layers(model) if type(layer).__name__ in ("Normalization", "BatchNormalization")]
    if inside and type(inside[0]).__name__ == "Normalization":
        return f"{phrase(inside[0])} comes too late for them: take it out of the model and apply it to the data instead"
    return "scale features to one size before they reach the model (micro.fit_scaling)"


def _output_remedy(expected: np.ndarray, by_inputs: bool) -> str:
    if by_inputs:
        return "the inputs' range is the cause"
    deviation = _channels(expected).std(axis=0)
    if len(deviation) > 1 and deviation.max() > WIDENED * max(float(deviation.min()), 1e-30):
        return "scale the training targets to one size, or use micro.quantize_aware(model, x, activations='int16')"
    return "train the model further, by micro.quantize_aware too, or use micro.quantize_aware(model, x, activations='int16')"


def _no_headroom(comparison: Comparison) -> str:
    """What is wrong with the range of a detector that ends with its calibration data; empty where nothing is."""
    calibration = comparison.calibration[0]
    if not comparison.detects_anomalies or len(calibration) < 16 or len(comparison.calibration) > 1:
        return ""
    low, high = float(calibration.min()), float(calibration.max())
    if low <= -LIMIT and high >= LIMIT:
        return ""  # features that micro scales go no further
    rows = calibration.reshape(len(calibration), -1)
    usual = np.sort(rows.max(axis=1))[-2] - np.sort(rows.min(axis=1))[1]
    if high - low >= HEADROOM * usual:
        return ""
    return (
        f"the input's range, {low:.3g} to {high:.3g}, ends where the calibration data ends: faults beyond it will be clipped "
        "and look healthy; calibrate on micro.calibration_data(healthy), or say that this is no anomaly detector by "
        "anomaly_detector=False"
    )
