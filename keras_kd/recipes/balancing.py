"""Weights of objectives set by what was measured on the first batches."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_kd.checks import require_number
from keras_kd.distiller import Distiller
from keras_kd.recipes.measuring import HARD, Size, batches_of, measured
from keras_kd.recipes.tables import markdown
from keras_kd.schedules import Ramp, Schedule, scaled
from keras_kd.types import Structure


@dataclass(frozen=True)
class Balanced:
    """What `balance` measured and set; printed, a table.

    `old` and `new` are the weights by objective, of a schedule its largest value; `losses` and `gradients` the sizes of the
    hard loss and of each objective, without weights; `by` and `target` as they were given.

    Examples:
        >>> print(keras_kd.recipes.Balanced("loss", 1.0, {"hint": 1.0}, {"hint": 2.0}, {"hint": 0.5}, {"hint": 0.1}))
        |      | loss | gradient | old weight | new weight |
        | ---- | ---- | -------- | ---------- | ---------- |
        | hint | 0.5  | 0.1      | 1          | 2          |
    """

    by: str
    target: float
    old: dict[str, float]
    new: dict[str, float]
    losses: dict[str, float]
    gradients: dict[str, float]

    def __str__(self) -> str:
        rows = [
            [
                name,
                _short(self.losses[name]),
                _short(self.gradients[name]),
                *(_short(w.get(name)) for w in (self.old, self.new)),
            ]
            for name in self.losses
        ]
        return markdown(["", "loss", "gradient", "old weight", "new weight"], rows)


def balance(
    distiller: Distiller,
    x: Structure | Iterable[Any],
    y: Structure | None = None,
    *,
    by: str = "gradient",
    batches: int = 8,
    batch_size: int = 32,
    target: float = 1.0,
) -> Balanced:
    """Set the weight of each objective so that weight * size = target * hard_weight * size of the hard loss.

    The size is the length of the gradient in the student's trainable weights, or the value, as a mean over batches. Nothing
    is trained meanwhile: weights, statistics of batches, seeds, optimizer and counters stay as they are, and what objectives
    learn, such as an adapter, is as it was made. Without labels, without a compiled loss or with hard_weight 0, all objectives
    are set to `target` times the first, which keeps its weight. Schedules keep their shape: the largest value of a Ramp
    becomes the new weight, other schedules are scaled by what they give at step 0.

    Args:
        distiller: Compiled or not; the weights of its objectives are changed.
        x: Inputs as for `fit`, of which examples are drawn, or a data set of batches such as a supplied teacher's.
        y: Labels, or None.
        by: 'gradient' or 'loss'.
        batches: How many, at least 1.
        batch_size: Examples a batch, at least 1; relations between examples want that of training.
        target: Above 0.

    Returns:
        What was measured and set.

    Raises:
        ValueError: If an objective has no gradient on these batches, and so teaches nothing, naming it; if a size is not
            finite; for arguments out of range.

    Examples:
        >>> net = lambda units: keras.Sequential([keras.Input((4,)), keras.layers.Dense(units), keras.layers.Dense(3)])
        >>> distiller = keras_kd.Distiller(net(32), net(4), [keras_kd.SoftTarget(4.0), keras_kd.LogitMatching()])
        >>> distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> x, y = np.random.default_rng(0).normal(size=(64, 4)), np.arange(64) % 3
        >>> balanced = keras_kd.balance(distiller, x, y, target=0.5)
        >>> ratio = balanced.new["soft_target"] * balanced.gradients["soft_target"] / balanced.gradients["hard_loss"]
        >>> round(ratio, 3), distiller.objectives[0].weight == balanced.new["soft_target"]
        (0.5, True)

    Source: GradNorm with alpha 0, Chen et al. 2018, https://arxiv.org/abs/1711.02257, wants equal gradients at each step; here
        weights are set once.
    """
    if not isinstance(distiller, Distiller):
        raise ValueError(f"balance takes a keras_kd.Distiller, got {type(distiller).__name__}")
    if by not in ("gradient", "loss"):
        raise ValueError(f"by must be 'gradient' or 'loss', got {by!r}")
    require_number(target, "target", above=0.0)
    for value, what in ((batches, "batches"), (batch_size, "batch_size")):
        require_number(value, what, minimum=1.0)
    found = measured(distiller, batches_of(x, y, int(batch_size), int(batches)))
    _require_lessons(found, by)
    old = {each.name: largest(each.weight) for each in distiller.objectives}
    new = _weights(found, old, distiller.hard_weight, by, target)
    set_weights(distiller, new)
    losses, gradients = ({name: getattr(size, kind) for name, size in found.items()} for kind in ("loss", "gradient"))
    return Balanced(by, float(target), old, new, losses, gradients)


def set_weights(distiller: Distiller, weights: dict[str, float]) -> None:
    """Give objectives other weights by name, schedules scaled; a step that is compiled already is compiled again."""
    changed = tuple(copy.copy(objective) for objective in distiller.objectives)
    for objective in changed:
        weight = objective.weight
        if isinstance(weight, Schedule):
            if not largest(weight):
                raise ValueError(
                    f"objective {objective.name!r}: the schedule of its weight is 0 at step 0, and so tells no size to scale; "
                    "give a number or a Ramp"
                )
            objective.weight = scaled(weight, weights[objective.name] / largest(weight))
        else:
            objective.weight = weights[objective.name]
    distiller.objectives = changed
    distiller.train_function = distiller.test_function = None


def largest(weight: Any) -> float:
    """A weight as one number: itself, the larger end of a Ramp, or what another schedule gives at step 0."""
    if isinstance(weight, Ramp):
        return max(weight.start, weight.end)
    return float(ops.convert_to_numpy(weight(0))) if isinstance(weight, Schedule) else float(weight)


def _require_lessons(found: dict[str, Size], by: str) -> None:
    """ValueError for the first objective that teaches nothing, or whose size is no number."""
    for name, size in found.items():
        if not math.isfinite(size.loss) or not math.isfinite(size.gradient):
            raise ValueError(
                f"objective {name!r} is not finite on these batches: loss {size.loss}, gradient {size.gradient}"
            )
        if name != HARD and not size.gradient:
            raise ValueError(
                f"objective {name!r} has no gradient in the student's trainable weights on these batches: it teaches nothing "
                "here. Teacher and student may agree already, the features may be constant, or the student's layers frozen; "
                "name other layers or leave it out"
            )
        if name != HARD and by == "loss" and not size.loss:
            raise ValueError(f"objective {name!r} has the value 0 on these batches: take by='gradient'")


def _weights(found: dict[str, Size], old: dict[str, float], hard: float, by: str, target: float) -> dict[str, float]:
    of = {name: getattr(size, by) for name, size in found.items()}
    if of.get(HARD) and hard:
        return {name: target * hard * of[HARD] / of[name] for name in old}
    first = next(iter(old))
    if not old[first]:
        raise ValueError(f"without a hard loss weights are set by the first objective's, and that of {first!r} is 0")
    return {name: old[name] if name == first else target * old[first] * of[first] / of[name] for name in old}


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
