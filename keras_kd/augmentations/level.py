"""Augmentations of level: gain, noise, channels that are gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from keras import ops, random

from keras_kd.augmentations.base import Arguments, Augmentation, limits_of
from keras_kd.checks import require_number
from keras_kd.serialization import serializable
from keras_kd.types import Tensor


@serializable
class RandomGain(Augmentation):
    """Multiply each example by a factor, evenly drawn in decibels: a sensor mounted otherwise, a speaker further away.

    Args:
        decibels: Lowest and highest gain; -6 halves amplitudes, 6 doubles them.
        per_channel: Whether each channel gets a gain of its own.

    Shapes: (batch, steps, channels) -> the same.

    Raises:
        ValueError: For a range that ends before it begins.

    Examples:
        >>> x = np.ones((2, 8, 1), "float32")
        >>> y = np.array(keras_kd.augmentations.RandomGain((-6.0, 6.0), seed=1)(x, training=True))
        >>> bool((0.5 < y).all() and (y < 2.0).all() and (y[0] == y[0, 0]).all())
        True
    """

    def __init__(
        self, decibels: Sequence[float] = (-6.0, 6.0), *, per_channel: bool = False, **kwargs: Unpack[Arguments]
    ) -> None:
        super().__init__(**kwargs)
        self.decibels = limits_of(decibels, "RandomGain: decibels")
        self.per_channel = bool(per_channel)

    def augment(self, x: Tensor) -> Tensor:
        axes = (len(x.shape) - 1,) if self.per_channel else ()
        return x * ops.cast(ops.power(10.0, self.uniform(x, *self.decibels, axes) / 20.0), x.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "decibels": list(self.decibels), "per_channel": self.per_channel}


@serializable
class RandomNoise(Augmentation):
    """Add white Gaussian noise at a signal-to-noise ratio, drawn evenly in decibels for each example.

    The noise of a channel has the power of the channel's samples about their mean, divided by 10^(SNR / 10).

    Args:
        snr: Lowest and highest signal-to-noise ratio, in decibels; at 0 both have the same power.

    Shapes: (batch, steps, channels) -> the same.

    Raises:
        ValueError: For a range that ends before it begins.

    Examples:
        >>> x = np.random.default_rng(0).normal(size=(4, 20000, 1)).astype("float32")
        >>> noise = np.array(keras_kd.augmentations.RandomNoise((20.0, 20.0), seed=1)(x, training=True)) - x
        >>> bool(np.allclose(x.var(axis=1) / noise.var(axis=1), 100.0, rtol=0.05))
        True
    """

    def __init__(self, snr: Sequence[float] = (10.0, 30.0), **kwargs: Unpack[Arguments]) -> None:
        super().__init__(**kwargs)
        self.snr = limits_of(snr, "RandomNoise: snr")

    def augment(self, x: Tensor) -> Tensor:
        samples = ops.cast(x, "float32")
        # At a constant channel a deviation has no gradient; noise needs none.
        deviation = ops.stop_gradient(ops.std(samples, axis=1, keepdims=True))
        deviation = deviation * ops.power(10.0, -self.uniform(x, *self.snr) / 20.0)
        drawn = random.normal(ops.shape(x), dtype="float32", seed=self.seed_generator)
        return ops.cast(samples + deviation * drawn, x.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "snr": list(self.snr)}


@serializable
class ChannelDropout(Augmentation):
    """Set whole channels of an example to zero, as a sensor that has come off; one channel at least is kept.

    Args:
        rate: Probability of a channel, in [0, 1].

    Shapes: (batch, steps, channels) -> the same.

    Raises:
        ValueError: For a rate outside the range.

    Examples:
        >>> x = np.ones((100, 4, 3), "float32")
        >>> y = np.array(keras_kd.augmentations.ChannelDropout(0.9, seed=1)(x, training=True))
        >>> bool(y.any(axis=(1, 2)).all()), bool(y.mean() < 0.5)
        (True, True)
    """

    def __init__(self, rate: float = 0.2, **kwargs: Unpack[Arguments]) -> None:
        super().__init__(**kwargs)
        self.rate = require_number(rate, "ChannelDropout: rate", minimum=0.0, maximum=1.0)

    def augment(self, x: Tensor) -> Tensor:
        drawn = self.uniform(x, 0.0, 1.0, (len(x.shape) - 1,))
        last_one = ops.greater_equal(drawn, ops.max(drawn, axis=-1, keepdims=True))
        kept = ops.logical_or(ops.greater_equal(drawn, self.rate), last_one)
        return ops.where(kept, x, ops.zeros_like(x))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate}
