"""Keras to a full-int8 .tflite that TFLite Micro runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from micro.errors import ConversionError, InterpreterError
from micro.graph import Graph, Op, read
from micro.quiet import hush_tensorflow, silenced
from micro.tflm import measure, run

if TYPE_CHECKING:
    import keras

Weights = Literal["auto", "per_channel", "per_tensor"]

# `auto` gives up per-channel Dense kernels if the output error grows by no more than this factor, or stays within one step
# of the int8 output. Rounding noise between two equally good quantizations of one model is of this size; a kernel that
# needs channels of its own exceeds it by far.
TOLERATED_ERROR = 1.10


@dataclass(frozen=True)
class Converted:
    """A model as int8 .tflite bytes, with how its weights were quantized and what that costs in accuracy.

    `error` is the root mean squared difference to the Keras model's outputs on the calibration data, in output units.
    """

    content: bytes
    weights: str
    error: float


def convert(model: keras.Model, calibration: Any, *, weights: Weights = "auto") -> Converted:
    """Quantize a Keras model to int8: weights, activations, inputs and outputs, with a static batch of 1.

    Args:
        model: A built single-input, single-output Keras model; it is not changed.
        calibration: (n, *input) float array in the units the model is fed, typical of what the chip will see.
        weights: 'per_channel' keeps a scale for each output channel everywhere; 'per_tensor' one for each Dense
            kernel and convolution; 'auto' keeps channels in convolutions, and in Dense layers only where they earn the
            multipliers that TFLite Micro then holds in its arena: where the error on the calibration data would
            otherwise exceed one step of the int8 output and grow by more than a tenth.

    Raises: ValueError for calibration data that is empty, not finite or of another shape; ConversionError naming layer and
        operator where something does not become int8 or is not in TFLite Micro.
    """
    if weights not in ("auto", "per_channel", "per_tensor"):
        raise ValueError(f"weights must be 'auto', 'per_channel' or 'per_tensor', got {weights!r}")
    samples = check_calibration(model, calibration)
    _refuse_control_flow(model)
    if weights == "auto":
        return _convert_auto(model, samples)
    return _finish(model, samples, weights)


def check_calibration(model: keras.Model, calibration: Any) -> np.ndarray:
    """The calibration data as a float32 array that fits the model; ValueError that says what does not fit."""
    if not getattr(model, "inputs", None):
        raise ValueError(f"model {model.name!r} has no known input shape: build it with an Input first")
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            f"model {model.name!r} has {len(model.inputs)} inputs and {len(model.outputs)} outputs; convert takes one of each"
        )
    shape = tuple(model.inputs[0].shape)[1:]
    if None in shape:
        raise ValueError(f"model {model.name!r} takes inputs of open shape {shape}; a microcontroller needs it fixed")
    array = np.asarray(calibration)
    if array.dtype == object or not np.issubdtype(array.dtype, np.number):
        raise ValueError(f"calibration data must be numbers, got dtype {array.dtype}")
    if array.ndim == 0 or not array.size:
        raise ValueError("calibration data is empty; give a few hundred typical inputs")
    if array.shape[1:] != shape:
        raise ValueError(f"calibration data must have shape (n, {', '.join(map(str, shape))}), got {array.shape}")
    bad = ~np.isfinite(array)
    if bad.any():
        row = int(np.argmax(bad.reshape(len(array), -1).any(axis=1)))
        raise ValueError(f"calibration data holds {bad.sum()} values that are not finite, the first in row {row}")
    return array.astype(np.float32)


def _convert_auto(model: keras.Model, samples: np.ndarray) -> Converted:
    per_channel = _finish(model, samples, "per_channel")
    if "FULLY_CONNECTED" not in read(per_channel).op_counts:
        return per_channel
    lean = _finish(model, samples, "per_tensor_dense")
    saves = measure(lean).arena_bytes < measure(per_channel).arena_bytes
    graph = read(lean)
    output = graph.tensors[graph.outputs[0]].quantization
    assert output is not None
    accurate = lean.error <= max(TOLERATED_ERROR * per_channel.error, output.scale[0])
    return lean if saves and accurate else per_channel


def _finish(model: keras.Model, samples: np.ndarray, weights: str) -> Converted:
    """Convert, refuse what is not int8 or not in TFLite Micro, and measure the error."""
    content = _to_tflite(model, samples, weights)
    graph = read(content)
    _require_int8(graph, model)
    try:
        outputs = run(content, samples[:256])
    except InterpreterError as error:
        raise ConversionError(_explain_interpreter(str(error), graph, model)) from None
    expected = np.asarray(model.predict(samples[:256], verbose=0), np.float64)
    return Converted(content, weights, float(np.sqrt(np.mean((outputs.reshape(expected.shape) - expected) ** 2))))


def _to_tflite(model: keras.Model, samples: np.ndarray, weights: str) -> bytes:
    hush_tensorflow()
    import keras
    import tensorflow as tf

    # A batch of 1 in the input makes every shape of the graph static. The names are given because Keras would number them
    # by how many models the process has made, and they end up in the bytes.
    fixed = keras.Input(batch_shape=(1, *samples.shape[1:]), dtype="float32", name="input")
    static = keras.Model(fixed, model(fixed, training=False), name="static")
    converter = tf.lite.TFLiteConverter.from_keras_model(static)

    def representative() -> Iterator[list[np.ndarray]]:
        for sample in samples:
            yield [sample[None]]

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter._experimental_disable_per_channel = weights == "per_tensor"
    converter._experimental_disable_per_channel_quantization_for_dense_layers = weights == "per_tensor_dense"
    try:
        with silenced():
            return converter.convert()
    except Exception as error:
        raise ConversionError(_explain_converter(f"{error}", model)) from None


def _refuse_control_flow(model: keras.Model) -> None:
    """Loops and branches: the converter's calibration dies on them, and takes the process along."""
    hush_tensorflow()
    import tensorflow as tf

    with silenced():
        spec = tf.TensorSpec((1, *model.inputs[0].shape[1:]), tf.float32)
        graph = tf.function(lambda x: model(x, training=False)).get_concrete_function(spec).graph
    for op in graph.get_operations():
        if op.type in ("While", "StatelessWhile", "If", "StatelessIf", "Case"):
            layer = find_layer_name(op.name, model)
            where = f"layer {layer!r} ({_layer_type(model, layer)})" if layer else f"model {model.name!r}"
            raise ConversionError(
                f"{where} becomes {op.type.removeprefix('Stateless').upper()}, which the converter cannot quantize; "
                "nearest that fit: Conv1D, or Dense over flattened windows"
            )


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


def _explain_converter(message: str, model: keras.Model) -> str:
    """The converter's complaint in one line: the layers its location names, and what it says of the operator."""
    first = next((line for line in message.splitlines() if "error:" in line), message.partition("\n")[0])
    types = {layer.name: type(layer).__name__ for layer in _all_layers(model)}
    parts = [re.sub(r"_\d+$", "", part) for part in re.split(r"[/;:@\s\"']+", first)]
    named = [f"{name!r} ({types[name]})" for name in dict.fromkeys(parts) if name in types]
    where = f"layer {' with '.join(named)}" if named else f"model {model.name!r}"
    complaint = first[first.rindex("): ") + 3 :] if "): " in first else first
    return f"{where} has no int8 TFLite form, the converter says: {complaint[:200]}"


def layer_phrase(op: Op, graph: Graph, model: keras.Model) -> str:
    """`layer 'name' (Type)` of the Keras layer an operator came from, as far as tensor names tell."""
    names = [graph.tensors[i].name for i in (*op.outputs, *op.inputs) if i >= 0]
    for name in names:
        layer = find_layer_name(name, model)
        if layer:
            return f"layer {layer!r} ({_layer_type(model, layer)})"
    return f"operator {op.index} of model {model.name!r}"


def find_layer_name(text: str, model: keras.Model) -> str | None:
    """The innermost layer of the model that a tensor name's path mentions; copies carry a number after the name."""
    names = {layer.name for layer in _all_layers(model)}
    for part in reversed(re.split(r"[/;:\s\"']+", text)):
        for candidate in (part, re.sub(r"_\d+$", "", part)):
            if candidate in names:
                return candidate
    return None


def _all_layers(model: keras.Model) -> Iterator[Any]:
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from _all_layers(layer)


def _layer_type(model: keras.Model, name: str) -> str:
    return next(type(layer).__name__ for layer in _all_layers(model) if layer.name == name)
