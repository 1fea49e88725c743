"""MGD: the teacher's features generated from a part of the student's."""

from __future__ import annotations

from typing import Any, Unpack

import keras
from keras import layers, ops

from keras_kd.checks import require_number
from keras_kd.objectives.adapters import Adapted, Adapting, convolution
from keras_kd.objectives.base import ObjectiveArguments
from keras_kd.objectives.resizing import at_one_size, weights_at
from keras_kd.objectives.tensors import mean_over_inner_axes
from keras_kd.schedules import Schedule
from keras_kd.serialization import serializable
from keras_kd.types import Shape, Structure, Tensor


@serializable
class MaskedGeneration(Adapted):
    """MGD: mean over features of (teacher - G(masked adapter(student)))^2: the student must hold what rebuilds the teacher.

    Each position of the student's map, or each channel of features without positions, is set to zero with a probability, and G
    rebuilds the whole: two convolutions over 3 positions with a ReLU between (on features without positions two Dense layers).
    Drawn again in each training step from the seed; outside training nothing is masked. The authors sum over features; this
    is a mean. Of maps of two sizes the larger is averaged down.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        masked: Probability that a position is masked, from 0 to below 1; the paper takes 0.65 for detection, 0.15 to 0.5 for
            classification.
        adapter: 'as_needed' is a 1x1 convolution where the numbers of channels differ; else as `Hint` takes it.
        seed: Of the masks, at least 0.
        kwargs: `name`, `teacher_layer`, `student_layer`, `ignore_class`; see `Objective`.

    Shapes: teacher (batch, *positions, channels_t), student (batch, *positions, channels_s) -> (batch,).

    Raises:
        ValueError: For features of different rank or a probability out of range.

    Examples:
        >>> objective = keras_kd.MaskedGeneration(masked=0.5, teacher_layer="conv_4", student_layer="conv_2")
        >>> objective(np.ones((4, 6, 6, 8)), np.ones((4, 6, 6, 3))).shape[0]
        4

    Source: Yang et al. 2022, equations 3 to 5, https://arxiv.org/abs/2205.01529
    """

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        *,
        masked: float = 0.65,
        adapter: Adapting = "as_needed",
        seed: int = 0,
        **kwargs: Unpack[ObjectiveArguments],
    ) -> None:
        super().__init__(weight, adapter=adapter, **kwargs)
        self.masked = require_number(masked, "objective MaskedGeneration: masked", minimum=0.0, maximum=1.0 - 1e-6)
        self.seed = int(require_number(seed, "objective MaskedGeneration: seed", minimum=0.0))
        self.generator = Generator(self.masked, self.seed, dtype="float32", name=f"{self.name}_generator")

    @property
    def learned(self) -> tuple[keras.Layer, ...]:
        return (*super().learned, self.generator)

    def build(self, teacher_shape: Shape, student_shape: Shape) -> None:
        super().build(teacher_shape, student_shape)
        self.generator.build((*student_shape[:-1], teacher_shape[-1]))

    def compare(
        self, teacher: Tensor, student: Tensor, y: Structure | None = None, mask: Tensor | None = None
    ) -> Tensor:
        theirs, mine = at_one_size(teacher, student)
        generated = self.generator(self.adapted(mine), training=self.training)
        return mean_over_inner_axes(ops.square(theirs - generated), weights_at(mask, student, mine))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "masked": self.masked, "seed": self.seed}


@serializable
class Generator(keras.layers.Layer):
    """Features of which some positions are masked, rebuilt: (batch, *positions, channels) -> the same."""

    def __init__(self, masked: float, seed: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.masked = masked
        self.draws = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Shape) -> None:
        channels, rank = input_shape[-1] or 1, len(input_shape)
        self.first = convolution(channels, rank, 3, use_bias=True, name="first")
        self.second = convolution(channels, rank, 3, use_bias=True, name="second")
        self.between = layers.ReLU(dtype="float32", name="between")
        for part in (self.first, self.second):
            part.build(input_shape)
        self.built = True

    def call(self, inputs: Tensor, training: bool = False) -> Any:
        if training and self.masked:
            shape = ops.shape(inputs)
            drawn = (*shape[:-1], 1) if len(shape) > 2 else shape
            kept = keras.random.uniform(drawn, seed=self.draws) >= self.masked
            inputs = inputs * ops.cast(kept, inputs.dtype)
        return self.second(self.between(self.first(inputs)))
