"""Objectives on the queries, keys and values of attention layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Unpack

import keras
import numpy as np
from keras import ops

from keras_kd.checks import require_number, same_sizes
from keras_kd.objectives.base import Objective, ObjectiveArguments
from keras_kd.objectives.logits import categorical_divergence
from keras_kd.objectives.tensors import flat, mask_weights, weighted
from keras_kd.schedules import Schedule
from keras_kd.serialization import serializable
from keras_kd.types import Shape, Structure, Tensor

PROJECTIONS = ("query", "key", "value")


class OnAttention(Objective):
    """An objective on some projections of MultiHeadAttention layers, each (batch, steps, heads, size of a head).

    In a Distiller the layers are named and their projections read while they run, so it does not matter how the attention
    itself is computed. What comes first of each side is the layer's output, whose mask tells padding.
    """

    takes_mask = True
    # A token without a label is still looked at.
    masks_ignored = False
    # Which projections are compared, in the order in which `compare` gets them.
    projections: tuple[str, ...] = ("query", "key")

    def __init__(self, weight: float | Schedule, causal: bool, **kwargs: Unpack[ObjectiveArguments]) -> None:
        super().__init__(weight, **kwargs)
        self.causal = bool(causal)

    def inside(self, layer: keras.Layer | None) -> tuple[str, ...]:
        if layer is not None and not isinstance(layer, keras.layers.MultiHeadAttention):
            raise ValueError(
                f"layer {layer.name!r} is a {type(layer).__name__}; name a keras.layers.MultiHeadAttention, others have no "
                "queries, keys and values of their own for each head"
            )
        if getattr(layer, "_sliding_window", None) is not None:
            raise ValueError(f"layer {layer.name!r} attends in a sliding window, which is not supported")  # type: ignore[union-attr]
        return self.projections

    def check(self, teacher_shape: Any, student_shape: Any) -> None:
        for who, shapes in (("teacher", teacher_shape), ("student", student_shape)):
            count = len(self.projections)
            if not shapes or not isinstance(shapes[0], tuple) or len(shapes) not in (count, count + 1):
                raise ValueError(
                    f"{self.message_name}: name an attention layer by {who}_layer, or pass {count} arrays: "
                    f"{', '.join(self.projections)}"
                )
            inner = shapes[-count:]
            if any(len(shape) != 4 for shape in inner):
                raise ValueError(
                    f"{self.message_name} compares (batch, steps, heads, size) of self-attention over one axis, the {who} "
                    f"gives {inner}"
                )
            if not all(same_sizes(shape[:2], inner[0][:2]) for shape in inner):
                raise ValueError(
                    f"{self.message_name} compares self-attention, the {who} has {inner[0][1]} queries and "
                    f"{inner[1][1]} keys"
                )
        steps = [shapes[-1][1] for shapes in (teacher_shape, student_shape)]
        if not same_sizes((steps[0],), (steps[1],)):
            raise ValueError(f"{self.message_name}: teacher has {steps[0]} positions, student has {steps[1]}")

    def compare(
        self,
        teacher: Any,
        student: Any,
        y: Structure | None = None,
        mask: Tensor | np.ndarray | None = None,
        weights: Tensor | None = None,
    ) -> Tensor:
        """Value of the objective.

        Args:
            teacher: The projections, each (batch, steps, heads, size).
            student: Likewise.
            y: Not used.
            mask: Which positions are no padding, (batch, steps).
            weights: Of queries, (batch, steps).

        Returns:
            Shape (batch,).
        """
        count = len(self.projections)
        t, s = teacher[-count:], student[-count:]
        return self._value(t, s, self._pairs(s[0], mask), mask, weights)

    def _weighted_value(
        self,
        teacher: Any,
        student: Any,
        y: Structure | None,
        mask: Tensor | np.ndarray | None,
        position_weights: Tensor | None,
    ) -> Tensor:
        # A weight is a query's, a mask also a key's: they stay apart.
        return self.compare(teacher, student, y, mask=mask, weights=position_weights)

    def _value(self, teacher: Any, student: Any, pairs: Tensor | None, mask: Any, weights: Tensor | None) -> Tensor:
        """The value, `pairs` telling which key each query is compared with, (batch or 1, steps, steps)."""
        raise NotImplementedError

    def _pairs(self, query: Tensor, mask: Tensor | np.ndarray | None) -> Tensor | None:
        if mask is None and not self.causal:
            return None
        steps = ops.shape(query)[1]
        places = ops.arange(steps)
        pairs = places[:, None] >= places[None] if self.causal else ops.ones((steps, steps), dtype="bool")
        pairs = ops.expand_dims(pairs, 0)
        if mask is None:
            return pairs
        kept = ops.cast(mask, "bool")
        return ops.logical_and(pairs, ops.logical_and(kept[:, :, None], kept[:, None, :]))

    def _divergence(self, teacher: Tensor, student: Tensor, pairs: Tensor | None) -> Tensor:
        """KL of what each query looks at, mean over heads: scores (batch, heads, steps, steps) -> (batch, steps)."""
        if pairs is not None:
            # A padded query, which will not count, looks at all alike.
            allowed = ops.expand_dims(pairs, 1)
            teacher, student = (ops.where(allowed, scores, -1e9) for scores in (teacher, student))
        return ops.mean(categorical_divergence(teacher, student), axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "causal": self.causal}


class OnHeads(OnAttention):
    """An objective that compares head with head."""

    def __init__(
        self, weight: float | Schedule = 1.0, *, causal: bool = False, **kwargs: Unpack[ObjectiveArguments]
    ) -> None:
        super().__init__(weight, causal, **kwargs)

    def check(self, teacher_shape: Any, student_shape: Any) -> None:
        super().check(teacher_shape, student_shape)
        heads = [shapes[-1][2] for shapes in (teacher_shape, student_shape)]
        if heads[0] != heads[1]:
            raise ValueError(
                f"{self.message_name}: teacher has {heads[0]} heads, student has {heads[1]}; head is compared with head, "
                "so take as many, or AttentionRelation"
            )


@serializable
class AttentionScores(OnHeads):
    """Match an attention layer's scores before their softmax: 1/h * sum over heads of the mean of (A_s - A_t)^2.

    A = Q K^T / sqrt(d) of each head. The mean is over the pairs of positions of which neither is padding.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        causal: Compare only what positions pay to themselves and to the past, as in a model of text; True where the layers
            are called with `use_causal_mask`.
        kwargs: `name`, `teacher_layer`, `student_layer`; see `Objective`. The layers are MultiHeadAttention.

    Shapes: of each side (query, key), each (batch, steps, heads, size of a head) -> (batch,), at least 0.

    Raises:
        ValueError: For different numbers of heads or steps, and layers that are no MultiHeadAttention or attend to another
            sequence.

    Examples:
        >>> teacher = keras_kd.schemes.encoder(vocabulary=20, length=6, width=16, depth=4, heads=2)
        >>> student = keras_kd.schemes.encoder(vocabulary=20, length=6, width=8, depth=2, heads=2)
        >>> last = keras_kd.AttentionScores(teacher_layer="block_3_attention", student_layer="block_1_attention")
        >>> distiller = keras_kd.Distiller(teacher, student, [keras_kd.SoftTarget(2.0), last])

    Source: TinyBERT, Jiao et al. 2020, equation 7, https://arxiv.org/abs/1909.10351
    """

    def _value(self, teacher: Any, student: Any, pairs: Tensor | None, mask: Any, weights: Tensor | None) -> Tensor:
        values = ops.mean(ops.square(_scores(*teacher) - _scores(*student)), axis=1)
        if pairs is not None:
            values = values * mask_weights(pairs)
        return ops.mean(flat(weighted(values, weights)), axis=-1)


@serializable
class AttentionDistribution(OnHeads):
    """Match what an attention layer looks at: KL(softmax(A_t) || softmax(A_s)), mean over heads and positions.

    A = Q K^T / sqrt(d) of each head. Padding is neither looked at nor looks.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        causal: Positions look at themselves and the past only; True where the layers are called with `use_causal_mask`.
        kwargs: `name`, `teacher_layer`, `student_layer`; see `Objective`. The layers are MultiHeadAttention.

    Shapes: of each side (query, key), each (batch, steps, heads, size of a head) -> (batch,), at least 0.

    Raises:
        ValueError: As AttentionScores.

    Examples:
        >>> query, key = np.random.default_rng(0).normal(size=(2, 3, 5, 2, 4))
        >>> np.array(keras_kd.AttentionDistribution()((query, key), (query, key))).round(5)
        array([0., 0., 0.], dtype=float32)

    Source: MiniLM, Wang et al. 2020, section 3.1, https://arxiv.org/abs/2002.10957
    """

    def _value(self, teacher: Any, student: Any, pairs: Tensor | None, mask: Any, weights: Tensor | None) -> Tensor:
        return _over_queries(self._divergence(_scores(*teacher), _scores(*student), pairs), mask, weights)


@serializable
class AttentionRelation(OnAttention):
    """Match how positions relate by queries, by keys and by values: sum over the three of KL(R_t || R_s).

    R = softmax(X X^T / sqrt(d)), X being all heads' queries (keys, values) in a row, split again into `relation_heads` parts of
    d numbers; mean over those heads and positions. Teacher and student may differ in heads and width.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        relation_heads: How many parts, a divisor of both widths (heads times their size); None for the student's heads.
        relations: Which of 'query', 'key' and 'value'; ('value',) is MiniLM's first version.
        causal: Positions relate to themselves and the past only; True where the layers are called with `use_causal_mask`.
        kwargs: `name`, `teacher_layer`, `student_layer`; see `Objective`. The layers are MultiHeadAttention.

    Shapes: of each side one (batch, steps, heads, size of a head) for each relation -> (batch,), at least 0.

    Raises:
        ValueError: For widths that `relation_heads` does not divide, unknown relations, different numbers of steps, and layers
            that are no MultiHeadAttention or attend to another sequence.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> teacher, student = rng.normal(size=(3, 2, 5, 4, 8)), rng.normal(size=(3, 2, 5, 3, 8))
        >>> keras_kd.AttentionRelation(relation_heads=4)(tuple(teacher), tuple(student)).shape[0]
        2

    Source: MiniLMv2, Wang et al. 2021, section 3.1, https://arxiv.org/abs/2012.15828
    """

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        *,
        relation_heads: int | None = None,
        relations: Sequence[str] = PROJECTIONS,
        causal: bool = False,
        **kwargs: Unpack[ObjectiveArguments],
    ) -> None:
        super().__init__(weight, causal, **kwargs)
        if isinstance(relations, str) or not relations or set(relations) - set(PROJECTIONS):
            raise ValueError(
                f"objective AttentionRelation: relations are some of 'query', 'key', 'value', got {relations!r}"
            )
        self.relation_heads = (
            None
            if relation_heads is None
            else int(require_number(relation_heads, "objective AttentionRelation: relation_heads", minimum=1.0))
        )
        self.projections = tuple(relations)

    def check(self, teacher_shape: Any, student_shape: Any) -> None:
        super().check(teacher_shape, student_shape)
        heads = self._heads(student_shape[-1])
        for who, shape in (("teacher", teacher_shape[-1]), ("student", student_shape[-1])):
            if math.prod(shape[2:]) % heads:
                raise ValueError(
                    f"objective AttentionRelation: the {who}'s {shape[2]} heads of {shape[3]} are {math.prod(shape[2:])} "
                    f"numbers, which {heads} relation heads do not divide; give relation_heads a common divisor"
                )

    def _heads(self, student_shape: Shape) -> int:
        return self.relation_heads or int(student_shape[2] or 1)

    def _value(self, teacher: Any, student: Any, pairs: Tensor | None, mask: Any, weights: Tensor | None) -> Tensor:
        heads = self._heads(student[-1].shape)
        values = [
            self._divergence(_related(t, heads), _related(s, heads), pairs)
            for t, s in zip(teacher, student, strict=True)
        ]
        return _over_queries(sum(values[1:], values[0]), mask, weights)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "relation_heads": self.relation_heads,
            "relations": self.projections,
        }


def _scores(query: Tensor, key: Tensor) -> Tensor:
    """(batch, steps, heads, d), twice -> (batch, heads, steps, steps): dot products over the root of d."""
    a, b = ops.transpose(query, (0, 2, 1, 3)), ops.transpose(key, (0, 2, 3, 1))
    return ops.matmul(a, b) / math.sqrt(query.shape[-1])


def _related(projected: Tensor, heads: int) -> Tensor:
    """The scores of positions with each other, the heads being split again: -> (batch, heads, steps, steps)."""
    size = math.prod(projected.shape[2:]) // heads
    split = ops.reshape(projected, (*ops.shape(projected)[:2], heads, size))
    return _scores(split, split)


def _over_queries(values: Tensor, mask: Tensor | np.ndarray | None, weights: Tensor | None) -> Tensor:
    """Mean over the queries that are no padding: (batch, steps) -> (batch,)."""
    if mask is not None:
        values = values * mask_weights(mask)
    return ops.mean(weighted(values, weights), axis=-1)
