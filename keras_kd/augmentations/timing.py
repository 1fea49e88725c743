"""Augmentations of time: shift, speed and crops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from keras import ops

from keras_kd.augmentations.base import Arguments, Augmentation, limits_of
from keras_kd.checks import require_number
from keras_kd.serialization import serializable
from keras_kd.types import Tensor


@serializable
class RandomShift(Augmentation):
    """Shift each example in time by an integer number of steps, drawn evenly in both directions.

    Args:
        fraction: Of a window, the farthest shift, in [0, 1].
        wrap: Whether what leaves at one end comes back at the other; otherwise zeros take its place.

    Shapes: (batch, steps, channels) -> the same.

    Raises:
        ValueError: For a fraction outside the range.

    Examples:
        >>> x = np.arange(8, dtype="float32").reshape(1, 8, 1)
        >>> y = np.array(keras_kd.augmentations.RandomShift(0.5, seed=2)(x, training=True))
        >>> sorted(y.ravel().tolist()) == x.ravel().tolist()
        True
    """

    keeps_steps = False

    def __init__(self, fraction: float = 0.1, *, wrap: bool = True, **kwargs: Unpack[Arguments]) -> None:
        super().__init__(**kwargs)
        self.fraction = require_number(fraction, "RandomShift: fraction", minimum=0.0, maximum=1.0)
        self.wrap = bool(wrap)

    def augment(self, x: Tensor) -> Tensor:
        steps = ops.shape(x)[1]
        by = self.whole_steps(x, self.fraction, steps)
        places = ops.reshape(ops.cast(ops.arange(steps), "float32"), (1, -1) + (1,) * (len(x.shape) - 2)) - by
        places = ops.cast(places, "int32")
        shifted = _gather(x, ops.mod(places, steps))
        if self.wrap:
            return shifted
        inside = ops.logical_and(places >= 0, places < steps)
        return ops.where(inside, shifted, ops.zeros_like(shifted))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "fraction": self.fraction, "wrap": self.wrap}


@serializable
class RandomSpeed(Augmentation):
    """Resample each example about its middle as if it had been played faster or slower, by linear interpolation.

    Where a faster example ends, its outermost samples are held.

    Args:
        factors: Slowest and fastest speed, above 0; 1.1 raises every frequency by a tenth.

    Shapes: (batch, steps, channels) -> the same.

    Raises:
        ValueError: For a range that ends before it begins, or a speed of 0 or less.

    Examples:
        >>> x = np.arange(9, dtype="float32").reshape(1, 9, 1)
        >>> y = np.array(keras_kd.augmentations.RandomSpeed((0.5, 0.5))(x, training=True))
        >>> y.ravel().tolist()
        [2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0]
    """

    keeps_steps = False

    def __init__(self, factors: Sequence[float] = (0.9, 1.1), **kwargs: Unpack[Arguments]) -> None:
        super().__init__(**kwargs)
        self.factors = limits_of(factors, "RandomSpeed: factors")
        require_number(self.factors[0], "RandomSpeed: the slowest factor", above=0.0)

    def augment(self, x: Tensor) -> Tensor:
        steps = ops.shape(x)[1]
        last = ops.cast(steps - 1, "float32")
        times = ops.reshape(ops.cast(ops.arange(steps), "float32"), (1, -1) + (1,) * (len(x.shape) - 2))
        places = last / 2.0 + (times - last / 2.0) * self.uniform(x, *self.factors)
        return _interpolated(x, places)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factors": list(self.factors)}


@serializable
class RandomCrop(Augmentation):
    """Keep a run of each example's steps, anywhere in it, and stretch it to all of them by linear interpolation.

    Args:
        fractions: Of the steps, the shortest run and the longest, above 0 and at most 1.

    Shapes: (batch, steps, channels) -> the same.

    Raises:
        ValueError: For a range that ends before it begins, or a fraction outside the range.

    Examples:
        >>> x = np.arange(9, dtype="float32").reshape(1, 9, 1)
        >>> y = np.array(keras_kd.augmentations.RandomCrop((0.5, 0.5), seed=1)(x, training=True))
        >>> float(y[0, -1, 0] - y[0, 0, 0]), y.shape
        (4.0, (1, 9, 1))

    Source: window slicing, Le Guennec et al. 2016, section 2.1, https://shs.hal.science/halshs-01357973
    """

    keeps_steps = False

    def __init__(self, fractions: Sequence[float] = (0.7, 1.0), **kwargs: Unpack[Arguments]) -> None:
        super().__init__(**kwargs)
        self.fractions = limits_of(fractions, "RandomCrop: fractions")
        require_number(self.fractions[0], "RandomCrop: the shortest fraction", above=0.0)
        require_number(self.fractions[1], "RandomCrop: the longest fraction", maximum=1.0)

    def augment(self, x: Tensor) -> Tensor:
        steps = ops.shape(x)[1]
        last = ops.cast(steps - 1, "float32")
        times = ops.reshape(ops.cast(ops.arange(steps), "float32"), (1, -1) + (1,) * (len(x.shape) - 2))
        run = self.uniform(x, *self.fractions)
        return _interpolated(x, last * (1.0 - run) * self.uniform(x, 0.0, 1.0) + times * run)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "fractions": list(self.fractions)}


def _interpolated(x: Tensor, places: Tensor) -> Tensor:
    """Each example between its steps at `places`, (batch, steps, 1, ...) float32; beyond its ends they are held."""
    last = ops.cast(ops.shape(x)[1] - 1, "float32")
    places = ops.minimum(ops.maximum(places, 0.0), last)
    before = ops.floor(places)
    part = places - before
    left = ops.cast(_gather(x, ops.cast(before, "int32")), "float32")
    right = ops.cast(_gather(x, ops.cast(ops.minimum(before + 1.0, last), "int32")), "float32")
    return ops.cast(left + part * (right - left), x.dtype)


def _gather(x: Tensor, places: Tensor) -> Tensor:
    """The steps of each example at `places`, (batch, steps, 1, ...): (batch, steps, ...)."""
    return ops.take_along_axis(x, ops.broadcast_to(places, ops.shape(x)), axis=1)
