"""Divergences between categorical distributions: one family, computed in logarithms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Unpack

from keras import ops

from keras_kd.checks import require_number, require_same_shape
from keras_kd.objectives.base import ObjectiveArguments
from keras_kd.objectives.logits import OnActivations, both_logits
from keras_kd.objectives.tensors import mean_over_inner_axes
from keras_kd.schedules import Schedule, as_config, number_or_schedule
from keras_kd.serialization import serializable
from keras_kd.types import Shape, Structure, Tensor

# The parameters of each kind, with the values that they have where none is given.
PARAMETERS: dict[str, dict[str, float]] = {
    "forward": {},
    "reverse": {},
    "jensen_shannon": {"beta": 0.5},
    "skewed_forward": {"skew": 0.1},
    "skewed_reverse": {"skew": 0.1},
    "alpha_beta": {"alpha": 0.2, "beta": 0.7},
}
# Powers of probabilities above e^20 go on as a straight line: finite, with a gradient that does not vanish.
HIGHEST = 20.0


@serializable
class Divergence(OnActivations):
    """Match the teacher's class probabilities under the divergence of your choice.

    T^2 * D(p, q), p = softmax(teacher / T), q = softmax(student / T), KL(p || q) = sum_c p_c log(p_c / q_c), and D by `kind`:

    - 'forward': KL(p || q). The student covers all that the teacher might say; SoftTarget's categorical form.
    - 'reverse': KL(q || p). The student says what the teacher finds likely, and need not say all of it.
    - 'jensen_shannon': beta KL(p || m) + (1 - beta) KL(q || m), m = beta p + (1 - beta) q. Over beta it goes to
      'forward' as beta goes to 0, over 1 - beta to 'reverse' as beta goes to 1.
    - 'skewed_forward': KL(p || skew p + (1 - skew) q); 'skewed_reverse': KL(q || skew q + (1 - skew) p).
    - 'alpha_beta': -1 / (alpha beta) sum_c (p^alpha q^beta - alpha / (alpha + beta) p^(alpha + beta)
      - beta / (alpha + beta) q^(alpha + beta)), and its limits where alpha, beta or alpha + beta is 0: (1, 0) is 'forward',
      (0, 1) 'reverse', (0, 0) half the squared difference of log probabilities. The authors' code divides two of the limits
      by alpha or beta where the formula's limit has its square; here they are limits. Powers above e^20, which only negative
      parameters can give, go on as a straight line.

    Further axes between batch and classes (positions of a sequence) are averaged; masked positions are left out. Under a
    teacher of k logits all others are one class, on both sides.

    Args:
        kind: One of the six above.
        temperature: T, above 0, or a schedule over training steps.
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        alpha: Of 'alpha_beta', any number, 0.2 by default; the larger, the more the teacher's likely classes count.
        beta: Of 'alpha_beta', any number, 0.7 by default; of 'jensen_shannon', in (0, 1), 0.5 by default.
        skew: Of the skewed kinds, in (0, 1), 0.1 by default.
        teacher_activation: 'linear' where the teacher's outputs are logits, 'softmax' where they are probabilities. None reads
            it from the model inside a Distiller, and means logits on bare arrays.
        student_activation: The same for the student.
        kwargs: `name`, `teacher_layer`, `student_layer`; see `Objective`.

    Shapes: teacher (batch, ..., classes), student (batch, ..., classes) -> (batch,), at least 0.

    Raises:
        ValueError: For an unknown kind, a parameter that the kind does not have or that is out of range, sigmoid outputs (use
            SoftTarget), different shapes, one class.

    Examples:
        >>> teacher, student = np.array([[4.0, 1.0, 0.0]]), np.array([[2.0, 1.0, 0.0]])
        >>> for kind in ("forward", "reverse", "jensen_shannon"):
        ...     print(kind, np.array(keras_kd.Divergence(kind)(teacher, student)).round(4))
        forward [0.2142]
        reverse [0.3278]
        jensen_shannon [0.062]

    Source: 'jensen_shannon' GKD, Agarwal et al. 2024, equation 1, https://arxiv.org/abs/2306.13649; the skewed kinds DistiLLM,
        Ko et al. 2024, section 3.1, https://arxiv.org/abs/2402.03898; 'alpha_beta' ABKD, Wang et al. 2025, definition 4.1,
        https://arxiv.org/abs/2505.04560
    """

    accepted = ("linear", "softmax")
    takes_mask = True
    takes_top_k = True

    def __init__(
        self,
        kind: str = "forward",
        temperature: float | Schedule = 1.0,
        weight: float | Schedule = 1.0,
        *,
        alpha: float | None = None,
        beta: float | None = None,
        skew: float | None = None,
        teacher_activation: str | None = None,
        student_activation: str | None = None,
        **kwargs: Unpack[ObjectiveArguments],
    ) -> None:
        super().__init__(weight, teacher_activation, student_activation, **kwargs)
        if kind not in PARAMETERS:
            known = ", ".join(map(repr, PARAMETERS))
            raise ValueError(f"objective Divergence: kind must be one of {known}, got {kind!r}")
        self.kind = kind
        self.temperature = number_or_schedule(temperature, "objective Divergence: temperature", above=0.0)
        numbers = _parameters(kind, {"alpha": alpha, "beta": beta, "skew": skew})
        self.alpha: Any = numbers.get("alpha")
        self.beta: Any = numbers.get("beta")
        self.skew: Any = numbers.get("skew")

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        require_same_shape(self.message_name, teacher_shape, student_shape)
        if len(teacher_shape) < 2 or teacher_shape[-1] == 1:
            raise ValueError(
                f"objective Divergence compares (batch, ..., classes) of at least 2 classes, got {tuple(teacher_shape)}; "
                "for a single sigmoid output take SoftTarget(form='bernoulli')"
            )

    def compare(
        self, teacher: Tensor, student: Tensor, y: Structure | None = None, mask: Tensor | None = None
    ) -> Tensor:
        logits = both_logits(teacher, student, self.teacher_activation, self.student_activation)
        log_p, log_q = (ops.log_softmax(side / self.temperature, axis=-1) for side in logits)
        values = ops.sum(self._by_class(log_p, log_q), axis=-1)
        return self.temperature**2 * mean_over_inner_axes(values, mask)

    def _by_class(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Each class's part of the divergence."""
        p, q, ratio = ops.exp(log_p), ops.exp(log_q), log_p - log_q
        if self.kind == "forward":
            return p * ratio
        if self.kind == "reverse":
            return -q * ratio
        if self.kind == "skewed_forward":
            return p * (ratio - mixed(ratio, self.skew))
        if self.kind == "skewed_reverse":
            return q * (-ratio - mixed(-ratio, self.skew))
        if self.kind == "jensen_shannon":
            above = mixed(ratio, self.beta)
            return self.beta * p * (ratio - above) - (1.0 - self.beta) * q * above
        return alpha_beta(log_p, log_q, self.alpha, self.beta)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kind": self.kind,
            "temperature": as_config(self.temperature),
            "alpha": self.alpha,
            "beta": self.beta,
            "skew": self.skew,
        }


def mixed(ratio: Tensor, share: float) -> Tensor:
    """log of (share p + (1 - share) q) / q, `ratio` being log(p / q): exact where p is near q and where either is 0."""
    positive = ratio > 0
    below, above = ops.where(positive, 0.0, ratio), ops.where(positive, -ratio, 0.0)
    small = ops.log1p(share * ops.expm1(below))
    large = ratio + ops.log1p((1.0 - share) * ops.expm1(above))
    return ops.where(positive, large, small)


def alpha_beta(log_p: Tensor, log_q: Tensor, alpha: float, beta: float) -> Tensor:
    """Each class's part of the alpha-beta divergence, at least 0, and its limits.

    The three powers are taken as differences from p^alpha q^beta, so that nothing is lost where p is near q or a parameter is
    near 0.
    """
    ratio, total = log_p - log_q, alpha + beta
    if alpha == beta == 0:
        return 0.5 * ops.square(ratio)
    if beta == 0:
        return ratio * power(alpha * log_p) / alpha - rise(alpha * log_q, alpha * ratio) / alpha**2
    if alpha == 0:
        return -ratio * power(beta * log_q) / beta - rise(beta * log_p, -beta * ratio) / beta**2
    if abs(total) < 1e-6:
        return (rise(ops.zeros_like(ratio), alpha * ratio) - alpha * ratio) / alpha**2
    both = alpha * log_p + beta * log_q
    return (alpha * rise(both, beta * ratio) + beta * rise(both, -alpha * ratio)) / (alpha * beta * total)


def rise(start: Tensor, by: Tensor) -> Tensor:
    """exp(start + by) - exp(start), exact where `by` is small."""
    positive = by > 0
    up, down = ops.where(positive, -by, 0.0), ops.where(positive, 0.0, by)
    return ops.where(positive, -power(start + by) * ops.expm1(up), power(start) * ops.expm1(down))


def power(exponent: Tensor) -> Tensor:
    """exp, going on as its tangent above e^20."""
    beyond = ops.maximum(exponent - HIGHEST, 0.0)
    return ops.exp(ops.minimum(exponent, HIGHEST)) * (1.0 + beyond)


def _parameters(kind: str, given: Mapping[str, float | None]) -> dict[str, float]:
    """The kind's own parameters, checked; those of other kinds must be None."""
    own = PARAMETERS[kind]
    unused = [name for name, value in given.items() if value is not None and name not in own]
    if unused:
        takes = " and ".join(own) or "no parameter"
        raise ValueError(f"objective Divergence: kind {kind!r} does not use {unused[0]}; it takes {takes}")
    numbers = {}
    for name, default in own.items():
        value = given[name]
        number = require_number(default if value is None else value, f"objective Divergence: {name}")
        if kind != "alpha_beta" and not 0.0 < number < 1.0:
            raise ValueError(
                f"objective Divergence: {name} of kind {kind!r} must be between 0 and 1, got {number:g}; {_instead(kind)}"
            )
        if math.isclose(number, 0.0, abs_tol=1e-6):
            number = 0.0
        numbers[name] = number
    return numbers


def _instead(kind: str) -> str:
    """What to take at the ends of a range that are left out."""
    if kind == "jensen_shannon":
        return "at its ends it is 0, take kind 'forward' or 'reverse'"
    return f"without a skew take kind {kind.removeprefix('skewed_')!r}"
