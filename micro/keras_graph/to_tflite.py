"""A Keras model as a .tflite with a static batch of 1, in float32 or as TensorFlow's converter quantizes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from micro.errors import ConversionError
from micro.keras_graph.tracing import static, takes_indices, traced
from micro.support.silence import silenced
from micro.tflite.layer_names import mentioned_layers

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    Configure: TypeAlias = Callable[[tf.lite.TFLiteConverter], None]


def to_tflite(
    model: keras.Model,
    configure: Configure = lambda converter: None,
    function: tf.types.experimental.ConcreteFunction | None = None,
) -> bytes:
    """The model's .tflite, in float32 unless `configure` asks the converter for something else.

    `function` is what `traced` gives for the model, where it is at hand.

    Raises:
        ConversionError: Names the layer where there is no TFLite form.
    """
    concrete = traced(model) if function is None else function
    import tensorflow as tf

    try:
        with silenced():
            converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
            # The function is frozen: by way of a SavedModel it would be traced, written and read again.
            converter.experimental_lower_to_saved_model = False
            configure(converter)
            return converter.convert()
    except Exception as error:
        # The converter's error then names the place of an operator in the model, and not in Python's files.
        made = _by_saved_model(model, configure)
        if len(model.inputs) + len(model.outputs) > 2:
            # Inputs and outputs are in another order then.
            raise ConversionError(_explain(f"{error}", model)) from None
        return made


def _by_saved_model(model: keras.Model, configure: Configure) -> bytes:
    import tensorflow as tf

    with static(model) as fixed:
        try:
            with silenced():
                converter = tf.lite.TFLiteConverter.from_keras_model(fixed)
                configure(converter)
                return converter.convert()
        except Exception as error:
            raise ConversionError(_explain(f"{error}", model)) from None


def calibrated_tflite(
    model: keras.Model, function: tf.types.experimental.ConcreteFunction, samples: Sequence[np.ndarray]
) -> bytes:
    """The float32 .tflite of a traced model with the range that each of its values has on the samples, for `quantized`.

    The samples are those of each input, in order.
    """

    arrays = [
        array.astype(np.int32) if indices else array
        for array, indices in zip(samples, takes_indices(model), strict=True)
    ]

    def representative() -> Iterator[list[np.ndarray]]:
        for values in zip(*arrays):
            yield [value[None] for value in values]

    def configure(converter: tf.lite.TFLiteConverter) -> None:
        import tensorflow as tf

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        converter._experimental_calibrate_only = True

    return to_tflite(model, configure, function)


def quantized(calibrated: bytes, weights: str, model: keras.Model) -> bytes:
    """The int8 .tflite: the converter's last step, which takes a fraction of the others' time.

    `weights` is 'per_channel', 'per_tensor' or 'per_tensor_dense'.
    """
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize

    try:
        with silenced():
            return mlir_quantize(
                calibrated,
                weights == "per_tensor",
                input_data_type=tf.int8,
                output_data_type=tf.int8,
                disable_per_channel_for_dense_layers=weights == "per_tensor_dense",
            )
    except Exception as error:
        raise ConversionError(_explain(f"{error}", model)) from None


def _explain(message: str, model: keras.Model) -> str:
    """The converter's error in one line: the layers that its location names, and what it says of the operator."""
    first = next((line for line in message.splitlines() if "error:" in line), message.partition("\n")[0])
    named = [f"{layer.name!r} ({type(layer).__name__})" for layer in mentioned_layers(first, model)]
    where = f"layer {' with '.join(named)}" if named else f"model {model.name!r}"
    complaint = first[first.rindex("): ") + 3 :] if "): " in first else first
    return f"{where} has no int8 TFLite form, the converter says: {complaint[:200]}"
