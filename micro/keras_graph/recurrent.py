"""LSTM and GRU in a traced graph, in place of the loop over time that Keras traces: one operator, or steps one by one."""

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

# A GRU becomes so many steps at most: TFLite Micro's bookkeeping of their operators soon takes more than any chip has.
MOST_GRU_STEPS = 16


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

    def call(
        sequences: Tensor, initial_state: Tensor | None = None, mask: Tensor | None = None, training: bool = False
    ) -> Tensor:
        _require_plain_call(layer, initial_state, mask)
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


def gru_call(layer: keras.layers.GRU) -> Call:
    """What a GRU layer calls while it is traced: its steps one by one, in operators of their own that share weights."""
    import tensorflow as tf

    def call(
        sequences: Tensor, initial_state: Tensor | None = None, mask: Tensor | None = None, training: bool = False
    ) -> Tensor:
        _require_plain_call(layer, initial_state, mask)
        x, cell, units = tf.convert_to_tensor(sequences), layer.cell, layer.units
        count = x.shape[1]
        if count > MOST_GRU_STEPS:
            raise ConversionError(
                f"{phrase(layer)} goes over {count} steps; there is no operator for it, so that each step becomes 16, of 4 KiB "
                f"of flash and 3 KiB of RAM: it may go over {MOST_GRU_STEPS}. Take an LSTM, or fewer steps"
            )
        bias = tf.convert_to_tensor(cell.bias) if layer.use_bias else tf.zeros((2, 3 * units))
        recurrent = tf.convert_to_tensor(cell.recurrent_kernel)
        inputs = tf.matmul(tf.reshape(x, (count, x.shape[2])), tf.convert_to_tensor(cell.kernel)) + bias[0]
        states: list[Tensor] = []
        for number in reversed(range(count)) if layer.go_backwards else range(count):
            before = states[-1] if states else None
            # The first step starts from 0.
            sums = bias[1:] if before is None else tf.matmul(before, recurrent) + bias[1]
            step = inputs[number : number + 1]
            gates = tf.sigmoid(step[:, : 2 * units] + sums[:, : 2 * units])
            update, reset = gates[:, :units], gates[:, units:]
            new = tf.tanh(step[:, 2 * units :] + reset * sums[:, 2 * units :])
            states.append(new - update * new if before is None else new + update * (before - new))
        return tf.expand_dims(tf.concat(states, 0), 0) if layer.return_sequences else states[-1]

    return call


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
