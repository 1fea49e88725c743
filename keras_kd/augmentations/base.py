"""What augmentations share: a seed, training alone, a range to draw from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import keras
from keras import ops, random

from keras_kd.checks import require_number
from keras_kd.types import Shape, Tensor


class Arguments(TypedDict, total=False):
    """What every augmentation takes besides its own arguments, as any Keras layer."""

    seed: int | None
    name: str
    dtype: str


class Augmentation(keras.layers.Layer):
    """What augmentations share: a seed, and inputs that stay as they are outside training. A subclass writes `augment`.

    Args:
        seed: Of what is drawn; None draws one.

    Examples:
        >>> class Flip(keras_kd.augmentations.Augmentation):
        ...     def augment(self, x):
        ...         return keras.ops.where(self.uniform(x, 0.0, 1.0) < 0.5, -x, x)
        >>> np.abs(np.array(Flip(seed=1)(np.ones((3, 2, 1)), training=True))).ravel().tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """

    # Whether each step of an example stays at its place.
    keeps_steps = True
    # Whether it takes pictures as (batch, height, width, channels), not as rows of pixels one after another.
    of_pictures = False

    def __init__(self, *, seed: int | None = None, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        # What moves or mixes steps loses their mask, which Keras then warns of.
        self.supports_masking = self.keeps_steps

    def augment(self, x: Tensor) -> Tensor:
        """Augmented examples, (batch, steps, channels) -> the same shape."""
        raise NotImplementedError(f"{type(self).__name__}: write augment(self, x)")

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not keras.backend.is_float_dtype(inputs.dtype):
            inputs = ops.cast(inputs, self.compute_dtype)  # counts of an A/D converter
        return self.augment(inputs) if training else inputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}

    def uniform(self, x: Tensor, low: float, high: float, axes: Sequence[int] = ()) -> Tensor:
        """Numbers drawn evenly from low to high, one for each example, (batch, 1, ...), or for each place along more axes."""
        sizes = ops.shape(x)
        shape = tuple(sizes[axis] if axis == 0 or axis in axes else 1 for axis in range(len(x.shape)))
        return random.uniform(shape, low, high, dtype="float32", seed=self.seed_generator)

    def whole_steps(self, x: Tensor, fraction: float, size: Tensor) -> Tensor:
        """An integer for each example, (batch, 1, ...), drawn evenly up to a fraction of a size to either side; float32."""
        farthest = ops.floor(fraction * ops.cast(size, "float32"))
        return ops.floor(self.uniform(x, 0.0, 1.0) * (2.0 * farthest + 1.0)) - farthest


def limits_of(limits: Sequence[float], what: str) -> tuple[float, float]:
    """Lowest and highest as two numbers."""
    if isinstance(limits, str) or not hasattr(limits, "__len__") or len(limits) != 2:
        raise ValueError(f"{what} must be two numbers, lowest and highest, got {limits!r}")
    low, high = (require_number(limit, what) for limit in limits)
    if low > high:
        raise ValueError(f"{what} must go from lowest to highest, got {low:g} to {high:g}")
    return low, high
