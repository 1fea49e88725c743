"""Maps of two sizes at one size, and the weights of their positions."""

from __future__ import annotations

import math

import numpy as np
from keras import ops

from keras_kd.objectives.tensors import along
from keras_kd.types import Shape, Tensor


def at_one_size(teacher: Tensor, student: Tensor) -> tuple[Tensor, Tensor]:
    """Both maps (batch, *positions, channels) at the smaller size along each axis of positions: the larger is averaged.

    Nothing is made up between positions, and every position of both maps counts. Sizes that are not known stay.
    """
    sizes = tuple(_smaller(t, s) for t, s in zip(teacher.shape[1:-1], student.shape[1:-1]))
    return pooled(teacher, sizes), pooled(student, sizes)


def pooled(features: Tensor, sizes: Shape) -> Tensor:
    """Maps (batch, *positions, channels) averaged to these sizes, each position being the mean of what it covers."""
    for axis, size in enumerate(sizes, 1):
        old = features.shape[axis]
        if old == size or old is None or size is None:
            continue
        if old % size == 0:
            split = (-1, *features.shape[1:axis], size, old // size, *features.shape[axis + 1 :])
            features = ops.mean(ops.reshape(features, split), axis=axis + 1)
        else:
            matrix = ops.convert_to_tensor(covering_matrix(old, size), features.dtype)
            moved = ops.matmul(ops.moveaxis(features, axis, -1), ops.transpose(matrix))
            features = ops.moveaxis(moved, -1, axis)
    return features


def repeated(features: Tensor, sizes: Shape) -> Tensor:
    """Maps (batch, *positions, channels) at these sizes, each position being its nearest (rounded down) of the old ones."""
    for axis, size in enumerate(sizes, 1):
        old = features.shape[axis]
        if old is not None and size is not None and old != size:
            features = ops.take(features, np.arange(size) * old // size, axis=axis)
    return features


def covering_matrix(size: int, wanted: int) -> np.ndarray:
    """Weights of `size` old positions in each of fewer new ones, (wanted, size); rows sum to 1.

    New position n is the mean of the old ones from floor(n * size / wanted) to below ceil((n + 1) * size / wanted), as in
    PyTorch's adaptive_avg_pool, which the authors of most methods use.
    """
    new, old = np.arange(wanted)[:, None], np.arange(size)[None]
    covered = (old >= new * size // wanted) & (old < -((new + 1) * size // -wanted))
    return covered / covered.sum(axis=1, keepdims=True)


def weights_at(weights: Tensor | None, student: Tensor, compared: Tensor) -> Tensor | None:
    """Weights of the student's positions as weights of the positions of `compared`, pooled or repeated along each axis."""
    sizes = tuple(compared.shape[1:-1])
    if weights is None or tuple(student.shape[1:-1]) == sizes:
        return weights
    each = ops.broadcast_to(along(weights, student)[..., :1], (*ops.shape(student)[:-1], 1))
    fewer = tuple(_smaller(old, new) for old, new in zip(student.shape[1:-1], sizes))
    return repeated(pooled(each, fewer), sizes)[..., 0]


def positions_of(shape: Shape) -> int | None:
    """How many positions a map's shape (batch, *positions, channels) has; None where a size is unknown."""
    return None if None in shape[1:-1] else math.prod(size or 0 for size in shape[1:-1])


def _smaller(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else min(one, other)
