"""Keras to a full-int8 .tflite that TFLite Micro runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from micro.errors import ConversionError, InterpreterError
from micro.export import check_calibration, check_samples, to_tflite
from micro.graph import Graph, TfliteLike, read
from micro.origin import layer_phrase
from micro.slim import slimmed
from micro.tflm import measure, run

if TYPE_CHECKING:
    import keras

Weights = Literal["auto", "per_channel", "per_tensor"]

# `auto` gives up per-channel Dense kernels if the output error grows by no more than this factor, or stays within one step
# of the int8 output. Rounding noise between two equally good quantizations of one model is of this size; a kernel that
# needs channels of its own exceeds it by far.
TOLERATED_ERROR = 1.10
# How the weights of a model from `quantize_aware` are quantized.
AS_SIMULATED = "as simulated"


@dataclass(frozen=True)
class Converted:
    """A model as int8 .tflite bytes, with how its weights were quantized and what that costs in accuracy.

    `error` is the root mean squared difference to the Keras model's outputs on the calibration data, in output units.
    """

    content: bytes
    weights: str
    error: float


def convert(model: keras.Model, calibration: Any = None, *, weights: Weights = "auto") -> Converted:
    """Quantize a Keras model to int8: weights, activations, inputs and outputs, with a static batch of 1.

    Args:
        model: A built single-input, single-output Keras model; it is not changed. One from `quantize_aware` is written with
            the grids that it has.
        calibration: (n, *input) float array in the units the model is fed, typical of what the chip will see. A model from
            `quantize_aware` needs none: without, `error` is measured on inputs drawn evenly over the input's range.
        weights: 'per_channel' keeps a scale for each output channel everywhere; 'per_tensor' one for each Dense
            kernel and convolution; 'auto' keeps channels in convolutions, and in Dense layers only where they earn the
            multipliers that TFLite Micro then holds in its arena: where the error on the calibration data would
            otherwise exceed one step of the int8 output and grow by more than a tenth.

    Raises:
        ValueError: For calibration data that is empty, not finite or of another shape.
        ConversionError: Names layer and operator where something does not become int8 or is not in TFLite Micro.
    """
    if weights not in ("auto", "per_channel", "per_tensor"):
        raise ValueError(f"weights must be 'auto', 'per_channel' or 'per_tensor', got {weights!r}")
    from micro.quantize.aware import QuantizationAware
    from micro.quantize.write import write_tflite

    if isinstance(model, QuantizationAware):
        if weights != "auto":
            raise ValueError(f"weights: {model.name!r} has its grids already; choose them in quantize_aware")
        samples = model.even_inputs(256) if calibration is None else check_samples(model.input_shape, calibration)
        return _finish(model, samples, AS_SIMULATED, write_tflite(model))
    samples = check_calibration(model, calibration)
    if weights == "auto":
        return _convert_auto(model, samples)
    return _finish(model, samples, weights, _to_tflite(model, samples, weights))


def _convert_auto(model: keras.Model, samples: np.ndarray) -> Converted:
    def finish(kind: str) -> Converted:
        return _finish(model, samples, kind, _to_tflite(model, samples, kind))

    per_channel = finish("per_channel")
    if "FULLY_CONNECTED" not in read(per_channel).op_counts:
        return per_channel
    lean = finish("per_tensor_dense")
    saves = measure(lean).arena_bytes < measure(per_channel).arena_bytes
    graph = read(lean)
    output = graph.tensors[graph.outputs[0]].quantization
    assert output is not None
    accurate = lean.error <= max(TOLERATED_ERROR * per_channel.error, output.scale[0])
    return lean if saves and accurate else per_channel


def _finish(model: keras.Model, samples: np.ndarray, weights: str, content: bytes) -> Converted:
    """Refuse what is not int8 or not in TFLite Micro, and measure the error."""
    graph = read(content)
    _require_int8(graph, model)
    try:
        outputs = run(content, samples[:256])
    except InterpreterError as error:
        raise ConversionError(_explain_interpreter(str(error), graph, model)) from None
    distance = _rms(outputs, np.asarray(model.predict(samples[:256], verbose=0)))
    if weights != AS_SIMULATED:
        content = slimmed(content, model)
    return Converted(content, weights, distance)


def error_beside(tflite: TfliteLike, model: keras.Model, samples: np.ndarray) -> float:
    """Root mean squared difference between a .tflite in TFLite Micro and a Keras model, on up to 256 samples."""
    return _rms(run(tflite, samples[:256]), np.asarray(model.predict(samples[:256], verbose=0)))


def _rms(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.sqrt(np.mean((found.reshape(expected.shape).astype(np.float64) - expected) ** 2)))


def _to_tflite(model: keras.Model, samples: np.ndarray, weights: str) -> bytes:
    def representative() -> Iterator[list[np.ndarray]]:
        for sample in samples:
            yield [sample[None]]

    def configure(converter: Any) -> None:
        import tensorflow as tf

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        converter._experimental_disable_per_channel = weights == "per_tensor"
        converter._experimental_disable_per_channel_quantization_for_dense_layers = weights == "per_tensor_dense"

    return to_tflite(model, configure)


def _require_int8(graph: Graph, model: keras.Model) -> None:
    """Refuse operators that compute in floating point, naming the layer they came from."""
    bridges = ("QUANTIZE", "DEQUANTIZE")
    for op in graph.ops:
        touched = [graph.tensors[i] for i in (*op.inputs, *op.outputs) if i >= 0]
        if op.name not in bridges and any(tensor.dtype.startswith("float") for tensor in touched):
            raise ConversionError(
                f"{layer_phrase(op, graph, model)} becomes {op.name} in floating point: the converter has no int8 form of it; "
                "replace the layer (ReLU, ReLU6, sigmoid, tanh, hard-swish and softmax have one)"
            )


def _explain_interpreter(message: str, graph: Graph, model: keras.Model) -> str:
    """TFLite Micro's complaint with the layer that caused it."""
    missing = re.search(r"Didn't find op for builtin opcode '(\w+)'", message)
    if missing:
        op = next((op for op in graph.ops if op.name == missing[1]), None)
        where = layer_phrase(op, graph, model) if op else "the model"
        return f"{where} becomes {missing[1]}, which TFLite Micro does not have"
    return message
