"""LSTM and GRU in a traced graph, each as one operator in place of the loop over time that Keras traces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from micro.errors import ConversionError
from micro.tflite.layer_names import all_layers, phrase

if TYPE_CHECKING:
    from collections.abc import Callable

    import keras

    from keras_kd.types import Tensor

    Call: TypeAlias = Callable[..., Tensor]

# The operator of TensorFlow that stands for an LSTM or a GRU layer. TFLite has no form of it, so the converter leaves it whole,
# as a custom operator with the layer's weights among its inputs. Its values are never computed.
CARRIER = "BlockLSTM"
# Places of the carrier's inputs: the sequence, the kernel over the recurrent kernel, a vector that is not 0 where the layer has
# a bias, and the bias. The last of its outputs is the sequence of states. A kernel of three gates is that of a GRU, whose bias
# has four parts: one for each gate, and one that is added to the states' part of the third alone.
SEQUENCE, KERNEL, BIASED, BIAS = 1, 4, 5, 8

# The most steps that a GRU becomes, each of which is 18 or 19 operators: a longer .tflite takes minutes to make and check.
MOST_GRU_STEPS = 512


def lstm_layers(model: keras.Model) -> list[Any]:
    """The LSTM layers of a model, those inside Bidirectional and nested models included."""
    import keras

    return [layer for layer in _inner(model) if type(layer) is keras.layers.LSTM]


def gru_layers(model: keras.Model) -> list[Any]:
    """The GRU layers of a model, as `lstm_layers`."""
    import keras

    return [layer for layer in _inner(model) if type(layer) is keras.layers.GRU]


def require_convertible(layer: keras.layers.LSTM | keras.layers.GRU) -> None:
    """Refuse what TFLite Micro's LSTM, or a GRU step by step, does not compute.

    Raises:
        ConversionError: Names the layer and what would be right.
    """
    import keras

    for what, wanted in (("activation", "tanh"), ("recurrent_activation", "sigmoid")):
        name = keras.activations.serialize(getattr(layer, what))
        if name != wanted:
            raise ConversionError(
                f"{phrase(layer)} has {what} {name!r}; in int8 an {type(layer).__name__} has activation tanh and "
                "recurrent_activation sigmoid"
            )
    if layer.stateful:
        raise ConversionError(
            f"{phrase(layer)} is stateful; in int8 every sequence starts from 0: build it with stateful=False"
        )
    if layer.return_state:
        raise ConversionError(f"{phrase(layer)} returns its states; a microcontroller's model has the sequence alone")
    if not getattr(layer, "reset_after", True):
        raise ConversionError(
            f"{phrase(layer)} has reset_after=False; in int8 a GRU is that of reset_after=True, Keras's default"
        )


def lstm_call(layer: keras.layers.LSTM) -> Call:
    """What an LSTM layer calls while it is traced: the carrier, between a reversal and a slice where the layer does them."""
    import tensorflow as tf

    def parts() -> tuple[Tensor, Tensor]:
        cell = layer.cell
        kernel = tf.concat([tf.convert_to_tensor(cell.kernel), tf.convert_to_tensor(cell.recurrent_kernel)], 0)
        return kernel, tf.convert_to_tensor(cell.bias) if layer.use_bias else tf.zeros((4 * layer.units,))

    return _carried(layer, parts)


def gru_call(layer: keras.layers.GRU) -> Call:
    """What a GRU layer calls while it is traced, as `lstm_call`."""
    import tensorflow as tf

    def parts() -> tuple[Tensor, Tensor]:
        cell, summed = layer.cell, 2 * layer.units
        kernel = tf.concat([tf.convert_to_tensor(cell.kernel), tf.convert_to_tensor(cell.recurrent_kernel)], 0)
        if not layer.use_bias:
            return kernel, tf.zeros((4 * layer.units,))
        bias = tf.convert_to_tensor(cell.bias)
        return kernel, tf.concat([bias[0, :summed] + bias[1, :summed], bias[0, summed:], bias[1, summed:]], 0)

    return _carried(layer, parts)


def _carried(layer: keras.layers.LSTM | keras.layers.GRU, parts: Callable[[], tuple[Tensor, Tensor]]) -> Call:
    """A call of the carrier with the kernel and bias of `parts`."""
    import keras
    import tensorflow as tf

    def call(
        sequences: Tensor, initial_state: Tensor | None = None, mask: Tensor | None = None, training: bool = False
    ) -> Tensor:
        _require_plain_call(layer, initial_state, mask)
        x = tf.convert_to_tensor(sequences)
        if isinstance(layer, keras.layers.GRU):
            _require_few_steps(layer, x.shape[1])
        if layer.go_backwards:
            x = tf.reverse(x, [1])
        states, vector = tf.zeros((x.shape[1], layer.units)), tf.fill((layer.units,), float(layer.use_bias))
        kernel, bias = parts()
        y = tf.raw_ops.BlockLSTM(
            seq_len_max=tf.constant(1, tf.int64),
            x=x,
            cs_prev=states,
            h_prev=states,
            w=kernel,
            wci=vector,
            wcf=vector,
            wco=vector,
            b=bias,
        ).h
        return y if layer.return_sequences else y[:, -1]

    return call


def _require_few_steps(layer: keras.layers.GRU, steps: int) -> None:
    if steps > MOST_GRU_STEPS:
        raise ConversionError(
            f"{phrase(layer)} goes over {steps} steps; there is no operator for it, so that each step becomes operators of its "
            f"own: it may go over {MOST_GRU_STEPS}. Take an LSTM, or fewer steps"
        )


def _require_plain_call(layer: keras.layers.Layer, initial_state: Tensor | None, mask: Tensor | None) -> None:
    require_convertible(layer)
    if initial_state is not None or mask is not None:
        what = "an initial state" if mask is None else "a mask"
        raise ConversionError(
            f"{phrase(layer)} is called with {what}, which {type(layer).__name__} in int8 does not take"
        )


def _inner(model: keras.Model) -> Iterator[Any]:
    import keras

    for layer in all_layers(model):
        yield layer
        if isinstance(layer, keras.layers.Bidirectional):
            yield from (layer.forward_layer, layer.backward_layer)
