"""Small layers whose weights objectives learn or keep."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_kd.serialization import serializable
from keras_kd.types import Shape, Tensor


@serializable
class PerChannel(keras.layers.Layer):
    """One learned number per channel, whatever the input."""

    def __init__(self, initial: float, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.initial = initial

    def build(self, input_shape: Shape) -> None:
        self.value = self.add_weight(
            shape=(input_shape[-1],), initializer=keras.initializers.Constant(self.initial), name="value"
        )
        self.built = True

    def call(self, inputs: Tensor) -> Any:
        return ops.convert_to_tensor(self.value)


@serializable
class FirstValue(keras.layers.Layer):
    """The first number that was kept; until there is one, the current number."""

    def build(self, input_shape: Shape) -> None:
        # Whether a number is kept, and which.
        self.kept = self.add_weight(shape=(2,), initializer="zeros", trainable=False, aggregation="mean", name="kept")
        self.built = True

    def value(self, now: Tensor, keep: bool) -> Tensor:
        """The kept number, or `now`, which is kept from here on if `keep`."""
        number = ops.where(self.kept[0] > 0, self.kept[1], now)
        if keep:
            self.kept.assign(ops.stack([ops.ones_like(number), number]))
        return number


@serializable
class NegativeMeans(keras.layers.Layer):
    """The mean of the negative values of each channel over all batches so far."""

    def build(self, input_shape: Shape) -> None:
        # Sum of the negative values and their number, by channel.
        self.sums = self.add_weight(
            shape=(2, input_shape[-1]), initializer="zeros", trainable=False, aggregation="mean", name="sums"
        )
        self.built = True

    def value(self, features: Tensor, keep: bool) -> Tensor:
        """The means with this batch, which counts from here on if `keep`; 0 for channels that were never negative."""
        axes = tuple(range(len(features.shape) - 1))
        below = ops.minimum(features, 0.0)
        now = ops.stack([ops.sum(below, axis=axes), ops.sum(ops.cast(features < 0, "float32"), axis=axes)])
        total = ops.convert_to_tensor(self.sums) + now
        if keep:
            self.sums.assign(total)
        return total[0] / ops.maximum(total[1], 1.0)


@serializable
class Queue(keras.layers.Layer):
    """The last rows that were put in, as many as it has places; empty places are marked."""

    def __init__(self, places: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.places = places

    def build(self, input_shape: Shape) -> None:
        self.rows = self.add_weight(
            shape=(self.places, input_shape[-1]),
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
            name="rows",
        )
        self.filled = self.add_weight(
            shape=(self.places,), initializer="zeros", trainable=False, name="filled", aggregation="only_first_replica"
        )
        self.built = True

    def read(self) -> tuple[Tensor, Tensor]:
        """The rows (places, width) and for each place 1, or 0 where nothing is in it yet."""
        return ops.convert_to_tensor(self.rows), ops.convert_to_tensor(self.filled)

    def put(self, rows: Tensor) -> None:
        """Put rows (n, width) in front; the oldest fall out."""
        self.rows.assign(ops.concatenate([rows, ops.convert_to_tensor(self.rows)], axis=0)[: self.places])
        ones = ops.ones((ops.shape(rows)[0],), dtype="float32")
        self.filled.assign(ops.concatenate([ones, ops.convert_to_tensor(self.filled)], axis=0)[: self.places])
