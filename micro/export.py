"""A Keras model as a .tflite with a static batch of 1, in float32 or as TensorFlow's converter quantizes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from micro.errors import ConversionError
from micro.origin import mentioned_layers, phrase
from micro.quiet import hush_tensorflow, silenced

if TYPE_CHECKING:
    import keras


def to_tflite(model: keras.Model, configure: Callable[[Any], None] = lambda converter: None) -> bytes:
    """The model's .tflite, in float32 unless `configure` asks the converter for something else.

    Raises:
        ConversionError: Names the layer where there is no TFLite form.
    """
    hush_tensorflow()
    import keras
    import tensorflow as tf

    _refuse_control_flow(model)
    # A batch of 1 in the input makes every shape of the graph static. The names are given because Keras would number them
    # by how many models the process has made, and they end up in the bytes.
    fixed = keras.Input(batch_shape=(1, *model.inputs[0].shape[1:]), dtype="float32", name="input")
    static = keras.Model(fixed, model(fixed, training=False), name="static")
    converter = tf.lite.TFLiteConverter.from_keras_model(static)
    configure(converter)
    try:
        with silenced():
            return converter.convert()
    except Exception as error:
        raise ConversionError(_explain(f"{error}", model)) from None


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
    return check_samples(shape, calibration)


def check_samples(shape: tuple[int, ...], calibration: Any) -> np.ndarray:
    """The calibration data as a float32 array of inputs of that shape; ValueError that says what does not fit."""
    if calibration is None:
        raise ValueError("no calibration data: give a few hundred typical inputs")
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


def _refuse_control_flow(model: keras.Model) -> None:
    """Loops and branches: the converter's calibration dies on them, and takes the process along."""
    import tensorflow as tf

    with silenced():
        spec = tf.TensorSpec((1, *model.inputs[0].shape[1:]), tf.float32)
        graph = tf.function(lambda x: model(x, training=False)).get_concrete_function(spec).graph
    for op in graph.get_operations():
        if op.type in ("While", "StatelessWhile", "If", "StatelessIf", "Case"):
            mentioned = mentioned_layers(op.name, model)
            raise ConversionError(
                f"{phrase(mentioned[-1]) if mentioned else f'model {model.name!r}'} becomes "
                f"{op.type.removeprefix('Stateless').upper()}, which the converter cannot quantize; "
                "nearest that fit: Conv1D, or Dense over flattened windows"
            )


def _explain(message: str, model: keras.Model) -> str:
    """The converter's complaint in one line: the layers its location names, and what it says of the operator."""
    first = next((line for line in message.splitlines() if "error:" in line), message.partition("\n")[0])
    named = [f"{layer.name!r} ({type(layer).__name__})" for layer in mentioned_layers(first, model)]
    where = f"layer {' with '.join(named)}" if named else f"model {model.name!r}"
    complaint = first[first.rindex("): ") + 3 :] if "): " in first else first
    return f"{where} has no int8 TFLite form, the converter says: {complaint[:200]}"
