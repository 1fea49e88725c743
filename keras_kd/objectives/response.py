"""Response objectives: the student's outputs beside the teacher's."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_kd.objectives.base import (
    ACTIVATIONS,
    Objective,
    mean_over_inner_axes,
    require_number,
    require_same_shape,
    serializable,
)


@serializable
class SoftTarget(Objective):
    """Match the teacher's softened class probabilities.

    Categorical form: T^2 * sum_c p_c * (log p_c - log q_c) with p = softmax(teacher / T), q = softmax(student / T).
    Bernoulli form, for sigmoid outputs: the same divergence of each label's on-off distribution, summed over labels.
    T^2 keeps the gradient's size independent of T. Further axes between batch and classes are averaged.

    Args:
        temperature: T, above 0.
        teacher_activation, student_activation: 'linear' where the outputs are logits, 'softmax' or 'sigmoid' where they
            are probabilities. Inside a Distiller, None reads it from the model's last activation; on bare arrays
            None means logits.
        form: 'categorical' or 'bernoulli'; None takes 'bernoulli' if an activation is 'sigmoid', else 'categorical'.

    Shapes: teacher (batch, ..., classes), student (batch, ..., classes) -> (batch,).
    Raises: ValueError for a temperature that is not positive, an unknown activation, different shapes, one class
        in the categorical form.
    Source: Hinton, Vinyals and Dean 2015, section 2.
    """

    def __init__(
        self,
        temperature: float = 4.0,
        weight: float = 1.0,
        *,
        teacher_activation: str | None = None,
        student_activation: str | None = None,
        form: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(weight, **kwargs)
        self.temperature = require_number(temperature, "objective SoftTarget: temperature", above=0.0)
        for who, activation in (("teacher", teacher_activation), ("student", student_activation)):
            if activation not in (None, *ACTIVATIONS):
                raise ValueError(
                    f"objective SoftTarget: {who}_activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}"
                )
        if form not in (None, "categorical", "bernoulli"):
            raise ValueError(f"objective SoftTarget: form must be 'categorical' or 'bernoulli', got {form!r}")
        if form is None and "sigmoid" in (teacher_activation, student_activation):
            form = "bernoulli"
        if form == "bernoulli" and "softmax" in (teacher_activation, student_activation):
            raise ValueError("objective SoftTarget: softmax outputs cannot be compared in the Bernoulli form")
        if form == "categorical" and "sigmoid" in (teacher_activation, student_activation):
            raise ValueError("objective SoftTarget: sigmoid outputs cannot be compared in the categorical form")
        self.teacher_activation = teacher_activation
        self.student_activation = student_activation
        self.form = form

    def resolve(self, teacher_activation: str | None, student_activation: str | None) -> SoftTarget:
        told = {
            "teacher": self.teacher_activation or teacher_activation,
            "student": self.student_activation or student_activation,
        }
        for who, activation in told.items():
            if activation is None:
                raise ValueError(
                    f"objective SoftTarget: cannot tell whether the {who} gives logits or probabilities; "
                    f"pass {who}_activation='linear', 'softmax' or 'sigmoid'"
                )
        config = self.get_config()
        config.update(teacher_activation=told["teacher"], student_activation=told["student"])
        return SoftTarget(**config)

    def check(self, teacher_shape: tuple[int | None, ...], student_shape: tuple[int | None, ...]) -> None:
        require_same_shape(self, teacher_shape, student_shape)
        if self.form != "bernoulli" and teacher_shape[-1] == 1:
            raise ValueError(
                "objective SoftTarget: a softmax over one class is constant; for a single sigmoid output "
                "pass form='bernoulli'"
            )

    def compare(self, teacher: Any, student: Any, y: Any = None) -> Any:
        divergence = _bernoulli_divergence if self.form == "bernoulli" else _categorical_divergence
        values = divergence(
            to_logits(teacher, self.teacher_activation) / self.temperature,
            to_logits(student, self.student_activation) / self.temperature,
        )
        return self.temperature**2 * mean_over_inner_axes(values)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "temperature": self.temperature,
            "teacher_activation": self.teacher_activation,
            "student_activation": self.student_activation,
            "form": self.form,
        }


@serializable
class LogitMatching(Objective):
    """Regress the teacher's logits: 1/2 * sum_c (student_c - teacher_c)^2.

    Further axes between batch and classes are averaged. The logits themselves are compared, so models that end in
    softmax or sigmoid are refused: their logits are known only up to a constant or through a saturated inverse.

    Shapes: teacher (batch, ..., classes), student (batch, ..., classes) -> (batch,).
    Raises: ValueError for different shapes, or a model that ends in softmax or sigmoid.
    Source: Ba and Caruana 2014, equation 1.
    """

    def resolve(self, teacher_activation: str | None, student_activation: str | None) -> LogitMatching:
        for who, activation in (("teacher", teacher_activation), ("student", student_activation)):
            if activation in ("softmax", "sigmoid"):
                raise ValueError(
                    f"objective LogitMatching: the {who} ends in {activation}, logits are needed; "
                    "end it in a linear layer, or use SoftTarget"
                )
        return self

    def check(self, teacher_shape: tuple[int | None, ...], student_shape: tuple[int | None, ...]) -> None:
        require_same_shape(self, teacher_shape, student_shape)

    def compare(self, teacher: Any, student: Any, y: Any = None) -> Any:
        return mean_over_inner_axes(0.5 * ops.sum(ops.square(student - teacher), axis=-1))


@serializable
class Reconstruction(Objective):
    """Follow the output of a teacher that is an autoencoder or a regressor: mean squared difference.

    Shapes: teacher (batch, ...), student (batch, ...) -> (batch,).
    Raises: ValueError for different shapes.
    Source: the response form of Bucila, Caruana and Niculescu-Mizil 2006, with squared error.
    """

    def check(self, teacher_shape: tuple[int | None, ...], student_shape: tuple[int | None, ...]) -> None:
        require_same_shape(self, teacher_shape, student_shape)

    def compare(self, teacher: Any, student: Any, y: Any = None) -> Any:
        return mean_over_inner_axes(ops.square(student - teacher))


def to_logits(outputs: Any, activation: str | None) -> Any:
    """Logits behind `outputs`: as they are if linear, the log of probabilities after softmax, the log-odds after sigmoid."""
    if activation in (None, "linear"):
        return outputs
    tiny = keras.config.epsilon()
    if activation == "softmax":
        return ops.log(ops.maximum(outputs, tiny))
    clipped = ops.clip(outputs, tiny, 1.0 - tiny)
    return ops.log(clipped) - ops.log1p(-clipped)


def _categorical_divergence(teacher: Any, student: Any) -> Any:
    """KL(softmax(teacher) || softmax(student)) over the last axis."""
    log_p, log_q = ops.log_softmax(teacher, axis=-1), ops.log_softmax(student, axis=-1)
    return ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)


def _bernoulli_divergence(teacher: Any, student: Any) -> Any:
    """Sum over the last axis of KL(Bernoulli(sigmoid(teacher)) || Bernoulli(sigmoid(student)))."""
    on = ops.sigmoid(teacher) * (ops.log_sigmoid(teacher) - ops.log_sigmoid(student))
    off = ops.sigmoid(-teacher) * (ops.log_sigmoid(-teacher) - ops.log_sigmoid(-student))
    return ops.sum(on + off, axis=-1)
