"""ReviewKD: the student's early layers are taught by the teacher's early and late ones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Unpack

import keras
from keras import layers, ops

from keras_kd.checks import require_number
from keras_kd.objectives.adapters import convolution, require_features
from keras_kd.objectives.base import Objective, ObjectiveArguments
from keras_kd.objectives.resizing import pooled, repeated
from keras_kd.objectives.tensors import mean_over_inner_axes
from keras_kd.schedules import Schedule
from keras_kd.serialization import serializable
from keras_kd.types import Shape, Structure, Tensor

# Sizes to which maps are averaged for the comparisons of context, each with half the weight of the one before.
CONTEXT = (4, 2, 1)


@serializable
class ReviewKD(Objective):
    """Fuse the student's layers from the last to the first, and compare each fused map with the teacher's of that layer.

    A layer of the student passes a 1x1 convolution with BatchNormalization to `middle` channels; what is fused so far, brought
    to its size, is added, each by a learned attention map, and a convolution over 3 positions with BatchNormalization brings
    it to the teacher's channels. Value: sum over the layers of the hierarchical context loss: mean squared difference of the
    maps and, with weights 1/2, 1/4, 1/8, of both averaged to 4, 2 and 1 positions an axis, over the sum of the weights. The
    last layer may be one without positions, such as the pooled features.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule. The paper brings it up linearly over 20
            epochs: `keras_kd.Ramp`.
        middle: Channels of the fused maps; by default those of the student's last layer, at most 512, as in the authors' code.
        kwargs: `name`, and `teacher_layer` and `student_layer` as sequences of at least two layers each, of the same
            length, from the first to the last; see `Objective`.

    Shapes: teacher and student each a sequence of (batch, *positions, channels) -> (batch,). The student's maps may have
        other sizes than the teacher's.

    Raises:
        ValueError: If the sequences are shorter than two or differ in length, or for features of unknown size.

    Examples:
        >>> layers = ("block_1", "block_2", "pool")
        >>> objective = keras_kd.ReviewKD(teacher_layer=layers, student_layer=layers)
        >>> maps = lambda width: (np.ones((2, 8, 8, width)), np.ones((2, 4, 4, width)), np.ones((2, width)))
        >>> objective(maps(16), maps(4)).shape[0]
        2

    Source: Chen et al. 2021, section 3 and figure 3, https://arxiv.org/abs/2104.09044; sizes as in the authors' code.
    """

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        *,
        middle: int | None = None,
        **kwargs: Unpack[ObjectiveArguments],
    ) -> None:
        super().__init__(weight, **kwargs)
        self.middle = None if middle is None else int(require_number(middle, "objective ReviewKD: middle", minimum=1.0))
        counts = [_count(self.teacher_layer, "teacher_layer"), _count(self.student_layer, "student_layer")]
        if counts[0] != counts[1]:
            raise ValueError(
                f"{self.message_name}: {counts[0]} layers of the teacher for {counts[1]} of the student; name as many of each"
            )
        self.layers_a_side = counts[0]
        # From the last layer to the first, in the order in which they are fused.
        self.fusions = [
            Fusion(number > 0, dtype="float32", name=f"{self.name}_fusion_{number}")
            for number in range(self.layers_a_side)
        ]

    @property
    def learned(self) -> tuple[keras.Layer, ...]:
        return tuple(self.fusions)

    def check(self, teacher_shape: Sequence[Shape], student_shape: Sequence[Shape]) -> None:  # type: ignore[override]
        for side, shapes in (("teacher", teacher_shape), ("student", student_shape)):
            if (
                not isinstance(shapes, (tuple, list))
                or len(shapes) != self.layers_a_side
                or isinstance(shapes[0], (int, type(None)))
            ):
                raise ValueError(
                    f"{self.message_name}: {side} gives {shapes}, {self.layers_a_side} layers are compared"
                )
        for theirs, mine in zip(teacher_shape, student_shape):
            require_features(self.message_name, theirs, mine)
            if None in (*theirs[1:], *mine[1:]):
                raise ValueError(f"{self.message_name} needs features of known size, got {theirs} and {mine}")
        ranks = [len(shape) for shape in student_shape]
        if any(later > earlier for earlier, later in pairwise(ranks)) or len({rank for rank in ranks if rank > 2}) > 1:
            raise ValueError(
                f"{self.message_name}: the student's layers have the shapes {tuple(student_shape)}; name maps of one rank, the "
                "first layer first, and features without positions last"
            )

    def build(self, teacher_shape: Sequence[Shape], student_shape: Sequence[Shape]) -> None:  # type: ignore[override]
        middle = self.middle or min(512, student_shape[-1][-1] or 1)
        for fusion, theirs, mine in zip(self.fusions, reversed(teacher_shape), reversed(student_shape)):
            fusion.build_for(middle, theirs[-1] or 1, mine)

    def compare(  # type: ignore[override]
        self, teacher: Sequence[Tensor], student: Sequence[Tensor], y: Structure | None = None
    ) -> Tensor:
        parts, before = [], None
        for fusion, theirs, mine in zip(self.fusions, reversed(teacher), reversed(student)):
            sizes = tuple(theirs.shape[1:-1])
            guided, before = fusion([mine] if before is None else [mine, before], sizes=sizes, training=self.training)
            parts.append(_context_difference(theirs, guided))
        return sum(parts[1:], parts[0])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "middle": self.middle}


@serializable
class Fusion(keras.layers.Layer):
    """One layer of the student and what is fused so far, as the teacher's layer and as what is fused from here on."""

    def __init__(self, fuses: bool, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.fuses = fuses

    def build_for(self, middle: int, channels: int, student_shape: Shape) -> None:
        """Make the layers for `middle` fused channels, the teacher's channels and a student's layer of this shape."""
        rank, fused = len(student_shape), (*student_shape[:-1], middle)
        self.enter = convolution(middle, rank, 1, name="enter")
        self.enter_norm = layers.BatchNormalization(dtype="float32", name="enter_norm")
        self.leave = convolution(channels, rank, 3, name="leave")
        self.leave_norm = layers.BatchNormalization(dtype="float32", name="leave_norm")
        shapes = [student_shape, fused, fused, (*student_shape[:-1], channels)]
        for part, shape in zip((self.enter, self.enter_norm, self.leave, self.leave_norm), shapes):
            part.build(shape)
        if self.fuses:
            self.attention = convolution(2, rank, 1, use_bias=True, name="attention")
            self.attention.build((*student_shape[:-1], 2 * middle))
        self.built = True

    def call(self, inputs: Sequence[Tensor], sizes: Shape = (), training: bool = False) -> Any:
        fused = self.enter_norm(self.enter(inputs[0]), training=training)
        if self.fuses:
            before = _at(inputs[1], fused)
            shares = ops.sigmoid(self.attention(ops.concatenate([fused, before], axis=-1)))
            fused = fused * shares[..., :1] + before * shares[..., 1:]
        resized = repeated(fused, sizes)
        return self.leave_norm(self.leave(resized), training=training), resized


def _context_difference(teacher: Tensor, student: Tensor) -> Tensor:
    """Mean squared differences of two maps at their own size and averaged to few positions, (batch,)."""
    values, weight, total = mean_over_inner_axes(ops.square(teacher - student)), 1.0, 1.0
    sizes = tuple(teacher.shape[1:-1])
    for size in CONTEXT:
        if not sizes or size >= sizes[0]:
            continue
        weight /= 2.0
        total += weight
        few = tuple(min(size, own) for own in sizes)
        difference = pooled(teacher, few) - pooled(student, few)
        values = values + weight * mean_over_inner_axes(ops.square(difference))
    return values / total


def _at(before: Tensor, like: Tensor) -> Tensor:
    """What is fused so far, (batch, *positions, middle), at the positions of the next layer."""
    missing = len(like.shape) - len(before.shape)
    if missing:
        before = ops.reshape(before, (-1, *([1] * missing), before.shape[-1]))
    return repeated(before, tuple(like.shape[1:-1]))


def _count(layer: object, what: str) -> int:
    if not isinstance(layer, (tuple, list)) or len(layer) < 2:
        raise ValueError(
            f"objective ReviewKD: {what} must name at least two layers, the first layer first, got {layer!r}"
        )
    return len(layer)
