"""From an objective's values to the one number that is minimized: masks, sample weights, replicas, as Keras's losses do it."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from keras_kd.layers import MaskOf
from keras_kd.objectives.base import Objective
from keras_kd.objectives.tensors import along, fits, mask_weights, multiplied
from keras_kd.types import Structure, Tensor

_mask_of = MaskOf(name="mask_of")


def batch_mean(
    objective: Objective,
    teacher: Structure,
    student: Structure,
    y: Structure | None = None,
    sample_weight: Tensor | np.ndarray | None = None,
    ignored: int | None = None,
) -> Tensor:
    """Mean of an objective over a batch, scaled for the replicas of a distribution strategy.

    The mask that Keras carries with the student's tensor leaves positions out, and so do labels of the ignored class. Where an
    objective does not tell positions apart, or its layer has other positions, an example counts by the mean of its weights. An
    objective with one value per batch takes no weights.

    Args:
        objective: As it stands at this step.
        teacher: What it compares on the teacher's side.
        student: On the student's side.
        y: Labels.
        sample_weight: (batch,), (batch, 1), or with an axis for each of the first axes of positions, as (batch, steps) or
            (batch, height, width).
        ignored: Label of what is left out, where the labels belong to positions that the tensor has.

    Returns:
        A float32 scalar.
    """
    tensor = keras.tree.flatten(student)[0]
    mask, weights = _mask_of(tensor), _weights(sample_weight)
    kept = None if ignored is None else _labeled(y, ignored, tensor)
    if kept is not None and objective.masks_ignored and len(kept.shape) > 1:
        mask = _both(mask, kept)
    elif kept is not None:
        weights = mask_weights(kept) if weights is None else multiplied(weights, mask_weights(kept))
    has_positions = weights is not None and len(weights.shape) > 1 and fits(weights, tuple(tensor.shape[1:-1]))
    of_positions = objective.takes_mask and objective.weighs_positions and has_positions
    values = objective.value(teacher, student, y, mask=mask, position_weights=weights if of_positions else None)
    positions = tuple(values.shape[1:])
    if positions and mask is not None and not objective.takes_mask and fits(mask, positions):
        values = values * along(mask_weights(mask), values)
    if not len(values.shape) and kept is not None and len(kept.shape) == 1:
        raise ValueError(
            f"{objective.message_name} gives one value a batch and cannot leave out examples whose label is {ignored}; pass "
            "ignore_class=None"
        )
    if len(values.shape) and weights is not None and not of_positions:
        values = values * along(weights if fits(weights, positions) else _mean_weight(weights, mask), values)
    return mean_on_replicas(values)


def mean_on_replicas(values: Tensor) -> Tensor:
    """Mean of all values, divided by the number of replicas that train together, because their gradients are summed."""
    values = ops.reshape(ops.cast(values, "float32"), (-1,))
    return _MeanOfValues(name="mean", dtype="float32")(values, values)


class _MeanOfValues(keras.losses.Loss):
    """Keras's own reduction and distribution scaling, over values that are already losses."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return y_pred


def _labeled(y: Structure | None, ignored: int, tensor: Tensor) -> Tensor | None:
    """Where labels are not the ignored class, as bool (batch, *positions); None where the tensor has other positions."""
    if y is None or keras.tree.is_nested(y):
        return None
    labels = ops.convert_to_tensor(y)
    if len(labels.shape) > 1 and labels.shape[-1] == 1:
        labels = ops.squeeze(labels, axis=-1)
    kept = ops.not_equal(labels, ops.cast(ignored, labels.dtype))
    return kept if fits(kept, tuple(tensor.shape[1:-1])) else None


def _both(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    """What both masks keep."""
    if one is None or other is None:
        return other if one is None else one
    return ops.logical_and(along(ops.cast(one, "bool"), other), along(other, one))


def _weights(sample_weight: Tensor | np.ndarray | None) -> Tensor | None:
    """Sample weights as float32 without trailing axes of length 1."""
    if sample_weight is None:
        return None
    weights = ops.cast(ops.convert_to_tensor(sample_weight), "float32")
    while len(weights.shape) > 1 and weights.shape[-1] == 1:
        weights = ops.squeeze(weights, axis=-1)
    return weights


def _mean_weight(weights: Tensor, mask: Tensor | None) -> Tensor:
    """Each example's mean weight, (batch,), over the positions that count."""
    axes = tuple(range(1, len(weights.shape)))
    if mask is None or not fits(mask, tuple(weights.shape[1:])):
        return ops.mean(weights, axis=axes)
    kept = ops.broadcast_to(along(ops.cast(mask, "float32"), weights), ops.shape(weights))
    count = ops.sum(kept, axis=axes)
    return ops.sum(weights * kept, axis=axes) / ops.where(count > 0, count, 1.0)
