"""Outputs as logits, and what is computed of them."""

from __future__ import annotations

from typing import Any, Unpack

import keras
from keras import ops

from keras_kd.checks import require_same_shape
from keras_kd.objectives.base import ACTIVATIONS, Objective, ObjectiveArguments
from keras_kd.objectives.tensors import square_root, unit
from keras_kd.objectives.top_k import TopK
from keras_kd.schedules import Schedule, as_config, number_or_schedule
from keras_kd.types import Shape, Structure, Tensor


def to_logits(outputs: Tensor, activation: str | None) -> Tensor:
    """Logits behind `outputs`: as they are if linear, the log of probabilities after softmax, the log-odds after sigmoid."""
    if activation in (None, "linear"):
        return outputs
    tiny = keras.config.epsilon()
    if activation == "softmax":
        return ops.log(ops.maximum(outputs, tiny))
    clipped = ops.clip(outputs, tiny, 1.0 - tiny)
    return ops.log(clipped) - ops.log1p(-clipped)


def both_logits(
    teacher: Tensor, student: Tensor, teacher_activation: str | None = None, student_activation: str | None = None
) -> tuple[Tensor, Tensor]:
    """Both sides' logits: over all classes, or over the teacher's k highest and the rest where it gives a TopK."""
    student = to_logits(student, student_activation)
    if isinstance(teacher, TopK):
        return teacher.merged(), teacher.merge(student)
    return to_logits(teacher, teacher_activation), student


def categorical_divergence(teacher: Tensor, student: Tensor) -> Tensor:
    """KL(softmax(teacher) || softmax(student)) over the last axis."""
    log_p, log_q = ops.log_softmax(teacher, axis=-1), ops.log_softmax(student, axis=-1)
    return ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)


def bernoulli_divergence(teacher: Tensor, student: Tensor) -> Tensor:
    """Mean over the last axis of KL(Bernoulli(sigmoid(teacher)) || Bernoulli(sigmoid(student)))."""
    on = ops.sigmoid(teacher) * (ops.log_sigmoid(teacher) - ops.log_sigmoid(student))
    off = ops.sigmoid(-teacher) * (ops.log_sigmoid(-teacher) - ops.log_sigmoid(-student))
    return ops.mean(on + off, axis=-1)


def z_score(logits: Tensor) -> Tensor:
    """Logits less their mean over their standard deviation (n - 1), over the last axis; equal logits become zeros."""
    centered = logits - ops.mean(logits, axis=-1, keepdims=True)
    deviation = square_root(ops.sum(ops.square(centered), axis=-1, keepdims=True) / (centered.shape[-1] - 1))
    return centered / ops.where(deviation > 0, deviation, 1.0)


def one_hot(y: Structure, like: Tensor) -> Tensor:
    """Labels (batch, *positions), with a last axis of length 1, or one-hot, as one-hot float32 of the shape of `like`.

    A label that is no class gives zeros.
    """
    classes = like.shape[-1]
    labels = ops.convert_to_tensor(y)
    if len(labels.shape) == len(like.shape):
        labels = ops.argmax(labels, axis=-1) if labels.shape[-1] == classes else ops.squeeze(labels, axis=-1)
    numbers = ops.expand_dims(ops.cast(labels, "int32"), -1)
    return ops.cast(numbers == ops.arange(classes, dtype="int32"), "float32")


def decoupled(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log probabilities of the target class (...,), of all others (...,), and among the others (..., classes)."""
    log_p = ops.log_softmax(logits, axis=-1)
    among = ops.where(target > 0, -1e9, logits)
    off = ops.logsumexp(ops.where(target > 0, -1e9, log_p), axis=-1)
    return ops.sum(target * log_p, axis=-1), off, ops.where(target > 0, 0.0, ops.log_softmax(among, axis=-1))


def pearson(a: Tensor, b: Tensor, axis: int, weights: Tensor | None = None) -> Tensor:
    """Correlation along an axis, 0 where either is constant; weights of mean 1, where given, are those of the rows."""
    if weights is None:
        a, b = (x - ops.mean(x, axis=axis, keepdims=True) for x in (a, b))
    else:
        root = square_root(weights)
        a, b = (root * (x - ops.mean(weights * x, axis=axis, keepdims=True)) for x in (a, b))
    return ops.sum(unit(a, axis) * unit(b, axis), axis=axis)


class OnActivations(Objective):
    """An objective that must know how each side's outputs were made: as logits, or as probabilities."""

    accepted: tuple[str, ...] = ACTIVATIONS

    def __init__(
        self,
        weight: float | Schedule,
        teacher_activation: str | None,
        student_activation: str | None,
        **kwargs: Unpack[ObjectiveArguments],
    ) -> None:
        super().__init__(weight, **kwargs)
        for who, activation in (("teacher", teacher_activation), ("student", student_activation)):
            if activation not in (None, *self.accepted):
                known = ", ".join(self.accepted)
                raise ValueError(f"{self.message_name}: {who}_activation must be one of {known}, got {activation!r}")
        self.teacher_activation = teacher_activation
        self.student_activation = student_activation

    def resolve(self, teacher_activation: str | None, student_activation: str | None) -> Objective:
        """The objective with both activations set: those given to the constructor, else those read from the models.

        Raises:
            ValueError: Where an activation is neither given nor readable.
        """
        activations = {
            "teacher_activation": self.teacher_activation or teacher_activation,
            "student_activation": self.student_activation or student_activation,
        }
        for argument, activation in activations.items():
            if activation is None:
                who = argument.partition("_")[0]
                raise ValueError(
                    f"{self.message_name}: cannot tell whether the {who} gives logits or probabilities; "
                    f"pass {argument}='linear', 'softmax' or 'sigmoid'"
                )
        return type(self).from_config({**self.get_config(), **activations})

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "teacher_activation": self.teacher_activation,
            "student_activation": self.student_activation,
        }


class Softened(OnActivations):
    """What objectives on softened categorical outputs share: a temperature and a check of shapes."""

    accepted = ("linear", "softmax")

    def __init__(
        self,
        temperature: float | Schedule,
        weight: float | Schedule,
        teacher_activation: str | None,
        student_activation: str | None,
        **kwargs: Unpack[ObjectiveArguments],
    ) -> None:
        super().__init__(weight, teacher_activation, student_activation, **kwargs)
        self.temperature = number_or_schedule(temperature, f"{self.message_name}: temperature", above=0.0)

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        require_same_shape(self.message_name, teacher_shape, student_shape)
        if len(teacher_shape) < 2 or teacher_shape[-1] == 1:
            raise ValueError(
                f"{self.message_name} compares (batch, ..., classes) of at least 2 classes, got {tuple(teacher_shape)}"
            )

    def logits(self, teacher: Tensor, student: Tensor) -> tuple[Tensor, Tensor]:
        """Both sides' logits over the temperature."""
        return (
            to_logits(teacher, self.teacher_activation) / self.temperature,
            to_logits(student, self.student_activation) / self.temperature,
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": as_config(self.temperature)}
