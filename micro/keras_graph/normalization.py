"""LayerNormalization in a traced graph as operators that keep their precision in int8."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    import keras

    from keras_kd.types import Tensor

    Call: TypeAlias = Callable[..., Tensor]


def normalization_call(layer: keras.layers.LayerNormalization | keras.layers.RMSNormalization) -> Call | None:
    """What a LayerNormalization or RMSNormalization over the last axis calls while it is traced; None for other axes.

    Keras's own form computes a variance and the inverse of its root. In int8 each has 256 steps over the largest of all rows,
    so that a row of little variance has few of its own. L2_NORMALIZATION divides a row by its length instead, whose square
    the kernel sums in 32 bits and never rounds: (x - mean) / sqrt(variance + epsilon) is sqrt(n) times the row over its length,
    once the row ends with a value sqrt(n * epsilon), which is cut off again. Scale and shift are one DEPTHWISE_CONV_2D.
    """
    import tensorflow as tf

    axes = (layer.axis,) if isinstance(layer.axis, int) else tuple(layer.axis)
    if len(axes) != 1 or getattr(layer, "rms_scaling", False):
        return None
    centered = type(layer).__name__ == "LayerNormalization"

    def call(inputs: Tensor) -> Tensor:
        x = tf.convert_to_tensor(inputs)
        rank, channels = len(x.shape), int(x.shape[-1])
        if axes[0] not in (-1, rank - 1):
            return type(layer).call(layer, inputs)
        apart = x - tf.reduce_mean(x, -1, keepdims=True) if centered else x
        # Rows of pixels are rows already; others become such.
        rows = apart if rank == 4 else tf.reshape(apart, (1, math.prod(x.shape[1:-1]), 1, channels))
        if layer.epsilon:
            around = [[0, 0], [0, 0], [0, 0], [0, 1]]
            rows = tf.pad(rows, around, constant_values=math.sqrt(channels * layer.epsilon))
        unit = rows * tf.math.rsqrt(tf.reduce_sum(tf.square(rows), -1, keepdims=True))
        unit = unit[..., :channels]
        ones = tf.ones((channels,))
        scale = getattr(layer, "gamma" if centered else "scale", None)
        kernel = math.sqrt(channels) * (ones if scale is None or scale is True else tf.convert_to_tensor(scale))
        y = tf.nn.depthwise_conv2d(unit, tf.reshape(kernel, (1, 1, channels, 1)), [1, 1, 1, 1], "VALID")
        shift = getattr(layer, "beta", None)
        if shift is not None:
            y = y + tf.convert_to_tensor(shift)
        return tf.reshape(y, x.shape)

    return call
