"""Augmentations of pictures: where in the picture something is."""

from __future__ import annotations

from typing import Any, Unpack

from keras import ops

from keras_kd.augmentations.base import Arguments, Augmentation
from keras_kd.checks import require_number
from keras_kd.serialization import serializable
from keras_kd.types import Tensor


@serializable
class RandomTranslation(Augmentation):
    """Shift each picture by whole pixels in both directions, drawn evenly: something is not always in the middle.

    Args:
        fraction: Of the height and of the width, the farthest shift, in [0, 1].
        value: What takes the place of pixels that left, such as 0; None repeats the pixels at the edge.

    Shapes: (batch, height, width, channels), or with other axes between the first and the last -> the same.

    Raises:
        ValueError: For a fraction outside the range.

    Source: Simard, Steinkraus and Platt 2003, best practices for convolutional neural networks, section 2.

    Examples:
        >>> x = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
        >>> y = np.array(keras_kd.augmentations.RandomTranslation(0.25, value=0.0, seed=3)(x, training=True))
        >>> y.shape, set(y.ravel().tolist()) <= set(x.ravel().tolist())
        ((1, 4, 4, 1), True)
    """

    of_pictures = True
    keeps_steps = False

    def __init__(self, fraction: float = 0.1, *, value: float | None = None, **kwargs: Unpack[Arguments]) -> None:
        super().__init__(**kwargs)
        self.fraction = require_number(fraction, "RandomTranslation: fraction", minimum=0.0, maximum=1.0)
        self.value = None if value is None else require_number(value, "RandomTranslation: value")

    def augment(self, x: Tensor) -> Tensor:
        for axis in range(1, max(2, len(x.shape) - 1)):
            x = self._along(x, axis)
        return x

    def _along(self, x: Tensor, axis: int) -> Tensor:
        """Each example shifted along one axis."""
        size = ops.shape(x)[axis]
        by = self.whole_steps(x, self.fraction, size)
        at = tuple(-1 if place == axis else 1 for place in range(len(x.shape)))
        places = ops.reshape(ops.cast(ops.arange(size), "int32"), at) - ops.cast(by, "int32")
        nearest = ops.minimum(ops.maximum(places, 0), size - 1)
        shifted = ops.take_along_axis(x, ops.broadcast_to(nearest, ops.shape(x)), axis=axis)
        if self.value is None:
            return shifted
        return ops.where(ops.equal(places, nearest), shifted, ops.full_like(shifted, self.value))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "fraction": self.fraction, "value": self.value}
