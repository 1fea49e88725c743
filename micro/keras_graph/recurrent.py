"""LSTM layers in a traced graph: one operator each, in place of the loop over time that Keras traces."""

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

# The operator of TensorFlow that stands for an LSTM layer. TFLite has no form of it, so the converter leaves it whole, as a
# custom operator with the layer's weights among its inputs. Its values are never computed.
CARRIER = "BlockLSTM"
# Places of the carrier's inputs: the sequence, the kernel over the recurrent kernel, a vector that is not 0 where the layer has
# a bias, and the bias. The last of its outputs is the sequence of states.
SEQUENCE, KERNEL, BIASED, BIAS = 1, 4, 5, 8


def lstm_layers(model: keras.Model) -> list[Any]:
    """The LSTM layers of a model, those inside Bidirectional and nested models included."""
    import keras

    return [layer for layer in _inner(model) if type(layer) is keras.layers.LSTM]


def require_lstm(layer: keras.layers.LSTM) -> None:
    """Refuse what TFLite Micro's LSTM does not compute.

    Raises:
        ConversionError: Names the layer and what would be right.
    """
    import keras

    for what, wanted in (("activation", "tanh"), ("recurrent_activation", "sigmoid")):
        name = keras.activations.serialize(getattr(layer, what))
        if name != wanted:
            raise ConversionError(
                f"{phrase(layer)} has {what} {name!r}; TFLite Micro's LSTM computes tanh and recurrent_activation sigmoid alone"
            )
    if layer.stateful:
        raise ConversionError(
            f"{phrase(layer)} is stateful; an int8 LSTM starts every sequence from 0: build it with stateful=False"
        )
    if layer.return_state:
        raise ConversionError(f"{phrase(layer)} returns its states; a microcontroller's model has the sequence alone")


def lstm_call(layer: keras.layers.LSTM) -> Call:
    """What an LSTM layer calls while it is traced: the carrier, between a reversal and a slice where the layer does them."""
    import tensorflow as tf

    def call(
        sequences: Tensor, initial_state: Tensor | None = None, mask: Tensor | None = None, training: bool = False
    ) -> Tensor:
        require_lstm(layer)
        if initial_state is not None or mask is not None:
            what = "an initial state" if mask is None else "a mask"
            raise ConversionError(f"{phrase(layer)} is called with {what}, which TFLite Micro's LSTM does not take")
        x, cell = tf.convert_to_tensor(sequences), layer.cell
        if layer.go_backwards:
            x = tf.reverse(x, [1])
        states, vector = tf.zeros((x.shape[1], layer.units)), tf.fill((layer.units,), float(layer.use_bias))
        kernel = tf.concat([tf.convert_to_tensor(cell.kernel), tf.convert_to_tensor(cell.recurrent_kernel)], 0)
        bias = tf.convert_to_tensor(cell.bias) if layer.use_bias else tf.zeros((4 * layer.units,))
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


def _inner(model: keras.Model) -> Iterator[Any]:
    import keras

    for layer in all_layers(model):
        yield layer
        if isinstance(layer, keras.layers.Bidirectional):
            yield from (layer.forward_layer, layer.backward_layer)
