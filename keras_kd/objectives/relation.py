"""Relation objectives: how the examples of a batch relate to each other. Features of any shape are flattened to (batch, n).

They compare examples with each other, so most give one value per batch, and teach more the larger the batch. A batch of one
teaches nothing. In a batch of two the only distance is its own mean, so distances, angles and neighbors teach nothing either.
On several replicas, each replica compares the examples of its own part of the batch.
"""

from __future__ import annotations

import math
from typing import Any, Unpack

from keras import ops

from keras_kd.checks import require_number, require_width
from keras_kd.objectives.base import Objective, ObjectiveArguments
from keras_kd.objectives.tensors import flat, mean_huber, square_root, unit
from keras_kd.schedules import Schedule
from keras_kd.serialization import serializable
from keras_kd.types import Shape, Structure, Tensor


@serializable
class RelationalDistance(Objective):
    """Match the distances between examples, each model's divided by its own mean distance.

    Euclidean distances between all pairs, divided by the mean of the positive ones; Huber loss (delta 1) of their difference,
    averaged over all batch^2 entries.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        kwargs: `name`, `teacher_layer`, `student_layer`; see `Objective`.

    Shapes: teacher (batch, ...), student (batch, ...) -> (), at least 0.

    Examples:
        >>> points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
        >>> round(float(keras_kd.RelationalDistance()(points, 10.0 * points)), 4)
        0.0

    Source: RKD, Park et al. 2019, equations 7 to 9, https://arxiv.org/abs/1904.05068
    """

    def compare(self, teacher: Tensor, student: Tensor, y: Structure | None = None) -> Tensor:
        return mean_huber(_distances(flat(teacher)) - _distances(flat(student)))


@serializable
class RelationalAngle(Objective):
    """Match the angles that triplets of examples form.

    Cosines of the angle at example j between i and k, over all triplets; Huber loss (delta 1) of their difference, averaged
    over all batch^3 entries. Memory grows with batch^3 and with batch^2 times the number of features.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        kwargs: `name`, `teacher_layer`, `student_layer`; see `Objective`.

    Shapes: teacher (batch, ...), student (batch, ...) -> (), at least 0.

    Raises:
        ValueError: For student features of one number, whose angles are all 0 or 180 degrees.

    Examples:
        >>> points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
        >>> round(float(keras_kd.RelationalAngle()(points, points[:, ::-1] + 3.0)), 4)
        0.0

    Source: RKD, Park et al. 2019, equations 10 and 11, https://arxiv.org/abs/1904.05068
    """

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        require_width(self.message_name, _width(student_shape), student_shape, "the cosine of an angle between edges")

    def compare(self, teacher: Tensor, student: Tensor, y: Structure | None = None) -> Tensor:
        return mean_huber(_angles(flat(teacher)) - _angles(flat(student)))


@serializable
class SimilarityPreserving(Objective):
    """Match which examples activate the model in the same way: mean over examples of the squared distance of rows of G.

    G = F F^T, its rows of length 1; a row says how similar an example is to each of the batch. The value is from 0 to 4. The
    paper divides once more by the batch size: its weight of 3000 at batches of 64 is 47 here.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        kwargs: `name`, `teacher_layer`, `student_layer`; see `Objective`.

    Shapes: teacher (batch, ...), student (batch, ...) -> (), at least 0.

    Examples:
        >>> objective = keras_kd.SimilarityPreserving(47.0, teacher_layer="body", student_layer="body")
        >>> round(float(objective(np.eye(2), np.ones((2, 5)))), 4)
        0.5858

    Source: Tung and Mori 2019, equations 1 to 4, https://arxiv.org/abs/1907.09682
    """

    def compare(self, teacher: Tensor, student: Tensor, y: Structure | None = None) -> Tensor:
        return ops.mean(ops.sum(ops.square(_gram(teacher) - _gram(student)), axis=-1))


@serializable
class CorrelationCongruence(Objective):
    """Match the correlation of examples under a Gaussian kernel: ||C_t - C_s||^2 / batch^2.

    C = sum over p of exp(-2 gamma) * (2 gamma)^p / p! * (f_i . f_j)^p, the kernel's Taylor series on features of length 1.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        gamma: Of the kernel exp(-gamma * ||f_i - f_j||^2), above 0.
        order: Highest p, at least 1.
        kwargs: `name`, `teacher_layer`, `student_layer`; see `Objective`.

    Shapes: teacher (batch, ...), student (batch, ...) -> (), at least 0.

    Raises:
        ValueError: For student features of one number.

    Examples:
        >>> round(float(keras_kd.CorrelationCongruence()(np.eye(2), np.ones((2, 5)))), 4)
        0.1266

    Source: Peng et al. 2019, equations 6 to 8, https://arxiv.org/abs/1904.01802
    """

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        *,
        gamma: float = 0.4,
        order: int = 2,
        **kwargs: Unpack[ObjectiveArguments],
    ) -> None:
        super().__init__(weight, **kwargs)
        self.gamma = require_number(gamma, "objective CorrelationCongruence: gamma", above=0.0)
        self.order = int(require_number(order, "objective CorrelationCongruence: order", minimum=1.0))

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        require_width(self.message_name, _width(student_shape), student_shape, "a cosine")

    def compare(self, teacher: Tensor, student: Tensor, y: Structure | None = None) -> Tensor:
        return ops.mean(ops.square(self._kernel(teacher) - self._kernel(student)))

    def _kernel(self, features: Tensor) -> Tensor:
        vectors = unit(flat(features))
        cosines = _products(vectors)
        factors = [math.exp(-2 * self.gamma) * (2 * self.gamma) ** p / math.factorial(p) for p in range(self.order + 1)]
        terms: Any = sum(factor * cosines**p for p, factor in enumerate(factors[1:], 1))
        return terms + factors[0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gamma": self.gamma, "order": self.order}


@serializable
class ProbabilisticTransfer(Objective):
    """Match the probability that one example picks another as its neighbor: mean over examples of KL(p_i || q_i).

    p_{j|i} = K(i, j) / sum over k != i of K(i, k), with K = (cosine + 1) / 2, for j != i. The paper sums over examples; its
    authors' code divides by batch^2 and weighs with 30,000, at batches of 64 a weight of 469 here. Their code also counts an
    example as its own neighbor; the paper and this class do not.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        kwargs: `name`, `teacher_layer`, `student_layer`; see `Objective`.

    Shapes: teacher (batch, ...), student (batch, ...) -> (), at least 0.

    Raises:
        ValueError: For student features of one number.

    Examples:
        >>> features = np.random.default_rng(0).normal(size=(8, 16))
        >>> float(keras_kd.ProbabilisticTransfer(469.0)(features, features))
        0.0

    Source: PKT, Passalis and Tefas 2018, equations 3 to 7, https://arxiv.org/abs/1803.10837
    """

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        require_width(self.message_name, _width(student_shape), student_shape, "a cosine")

    def compare(self, teacher: Tensor, student: Tensor, y: Structure | None = None) -> Tensor:
        p, q = _neighbors(teacher), _neighbors(student)
        apart = ops.log(ops.maximum(p, 1e-12)) - ops.log(ops.maximum(q, 1e-12))
        return ops.mean(ops.sum(p * apart, axis=-1))


def _width(shape: Shape) -> int | None:
    """How many numbers an example's features are, None if not known."""
    sizes = [size for size in shape[1:] if size is not None]
    return math.prod(sizes) if len(sizes) == len(shape) - 1 else None


def _distances(vectors: Tensor) -> Tensor:
    """Euclidean distances between all rows over their mean where positive, (batch, batch)."""
    # Differences, not the expanded square: that loses all digits between close neighbors.
    squares = ops.sum(ops.square(vectors[:, None] - vectors[None]), axis=-1)
    distances = square_root(squares)
    positive = ops.cast(distances > 0, "float32")
    count = ops.sum(positive)
    mean = ops.sum(distances) / ops.maximum(count, 1.0)
    return distances / ops.where(mean > 0, mean, 1.0)


def _angles(vectors: Tensor) -> Tensor:
    """Cosines of the angle at j between i and k: (batch, batch, batch), first axis j."""
    edges = unit(vectors[None] - vectors[:, None])
    return ops.matmul(edges, ops.transpose(edges, (0, 2, 1)))


def _gram(features: Tensor) -> Tensor:
    return unit(_products(flat(features)))


def _products(vectors: Tensor) -> Tensor:
    """Dot products of all pairs of rows: (batch, n) -> (batch, batch)."""
    # The product is symmetric, so its gradient is twice that of one factor: with the other held constant, the backward pass is
    # one product instead of two.
    half = ops.matmul(vectors, ops.transpose(ops.stop_gradient(vectors)))
    return half + ops.transpose(half) - ops.stop_gradient(half)


def _neighbors(features: Tensor) -> Tensor:
    """p_{j|i}: example i's cosine similarity to each other example as a fraction of their sum, 0 on the diagonal."""
    vectors = unit(flat(features))
    kernel = (_products(vectors) + 1.0) / 2.0
    others = kernel * (1.0 - ops.eye(ops.shape(vectors)[0]))
    total = ops.sum(others, axis=-1, keepdims=True)
    return others / ops.where(total > 0, total, 1.0)
