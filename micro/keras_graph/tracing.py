"""A Keras model as one frozen TensorFlow graph in float32 with a static batch of 1, as TFLite's converter takes it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from micro.errors import ConversionError
from micro.keras_graph.ends import packed_inputs
from micro.keras_graph.normalization import normalization_call
from micro.keras_graph.recurrent import gru_call, lstm_call
from micro.support.silence import hush_tensorflow, silenced
from micro.tflite.layer_names import all_layers, mentioned_layers, phrase

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from keras_kd.types import Tensor

    Call: TypeAlias = Callable[..., Tensor]

# No value of a model that a microcontroller runs is larger; a graph that asks for more would exhaust the host.
MOST_ELEMENTS = 1 << 26
# Held while Keras's addition is another, so that conversions in two threads leave its own behind.
_PATCHED = threading.RLock()
CONTROL_FLOW = ("While", "StatelessWhile", "If", "StatelessIf", "Case")


def traced(model: keras.Model) -> tf.types.experimental.ConcreteFunction:
    """The model's frozen function, (1, *input) of each input -> (1, *output) of each output, in Keras's order.

    Raises:
        ConversionError: Names the layer that loops, whose output no microcontroller can hold, or that cannot be traced.
    """
    with static(model) as fixed:
        import tensorflow as tf
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

        try:
            with silenced():
                specs = [tf.TensorSpec(each.shape, each.dtype, name=each.name) for each in fixed.inputs]
                function = tf.function(lambda *x: fixed(list(x), training=False), autograph=False)
                concrete = function.get_concrete_function(*specs)
                _refuse_control_flow(concrete.graph, model)
                _refuse_vast_values(concrete.graph, model)
                return convert_variables_to_constants_v2(concrete)
        except ConversionError as error:
            raise _unwrapped(error) from None
        except Exception as error:
            raise ConversionError(_untraceable(model, error)) from None


def _unwrapped(error: ConversionError) -> ConversionError:
    """A refusal as it was made: Keras writes where it came from around that of a layer, in lines that our errors escape."""
    if "Exception encountered when calling" not in str(error):
        return error
    lines = str(error).replace("\\n", "\n").replace("\\x1b", "\x1b")
    return ConversionError(reason_of(Exception(lines)))


@contextmanager
def static(model: keras.Model) -> Iterator[keras.Model]:
    """The model with a batch of 1, over the same layers, as it can be converted while the context lasts.

    Layers of mixed precision compute in float32, and layers that repeat values call a resize, which TFLite Micro has; all are
    as they were afterwards.
    """
    hush_tensorflow()
    import keras

    source, dtypes = _convertible_inputs(model)
    with _in_float32(model, source), _lowered_calls(model, source), _addition_of_any_batch():
        try:
            with silenced():
                # Named, because Keras would number them by how many models the process has made, and names end up in the bytes.
                names = ["input"] if len(dtypes) == 1 else [f"input_{number}" for number in range(len(dtypes))]
                inputs = [
                    keras.Input(batch_shape=(1, *each.shape[1:]), dtype=dtype, name=name)
                    for each, dtype, name in zip(source.inputs, dtypes, names, strict=True)
                ]
                fixed = keras.Model(inputs, calls(source, inputs, training=False), name="static")
        except ConversionError as error:
            raise _unwrapped(error) from None
        except Exception as error:
            raise ConversionError(_untraceable(model, error)) from None
        yield fixed


def calls(model: keras.Model, inputs: Sequence[Tensor], *, training: bool) -> list[Tensor]:
    """The model's outputs in order for its inputs in order, whatever structures they are in."""
    import keras

    return keras.tree.flatten(model(packed_inputs(model, inputs), training=training))


def predict(model: keras.Model, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The model's outputs on a batch, in order, float32, (n, *output) each."""
    import keras

    outputs = keras.tree.flatten(model.predict(packed_inputs(model, inputs), verbose=0))
    return [np.asarray(each).astype(np.float32) for each in outputs]


def takes_indices(model: keras.Model) -> list[bool]:
    """Of each input whether it is indices of an Embedding, which stay integers in the .tflite."""
    import keras

    looks_up = any(isinstance(layer, keras.layers.Embedding) for layer in all_layers(model))
    return [looks_up and "int" in str(each.dtype) for each in model.inputs]


def _convertible_inputs(model: keras.Model) -> tuple[keras.Model, list[str]]:
    """The model, or a copy over the same weights with float32 inputs, and its inputs' types.

    Indices stay integers; other integers, such as pixels, are numbers that are quantized like any.
    """
    import keras

    from keras_kd.layers import functional

    dtypes = ["int32" if indices else "float32" for indices in takes_indices(model)]
    if all(dtype == "int32" or str(each.dtype) == "float32" for each, dtype in zip(model.inputs, dtypes)):
        return model, dtypes
    try:
        source = functional(model)
        numbers = [
            keras.Input(each.shape[1:], dtype=dtype if dtype == "float32" else each.dtype)
            for each, dtype in zip(model.inputs, dtypes)
        ]
        copy = keras.models.clone_model(source, input_tensors=packed_inputs(model, numbers))
        copy.set_weights(model.get_weights())
    except Exception as error:
        kinds = ", ".join(dict.fromkeys(str(each.dtype) for each in model.inputs))
        raise ConversionError(
            f"model {model.name!r} takes {kinds}; build it with a float32 Input ({reason_of(error)})"
        ) from None
    return copy, dtypes


@contextmanager
def _in_float32(*models: keras.Model) -> Iterator[None]:
    """Let layers of a 16-bit or mixed policy compute in float32."""
    import keras

    policy = keras.DTypePolicy("float32")
    before = [
        (layer, layer._dtype_policy)
        for model in models
        for layer in model._flatten_layers()
        if layer.compute_dtype in ("float16", "bfloat16") and layer.dtype_policy.quantization_mode is None
    ]
    try:
        for layer, _ in before:
            object.__setattr__(layer, "_dtype_policy", policy)
        yield
    finally:
        for layer, own in before:
            object.__setattr__(layer, "_dtype_policy", own)


@contextmanager
def _lowered_calls(*models: keras.Model) -> Iterator[None]:
    """Let UpSampling (nearest) and RepeatVector call a resize, Embedding a plain GATHER, LSTM one operator, GRU its steps, and
    LayerNormalization one that divides rows by their length.

    Keras makes TILE of repeating, and SELECT of indices that may be negative; TFLite Micro has neither in int8.
    """
    changed: list[keras.Layer] = []
    try:
        for model in models:
            for layer in model._flatten_layers():
                replacement = _lowered_call(layer)
                if replacement is not None and "call" not in vars(layer):
                    object.__setattr__(layer, "call", replacement)
                    changed.append(layer)
        yield
    finally:
        for layer in changed:
            object.__delattr__(layer, "call")


@contextmanager
def _addition_of_any_batch() -> Iterator[None]:
    """Let Keras add what is computed from the input as it does in a batch of several.

    In a batch of 1 it takes (1, 4, 1), which has a single long axis, for a bias: it adds it along the last axis of the other,
    or along the second, whichever axis it was. Weights are taken so whatever the batch is, and stay as they are.
    """
    import tensorflow as tf
    from keras.src.backend.tensorflow import numpy as tensorflow_numpy

    with _PATCHED:
        own = tensorflow_numpy.add

        def add(x1: Tensor, x2: Tensor) -> Tensor:
            computed = all(tf.is_symbolic_tensor(each) and _from_input(each) for each in (x1, x2))
            return tf.add(x1, x2) if computed and x1.dtype == x2.dtype else own(x1, x2)

        tensorflow_numpy.add = add
        try:
            yield
        finally:
            tensorflow_numpy.add = own


def _from_input(tensor: tf.Tensor) -> bool:
    """Whether a tensor of a graph is computed from what the graph is called with, and not from weights alone."""
    captured = {id(each.op) for each in tensor.graph.internal_captures}
    seen, left = set(), [tensor.op]
    while left:
        op = left.pop()
        if op.type == "Placeholder" and id(op) not in captured:
            return True
        if id(op) not in seen:
            seen.add(id(op))
            left += [each.op for each in op.inputs]
    return False


def _lowered_call(layer: keras.Layer) -> Call | None:
    import keras
    import tensorflow as tf

    def repeated(x: Tensor, rows: int, columns: int) -> Tensor:
        height, width = (int(size or 1) for size in x.shape[1:3])
        return tf.image.resize(x, (height * rows, width * columns), method="nearest")

    if isinstance(layer, keras.layers.UpSampling2D):
        if layer.interpolation != "nearest" or layer.data_format != "channels_last":
            return None
        return lambda x: repeated(x, *layer.size)
    if isinstance(layer, keras.layers.UpSampling1D):
        size = layer.size if isinstance(layer.size, int) else layer.size[0]
        return lambda x: tf.squeeze(repeated(tf.expand_dims(x, 2), size, 1), 2)
    if type(layer) is keras.layers.Embedding and layer.quantization_mode is None:
        return lambda x: tf.gather(tf.convert_to_tensor(layer.embeddings), tf.cast(x, tf.int32))
    if type(layer) is keras.layers.LSTM:
        return lstm_call(layer)
    if type(layer) is keras.layers.GRU:
        return gru_call(layer)
    if isinstance(layer, keras.layers.LayerNormalization) or type(layer).__name__ == "RMSNormalization":
        return normalization_call(layer)
    if isinstance(layer, keras.layers.RepeatVector):
        return lambda x: tf.squeeze(repeated(tf.expand_dims(tf.expand_dims(x, 1), 1), layer.n, 1), 2)
    return None


def _refuse_control_flow(graph: tf.Graph, model: keras.Model) -> None:
    """Loops and branches: the converter's calibration ends the process on them."""
    for op in graph.get_operations():
        if op.type in CONTROL_FLOW:
            raise ConversionError(
                f"{_where(op.name, model)} becomes {op.type.removeprefix('Stateless').upper()}, which the converter cannot "
                "quantize; nearest that fit: LSTM, Conv1D, or Dense over flattened windows"
            )


def _refuse_vast_values(graph: tf.Graph, model: keras.Model) -> None:
    """Values that would exhaust the host while ranges are calibrated."""
    for op in graph.get_operations():
        for output in op.outputs:
            elements = output.shape.num_elements()
            if elements is not None and elements > MOST_ELEMENTS:
                raise ConversionError(
                    f"{_where(op.name, model)} makes a value of {elements:,} elements, {tuple(output.shape)}; no "
                    f"microcontroller's model has more than {MOST_ELEMENTS:,}"
                )


def _untraceable(model: keras.Model, error: Exception) -> str:
    return f"model {model.name!r} cannot be traced with a batch of 1: {reason_of(error)}"


def _where(name: str, model: keras.Model) -> str:
    mentioned = mentioned_layers(name, model)
    return phrase(mentioned[-1]) if mentioned else f"model {model.name!r}"


def reason_of(error: Exception) -> str:
    """The cause in an error of Keras or TensorFlow, without the traces around it."""
    text = re.sub(r"\x1b\[\d*m", "", str(error))
    wrapped = re.findall(r"Exception encountered when calling [^\n]*\n+\s*([^\n]+)", text)
    wrapped += re.findall(r"Error encountered:\s+([^\n]+)", text)
    wrapped = [line for line in wrapped if not line.startswith("Could not automatically infer")]
    causes = [line for line in wrapped if not line.startswith("Exception encountered")]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (causes[0] if causes else lines[0] if lines else type(error).__name__)[:500]
