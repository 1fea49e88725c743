"""Contrastive objectives: the student's features of an example beside the teacher's of the same and of other examples."""

from __future__ import annotations

import math
from typing import Any, Unpack

import keras
from keras import ops

from keras_kd.checks import require_number
from keras_kd.objectives.base import Objective, ObjectiveArguments
from keras_kd.objectives.learned import FirstValue, Queue
from keras_kd.objectives.tensors import flat, unit
from keras_kd.schedules import Schedule, as_config, number_or_schedule
from keras_kd.serialization import serializable
from keras_kd.types import Shape, Structure, Tensor


class _Embedded(Objective):
    """An objective on learned linear embeddings of length 1, with the teacher's of past batches where there is a queue."""

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        *,
        dimensions: int = 128,
        temperature: float | Schedule = 0.07,
        queue: int = 0,
        **kwargs: Unpack[ObjectiveArguments],
    ) -> None:
        super().__init__(weight, **kwargs)
        self.dimensions = int(require_number(dimensions, f"{self.message_name}: dimensions", minimum=2.0))
        self.temperature = number_or_schedule(temperature, f"{self.message_name}: temperature", above=0.0)
        self.queue = int(require_number(queue, f"{self.message_name}: queue", minimum=0.0))
        self.embed_teacher = keras.layers.Dense(self.dimensions, dtype="float32", name=f"{self.name}_teacher")
        self.embed_student = keras.layers.Dense(self.dimensions, dtype="float32", name=f"{self.name}_student")
        self.past = Queue(self.queue, dtype="float32", name=f"{self.name}_queue") if self.queue else None

    @property
    def learned(self) -> tuple[keras.Layer, ...]:
        return (self.embed_teacher, self.embed_student, *([] if self.past is None else [self.past]))

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        for side, shape in (("teacher", teacher_shape), ("student", student_shape)):
            if None in shape[1:]:
                raise ValueError(f"{self.message_name} needs {side} features of known size, got {tuple(shape)}")

    def build(self, teacher_shape: Shape, student_shape: Shape) -> None:
        self.embed_teacher.build((None, _width(teacher_shape)))
        self.embed_student.build((None, _width(student_shape)))
        if self.past is not None:
            self.past.build((None, self.dimensions))

    def scores(self, teacher: Tensor, student: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Cosines over the temperature of each student (rows) with the teachers of the batch and then of the queue.

        Returns:
            The scores (batch, batch + queue), 1 where a pair belongs together, and 1 where a pair counts at all.
        """
        t, s = unit(self.embed_teacher(flat(teacher))), unit(self.embed_student(flat(student)))
        same = ops.eye(ops.shape(t)[0])
        scores, counts = ops.matmul(s, ops.transpose(t)), ops.ones_like(same)
        if self.past is not None:
            rows, filled = self.past.read()
            scores = ops.concatenate([scores, ops.matmul(s, ops.transpose(rows))], axis=-1)
            none = ops.zeros((ops.shape(t)[0], self.queue), dtype="float32")
            same, counts = ops.concatenate([same, none], axis=-1), ops.concatenate([counts, none + filled], axis=-1)
            if self.training:
                self.past.put(ops.stop_gradient(t))
        return scores / self.temperature, same, counts

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "dimensions": self.dimensions,
            "temperature": as_config(self.temperature),
            "queue": self.queue,
        }


@serializable
class Contrastive(_Embedded):
    """CRD: pull the student's features of an example to the teacher's of the same one, and push those of others away.

    -log h(t_i, s_i) - sum over j != i of log(1 - h(t_j, s_i)), h = P / (P + N / M), P = exp(c / T) / Z, c being the dot product
    of learned linear embeddings of length 1. The N negatives are the other examples of the batch and, with a queue, the
    teacher's embeddings of past ones; the paper draws 16,384 from a memory of the whole data set of M examples. The sum over
    negatives is the paper's: the value grows with their number.

    The normalization constant Z is not in the paper's equation 19 but in its authors' code: M times the mean of exp(c / T)
    over the first training batch, kept from then on and saved with the distiller. Without it h is almost 1 for any pair, the
    more so the larger M. Outside training, as long as no batch has set Z, the current batch is used.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule; 0.8 in the authors' code.
        dimensions: Width of the embeddings, at least 2 (a single number of length 1 would be a sign).
        temperature: T, above 0, or a schedule; Z stays that of the first batch.
        queue: How many of the teacher's past embeddings are further negatives, at least 0.
        examples: M, at least 1. As Z grows with it, M cancels out and any value trains the same; kept for older configurations.
        kwargs: `name`, `teacher_layer`, `student_layer`; see `Objective`.

    Shapes: teacher (batch, ...), student (batch, ...) -> (batch,), at least 0. A batch of one without a queue has no negatives.

    Raises:
        ValueError: For numbers out of range and features of unknown size.

    Examples:
        >>> objective = keras_kd.Contrastive(0.8, dimensions=16, teacher_layer="body", student_layer="body")
        >>> features = np.random.default_rng(0).normal(size=(8, 32))
        >>> objective(features, features[:, :4]).shape[0]
        8

    Source: CRD, Tian et al. 2020, equations 17 to 19, https://arxiv.org/abs/1910.10699; Z as in the authors' implementation.
    """

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        *,
        dimensions: int = 128,
        temperature: float | Schedule = 0.07,
        queue: int = 0,
        examples: int | None = None,
        **kwargs: Unpack[ObjectiveArguments],
    ) -> None:
        super().__init__(weight, dimensions=dimensions, temperature=temperature, queue=queue, **kwargs)
        self.examples = (
            None if examples is None else int(require_number(examples, "objective Contrastive: examples", minimum=1.0))
        )
        self.normalizer = FirstValue(dtype="float32", name=f"{self.name}_normalizer")

    @property
    def learned(self) -> tuple[keras.Layer, ...]:
        return (*super().learned, self.normalizer)

    def build(self, teacher_shape: Shape, student_shape: Shape) -> None:
        super().build(teacher_shape, student_shape)
        self.normalizer.build(())

    def compare(self, teacher: Tensor, student: Tensor, y: Structure | None = None) -> Tensor:
        scores, same, counts = self.scores(teacher, student)
        # log of Z / M, the mean of exp(c / T); in logarithms, which small temperatures do not overflow.
        own = ops.logsumexp(ops.where(counts > 0, scores, -1e9)) - ops.log(ops.sum(counts))
        mean = self.normalizer.value(ops.stop_gradient(own), keep=self.training)
        # h = sigmoid(c / T - log(N Z / M)).
        negatives = ops.sum(counts[0]) - 1.0
        logits = scores - ops.log(ops.maximum(negatives, 1e-7)) - mean
        values = same * ops.log_sigmoid(logits) + (1.0 - same) * ops.log_sigmoid(-logits)
        return -ops.sum(counts * values, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "examples": self.examples}


@serializable
class InfoNCE(_Embedded):
    """Pick the teacher's features of the same example among those of others: -log softmax over j of cos(s_i, t_j) / T, at i.

    The cosines are those of learned linear embeddings. The others are the examples of the batch and, with a queue, the
    teacher's embeddings of past ones.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        dimensions: Width of the embeddings, at least 2.
        temperature: T, above 0, or a schedule.
        queue: How many of the teacher's past embeddings are further choices, at least 0.
        kwargs: `name`, `teacher_layer`, `student_layer`; see `Objective`.

    Shapes: teacher (batch, ...), student (batch, ...) -> (batch,), at least 0; about log(batch + queue) for a student that has
        learned nothing. A batch of one without a queue teaches nothing.

    Raises:
        ValueError: For numbers out of range and features of unknown size.

    Examples:
        >>> objective = keras_kd.InfoNCE(dimensions=16, queue=256, teacher_layer="pool", student_layer="pool")
        >>> features = np.random.default_rng(0).normal(size=(8, 32))
        >>> objective(features, features[:, :4]).shape[0]
        8

    Source: van den Oord et al. 2018, equation 4, https://arxiv.org/abs/1807.03748; the queue of MoCo, He et al. 2020,
        https://arxiv.org/abs/1911.05722
    """

    def compare(self, teacher: Tensor, student: Tensor, y: Structure | None = None) -> Tensor:
        scores, same, counts = self.scores(teacher, student)
        choices = ops.log_softmax(ops.where(counts > 0, scores, -1e9), axis=-1)
        return -ops.sum(same * choices, axis=-1)


def _width(shape: Shape) -> int | None:
    """How many numbers an example's features are, None if not known."""
    sizes = [size for size in shape[1:] if size is not None]
    return math.prod(sizes) if len(sizes) == len(shape) - 1 else None
