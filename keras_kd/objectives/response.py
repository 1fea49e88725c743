"""Response objectives: they compare the models' outputs."""

from __future__ import annotations

import warnings
from typing import Any, Unpack

from keras import ops

from keras_kd.checks import require_number, require_same_shape
from keras_kd.objectives.base import Objective, ObjectiveArguments
from keras_kd.objectives.logits import (
    OnActivations,
    Softened,
    bernoulli_divergence,
    both_logits,
    categorical_divergence,
    decoupled,
    one_hot,
    pearson,
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
    Bernoulli form, for sigmoid outputs: the same divergence between each label's Bernoulli distributions, summed over labels.
    The factor T^2 keeps the size of the gradient independent of T. Further axes between batch and classes (positions of a
    sequence) are averaged; masked positions are left out.

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
    """Regress the teacher's logits: 1/2 * sum_c (student_c - teacher_c)^2.

    Further axes between batch and classes are averaged. The logits themselves are compared, so models that end in
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
        return mean_over_inner_axes(0.5 * ops.sum(ops.square(student - teacher), axis=-1), mask)


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


@serializable
class DecoupledKD(Softened):
    """Weight what the teacher knows about the true class and about the other classes separately.

    T^2 * (alpha * KL(b_t || b_s) + beta * KL(p_t || p_s)): b is the pair (probability of the label's class, of all others),
    p the distribution over the other classes alone; both at temperature T.

    With two classes there is no distribution over the others: the second part is zero, which a warning says, and the first
    is SoftTarget.

    Args:
        alpha: Weight of the part on the true class, at least 0; usually 1 in the paper.
        beta: Weight of the part on the other classes, at least 0; usually 8 in the paper.
        temperature: T, above 0, or a schedule.
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        teacher_activation: 'linear' where the outputs are logits, 'softmax' where they are probabilities; None: see SoftTarget.
        student_activation: The same for the student.
        kwargs: `name`, `teacher_layer`, `student_layer`; see `Objective`.

    Shapes: teacher (batch, classes), student (batch, classes), y (batch,), (batch, 1) or one-hot (batch, classes) -> (batch,),
        at least 0.

    Raises:
        ValueError: For different shapes, outputs that are not categorical, a fit without labels, two classes with alpha 0.

    Examples:
        >>> objective = keras_kd.DecoupledKD(temperature=1.0)
        >>> value = objective(np.array([[3.0, 1.0, 0.0]]), np.array([[1.0, 1.0, 0.0]]), y=np.array([0]))
        >>> np.array(value).round(3)
        array([0.38], dtype=float32)

    Source: Zhao et al. 2022, equations 5 to 7, https://arxiv.org/abs/2203.08679
    """

    needs_labels = True

    def __init__(
        self,
        alpha: float = 1.0,
        beta: float = 8.0,
        temperature: float | Schedule = 4.0,
        weight: float | Schedule = 1.0,
        *,
        teacher_activation: str | None = None,
        student_activation: str | None = None,
        **kwargs: Unpack[ObjectiveArguments],
    ) -> None:
        super().__init__(temperature, weight, teacher_activation, student_activation, **kwargs)
        self.alpha = require_number(alpha, "objective DecoupledKD: alpha", minimum=0.0)
        self.beta = require_number(beta, "objective DecoupledKD: beta", minimum=0.0)

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        super().check(teacher_shape, student_shape)
        if teacher_shape[-1] == 2 and self.beta:
            reason = (
                "objective DecoupledKD: with 2 classes the beta part, on the classes that are not true, is always zero"
            )
            _require_left(self.alpha, f"{reason}, and alpha is 0")
            warnings.warn(f"{reason}; alpha times SoftTarget is left: use that, or pass beta=0", stacklevel=2)

    def compare(self, teacher: Tensor, student: Tensor, y: Structure | None = None) -> Tensor:
        assert y is not None
        target = one_hot(y, teacher)
        (on_t, off_t, rest_t), (on_s, off_s, rest_s) = (decoupled(z, target) for z in self.logits(teacher, student))
        right = ops.exp(on_t) * (on_t - on_s) + ops.exp(off_t) * (off_t - off_s)
        others = ops.sum((1.0 - target) * ops.exp(rest_t) * (rest_t - rest_s), axis=-1)
        return self.temperature**2 * (self.alpha * right + self.beta * others)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha, "beta": self.beta}


@serializable
class Dist(Softened):
    """Match how classes rank within each example and how examples rank within each class, not the probabilities themselves.

    T^2 * (beta * mean over examples of (1 - r) + gamma * mean over classes of (1 - r)), r being Pearson's correlation of
    teacher's and student's probabilities at temperature T, along the classes and along the batch.

    Two classes can only rank in the same order or the reverse, so the inter-class part teaches nothing there, which a warning
    says; likewise the intra-class part in batches of two examples. Constant rows or columns have r = 0.

    Args:
        beta: Weight of the inter-class part, at least 0.
        gamma: Weight of the intra-class part, at least 0.
        temperature: T, above 0, or a schedule.
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        teacher_activation: 'linear' where the outputs are logits, 'softmax' where they are probabilities; None: see SoftTarget.
        student_activation: The same for the student.
        kwargs: `name`, `teacher_layer`, `student_layer`; see `Objective`.

    Shapes: teacher (batch, classes), student (batch, classes) -> (), at least 0.

    Raises:
        ValueError: For different shapes, outputs that are not categorical, or two classes with gamma 0.

    Examples:
        >>> teacher = np.array([[3.0, 1.0, 0.0], [0.0, 2.0, 1.0], [1.0, 0.0, 2.0]])
        >>> round(float(keras_kd.Dist()(teacher, teacher[::-1].copy())), 3)
        1.909

    Source: Huang et al. 2022, equations 6 to 10, https://arxiv.org/abs/2205.10536
    """

    def __init__(
        self,
        beta: float = 1.0,
        gamma: float = 1.0,
        temperature: float | Schedule = 1.0,
        weight: float | Schedule = 1.0,
        *,
        teacher_activation: str | None = None,
        student_activation: str | None = None,
        **kwargs: Unpack[ObjectiveArguments],
    ) -> None:
        super().__init__(temperature, weight, teacher_activation, student_activation, **kwargs)
        self.beta = require_number(beta, "objective Dist: beta", minimum=0.0)
        self.gamma = require_number(gamma, "objective Dist: gamma", minimum=0.0)

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        super().check(teacher_shape, student_shape)
        if teacher_shape[-1] == 2 and self.beta:
            reason = (
                "objective Dist: with 2 classes the inter-class part (beta) correlates two numbers, which gives 1 or -1"
            )
            _require_left(self.gamma, f"{reason}, and gamma is 0")
            warnings.warn(
                f"{reason}, and teaches nothing; the intra-class part (gamma) does: pass beta=0, or use SoftTarget",
                stacklevel=2,
            )

    def compare(self, teacher: Tensor, student: Tensor, y: Structure | None = None) -> Tensor:
        p, q = (ops.softmax(z, axis=-1) for z in self.logits(teacher, student))
        inter = ops.mean(1.0 - pearson(p, q, axis=1))
        intra = ops.mean(1.0 - pearson(p, q, axis=0))
        return self.temperature**2 * (self.beta * inter + self.gamma * intra)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta": self.beta, "gamma": self.gamma}


def _require_left(weight: float, reason: str) -> None:
    if not weight:
        raise ValueError(f"{reason}: nothing is left to teach; use SoftTarget")
