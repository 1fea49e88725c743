"""Losses of Keras, losses of keras.distillation and plain functions as objectives."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from typing import Any

import keras
from keras import ops

from keras_kd.objectives.base import Objective, apply_mask, mean_over_inner_axes, serializable
from keras_kd.schedules import Schedule

# Losses on probabilities, which are wrong on logits without a warning, by the names of their classes and functions.
ON_PROBABILITIES = (
    "kl_divergence",
    "categorical_crossentropy",
    "binary_crossentropy",
    "categorical_focal_crossentropy",
)


@serializable
class FromKeras(Objective):
    """A loss of Keras, a loss of keras.distillation, or a function of (teacher, student), as an objective.

    A Distiller wraps bare ones itself, with weight 1. A Keras loss takes the teacher's tensor for `y_true` and the student's
    for `y_pred`; its values are averaged, weighted and masked as those of all objectives, whatever its own reduction. A
    function gives one value an example, or one value a batch. Losses of keras.distillation give one value a batch, so
    sample weights do not reach them.

    Args:
        loss: Any of these.

    Raises:
        ValueError: For anything else; for a loss that sums over the batch, or compares with integer labels; for one on
            probabilities where a model gives logits.
    """

    takes_mask = True

    def __init__(self, loss: Any, weight: float | Schedule = 1.0, **kwargs: Any) -> None:
        if not is_loss(loss):
            raise ValueError(
                "FromKeras takes a keras.losses.Loss, a loss of keras.distillation or a function of (teacher, student), "
                f"got {described(loss)}"
            )
        if getattr(loss, "reduction", None) == "sum":
            raise ValueError(
                f"FromKeras: {_name(loss)} sums over the batch, objectives are means; leave its reduction out"
            )
        if _name(loss).startswith("sparse_"):
            raise ValueError(
                f"FromKeras: {_name(loss)} compares with integer labels, a teacher gives values; "
                "use SoftTarget, or a loss without 'sparse'"
            )
        kwargs.setdefault("teacher_layer", getattr(loss, "teacher_layer_name", None))
        kwargs.setdefault("student_layer", getattr(loss, "student_layer_name", None))
        super().__init__(weight, **{**kwargs, "name": kwargs.get("name") or _name(loss)})
        self.loss = loss

    def resolve(self, teacher_activation: str | None, student_activation: str | None) -> FromKeras:
        if _name(self.loss) in ON_PROBABILITIES and _is_of_keras(self.loss):
            logits = bool(getattr(self.loss, "from_logits", False))
            refused = ("softmax", "sigmoid") if logits else ("linear",)
            wrong = teacher_activation == "linear", student_activation in refused
            if any(wrong):
                who = " and ".join(side for side, bad in zip(("teacher", "student"), wrong) if bad)
                found = "probabilities" if logits and not wrong[0] else "logits"
                raise ValueError(
                    f"objective FromKeras: {_name(self.loss)} compares probabilities"
                    f"{' with logits' if logits else ''}, the {who} gives {found}; use SoftTarget, which takes both"
                )
        return self

    def check(self, teacher_shape: Any, student_shape: Any) -> None:
        softmaxed = isinstance(self.loss, keras.distillation.LogitsDistillation)
        shape = teacher_shape if isinstance(teacher_shape, tuple) else ()
        if softmaxed and shape and shape[-1] == 1:
            raise ValueError(
                "objective FromKeras: LogitsDistillation takes a softmax, which over one class is constant; for a single "
                "sigmoid output use SoftTarget(form='bernoulli')"
            )

    def compare(self, teacher: Any, student: Any, y: Any = None, mask: Any = None) -> Any:
        if isinstance(self.loss, keras.distillation.DistillationLoss):
            if mask is not None:
                kept = ops.cast(mask > 0, "float32")
                teacher, student = apply_mask(teacher, kept), apply_mask(student, kept)
            return _unscaled(self.loss).compute_loss(teacher, student)
        values = getattr(self.loss, "call", self.loss)(teacher, student)
        if not len(values.shape):
            return values
        return mean_over_inner_axes(values, mask)

    def changed(self, **arguments: Any) -> Objective:
        made = copy.copy(self)
        for name, value in arguments.items():
            setattr(made, name, value)
        return made

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "loss": keras.saving.serialize_keras_object(self.loss)}


def listed(objectives: Any) -> list[Objective]:
    """The objectives as a list: one alone is taken as a list of one, losses and functions are wrapped.

    Raises:
        ValueError: If there is none, or for what is no objective.
    """
    if objectives is None:
        raise ValueError(
            "objectives are missing: what to compare stands in the constructor, e.g. Distiller(teacher, student, "
            "[keras_kd.SoftTarget(temperature=4.0)], hard_weight=0.1)"
        )
    several = isinstance(objectives, Iterable) and not isinstance(objectives, (str, dict)) and not is_loss(objectives)
    given = list(objectives) if several else [objectives]
    if not given:
        raise ValueError("objectives must hold at least one objective, e.g. [keras_kd.SoftTarget()]")
    for objective in given:
        if not isinstance(objective, Objective) and not is_loss(objective):
            raise ValueError(
                "objectives must be objectives of keras_kd, Keras losses, losses of keras.distillation or functions of "
                f"(teacher, student), got {described(objective)}"
            )
    return [objective if isinstance(objective, Objective) else FromKeras(objective) for objective in given]


def is_loss(value: Any) -> bool:
    """Whether a value can be wrapped: a loss object, or a function that is nothing else of Keras."""
    if isinstance(value, Objective):
        return False
    if isinstance(value, (keras.losses.Loss, keras.distillation.DistillationLoss)):
        return True
    return callable(value) and not isinstance(value, (type, keras.Layer, keras.metrics.Metric))


def described(value: Any) -> str:
    """A value that is no objective, with what to write instead where that is known."""
    if isinstance(value, type):
        return f"the class {value.__name__}; write {value.__name__}()"
    if isinstance(value, str):
        return f"{value!r}; pass an object such as keras.losses.MeanSquaredError() or keras_kd.SoftTarget()"
    if isinstance(value, keras.metrics.Metric):
        return f"the metric {value.name!r}; metrics go to compile(metrics=[...])"
    if isinstance(value, keras.Layer):
        return f"the layer {value.name!r}"
    return repr(value)


def _unscaled(loss: Any) -> Any:
    """A loss of keras.distillation whose inner Keras losses neither average nor scale for replicas: it averages itself."""
    inner = getattr(loss, "loss", None)
    parts = [part for part in keras.tree.flatten(inner) if isinstance(part, keras.losses.Loss)]
    if not any(part.reduction in ("sum_over_batch_size", "mean") for part in parts):
        return loss

    def plain(part: Any) -> Any:
        if not isinstance(part, keras.losses.Loss) or part.reduction not in ("sum_over_batch_size", "mean"):
            return part
        part = copy.copy(part)
        part.reduction = None
        return part

    made = copy.copy(loss)
    made.loss = keras.tree.map_structure(plain, inner)
    return made


def _is_of_keras(loss: Any) -> bool:
    module = getattr(loss, "__module__", None) or type(loss).__module__
    return module.partition(".")[0] == "keras"


def _name(loss: Any) -> str:
    """A loss's or function's name in snake case."""
    name = getattr(loss, "__name__", None) or type(loss).__name__
    name = "function" if name == "<lambda>" else name
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name.strip("_")).lower()
