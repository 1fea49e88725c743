"""Response objectives: they compare the models' outputs."""

from __future__ import annotations

from typing import Any, Unpack

from keras import ops

from keras_kd.checks import require_same_shape
from keras_kd.objectives.base import Objective, ObjectiveArguments
from keras_kd.objectives.logits import (
    OnActivations,
    bernoulli_divergence,
    both_logits,
    categorical_divergence,
    z_score,
)
from keras_kd.objectives.tensors import mean_over_inner_axes
from keras_kd.schedules import Schedule, as_config, number_or_schedule
from keras_kd.serialization import serializable
from keras_kd.types import Shape, Structure, Tensor


@serializable
class SoftTarget(OnActivations):
    """Match the teacher's softened class probabilities.

    Categorical form: T^2 * sum_c p_c * (log p_c - log q_c) with p = softmax(teacher / T), q = softmax(student / T).
    Bernoulli form, for sigmoid outputs: the same divergence between each label's Bernoulli distributions, mean over labels, as
    Keras's binary cross-entropy. The factor T^2 keeps the size of the gradient independent of T. Further axes between batch
    and classes (positions of a sequence) are averaged; masked positions are left out.

    Args:
        temperature: T, above 0, or a schedule over training steps.
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        standardize: Compare z-scores of the logits, (z - mean) / standard deviation over classes, so that the student need
            not match their scale (Sun et al. 2024, equation 9). Takes the categorical form and at least 3 classes: two
            z-scores are always the same pair. The standard deviation divides by classes - 1, as in the authors' code, so
            their temperatures and weights can be used as they are; the paper's text divides by classes.
        teacher_activation: 'linear' where the teacher's outputs are logits, 'softmax' or 'sigmoid' where they are
            probabilities. None reads it from the model inside a Distiller, and means logits on bare arrays.
        student_activation: The same for the student.
        form: 'categorical' or 'bernoulli'; None takes 'bernoulli' if an activation is 'sigmoid', else 'categorical'.
        kwargs: `name`, `teacher_layer`, `student_layer`; see `Objective`.

    Shapes: teacher (batch, ..., classes), student (batch, ..., classes) -> (batch,), at least 0.

    Raises:
        ValueError: For a temperature that is not positive, an unknown activation, different shapes, one class in the
            categorical form, two with `standardize`.

    Examples:
        >>> soft_target = keras_kd.SoftTarget(temperature=2.0)
        >>> value = soft_target(np.array([[4.0, 1.0, 0.0]]), np.array([[2.0, 1.0, 0.0]]))
        >>> np.array(value).round(3)
        array([0.44], dtype=float32)

    Source: Hinton, Vinyals and Dean 2015, section 2, https://arxiv.org/abs/1503.02531; for `standardize` Sun et al. 2024,
        https://arxiv.org/abs/2403.01427
    """

    takes_mask = True
    takes_top_k = True

    def __init__(
        self,
        temperature: float | Schedule = 4.0,
        weight: float | Schedule = 1.0,
        *,
        standardize: bool = False,
        teacher_activation: str | None = None,
        student_activation: str | None = None,
        form: str | None = None,
        **kwargs: Unpack[ObjectiveArguments],
    ) -> None:
        super().__init__(weight, teacher_activation, student_activation, **kwargs)
        self.temperature = number_or_schedule(temperature, "objective SoftTarget: temperature", above=0.0)
        if form not in (None, "categorical", "bernoulli"):
            raise ValueError(f"objective SoftTarget: form must be 'categorical' or 'bernoulli', got {form!r}")
        if form is None and "sigmoid" in (teacher_activation, student_activation):
            form = "bernoulli"
        if form == "bernoulli" and "softmax" in (teacher_activation, student_activation):
            raise ValueError("objective SoftTarget: softmax outputs cannot be compared in the Bernoulli form")
        if form == "categorical" and "sigmoid" in (teacher_activation, student_activation):
            raise ValueError("objective SoftTarget: sigmoid outputs cannot be compared in the categorical form")
        if standardize and form == "bernoulli":
            raise ValueError(
                "objective SoftTarget: standardize is for the categorical form; labels are independent here"
            )
        self.standardize = bool(standardize)
        self.form = form

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        require_same_shape(self.message_name, teacher_shape, student_shape)
        if self.form != "bernoulli" and teacher_shape[-1] == 1:
            raise ValueError(
                "objective SoftTarget: a softmax over one class is constant; for a single sigmoid output "
                "pass form='bernoulli'"
            )
        if self.standardize and teacher_shape[-1] == 2:
            raise ValueError(
                "objective SoftTarget: standardize=True has nothing to teach with 2 classes, whose z-scores are always the "
                "same pair; use SoftTarget without standardize, or LogitMatching"
            )

    def compare(
        self, teacher: Tensor, student: Tensor, y: Structure | None = None, mask: Tensor | None = None
    ) -> Tensor:
        divergence = bernoulli_divergence if self.form == "bernoulli" else categorical_divergence
        logits = both_logits(teacher, student, self.teacher_activation, self.student_activation)
        if self.standardize:
            logits = z_score(logits[0]), z_score(logits[1])
        values = divergence(logits[0] / self.temperature, logits[1] / self.temperature)
        return self.temperature**2 * mean_over_inner_axes(values, mask)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "temperature": as_config(self.temperature),
            "standardize": self.standardize,
            "form": self.form,
        }


@serializable
class LogitMatching(Objective):
    """Regress the teacher's logits: mean over classes of (student_c - teacher_c)^2.

    Half its sum over classes, as the paper has it, would weigh more the more classes there are. Further axes between batch and
    classes are averaged. The logits themselves are compared, so models that end in
    softmax or sigmoid are refused: their logits are known only up to a constant, or through an inverse that saturates.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        kwargs: `name`, `teacher_layer`, `student_layer`; see `Objective`.

    Shapes: teacher (batch, ..., classes), student (batch, ..., classes) -> (batch,), at least 0.

    Raises:
        ValueError: For different shapes, or a model that ends in softmax or sigmoid.

    Examples:
        >>> np.array(keras_kd.LogitMatching()(np.array([[3.0, 0.0]]), np.array([[1.0, 0.0]])))
        array([2.], dtype=float32)

    Source: Ba and Caruana 2014, equation 1, https://arxiv.org/abs/1312.6184
    """

    takes_mask = True
    takes_top_k = True

    def resolve(self, teacher_activation: str | None, student_activation: str | None) -> LogitMatching:
        for who, activation in (("teacher", teacher_activation), ("student", student_activation)):
            if activation in ("softmax", "sigmoid"):
                raise ValueError(
                    f"objective LogitMatching: the {who} ends in {activation}, logits are needed; "
                    "end it in a linear layer, or use SoftTarget"
                )
        return self

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        require_same_shape(self.message_name, teacher_shape, student_shape)

    def compare(
        self, teacher: Tensor, student: Tensor, y: Structure | None = None, mask: Tensor | None = None
    ) -> Tensor:
        teacher, student = both_logits(teacher, student)
        return mean_over_inner_axes(ops.mean(ops.square(student - teacher), axis=-1), mask)


@serializable
class Reconstruction(Objective):
    """Match the output of a teacher that is an autoencoder or a regressor: mean squared difference.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        kwargs: `name`, `teacher_layer`, `student_layer`; see `Objective`.

    Shapes: teacher (batch, ...), student (batch, ...) -> (batch,), at least 0.

    Raises:
        ValueError: For different shapes.

    Examples:
        >>> np.array(keras_kd.Reconstruction()(np.zeros((1, 4)), np.array([[2.0, 0.0, 0.0, 0.0]])))
        array([1.], dtype=float32)

    Source: Bucila, Caruana and Niculescu-Mizil 2006, https://doi.org/10.1145/1150402.1150464, with the squared error.
    """

    takes_mask = True

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        require_same_shape(self.message_name, teacher_shape, student_shape)

    def compare(
        self, teacher: Tensor, student: Tensor, y: Structure | None = None, mask: Tensor | None = None
    ) -> Tensor:
        return mean_over_inner_axes(ops.square(student - teacher), mask)
