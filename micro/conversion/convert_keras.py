"""Keras to a full-int8 .tflite that TFLite Micro runs."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from micro.conversion.fidelity import judge, rms
from micro.errors import ConversionError, ConversionWarning, InterpreterError
from micro.keras_graph.accept import accept, keras_model
from micro.keras_graph.calibration_data import as_array, check_samples
from micro.keras_graph.to_tflite import calibrated_tflite, quantized
from micro.keras_graph.tracing import predict, traced
from micro.support.files import write_bytes
from micro.tflite.footprint import measure
from micro.tflite.graph import Graph, Op, TfliteLike, read
from micro.tflite.interpreter import run
from micro.tflite.layer_names import layer_phrase
from micro.tflite.strip import slimmed

if TYPE_CHECKING:
    import keras

Weights = Literal["auto", "per_channel", "per_tensor"]

# `auto` gives up per-channel Dense kernels if the output error grows by no more than this factor, or stays within one step
# of the int8 output. Rounding noise between two equally good quantizations of one model is of this size; a kernel that
# needs channels of its own exceeds it by far.
TOLERATED_ERROR = 1.10
# How the weights of a model from `quantize_aware` are quantized.
AS_SIMULATED = "as simulated"
# One sample in so many is kept from the calibration to measure the error on, where there are enough.
HELD_OUT = 8
ENOUGH = 128
# Samples on which the error is measured: at most so many, and no more than TFLite Micro's reference kernels compute in seconds.
MOST_JUDGED, FEWEST_JUDGED = 256, 16
MOST_MACS = 500_000_000


@dataclass(frozen=True, repr=False)
class Converted:
    """A model as int8 .tflite bytes, with how its weights were quantized and what that costs in accuracy.

    `error` is the root mean squared difference to the Keras model's outputs, in output units, on samples that the ranges were
    not calibrated on (`validation`, or part of the calibration data). `constant_inputs` and `constant_outputs` are the
    channels, by number along the last axis, that int8 makes all but constant; `warnings` says why, and what to do.
    """

    content: bytes
    weights: str
    error: float
    constant_inputs: tuple[int, ...] = ()
    constant_outputs: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()

    def save(self, path: str | Path) -> Path:
        """Write the .tflite; folders are made. Returns the path."""
        return write_bytes(path, self.content)

    def predict(self, x: Any) -> np.ndarray:
        """The outputs of TFLite Micro for inputs in real units, (n, *input) -> (n, *output) float32.

        Raises:
            ValueError: For inputs of another shape or that are not finite.
        """
        graph = read(self.content)
        return run(self.content, check_samples(graph.tensors[graph.inputs[0]].shape[1:], x, "x"))

    def __repr__(self) -> str:
        graph = read(self.content)
        ends = (graph.tensors[index] for index in (graph.inputs[0], graph.outputs[0]))
        shapes = " -> ".join(f"{end.dtype}{list(end.shape)}" for end in ends)
        warned = f", {len(self.warnings)} warnings" if self.warnings else ""
        return (
            f"Converted({len(self.content):,} bytes, {shapes}, weights {self.weights}, error {self.error:.3g}{warned})"
        )


def convert(
    model: keras.Model,
    calibration: Any = None,
    *,
    weights: Weights = "auto",
    validation: Any = None,
    anomaly_detector: bool | None = None,
) -> Converted:
    """Quantize a Keras model to int8: weights, activations, inputs and outputs, with a static batch of 1.

    Args:
        model: A Keras model of one input and one output, or a Distiller, whose student is converted; it is not changed. A
            subclassed model must have been called or fitted. What was trained in mixed precision is converted in float32. One
            from `quantize_aware` is written with the grids that it has.
        calibration: (n, *input) float array in the units the model is fed, typical of what the chip will see, or what yields
            such samples: a generator, a tf.data.Dataset. For an anomaly detector see `calibration_data`. A model from
            `quantize_aware` needs none: without, `error` is measured on inputs drawn evenly over the input's range.
        weights: 'per_channel' keeps a scale for each output channel everywhere; 'per_tensor' one for each Dense
            kernel and convolution; 'auto' keeps channels in convolutions, and in Dense layers only where they earn the
            multipliers that TFLite Micro then holds in its arena: where the error would otherwise exceed one step of the int8
            output and grow by more than a tenth.
        validation: (m, *input) samples to measure the error on. None keeps one in eight of the calibration data for it, where
            there are 128 or more; those that hold its smallest and largest value stay with the calibration.
        anomaly_detector: Whether what the model is to find lies beyond the calibrated range, so that a range without
            head-room is warned of. None: a model whose output has its input's shape is one.

    Warns:
        ConversionWarning: For inputs or outputs that become constants, ranges set by an outlier or by few samples, and a
            detector without head-room; the same sentences are in `warnings` of the result.

    Raises:
        ValueError: For calibration data that is empty, all 0, not finite or of another shape.
        ConversionError: Naming layer and operator where something does not become int8 or is not in TFLite Micro.
    """
    if weights not in ("auto", "per_channel", "per_tensor"):
        raise ValueError(f"weights must be 'auto', 'per_channel' or 'per_tensor', got {weights!r}")
    from micro.quantize.aware import QuantizationAware

    model = keras_model(model)
    if isinstance(model, QuantizationAware):
        if weights != "auto":
            raise ValueError(f"weights: {model.name!r} has its grids already; choose them in quantize_aware")
        return _written(model, calibration if validation is None else validation)
    model, samples = accept(model, calibration)
    if not samples.any():
        raise ValueError(
            f"calibration data is 0 throughout ({len(samples)} samples), which leaves every range empty; give typical inputs"
        )
    ranges, judged = _apart(
        samples, None if validation is None else check_samples(samples.shape[1:], validation, "validation")
    )
    converted = _Conversion(model, samples, ranges, judged, anomaly_detector).best(weights)
    for problem in converted.warnings:
        warnings.warn(f"{model.name!r}: {problem}", ConversionWarning, stacklevel=2)
    return converted


def error_beside(tflite: TfliteLike, model: keras.Model, samples: np.ndarray) -> float:
    """Root mean squared difference between a .tflite in TFLite Micro and a Keras model, on up to 256 samples."""
    judged = as_array(samples)[: _affordable(read(tflite))]
    return rms(run(tflite, judged), predict(keras_model(model), judged))


def _written(model: Any, samples: Any) -> Converted:
    """A model from `quantize_aware` as it computes."""
    from micro.quantize.write import write_tflite

    judged = model.even_inputs(MOST_JUDGED) if samples is None else check_samples(model.input_shape, samples)
    content = write_tflite(model)
    return Converted(content, AS_SIMULATED, error_beside(content, model, judged))


def _apart(samples: np.ndarray, validation: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Samples to take ranges from, and samples to measure the error on."""
    if validation is not None:
        return samples, validation
    if len(samples) < ENOUGH:
        return samples, samples
    rows = samples.reshape(len(samples), -1)
    held = np.zeros(len(samples), bool)
    held[HELD_OUT - 1 :: HELD_OUT] = True
    # Head-room is one sample at each end of the range, which must not be lost.
    held[[rows.max(axis=1).argmax(), rows.min(axis=1).argmin()]] = False
    return samples[~held], samples[held]


def _rows_not_finite(values: np.ndarray) -> int:
    return int(np.sum(~np.isfinite(values.reshape(len(values), -1)).all(axis=1)))


def _affordable(graph: Graph) -> int:
    return min(max(MOST_MACS // max(graph.macs, 1), FEWEST_JUDGED), MOST_JUDGED)


@dataclass(frozen=True)
class _Conversion:
    """What all ways to quantize one model share: it is traced and calibrated once."""

    model: keras.Model
    calibration: np.ndarray
    ranges: np.ndarray
    judged: np.ndarray
    anomaly_detector: bool | None

    def best(self, weights: Weights) -> Converted:
        function = traced(self.model)
        expected = predict(self.model, self.judged[:MOST_JUDGED])
        if not np.isfinite(expected).all():
            raise ConversionError(
                f"model {self.model.name!r} gives values that are not finite for {_rows_not_finite(expected)} of "
                f"{len(expected)} samples: there is nothing to quantize"
            )
        calibrated = calibrated_tflite(self.model, function, self.ranges)
        first = quantized(calibrated, "per_channel" if weights == "auto" else weights, self.model)
        graph = read(first)
        judged = self.judged[: _affordable(graph)]
        expected = expected[: len(judged)]
        if weights != "auto":
            return self._finished(weights, first, judged, expected)
        per_channel = self._finished("per_channel", first, judged, expected)
        if "FULLY_CONNECTED" not in graph.op_counts:
            return per_channel
        lean = self._finished(
            "per_tensor_dense", quantized(calibrated, "per_tensor_dense", self.model), judged, expected
        )
        saves = measure(lean).arena_bytes < measure(per_channel).arena_bytes
        lean_graph = read(lean)
        output = lean_graph.tensors[lean_graph.outputs[0]].quantization
        assert output is not None
        accurate = lean.error <= max(TOLERATED_ERROR * per_channel.error, output.scale[0])
        return lean if saves and accurate else per_channel

    def _finished(self, weights: str, content: bytes, judged: np.ndarray, expected: np.ndarray) -> Converted:
        """Refuse what is not int8 or not in TFLite Micro, and measure the error."""
        graph = read(content)
        _require_int8(graph, self.model)
        slim = slimmed(content, self.model)
        try:
            outputs = run(slim, judged)
        except InterpreterError:
            raise ConversionError(_explain_interpreter(_complaint(content, judged), graph, self.model)) from None
        found = judge(graph, self.model, self.calibration, judged, expected, outputs, self.anomaly_detector)
        return Converted(slim, weights, found.error, found.constant_inputs, found.constant_outputs, found.problems)


def _complaint(content: bytes, samples: np.ndarray) -> str:
    """What TFLite Micro says of a model as the converter made it, whose operators its layers are known by."""
    try:
        run(content, samples[:1])
    except InterpreterError as error:
        return str(error)
    return "TFLite Micro does not run this model once it is stripped of names"


# Activations that have an int8 form in TFLite Micro.
HAVE = "ReLU, ReLU6, leaky ReLU, sigmoid, tanh, silu, hard-swish and softmax have one"


def _require_int8(graph: Graph, model: keras.Model) -> None:
    """Refuse operators that compute in floating point, naming the layer they came from."""
    bridges = ("QUANTIZE", "DEQUANTIZE")
    for op in graph.ops:
        touched = [graph.tensors[i] for i in (*op.inputs, *op.outputs) if i >= 0]
        if op.name not in bridges and any(tensor.dtype.startswith("float") for tensor in touched):
            raise ConversionError(
                f"{layer_phrase(op, graph, model)} becomes {op.name} in floating point: the converter has no int8 form of it; "
                f"replace the layer ({HAVE})"
            )


def _explain_interpreter(message: str, graph: Graph, model: keras.Model) -> str:
    """TFLite Micro's complaint with the layer that caused it."""
    missing = re.search(r"Didn't find op for builtin opcode '(\w+)'", message)
    if missing:
        op = next((op for op in graph.ops if op.name == missing[1]), None)
        return f"{_becomes(op, missing[1], graph, model)}, which TFLite Micro does not have; replace the layer"
    failed = re.search(r"Node (\w+) \(number (\d+)\) failed to (?:prepare|invoke)", message)
    if failed and int(failed[2]) < len(graph.ops) and graph.ops[int(failed[2])].name == failed[1]:
        detail = message.removeprefix("TFLite Micro does not run this model: ").partition("; ")[0]
        said = f" (it says: {detail})"
        if "FLOAT32" in message:
            return (
                f"{_becomes(graph.ops[int(failed[2])], failed[1], graph, model)}, which TFLite Micro does not have in int8; "
                f"replace the layer ({HAVE})"
            )
        return f"{_becomes(graph.ops[int(failed[2])], failed[1], graph, model)}, which TFLite Micro refuses{said}"
    return message


def _becomes(op: Op | None, name: str, graph: Graph, model: keras.Model) -> str:
    return f"{layer_phrase(op, graph, model) if op else 'the model'} becomes {name}"
