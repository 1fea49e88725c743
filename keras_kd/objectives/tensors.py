"""Arithmetic that objectives share: flattening, lengths, masks and weights of positions."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_kd.types import Shape, Structure, Tensor


def flat(features: Tensor) -> Tensor:
    """(batch, ...) -> (batch, n)."""
    return ops.reshape(features, (ops.shape(features)[0], -1))


def square_root(values: Tensor) -> Tensor:
    """Square root of values that are not negative; at zero its gradient is zero instead of infinite."""
    positive = values > 0
    return ops.where(positive, ops.sqrt(ops.where(positive, values, 1.0)), 0.0)


def unit(vectors: Tensor, axis: int = -1) -> Tensor:
    """Vectors scaled to length 1; zero vectors stay zero, with zero gradient."""
    length = square_root(ops.sum(ops.square(vectors), axis=axis, keepdims=True))
    return vectors / ops.where(length > 0, length, 1.0)


def mean_huber(difference: Tensor) -> Tensor:
    """Mean over all entries of the Huber loss with delta 1."""
    # d^2 / 2 for |d| <= 1, |d| - 1 / 2 beyond: both are c * d - c^2 / 2 with c = clip(d). The slope of that in d is c, so c may
    # stand as a constant, which halves the backward pass.
    clipped = ops.stop_gradient(ops.clip(difference, -1.0, 1.0))
    return ops.mean(clipped * difference) - 0.5 * ops.mean(ops.square(clipped))


def mean_over_inner_axes(values: Tensor, weights: Tensor | None = None) -> Tensor:
    """Average over every axis but the first: (batch, ...) -> (batch,). Weights, if given, are those of the first axes."""
    values = weighted(values, weights)
    return values if len(values.shape) == 1 else ops.mean(flat(values), axis=-1)


def weighted(values: Tensor, weights: Tensor | None) -> Tensor:
    """Values times weights of their first axes; without weights the values as they are."""
    return values if weights is None else values * along(weights, values)


def hidden(values: Tensor, kept: Tensor | None) -> Tensor:
    """Values that are zero at positions, the first axes, where `kept` is 0."""
    return values if kept is None else values * along(ops.cast(kept > 0, "float32"), values)


def along(weights: Tensor, values: Tensor) -> Tensor:
    """Weights of the first axes of `values`, with axes of length 1 for the others."""
    missing = len(values.shape) - len(weights.shape)
    return ops.reshape(weights, (*ops.shape(weights), *(1 for _ in range(missing)))) if missing > 0 else weights


def multiplied(a: Tensor, b: Tensor) -> Tensor:
    """The product of two weights of positions, of which one may have more axes than the other."""
    return along(a, b) * along(b, a)


def fits(weights: Tensor | np.ndarray, sizes: Shape) -> bool:
    """Whether weights of (batch, ...) belong to the first axes of `sizes`, which leaves the batch axis out."""
    own = tuple(weights.shape[1:])
    return len(own) <= len(sizes) and all(a in (1, None) or b is None or a == b for a, b in zip(own, sizes))


def kept_of(mask: Tensor | np.ndarray) -> Tensor:
    """A mask of any dtype as float32: 1 where it keeps, else 0."""
    return ops.cast(ops.cast(mask, "bool"), "float32")


def mask_weights(mask: Tensor | np.ndarray) -> Tensor:
    """A mask as weights of mean 1, so that a mean over all positions is the mean over those kept; zeros if none is kept."""
    kept = kept_of(mask)
    fraction = ops.mean(kept)
    return kept / ops.where(fraction > 0, fraction, 1.0)


def apply_mask(side: Structure, mask: Tensor) -> Any:
    """Masked positions set to zero, the mask being (batch, *positions); tensors without these positions stay as they are."""

    def zeroed(tensor: Tensor) -> Tensor:
        return tensor * along(mask, tensor) if fits(mask, tuple(tensor.shape[1:-1])) else tensor

    return keras.tree.map_structure(zeroed, side)
