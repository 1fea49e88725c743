"""Relation objectives: how the examples of a batch lie to each other. Features of any shape are flattened to (batch, n).

They compare examples with each other, so they give one value a batch, and say the more the larger the batch: a batch of one
says nothing, and of two, whose only distance is its own mean, distances, angles and neighbors say nothing either.
On several replicas each compares the examples of its own share.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_kd.objectives.base import (
    Objective,
    flat,
    mean_huber,
    number_or_schedule,
    plain,
    require_number,
    require_width,
    serializable,
    square_root,
    unit,
)
from keras_kd.schedules import Schedule


@serializable
class RelationalDistance(Objective):
    """Match the distances between examples, each model's in units of its own mean.

    Euclidean distances between all pairs, over the mean of the positive ones; Huber loss (delta 1) of their difference,
    averaged over all batch^2 entries.

    Shapes: teacher (batch, ...), student (batch, ...) -> ().
    Source: RKD, Park et al. 2019, equations 7 to 9.
    """

    def compare(self, teacher: Any, student: Any, y: Any = None) -> Any:
        return mean_huber(_distances(flat(teacher)) - _distances(flat(student)))


@serializable
class RelationalAngle(Objective):
    """Match the angles that triplets of examples form.

    Cosines of the angle at example j between i and k, over all triplets; Huber loss (delta 1) of their difference, averaged
    over all batch^3 entries. Memory grows with batch^3 and with batch^2 times the features.

    Shapes: teacher (batch, ...), student (batch, ...) -> ().

    Raises:
        ValueError: For student features of one number, whose angles are all 0 or 180 degrees.

    Source: RKD, Park et al. 2019, equations 10 and 11.
    """

    def check(self, teacher_shape: Any, student_shape: Any) -> None:
        require_width(self, _width(student_shape), student_shape, "the cosine of an angle between edges")

    def compare(self, teacher: Any, student: Any, y: Any = None) -> Any:
        return mean_huber(_angles(flat(teacher)) - _angles(flat(student)))


@serializable
class SimilarityPreserving(Objective):
    """Match which examples excite the model alike: ||G_t - G_s||^2 / batch^2, G = F F^T with rows of length 1.

    Shapes: teacher (batch, ...), student (batch, ...) -> ().
    Source: Tung and Mori 2019, equations 1 to 4.
    """

    def compare(self, teacher: Any, student: Any, y: Any = None) -> Any:
        return ops.mean(ops.square(_gram(teacher) - _gram(student)))


@serializable
class CorrelationCongruence(Objective):
    """Match the correlation of examples under a Gaussian kernel: ||C_t - C_s||^2 / batch^2.

    C = sum over p of exp(-2 gamma) * (2 gamma)^p / p! * (f_i . f_j)^p, the kernel's Taylor series on features of length 1.

    Args:
        gamma: Width of the kernel, above 0.
        order: Highest p, at least 1.

    Shapes: teacher (batch, ...), student (batch, ...) -> ().

    Raises:
        ValueError: For student features of one number.

    Source: Peng et al. 2019, equations 6 to 8.
    """

    def __init__(self, weight: float | Schedule = 1.0, *, gamma: float = 0.4, order: int = 2, **kwargs: Any) -> None:
        super().__init__(weight, **kwargs)
        self.gamma = require_number(gamma, "objective CorrelationCongruence: gamma", above=0.0)
        self.order = int(require_number(order, "objective CorrelationCongruence: order", minimum=1.0))

    def check(self, teacher_shape: Any, student_shape: Any) -> None:
        require_width(self, _width(student_shape), student_shape, "a cosine")

    def compare(self, teacher: Any, student: Any, y: Any = None) -> Any:
        return ops.mean(ops.square(self._kernel(teacher) - self._kernel(student)))

    def _kernel(self, features: Any) -> Any:
        vectors = unit(flat(features))
        cosines = _products(vectors)
        factors = [math.exp(-2 * self.gamma) * (2 * self.gamma) ** p / math.factorial(p) for p in range(self.order + 1)]
        return sum(factor * cosines**p for p, factor in enumerate(factors[1:], 1)) + factors[0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gamma": self.gamma, "order": self.order}


@serializable
class ProbabilisticTransfer(Objective):
    """Match whom each example would choose as its neighbor: mean over all batch^2 pairs of p * log(p / q), 0 for i = j.

    p_{j|i} = K(i, j) / sum over k != i of K(i, k), with K = (cosine + 1) / 2. The paper sums over pairs; its authors' code
    divides by batch^2, as here, so that their weights (30,000 is usual) carry over and a batch's size matters less. Their code
    also counts an example as its own neighbor, the paper and this do not.

    Shapes: teacher (batch, ...), student (batch, ...) -> ().

    Raises:
        ValueError: For student features of one number.

    Source: PKT, Passalis and Tefas 2018, equations 3 to 7.
    """

    def check(self, teacher_shape: Any, student_shape: Any) -> None:
        require_width(self, _width(student_shape), student_shape, "a cosine")

    def compare(self, teacher: Any, student: Any, y: Any = None) -> Any:
        p, q = _neighbours(teacher), _neighbours(student)
        return ops.mean(p * (ops.log(ops.maximum(p, 1e-12)) - ops.log(ops.maximum(q, 1e-12))))


@serializable
class Contrastive(Objective):
    """Tell the student's view of an example from its views of the others, by the teacher's view of it.

    -log h(t_i, s_i) - sum over j != i of log(1 - h(t_i, s_j)), h = P / (P + N / M), P = exp(c / T) / Z, c being the dot product
    of learnt linear embeddings of length 1. The negatives are the other examples of the batch, N of them, where the paper
    draws them from a memory of the whole data set of M examples.

    The normalization constant Z is not in the paper's equation 19 and is in its authors' code: M times the mean of exp(c / T)
    over the first training batch, kept from then on and saved with the distiller. Without it h is all but 1 for any pair, the
    more so the larger M. Outside training, as long as no batch has set Z, the batch at hand stands in.

    Args:
        dimensions: Width of the embeddings, at least 2 (of length 1 they would be a sign).
        temperature: T, above 0, or a schedule; Z stays that of the first batch.
        examples: M, at least 1. As Z grows with it, M cancels and any value trains alike; it is kept for older configurations.

    Shapes: teacher (batch, ...), student (batch, ...) -> (batch,).

    Raises:
        ValueError: For numbers out of range and features of unknown size.

    Source: CRD, Tian et al. 2020, equations 17 to 19; Z after the authors' implementation.
    """

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        *,
        dimensions: int = 128,
        temperature: float | Schedule = 0.07,
        examples: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(weight, **kwargs)
        self.dimensions = int(require_number(dimensions, "objective Contrastive: dimensions", minimum=2.0))
        self.temperature = number_or_schedule(temperature, "objective Contrastive: temperature", above=0.0)
        self.examples = (
            None if examples is None else int(require_number(examples, "objective Contrastive: examples", minimum=1.0))
        )
        self.embed_teacher = keras.layers.Dense(self.dimensions, dtype="float32", name=f"{self.name}_teacher")
        self.embed_student = keras.layers.Dense(self.dimensions, dtype="float32", name=f"{self.name}_student")
        self.normalizer = _FirstValue(dtype="float32", name=f"{self.name}_normalizer")

    @property
    def learnt(self) -> tuple[keras.Layer, ...]:
        return (self.embed_teacher, self.embed_student, self.normalizer)

    def check(self, teacher_shape: Any, student_shape: Any) -> None:
        for side, shape in (("teacher", teacher_shape), ("student", student_shape)):
            if None in shape[1:]:
                raise ValueError(f"objective Contrastive needs {side} features of known size, got {tuple(shape)}")

    def build(self, teacher_shape: Any, student_shape: Any) -> None:
        self.embed_teacher.build((None, math.prod(teacher_shape[1:])))
        self.embed_student.build((None, math.prod(student_shape[1:])))
        self.normalizer.build(())

    def compare(self, teacher: Any, student: Any, y: Any = None) -> Any:
        t, s = unit(self.embed_teacher(flat(teacher))), unit(self.embed_student(flat(student)))
        scores = ops.matmul(t, ops.transpose(s)) / self.temperature
        batch = ops.cast(ops.shape(t)[0], "float32")
        # log of Z / M, the mean of exp(c / T); in logarithms, which small temperatures do not overflow.
        own = ops.logsumexp(ops.reshape(scores, (-1,))) - 2.0 * ops.log(batch)
        mean = self.normalizer.value(ops.stop_gradient(own), keep=self.training)
        # h = sigmoid(c / T - log(N Z / M)); a batch of one has no negatives, and nothing to tell apart.
        logits = scores - ops.log(ops.maximum(batch - 1.0, 1e-7)) - mean
        same = ops.eye(ops.shape(t)[0])
        return -ops.sum(same * ops.log_sigmoid(logits) + (1.0 - same) * ops.log_sigmoid(-logits), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "dimensions": self.dimensions,
            "temperature": plain(self.temperature),
            "examples": self.examples,
        }


@serializable
class _FirstValue(keras.layers.Layer):
    """The first number that was to be kept, for good; until then the one at hand."""

    def build(self, input_shape: Any) -> None:
        # Whether one is kept, and which.
        self.kept = self.add_weight(shape=(2,), initializer="zeros", trainable=False, aggregation="mean", name="kept")
        self.built = True

    def value(self, now: Any, keep: bool) -> Any:
        """The kept number, or `now`, which is kept from here on if `keep`."""
        number = ops.where(self.kept[0] > 0, self.kept[1], now)
        if keep:
            self.kept.assign(ops.stack([ops.ones_like(number), number]))
        return number


def _width(shape: Any) -> int | None:
    """Numbers in an example's features, None if not known."""
    return None if None in shape[1:] else math.prod(shape[1:])


def _distances(vectors: Any) -> Any:
    """Euclidean distances between all rows over their mean where positive, (batch, batch)."""
    # Differences, not the expanded square: that loses all digits between near neighbours.
    squares = ops.sum(ops.square(vectors[:, None] - vectors[None]), axis=-1)
    distances = square_root(squares)
    positive = ops.cast(distances > 0, "float32")
    count = ops.sum(positive)
    mean = ops.sum(distances) / ops.maximum(count, 1.0)
    return distances / ops.where(mean > 0, mean, 1.0)


def _angles(vectors: Any) -> Any:
    """Cosines of the angle at j between i and k: (batch, batch, batch), first axis j."""
    edges = unit(vectors[None] - vectors[:, None])
    return ops.matmul(edges, ops.transpose(edges, (0, 2, 1)))


def _gram(features: Any) -> Any:
    return unit(_products(flat(features)))


def _products(vectors: Any) -> Any:
    """Dot products of all pairs of rows: (batch, n) -> (batch, batch)."""
    # Symmetric, so the slope in the rows is that of one factor twice: with the other held constant, the backward pass is one
    # product instead of two.
    half = ops.matmul(vectors, ops.transpose(ops.stop_gradient(vectors)))
    return half + ops.transpose(half) - ops.stop_gradient(half)


def _neighbours(features: Any) -> Any:
    """p_{j|i}: row i's shares of cosine similarity among the other examples, 0 on the diagonal."""
    vectors = unit(flat(features))
    kernel = (_products(vectors) + 1.0) / 2.0
    others = kernel * (1.0 - ops.eye(ops.shape(vectors)[0]))
    total = ops.sum(others, axis=-1, keepdims=True)
    return others / ops.where(total > 0, total, 1.0)
