"""Losses of Keras, losses of keras.distillation and plain functions as objectives."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, Unpack

import keras
from keras import ops

from keras_kd.objectives.base import Objective, ObjectiveArguments, snake_case
from keras_kd.objectives.tensors import apply_mask, mean_over_inner_axes
from keras_kd.schedules import Schedule
from keras_kd.serialization import serializable
from keras_kd.types import Shape, Structure, Tensor

Loss: TypeAlias = "keras.losses.Loss | keras.distillation.DistillationLoss | Callable[[Tensor, Tensor], Tensor]"
"""What can be wrapped: a loss of Keras, a loss of keras.distillation, or a function of (teacher, student)."""

Several: TypeAlias = "Objective | Loss | Iterable[Objective | Loss] | None"
"""One objective or several."""

Objectives: TypeAlias = "Several | Mapping[str, Several]"
"""One objective or several, as a Distiller takes them, or a dict with those of each output."""

# Losses on probabilities, which on logits give wrong values without a warning, by the names of their classes and functions.
ON_PROBABILITIES = (
    "kl_divergence",
    "categorical_crossentropy",
    "binary_crossentropy",
    "categorical_focal_crossentropy",
)
# Reductions of Keras's losses that average.
AVERAGING = ("sum_over_batch_size", "mean")


@serializable
class FromKeras(Objective):
    """A loss of Keras, a loss of keras.distillation, or a function of (teacher, student), as an objective.

    A Distiller wraps bare ones itself, with weight 1. A Keras loss takes the teacher's tensor for `y_true` and the student's
    for `y_pred`; its values are averaged, weighted and masked as those of all objectives, whatever its own reduction. A
    function gives one value per example, or one value per batch. Losses of keras.distillation give one value per batch, so
    sample weights do not reach them.

    Args:
        loss: Any of these.
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        kwargs: `name`, by default the loss's own, and `teacher_layer`, `student_layer`; see `Objective`.

    Shapes: teacher (batch, ...), student (batch, ...) -> (batch,) or ().

    Raises:
        ValueError: For anything else; for a loss that sums over the batch, or compares with integer labels; for one on
            probabilities where a model gives logits.

    Examples:
        >>> objective = keras_kd.FromKeras(keras.losses.MeanAbsoluteError(), weight=0.5)
        >>> objective.name, np.array(objective(np.zeros((2, 3)), np.ones((2, 3))))
        ('mean_absolute_error', array([1., 1.], dtype=float32))
    """

    takes_mask = True

    def __init__(self, loss: Loss, weight: float | Schedule = 1.0, **kwargs: Unpack[ObjectiveArguments]) -> None:
        if not is_loss(loss):
            raise ValueError(
                "FromKeras takes a keras.losses.Loss, a loss of keras.distillation or a function of (teacher, student), "
                f"got {described(loss)}"
            )
        if getattr(loss, "reduction", None) == "sum":
            raise ValueError(
                f"FromKeras: {_name(loss)} sums over the batch, objectives are means; leave its reduction at the default"
            )
        if _name(loss).startswith("sparse_"):
            raise ValueError(
                f"FromKeras: {_name(loss)} compares with integer labels, a teacher gives values; "
                "use SoftTarget, or a loss without 'sparse'"
            )
        kwargs.setdefault("teacher_layer", getattr(loss, "teacher_layer_name", None))
        kwargs.setdefault("student_layer", getattr(loss, "student_layer_name", None))
        kwargs["name"] = kwargs.get("name") or _name(loss)
        super().__init__(weight, **kwargs)
        self.loss = loss

    def resolve(self, teacher_activation: str | None, student_activation: str | None) -> FromKeras:
        if _name(self.loss) in ON_PROBABILITIES and _is_of_keras(self.loss):
            logits = bool(getattr(self.loss, "from_logits", False))
            refused = ("softmax", "sigmoid") if logits else ("linear",)
            wrong = teacher_activation == "linear", student_activation in refused
            if any(wrong):
                who = " and ".join(side for side, bad in zip(("teacher", "student"), wrong) if bad)
                given = "probabilities" if logits and not wrong[0] else "logits"
                raise ValueError(
                    f"objective FromKeras: {_name(self.loss)} compares probabilities"
                    f"{' with logits' if logits else ''}, the {who} gives {given}; use SoftTarget, which takes both"
                )
        return self

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        softmaxed = isinstance(self.loss, keras.distillation.LogitsDistillation)
        shape = teacher_shape if isinstance(teacher_shape, tuple) else ()
        if softmaxed and shape and shape[-1] == 1:
            raise ValueError(
                "objective FromKeras: LogitsDistillation takes a softmax, which over one class is constant; for a single "
                "sigmoid output use SoftTarget(form='bernoulli')"
            )

    def compare(
        self, teacher: Tensor, student: Tensor, y: Structure | None = None, mask: Tensor | None = None
    ) -> Tensor:
        if isinstance(self.loss, keras.distillation.DistillationLoss):
            if mask is not None:
                kept = ops.cast(mask > 0, "float32")
                teacher, student = apply_mask(teacher, kept), apply_mask(student, kept)
            return _unscaled(self.loss).compute_loss(teacher, student)
        values = getattr(self.loss, "call", self.loss)(teacher, student)
        if not len(values.shape):
            return values
        return mean_over_inner_axes(values, mask)

    def changed(self, **arguments: object) -> Objective:
        made = copy.copy(self)
        for name, value in arguments.items():
            setattr(made, name, value)
        return made

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "loss": keras.saving.serialize_keras_object(self.loss)}


def listed(objectives: Objectives) -> list[Objective]:
    """The objectives as a list: one alone is taken as a list of one, losses and functions are wrapped.

    Raises:
        ValueError: If there is none, or for anything that is not an objective.
    """
    if objectives is None:
        raise ValueError(
            "objectives are missing: what to compare is an argument of the constructor, e.g. Distiller(teacher, student, "
            "[keras_kd.SoftTarget(temperature=4.0)], hard_weight=0.1)"
        )
    given: list[Any] = [objectives]
    if isinstance(objectives, Iterable) and not isinstance(objectives, (str, dict)) and not is_loss(objectives):
        given = list(objectives)
    if not given:
        raise ValueError("objectives must contain at least one objective, e.g. [keras_kd.SoftTarget()]")
    for objective in given:
        if not isinstance(objective, Objective) and not is_loss(objective):
            raise ValueError(
                "objectives must be objectives of keras_kd, Keras losses, losses of keras.distillation or functions of "
                f"(teacher, student), got {described(objective)}"
            )
    return [objective if isinstance(objective, Objective) else FromKeras(objective) for objective in given]


def is_loss(value: object) -> bool:
    """Whether a value can be wrapped: a loss object, or a function that is nothing else of Keras."""
    if isinstance(value, Objective):
        return False
    if isinstance(value, (keras.losses.Loss, keras.distillation.DistillationLoss)):
        return True
    return callable(value) and not isinstance(value, (type, keras.Layer, keras.metrics.Metric))


def described(value: object) -> str:
    """A value that is not an objective, with what to write instead where that is known."""
    if isinstance(value, type):
        return f"the class {value.__name__}; write {value.__name__}()"
    if isinstance(value, str):
        return f"{value!r}; pass an object such as keras.losses.MeanSquaredError() or keras_kd.SoftTarget()"
    if isinstance(value, keras.metrics.Metric):
        return f"the metric {value.name!r}; metrics go to compile(metrics=[...])"
    if isinstance(value, keras.Layer):
        return f"the layer {value.name!r}"
    return repr(value)


def _unscaled(loss: Loss) -> Any:
    """A loss of keras.distillation whose inner Keras losses neither average nor scale for replicas: it averages itself."""
    inner = getattr(loss, "loss", None)
    parts = [part for part in keras.tree.flatten(inner) if isinstance(part, keras.losses.Loss)]
    if not any(part.reduction in AVERAGING for part in parts):
        return loss

    def unreduced(part: object) -> Any:
        if not isinstance(part, keras.losses.Loss) or getattr(part, "reduction", None) not in AVERAGING:
            return part
        changed: Any = copy.copy(part)
        changed.reduction = None
        return changed

    made: Any = copy.copy(loss)
    made.loss = keras.tree.map_structure(unreduced, inner)
    return made


def _is_of_keras(loss: Loss) -> bool:
    module = getattr(loss, "__module__", None) or type(loss).__module__
    return module.partition(".")[0] == "keras"


def _name(loss: Loss) -> str:
    """A loss's or function's name in snake case."""
    name = getattr(loss, "__name__", None) or type(loss).__name__
    name = "function" if name == "<lambda>" else name
    return snake_case(name)
