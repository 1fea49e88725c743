"""Augmentations that hide: runs of steps or of bands."""

from __future__ import annotations

from typing import Any, Unpack

from keras import ops

from keras_kd.augmentations.base import Arguments, Augmentation
from keras_kd.checks import require_number
from keras_kd.serialization import serializable
from keras_kd.types import Tensor


class _Mask(Augmentation):
    """Runs along one axis set to a value, each of a length drawn evenly from nothing to the longest."""

    axis: int

    def __init__(
        self, fraction: float = 0.2, count: int = 1, *, value: float = 0.0, **kwargs: Unpack[Arguments]
    ) -> None:
        super().__init__(**kwargs)
        name = type(self).__name__
        self.fraction = require_number(fraction, f"{name}: fraction", minimum=0.0, maximum=1.0)
        self.count = int(require_number(count, f"{name}: count", minimum=1.0))
        self.value = require_number(value, f"{name}: value")

    def augment(self, x: Tensor) -> Tensor:
        axis = self.axis % len(x.shape)
        size = ops.shape(x)[axis]
        shape = tuple(-1 if a == axis else 1 for a in range(len(x.shape)))
        places = ops.reshape(ops.cast(ops.arange(size), "float32"), shape)
        longest = ops.floor(self.fraction * ops.cast(size, "float32"))
        for _ in range(self.count):
            length = ops.floor(self.uniform(x, 0.0, 1.0) * (longest + 1.0))
            start = ops.floor(self.uniform(x, 0.0, 1.0) * (ops.cast(size, "float32") - length + 1.0))
            masked = ops.logical_and(places >= start, places < start + length)
            x = ops.where(masked, ops.cast(self.value, x.dtype), x)
        return x

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "fraction": self.fraction, "count": self.count, "value": self.value}


@serializable
class TimeMask(_Mask):
    """Set runs of steps to a value, as a sensor that fell silent for a moment.

    Args:
        fraction: Of the steps, the longest run, in [0, 1].
        count: Runs an example.
        value: What they are set to.

    Shapes: (batch, steps, ...) -> the same.

    Raises:
        ValueError: For a fraction outside the range, or a count below 1.

    Examples:
        >>> x = np.ones((3, 10, 2), "float32")
        >>> y = np.array(keras_kd.augmentations.TimeMask(0.5, seed=1)(x, training=True))
        >>> bool(((y == 0).sum(axis=1) <= 5).all())
        True

    Source: SpecAugment, Park et al. 2019, section 2, https://arxiv.org/abs/1904.08779
    """

    axis = 1


@serializable
class BandMask(_Mask):
    """Set runs of neighboring features, such as the bands of a spectrogram, to a value, the same at all steps.

    Args:
        fraction: Of the features, the longest run, in [0, 1].
        count: Runs an example.
        value: What they are set to.

    Shapes: (batch, ..., features) -> the same.

    Raises:
        ValueError: For a fraction outside the range, or a count below 1.

    Examples:
        >>> x = np.ones((3, 4, 10), "float32")
        >>> y = np.array(keras_kd.augmentations.BandMask(0.3, count=2, seed=1)(x, training=True))
        >>> bool(((y == 0).sum(axis=-1) <= 6).all())
        True

    Source: SpecAugment, Park et al. 2019, section 2, https://arxiv.org/abs/1904.08779
    """

    axis = -1
