"""Response objectives that take the true class, or the ranks of classes and examples, apart."""

from __future__ import annotations

import warnings
from typing import Any, Unpack

from keras import ops

from keras_kd.checks import require_number
from keras_kd.objectives.base import ObjectiveArguments
from keras_kd.objectives.logits import Softened, decoupled, one_hot, pearson
from keras_kd.objectives.tensors import along, mean_over_inner_axes
from keras_kd.schedules import Schedule
from keras_kd.serialization import serializable
from keras_kd.types import Shape, Structure, Tensor


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

    Shapes: teacher (batch, *positions, classes), student likewise, y (batch, *positions), with a last axis of length 1, or
        one-hot -> (batch,), at least 0, the mean over positions. A label that is no class, such as -1, leaves the beta part.

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
    takes_mask = True

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

    def compare(
        self, teacher: Tensor, student: Tensor, y: Structure | None = None, mask: Tensor | None = None
    ) -> Tensor:
        assert y is not None
        target = one_hot(y, teacher)
        (on_t, off_t, rest_t), (on_s, off_s, rest_s) = (decoupled(z, target) for z in self.logits(teacher, student))
        right = ops.exp(on_t) * (on_t - on_s) + ops.exp(off_t) * (off_t - off_s)
        others = ops.sum((1.0 - target) * ops.exp(rest_t) * (rest_t - rest_s), axis=-1)
        return self.temperature**2 * mean_over_inner_axes(self.alpha * right + self.beta * others, mask)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha, "beta": self.beta}


@serializable
class Dist(Softened):
    """Match how classes rank within each example and how examples rank within each class, not the probabilities themselves.

    T^2 * (beta * mean over examples of (1 - r) + gamma * mean over classes of (1 - r)), r being Pearson's correlation of
    teacher's and student's probabilities at temperature T, along the classes and along the batch. Positions (tokens, pixels)
    count as further examples, as in the authors' code for segmentation; masked ones are left out of means and correlations.

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

    Shapes: teacher (batch, *positions, classes), student likewise -> (), at least 0.

    Raises:
        ValueError: For different shapes, outputs that are not categorical, or two classes with gamma 0.

    Examples:
        >>> teacher = np.array([[3.0, 1.0, 0.0], [0.0, 2.0, 1.0], [1.0, 0.0, 2.0]])
        >>> round(float(keras_kd.Dist()(teacher, teacher[::-1].copy())), 3)
        1.909

    Source: Huang et al. 2022, equations 6 to 10, https://arxiv.org/abs/2205.10536
    """

    takes_mask = True

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

    def compare(
        self, teacher: Tensor, student: Tensor, y: Structure | None = None, mask: Tensor | None = None
    ) -> Tensor:
        p, q = (ops.softmax(z, axis=-1) for z in self.logits(teacher, student))
        weights = None
        if mask is not None:
            weights = ops.reshape(ops.broadcast_to(along(mask, p), (*ops.shape(p)[:-1], 1)), (-1, 1))
        p, q = (ops.reshape(side, (-1, side.shape[-1])) for side in (p, q))
        apart = 1.0 - pearson(p, q, axis=1)
        inter = ops.mean(apart if weights is None else apart * weights[:, 0])
        intra = ops.mean(1.0 - pearson(p, q, axis=0, weights=weights))
        return self.temperature**2 * (self.beta * inter + self.gamma * intra)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta": self.beta, "gamma": self.gamma}


def _require_left(weight: float, reason: str) -> None:
    if not weight:
        raise ValueError(f"{reason}: nothing is left to teach; use SoftTarget")
