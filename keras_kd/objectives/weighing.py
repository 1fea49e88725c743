"""From an objective's values to the one number that is minimised: masks, sample weights, replicas, as Keras's losses do it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_kd.layers import MaskOf
from keras_kd.objectives.base import Objective, along, fits, kept_share

_mask_of = MaskOf(name="mask_of")


def batch_mean(objective: Objective, teacher: Any, student: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Mean of an objective over a batch, a float32 scalar, scaled for the replicas of a distribution strategy.

    The mask that Keras carries with the student's tensor keeps positions out. `sample_weight` is (batch,), (batch, 1) or has
    an axis for each of the first axes of positions, whatever their number: (batch, steps), (batch, height, width). Where an
    objective does not tell positions apart, or its layer has others, an example counts by the mean of its weights.
    An objective of one value a batch takes no weights.
    """
    tensor = keras.tree.flatten(student)[0]
    mask, weights = _mask_of(tensor), _weights(sample_weight)
    of_positions = objective.takes_mask and weights is not None and len(weights.shape) > 1
    of_positions = of_positions and fits(weights, tuple(tensor.shape[1:-1]))
    values = objective.value(teacher, student, y, mask=mask, position_weights=weights if of_positions else None)
    positions = tuple(values.shape[1:])
    if positions and mask is not None and not objective.takes_mask and fits(mask, positions):
        values = values * along(kept_share(mask), values)
    if len(values.shape) and weights is not None and not of_positions:
        values = values * along(weights if fits(weights, positions) else _mean_weight(weights, mask), values)
    return mean_on_replicas(values)


def mean_on_replicas(values: Any) -> Any:
    """Mean of all values, divided by the number of replicas that train together, whose gradients are summed."""
    values = ops.reshape(ops.cast(values, "float32"), (-1,))
    return _MeanOfValues(name="mean", dtype="float32")(values, values)


class _MeanOfValues(keras.losses.Loss):
    """Keras's own reduction and distribution scaling, over values that are already losses."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return y_pred


def _weights(sample_weight: Any) -> Any:
    """Sample weights as float32 without last axes of length 1, or None."""
    if sample_weight is None:
        return None
    weights = ops.cast(ops.convert_to_tensor(sample_weight), "float32")
    while len(weights.shape) > 1 and weights.shape[-1] == 1:
        weights = ops.squeeze(weights, axis=-1)
    return weights


def _mean_weight(weights: Any, mask: Any) -> Any:
    """Each example's mean weight, (batch,), over the positions that count."""
    axes = tuple(range(1, len(weights.shape)))
    if mask is None or not fits(mask, tuple(weights.shape[1:])):
        return ops.mean(weights, axis=axes)
    kept = ops.broadcast_to(along(ops.cast(mask, "float32"), weights), ops.shape(weights))
    count = ops.sum(kept, axis=axes)
    return ops.sum(weights * kept, axis=axes) / ops.where(count > 0, count, 1.0)
