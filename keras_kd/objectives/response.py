"""Response objectives: the student's outputs beside the teacher's."""

from __future__ import annotations

import warnings
from typing import Any

import keras
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
    square_root,
    unit,
)
from keras_kd.objectives.top_k import TopK
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
        return _with_activations(self, teacher_activation, student_activation)

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
        divergence = _bernoulli_divergence if self.form == "bernoulli" else _categorical_divergence
        logits = both_logits(teacher, student, self.teacher_activation, self.student_activation)
        if self.standardize:
            logits = _z_score(logits[0]), _z_score(logits[1])
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


class _Softened(Objective):
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
        return _with_activations(self, teacher_activation, student_activation)

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


@serializable
class DecoupledKD(_Softened):
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
        target = _one_hot(y, teacher)
        (on_t, off_t, rest_t), (on_s, off_s, rest_s) = (_decoupled(z, target) for z in self.logits(teacher, student))
        right = ops.exp(on_t) * (on_t - on_s) + ops.exp(off_t) * (off_t - off_s)
        others = ops.sum((1.0 - target) * ops.exp(rest_t) * (rest_t - rest_s), axis=-1)
        return self.temperature**2 * (self.alpha * right + self.beta * others)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha, "beta": self.beta}


@serializable
class Dist(_Softened):
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
        inter = ops.mean(1.0 - _pearson(p, q, axis=1))
        intra = ops.mean(1.0 - _pearson(p, q, axis=0))
        return self.temperature**2 * (self.beta * inter + self.gamma * intra)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta": self.beta, "gamma": self.gamma}


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


def _categorical_divergence(teacher: Any, student: Any) -> Any:
    """KL(softmax(teacher) || softmax(student)) over the last axis."""
    log_p, log_q = ops.log_softmax(teacher, axis=-1), ops.log_softmax(student, axis=-1)
    return ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)


def _bernoulli_divergence(teacher: Any, student: Any) -> Any:
    """Sum over the last axis of KL(Bernoulli(sigmoid(teacher)) || Bernoulli(sigmoid(student)))."""
    on = ops.sigmoid(teacher) * (ops.log_sigmoid(teacher) - ops.log_sigmoid(student))
    off = ops.sigmoid(-teacher) * (ops.log_sigmoid(-teacher) - ops.log_sigmoid(-student))
    return ops.sum(on + off, axis=-1)


def _with_activations(objective: Any, teacher_activation: str | None, student_activation: str | None) -> Any:
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


def _z_score(logits: Any) -> Any:
    """Logits less their mean over their deviation (n - 1), over the last axis; equal logits become zeros."""
    centred = logits - ops.mean(logits, axis=-1, keepdims=True)
    deviation = square_root(ops.sum(ops.square(centred), axis=-1, keepdims=True) / (centred.shape[-1] - 1))
    return centred / ops.where(deviation > 0, deviation, 1.0)


def _require_something(weight: float, found: str, instead: str) -> None:
    if not weight:
        raise ValueError(f"{found}: nothing is left to teach; {instead}")


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=2)


def _one_hot(y: Any, like: Any) -> Any:
    """Labels (batch,), (batch, 1) or one-hot (batch, classes) as one-hot float32."""
    classes = like.shape[-1]
    y = ops.convert_to_tensor(y)
    if len(y.shape) == 2 and y.shape[-1] == classes:
        return ops.one_hot(ops.argmax(y, axis=-1), classes, dtype="float32")
    return ops.one_hot(ops.cast(ops.reshape(y, (-1,)), "int32"), classes, dtype="float32")


def _decoupled(logits: Any, target: Any) -> tuple[Any, Any, Any]:
    """Log probabilities of the target class (batch,), of all others (batch,), and among the others (batch, classes)."""
    log_p = ops.log_softmax(logits, axis=-1)
    among = ops.where(target > 0, -1e9, logits)
    off = ops.logsumexp(ops.where(target > 0, -1e9, log_p), axis=-1)
    return ops.sum(target * log_p, axis=-1), off, ops.where(target > 0, 0.0, ops.log_softmax(among, axis=-1))


def _pearson(a: Any, b: Any, axis: int) -> Any:
    """Correlation along an axis, 0 where either is constant."""
    a, b = (x - ops.mean(x, axis=axis, keepdims=True) for x in (a, b))
    return ops.sum(unit(a, axis) * unit(b, axis), axis=axis)
