"""Augmentations that mix examples."""

from __future__ import annotations

from typing import Any, Unpack

from keras import ops, random

from keras_kd.augmentations.base import Arguments, Augmentation
from keras_kd.checks import require_number
from keras_kd.serialization import serializable
from keras_kd.types import Tensor


@serializable
class Mixup(Augmentation):
    """Mix each example with the one before it in the batch: factor * x + (1 - factor) * other.

    Labels are not mixed: for a student that learns from a teacher alone, with the same view for both.

    Args:
        alpha: Of the Beta(alpha, alpha) distribution that the factor is drawn from, above 0.

    Shapes: (batch, ...) -> the same.

    Raises:
        ValueError: For an alpha of 0 or less.

    Examples:
        >>> x = np.arange(4, dtype="float32").reshape(4, 1, 1)
        >>> y = np.array(keras_kd.augmentations.Mixup(1.0, seed=1)(x, training=True))
        >>> bool((y >= 0).all() and (y <= 3).all())
        True

    Source: mixup, Zhang et al. 2018, equation 1, https://arxiv.org/abs/1710.09412; with one view for teacher and student,
        Beyer et al. 2022, https://arxiv.org/abs/2106.05237
    """

    keeps_steps = False

    def __init__(self, alpha: float = 0.2, **kwargs: Unpack[Arguments]) -> None:
        super().__init__(**kwargs)
        self.supports_jit = False  # XLA has no Beta distribution on TensorFlow
        self.alpha = require_number(alpha, "Mixup: alpha", above=0.0)

    def augment(self, x: Tensor) -> Tensor:
        sizes = (ops.shape(x)[0], *(1,) * (len(x.shape) - 1))
        factor = ops.cast(
            random.beta(sizes, self.alpha, self.alpha, dtype="float32", seed=self.seed_generator), x.dtype
        )
        return factor * x + (1.0 - factor) * ops.roll(x, 1, axis=0)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha}
