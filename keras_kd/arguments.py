"""Checks of a Distiller's arguments. Those of other distillers are refused, and the message says what to write instead."""

from __future__ import annotations

from collections.abc import Mapping

import keras

from keras_kd.pairing import compatible
from keras_kd.supplied import Supplied
from keras_kd.views import View, require_view

# Arguments of keras.distillation.Distiller, and what takes their place here.
KERAS_ARGUMENTS = {
    "distillation_losses": "objectives",
    "distillation_loss_weights": "the weight of each objective",
    "student_loss_weight": "hard_weight",
}
# Arguments of `compile` in Keras's tutorial, https://keras.io/examples/vision/knowledge_distillation
TUTORIAL_ARGUMENTS = ("alpha", "temperature", "student_loss_fn", "distillation_loss_fn")


def instead_of(given: Mapping[str, object]) -> str:
    """What to write instead of arguments of the tutorial's `compile`, with the numbers that were given."""
    alpha, temperature = given.get("alpha"), given.get("temperature", 4.0)
    hard, weight = (alpha, 1.0 - alpha) if isinstance(alpha, (int, float)) else ("alpha", "1 - alpha")
    weight = f"{weight:g}" if isinstance(weight, float) else weight
    return (
        f"compile does not take {', '.join(given)}: temperature and weights belong to the objectives. Build "
        f"Distiller(teacher, student, [keras_kd.SoftTarget(temperature={temperature}, weight={weight})], hard_weight={hard}) "
        "and compile(optimizer, loss=..., metrics=[...]), loss being the one on labels"
    )


def refuse_keras_arguments(kwargs: Mapping[str, object]) -> None:
    """Raise ValueError for arguments of keras.distillation.Distiller."""
    known = [key for key in kwargs if key in KERAS_ARGUMENTS]
    if known:
        renamed = ", ".join(f"{key} is {KERAS_ARGUMENTS[key]}" for key in known)
        raise ValueError(f"Distiller(teacher, student, objectives, hard_weight=...): {renamed} here")


def require_views(teacher: object, teacher_inputs: View, student_inputs: View) -> None:
    """ValueError unless both are views, and the teacher computes on what it gets."""
    require_view(teacher_inputs, "teacher_inputs")
    require_view(student_inputs, "student_inputs")
    if teacher_inputs is not None and isinstance(teacher, Supplied):
        raise ValueError(
            f"teacher_inputs: targets of a {type(teacher).__name__} come with the batches; pass teacher_inputs to its `batches`"
        )


def require_models(teacher: object, student: object, *, same_inputs: bool) -> None:
    """Raise ValueError unless both are models, or the teacher supplies targets, and take the same inputs where they must."""
    if not isinstance(teacher, (keras.Model, Supplied)):
        hint = "; wrap a function in keras_kd.Function" if callable(teacher) else ""
        raise ValueError(f"teacher must be a keras.Model or a teacher of keras_kd, got {type(teacher).__name__}{hint}")
    if not isinstance(student, keras.Model):
        raise ValueError(f"student must be a keras.Model, got {type(student).__name__}")
    if isinstance(teacher, Supplied):
        return
    if teacher is student:
        raise ValueError("teacher and student are the same model; clone one of them")
    shapes = [[tuple(i.shape) for i in getattr(model, "inputs", None) or ()] for model in (teacher, student)]
    if same_inputs and all(shapes) and not compatible(*shapes):
        raise ValueError(
            f"teacher {teacher.name!r} takes inputs {shapes[0]}, student {student.name!r} takes {shapes[1]}; "
            "both are fed the same batches: say by teacher_inputs and student_inputs what each gets of them"
        )
