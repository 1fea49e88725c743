"""Maps of one size as maps of another, and the weights of their positions."""

from __future__ import annotations

import numpy as np
from keras import ops

from keras_kd.objectives.tensors import along
from keras_kd.types import Tensor


def resize_like(features: Tensor, like: Tensor) -> Tensor:
    """Maps resized to the positions of another: 1-D and 2-D, (batch, *positions, channels).

    Along an axis that grows: linear interpolation. Along one that shrinks: the mean of what each new position covers, so that
    every position of the student gets a gradient.
    """
    wanted = tuple(like.shape[1:-1])
    if None in (*features.shape[1:-1], *wanted):
        return features
    for axis, size in enumerate(wanted, 1):
        if features.shape[axis] != size:
            resize = ops.convert_to_tensor(_resize_matrix(features.shape[axis], size), features.dtype)
            moved = ops.moveaxis(features, axis, -1)
            features = ops.moveaxis(ops.matmul(moved, ops.transpose(resize)), -1, axis)
    return features


def _resize_matrix(size: int, wanted: int) -> np.ndarray:
    """Weights of the old positions in each new one along an axis, (wanted, size); rows sum to 1."""
    new, old = np.arange(wanted)[:, None], np.arange(size)[None]
    if wanted < size:
        # New position n covers [n, n + 1) * size / wanted of the old axis.
        scale = size / wanted
        return np.clip(np.minimum((new + 1) * scale, old + 1) - np.maximum(new * scale, old), 0.0, None) / scale
    center = np.clip((new + 0.5) * size / wanted - 0.5, 0.0, size - 1.0)
    return np.clip(1.0 - np.abs(center - old), 0.0, None)


def resized_weights(weights: Tensor | None, student: Tensor, teacher: Tensor) -> Tensor | None:
    """Weights of the student's positions as weights of the teacher's."""
    if weights is None or tuple(student.shape[1:-1]) == tuple(teacher.shape[1:-1]):
        return weights
    each = ops.broadcast_to(along(weights, student)[..., :1], (*ops.shape(student)[:-1], 1))
    return resize_like(each, teacher)[..., 0]
