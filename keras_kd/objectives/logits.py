"""Outputs as logits, and what is computed of them."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_kd.objectives.base import (
    Objective,
    number_or_schedule,
    plain,
    require_same_shape,
    square_root,
    unit,
)
from keras_kd.objectives.top_k import TopK
from keras_kd.schedules import Schedule


def to_logits(outputs: Any, activation: str | None) -> Any:
    """Logits behind `outputs`: as they are if linear, the log of probabilities after softmax, the log-odds after sigmoid."""
    if activation in (None, "linear"):
        return outputs
    tiny = keras.config.epsilon()
    if activation == "softmax":
        return ops.log(ops.maximum(outputs, tiny))
    clipped = ops.clip(outputs, tiny, 1.0 - tiny)
    return ops.log(clipped) - ops.log1p(-clipped)


def both_logits(
    teacher: Any, student: Any, teacher_activation: str | None = None, student_activation: str | None = None
) -> tuple[Any, Any]:
    """Both sides' logits, over the teacher's highest and the mass of all others where that is all it gives."""
    student = to_logits(student, student_activation)
    if isinstance(teacher, TopK):
        return teacher.merged(), teacher.merge(student)
    return to_logits(teacher, teacher_activation), student


def categorical_divergence(teacher: Any, student: Any) -> Any:
    """KL(softmax(teacher) || softmax(student)) over the last axis."""
    log_p, log_q = ops.log_softmax(teacher, axis=-1), ops.log_softmax(student, axis=-1)
    return ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)


def bernoulli_divergence(teacher: Any, student: Any) -> Any:
    """Sum over the last axis of KL(Bernoulli(sigmoid(teacher)) || Bernoulli(sigmoid(student)))."""
    on = ops.sigmoid(teacher) * (ops.log_sigmoid(teacher) - ops.log_sigmoid(student))
    off = ops.sigmoid(-teacher) * (ops.log_sigmoid(-teacher) - ops.log_sigmoid(-student))
    return ops.sum(on + off, axis=-1)


def z_score(logits: Any) -> Any:
    """Logits less their mean over their deviation (n - 1), over the last axis; equal logits become zeros."""
    centred = logits - ops.mean(logits, axis=-1, keepdims=True)
    deviation = square_root(ops.sum(ops.square(centred), axis=-1, keepdims=True) / (centred.shape[-1] - 1))
    return centred / ops.where(deviation > 0, deviation, 1.0)


def one_hot(y: Any, like: Any) -> Any:
    """Labels (batch,), (batch, 1) or one-hot (batch, classes) as one-hot float32."""
    classes = like.shape[-1]
    y = ops.convert_to_tensor(y)
    if len(y.shape) == 2 and y.shape[-1] == classes:
        return ops.one_hot(ops.argmax(y, axis=-1), classes, dtype="float32")
    return ops.one_hot(ops.cast(ops.reshape(y, (-1,)), "int32"), classes, dtype="float32")


def decoupled(logits: Any, target: Any) -> tuple[Any, Any, Any]:
    """Log probabilities of the target class (batch,), of all others (batch,), and among the others (batch, classes)."""
    log_p = ops.log_softmax(logits, axis=-1)
    among = ops.where(target > 0, -1e9, logits)
    off = ops.logsumexp(ops.where(target > 0, -1e9, log_p), axis=-1)
    return ops.sum(target * log_p, axis=-1), off, ops.where(target > 0, 0.0, ops.log_softmax(among, axis=-1))


def pearson(a: Any, b: Any, axis: int) -> Any:
    """Correlation along an axis, 0 where either is constant."""
    a, b = (x - ops.mean(x, axis=axis, keepdims=True) for x in (a, b))
    return ops.sum(unit(a, axis) * unit(b, axis), axis=axis)


class Softened(Objective):
    """What objectives on softened categorical outputs share: a temperature and how each side's outputs were made."""

    def __init__(
        self,
        temperature: float | Schedule,
        weight: float | Schedule,
        teacher_activation: str | None,
        student_activation: str | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(weight, **kwargs)
        label = f"objective {type(self).__name__}"
        self.temperature = number_or_schedule(temperature, f"{label}: temperature", above=0.0)
        for who, activation in (("teacher", teacher_activation), ("student", student_activation)):
            if activation not in (None, "linear", "softmax"):
                raise ValueError(f"{label}: {who}_activation must be 'linear' or 'softmax', got {activation!r}")
        self.teacher_activation = teacher_activation
        self.student_activation = student_activation

    def resolve(self, teacher_activation: str | None, student_activation: str | None) -> Objective:
        return with_activations(self, teacher_activation, student_activation)

    def check(self, teacher_shape: tuple[int | None, ...], student_shape: tuple[int | None, ...]) -> None:
        require_same_shape(self, teacher_shape, student_shape)
        if len(teacher_shape) != 2 or teacher_shape[-1] == 1:
            raise ValueError(
                f"objective {type(self).__name__} compares (batch, classes) of at least 2 classes, got {tuple(teacher_shape)}"
            )

    def logits(self, teacher: Any, student: Any) -> tuple[Any, Any]:
        """Both sides' logits over the temperature."""
        return (
            to_logits(teacher, self.teacher_activation) / self.temperature,
            to_logits(student, self.student_activation) / self.temperature,
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "temperature": plain(self.temperature),
            "teacher_activation": self.teacher_activation,
            "student_activation": self.student_activation,
        }


def with_activations(objective: Any, teacher_activation: str | None, student_activation: str | None) -> Any:
    """The objective with each side's activation settled; ValueError where it can neither be read nor was told."""
    told = {
        "teacher_activation": objective.teacher_activation or teacher_activation,
        "student_activation": objective.student_activation or student_activation,
    }
    for argument, activation in told.items():
        if activation is None:
            who = argument.partition("_")[0]
            raise ValueError(
                f"objective {type(objective).__name__}: cannot tell whether the {who} gives logits or probabilities; "
                f"pass {argument}='linear', 'softmax' or 'sigmoid'"
            )
    return type(objective).from_config({**objective.get_config(), **told})
