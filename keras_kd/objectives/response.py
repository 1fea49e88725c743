"""Response objectives: the student's outputs beside the teacher's."""

from __future__ import annotations

import warnings
from typing import Any

from keras import ops

from keras_kd.objectives.base import (
    ACTIVATIONS,
    Objective,
    mean_over_inner_axes,
    number_or_schedule,
    plain,
    require_number,
    require_same_shape,
    serializable,
)
from keras_kd.objectives.logits import (
    Softened,
    bernoulli_divergence,
    both_logits,
    categorical_divergence,
    decoupled,
    one_hot,
    pearson,
    with_activations,
    z_score,
)
from keras_kd.schedules import Schedule


@serializable
class SoftTarget(Objective):
    """Match the teacher's softened class probabilities.

    Categorical form: T^2 * sum_c p_c * (log p_c - log q_c) with p = softmax(teacher / T), q = softmax(student / T).
    Bernoulli form, for sigmoid outputs: the same divergence of each label's on-off distribution, summed over labels.
    T^2 keeps the gradient's size independent of T. Further axes between batch and classes (positions of a sequence) are
    averaged, masked ones left out.

    Args:
        temperature: T, above 0, or a schedule over training steps.
        standardize: Compare z-scores of the logits, (z - mean) / deviation over classes, instead of the logits, so that the
            student need not match their size (Sun et al. 2024, equation 9); categorical form and at least 3 classes, as
            two z-scores are always the same pair. The deviation divides by classes - 1, as in the authors' code, whose
            temperatures and weights so carry over; the paper's text divides by classes.
        teacher_activation, student_activation: 'linear' where the outputs are logits, 'softmax' or 'sigmoid' where they
            are probabilities. Inside a Distiller, None reads it from the model's last activation; on bare arrays
            None means logits.
        form: 'categorical' or 'bernoulli'; None takes 'bernoulli' if an activation is 'sigmoid', else 'categorical'.

    Shapes: teacher (batch, ..., classes), student (batch, ..., classes) -> (batch,).

    Raises:
        ValueError: For a temperature that is not positive, an unknown activation, different shapes, one class in the
            categorical form, two with `standardize`.

    Source: Hinton, Vinyals and Dean 2015, section 2; Sun et al. 2024 for `standardize`.
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
        **kwargs: Any,
    ) -> None:
        super().__init__(weight, **kwargs)
        self.temperature = number_or_schedule(temperature, "objective SoftTarget: temperature", above=0.0)
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
        if standardize and form == "bernoulli":
            raise ValueError(
                "objective SoftTarget: standardize is for the categorical form; labels stand on their own here"
            )
        self.standardize = bool(standardize)
        self.teacher_activation = teacher_activation
        self.student_activation = student_activation
        self.form = form

    def resolve(self, teacher_activation: str | None, student_activation: str | None) -> SoftTarget:
        return with_activations(self, teacher_activation, student_activation)

    def check(self, teacher_shape: tuple[int | None, ...], student_shape: tuple[int | None, ...]) -> None:
        require_same_shape(self, teacher_shape, student_shape)
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

    def compare(self, teacher: Any, student: Any, y: Any = None, mask: Any = None) -> Any:
        divergence = bernoulli_divergence if self.form == "bernoulli" else categorical_divergence
        logits = both_logits(teacher, student, self.teacher_activation, self.student_activation)
        if self.standardize:
            logits = z_score(logits[0]), z_score(logits[1])
        values = divergence(logits[0] / self.temperature, logits[1] / self.temperature)
        return self.temperature**2 * mean_over_inner_axes(values, mask)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "temperature": plain(self.temperature),
            "standardize": self.standardize,
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

    Raises:
        ValueError: For different shapes, or a model that ends in softmax or sigmoid.

    Source: Ba and Caruana 2014, equation 1.
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

    def check(self, teacher_shape: tuple[int | None, ...], student_shape: tuple[int | None, ...]) -> None:
        require_same_shape(self, teacher_shape, student_shape)

    def compare(self, teacher: Any, student: Any, y: Any = None, mask: Any = None) -> Any:
        teacher, student = both_logits(teacher, student)
        return mean_over_inner_axes(0.5 * ops.sum(ops.square(student - teacher), axis=-1), mask)


@serializable
class Reconstruction(Objective):
    """Follow the output of a teacher that is an autoencoder or a regressor: mean squared difference.

    Shapes: teacher (batch, ...), student (batch, ...) -> (batch,).

    Raises:
        ValueError: For different shapes.

    Source: the response form of Bucila, Caruana and Niculescu-Mizil 2006, with squared error.
    """

    takes_mask = True

    def check(self, teacher_shape: tuple[int | None, ...], student_shape: tuple[int | None, ...]) -> None:
        require_same_shape(self, teacher_shape, student_shape)

    def compare(self, teacher: Any, student: Any, y: Any = None, mask: Any = None) -> Any:
        return mean_over_inner_axes(ops.square(student - teacher), mask)


@serializable
class DecoupledKD(Softened):
    """Weigh what the teacher knows of the right class apart from what it knows of the others.

    T^2 * (alpha * KL(b_t || b_s) + beta * KL(p_t || p_s)): b is the pair (probability of the label's class, of all others),
    p the distribution over the other classes alone; both at temperature T.

    Args:
        alpha, beta: Weights of the two parts, at least 0; the paper's usual choice is 1 and 8.
        temperature: T, above 0, or a schedule.

    Between two classes there is no distribution over the others: the second part is zero, which a warning says, and the
    first is soft targets.

    Shapes: teacher (batch, classes), student (batch, classes), y (batch,), (batch, 1) or one-hot (batch, classes) -> (batch,).

    Raises:
        ValueError: For different shapes, outputs that are not categorical, a fit without labels, two classes with alpha 0.

    Source: Zhao et al. 2022, equations 5 to 7.
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
        **kwargs: Any,
    ) -> None:
        super().__init__(temperature, weight, teacher_activation, student_activation, **kwargs)
        self.alpha = require_number(alpha, "objective DecoupledKD: alpha", minimum=0.0)
        self.beta = require_number(beta, "objective DecoupledKD: beta", minimum=0.0)

    def check(self, teacher_shape: tuple[int | None, ...], student_shape: tuple[int | None, ...]) -> None:
        super().check(teacher_shape, student_shape)
        if teacher_shape[-1] == 2 and self.beta:
            found = "objective DecoupledKD: with 2 classes the beta part, on the classes beside the right one, is always zero"
            _require_something(self.alpha, f"{found}, and alpha is 0", "use SoftTarget")
            _warn(f"{found}; what is left is alpha times soft targets: use SoftTarget, or pass beta=0")

    def compare(self, teacher: Any, student: Any, y: Any = None) -> Any:
        target = one_hot(y, teacher)
        (on_t, off_t, rest_t), (on_s, off_s, rest_s) = (decoupled(z, target) for z in self.logits(teacher, student))
        right = ops.exp(on_t) * (on_t - on_s) + ops.exp(off_t) * (off_t - off_s)
        others = ops.sum((1.0 - target) * ops.exp(rest_t) * (rest_t - rest_s), axis=-1)
        return self.temperature**2 * (self.alpha * right + self.beta * others)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha, "beta": self.beta}


@serializable
class Dist(Softened):
    """Match how classes rank within each example, and how examples rank within each class, not their very probabilities.

    T^2 * (beta * mean over examples of (1 - r) + gamma * mean over classes of (1 - r)), r being Pearson's correlation of
    teacher's and student's probabilities at temperature T, along the classes and along the batch.

    Args:
        beta, gamma: Weights of the inter-class and the intra-class part, at least 0.
        temperature: T, above 0, or a schedule.

    Two classes always rank alike or the other way round, so the inter-class part teaches nothing there, which a warning says;
    likewise the intra-class part in batches of two examples.

    Shapes: teacher (batch, classes), student (batch, classes) -> (). Constant rows or columns correlate with nothing: r = 0.

    Raises:
        ValueError: For different shapes, outputs that are not categorical, or two classes with gamma 0.

    Source: Huang et al. 2022, equations 6 to 10.
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
        **kwargs: Any,
    ) -> None:
        super().__init__(temperature, weight, teacher_activation, student_activation, **kwargs)
        self.beta = require_number(beta, "objective Dist: beta", minimum=0.0)
        self.gamma = require_number(gamma, "objective Dist: gamma", minimum=0.0)

    def check(self, teacher_shape: tuple[int | None, ...], student_shape: tuple[int | None, ...]) -> None:
        super().check(teacher_shape, student_shape)
        if teacher_shape[-1] == 2 and self.beta:
            found = "objective Dist: with 2 classes the inter-class part (beta) is a correlation of two numbers, always 1 or -1"
            _require_something(self.gamma, f"{found}, and gamma is 0", "use SoftTarget")
            _warn(f"{found}, and teaches nothing; the intra-class part (gamma) does: pass beta=0, or use SoftTarget")

    def compare(self, teacher: Any, student: Any, y: Any = None) -> Any:
        p, q = (ops.softmax(z, axis=-1) for z in self.logits(teacher, student))
        inter = ops.mean(1.0 - pearson(p, q, axis=1))
        intra = ops.mean(1.0 - pearson(p, q, axis=0))
        return self.temperature**2 * (self.beta * inter + self.gamma * intra)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta": self.beta, "gamma": self.gamma}


def _require_something(weight: float, found: str, instead: str) -> None:
    if not weight:
        raise ValueError(f"{found}: nothing is left to teach; {instead}")


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=2)
