"""OFD: features before a ReLU, compared where the ReLU lets them through."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Unpack

import keras
import numpy as np
from keras import ops

from keras_kd.objectives.adapters import Adapted, Adapting
from keras_kd.objectives.base import ObjectiveArguments
from keras_kd.objectives.learned import NegativeMeans
from keras_kd.objectives.resizing import at_one_size, weights_at
from keras_kd.objectives.tensors import mean_over_inner_axes
from keras_kd.schedules import Schedule
from keras_kd.serialization import serializable
from keras_kd.types import Shape, Structure, Tensor


@serializable
class MarginRelu(Adapted):
    """Regress the teacher's features before their ReLU, but only where they matter behind it.

    Target t' = max(teacher, margin_c); mean over features of (t' - adapter(student))^2, which counts 0 where the student is
    at most t' and t' is not positive: behind a ReLU both are zero there. A channel's margin is the mean of the teacher's
    negative responses: given, or averaged over the training batches so far. The authors sum over features and weigh with
    0.001; here it is a mean.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        margins: The channels' margins, one number at most 0 for each of the teacher's; `margins_of` reads them from a
            BatchNormalization before the ReLU. None averages over batches.
        adapter: 'norm', a 1x1 convolution with BatchNormalization, as in the paper; else as `Hint` takes it.
        kwargs: `name`, `teacher_layer`, `student_layer`, `ignore_class`; see `Objective`.

    Shapes: teacher (batch, *positions, channels_t), student (batch, *positions, channels_s) -> (batch,), both before a ReLU.

    Raises:
        ValueError: For features of different rank, margins above 0 or not one a channel.

    Examples:
        >>> objective = keras_kd.MarginRelu(margins=[-1.0, -1.0], adapter=None)
        >>> teacher = np.array([[2.0, -3.0]])
        >>> np.array(objective(teacher, np.array([[1.0, -5.0]])))  # the second entry is zero behind both ReLUs
        array([0.5], dtype=float32)

    Source: OFD, Heo et al. 2019, equations 1 to 4, https://arxiv.org/abs/1904.01866
    """

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        *,
        margins: Sequence[float] | np.ndarray | None = None,
        adapter: Adapting = "norm",
        **kwargs: Unpack[ObjectiveArguments],
    ) -> None:
        super().__init__(weight, adapter=adapter, **kwargs)
        self.margins = None if margins is None else tuple(float(margin) for margin in np.asarray(margins).reshape(-1))
        if self.margins is not None and not all(-math.inf < margin <= 0.0 for margin in self.margins):
            raise ValueError(
                f"{self.message_name}: margins are means of negative responses, at most 0, got {self.margins}"
            )
        self.negative_means = NegativeMeans(dtype="float32", name=f"{self.name}_negative_means")

    @property
    def learned(self) -> tuple[keras.Layer, ...]:
        return super().learned if self.margins is not None else (*super().learned, self.negative_means)

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        super().check(teacher_shape, student_shape)
        if self.margins is not None and len(self.margins) != teacher_shape[-1]:
            raise ValueError(
                f"{self.message_name}: {len(self.margins)} margins for {teacher_shape[-1]} channels of the teacher"
            )

    def build(self, teacher_shape: Shape, student_shape: Shape) -> None:
        super().build(teacher_shape, student_shape)
        if self.margins is None:
            self.negative_means.build(teacher_shape)

    def compare(
        self, teacher: Tensor, student: Tensor, y: Structure | None = None, mask: Tensor | None = None
    ) -> Tensor:
        if self.margins is None:
            margins = self.negative_means.value(ops.stop_gradient(teacher), keep=self.training)
        else:
            margins = ops.convert_to_tensor(self.margins, dtype="float32")
        theirs, mine = at_one_size(ops.maximum(teacher, margins), student)
        guided = self.adapted(mine)
        matters = ops.cast(ops.logical_or(theirs > 0, guided > theirs), "float32")
        return mean_over_inner_axes(matters * ops.square(theirs - guided), weights_at(mask, student, mine))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "margins": self.margins}


def margins_of(batch_norm: keras.layers.BatchNormalization) -> np.ndarray:
    """Margins for `MarginRelu` of a teacher that has this BatchNormalization before a ReLU, one a channel, float32.

    A channel's responses are taken as normal with mean beta and standard deviation |gamma|: the margin is their mean given
    that they are negative, and -3 |gamma| where hardly any is.

    Raises:
        ValueError: For another layer, or one that does not scale and center.

    Examples:
        >>> layer = keras.layers.BatchNormalization()
        >>> layer.build((None, 2))
        >>> keras_kd.margins_of(layer).round(3)
        array([-0.798, -0.798], dtype=float32)

    Source: OFD, Heo et al. 2019, equation 5, https://arxiv.org/abs/1904.01866; the limit as in the authors' code.
    """
    if (
        not isinstance(batch_norm, keras.layers.BatchNormalization)
        or batch_norm.gamma is None
        or batch_norm.beta is None
    ):
        raise ValueError(
            "margins_of takes a built BatchNormalization with scale and center, got "
            f"{getattr(batch_norm, 'name', batch_norm)!r}"
        )
    deviations = np.abs(np.asarray(ops.convert_to_numpy(batch_norm.gamma), np.float64))
    means = np.asarray(ops.convert_to_numpy(batch_norm.beta), np.float64)
    return np.array([_mean_below_zero(mean, max(s, 1e-12)) for mean, s in zip(means, deviations)], np.float32)


def _mean_below_zero(mean: float, deviation: float) -> float:
    ratio = mean / deviation
    below = 0.5 * math.erfc(ratio / math.sqrt(2.0))
    if below <= 0.001:
        return -3.0 * deviation
    return mean - deviation * math.exp(-(ratio**2) / 2.0) / (math.sqrt(2.0 * math.pi) * below)
