"""Feature objectives: they compare outputs of layers inside the two models, (batch, *positions, channels), entry by entry."""

from __future__ import annotations

import math
from typing import Any, Unpack

import keras
from keras import ops

from keras_kd.checks import require_number, require_same_shape, require_width
from keras_kd.objectives.adapters import Adapted, Adapting
from keras_kd.objectives.base import ObjectiveArguments
from keras_kd.objectives.learned import PerChannel
from keras_kd.objectives.resizing import at_one_size, weights_at
from keras_kd.objectives.tensors import along, flat, mean_over_inner_axes, unit, weighted
from keras_kd.schedules import Schedule
from keras_kd.serialization import serializable
from keras_kd.types import Shape, Structure, Tensor


@serializable
class Hint(Adapted):
    """Regress a teacher's layer from a student's: mean over all features of (teacher - adapter(student))^2.

    The adapter, by default a Dense layer on the channels (on a map, a 1x1 convolution), is trained with the student but does
    not belong to it. Of maps of two sizes the larger is averaged down; masked positions count as the mean of the others.
    The paper sums over features and halves; a mean gives a weight the same meaning at any size, as in mdistiller and
    torchdistill.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        adapter: 'linear', 'conv' (convolution, BatchNormalization, ReLU), 'mlp', 'as_needed' (linear where the numbers of
            channels differ), a Keras layer, or None for features that have the same channels.
        kwargs: `name`, `teacher_layer`, `student_layer`, `ignore_class`; see `Objective`.

    Shapes: teacher (batch, *positions, channels_t), student (batch, *positions, channels_s) -> (batch,).

    Raises:
        ValueError: For features of different rank, or channels that the adapter does not bring together.

    Examples:
        >>> hint = keras_kd.Hint(0.5, teacher_layer="body", student_layer="body")
        >>> value = hint(np.ones((4, 32)), np.ones((4, 8)))
        >>> value.shape[0], hint.adapter_layer.channels
        (4, 32)

    Source: FitNets, Romero et al. 2015, equation 3, https://arxiv.org/abs/1412.6550
    """

    def compare(
        self, teacher: Tensor, student: Tensor, y: Structure | None = None, mask: Tensor | None = None
    ) -> Tensor:
        theirs, mine = at_one_size(teacher, student)
        return mean_over_inner_axes(ops.square(theirs - self.adapted(mine)), weights_at(mask, student, mine))


@serializable
class VariationalInformation(Adapted):
    """Maximize a bound on the mutual information of two layers: a Gaussian predicts the teacher's from the student's.

    mean over features of (log sigma_c + (teacher - mu(student))^2 / (2 * sigma_c^2)), with mu a learned map, by default
    linear, and sigma_c^2 = log(1 + exp(a_c)) + 1e-5 a learned variance per teacher channel. Constants are left out, so the
    value may be negative. The paper sums over features; the authors' code averages, as here. Of maps of two sizes the larger
    is averaged down.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        initial_variance: sigma^2 to start from, above 1e-5.
        adapter: The map mu: 'linear', 'conv', 'mlp', a Keras layer, or None; see `Hint`.
        kwargs: `name`, `teacher_layer`, `student_layer`, `ignore_class`; see `Objective`.

    Shapes: teacher (batch, *positions, channels_t), student (batch, *positions, channels_s) -> (batch,).

    Raises:
        ValueError: For features of different rank.

    Examples:
        >>> objective = keras_kd.VariationalInformation(teacher_layer="body", student_layer="body")
        >>> objective(np.ones((4, 32)), np.ones((4, 8))).shape[0]
        4

    Source: Ahn et al. 2019, equations 5 and 6, https://arxiv.org/abs/1904.05835
    """

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        *,
        initial_variance: float = 5.0,
        adapter: Adapting = "linear",
        **kwargs: Unpack[ObjectiveArguments],
    ) -> None:
        super().__init__(weight, adapter=adapter, **kwargs)
        self.initial_variance = require_number(
            initial_variance, "objective VariationalInformation: initial_variance", above=1e-5
        )
        initial = math.log(math.expm1(self.initial_variance - 1e-5))
        self.raw_variance = PerChannel(initial, dtype="float32", name=f"{self.name}_raw_variance")

    @property
    def learned(self) -> tuple[keras.Layer, ...]:
        return (*super().learned, self.raw_variance)

    def build(self, teacher_shape: Shape, student_shape: Shape) -> None:
        super().build(teacher_shape, student_shape)
        self.raw_variance.build(teacher_shape)

    def compare(
        self, teacher: Tensor, student: Tensor, y: Structure | None = None, mask: Tensor | None = None
    ) -> Tensor:
        theirs, mine = at_one_size(teacher, student)
        variance = ops.softplus(self.raw_variance(theirs)) + 1e-5
        rows = (ops.shape(theirs)[0], -1, theirs.shape[-1])
        weights = weights_at(mask, student, mine)
        # Averaged over positions first: what is left has one value a channel.
        squares = ops.mean(ops.reshape(weighted(ops.square(theirs - self.adapted(mine)), weights), rows), axis=1)
        log_variance = ops.mean(0.5 * ops.log(variance))
        if weights is not None:
            counts = ops.broadcast_to(along(weights, theirs)[..., :1], (*ops.shape(theirs)[:-1], 1))
            log_variance = log_variance * ops.mean(flat(counts), axis=-1)
        return ops.mean(squares / (2.0 * variance), axis=-1) + log_variance

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "initial_variance": self.initial_variance}


@serializable
class CosineHidden(Adapted):
    """Align hidden states: 1 - cos(teacher, adapter(student)) at each position, averaged over positions that are not masked.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        adapter: None for states of one width, as in DistilBERT; else as `Hint` takes it.
        kwargs: `name`, `teacher_layer`, `student_layer`, `ignore_class`; see `Objective`.

    Shapes: teacher (batch, ..., width), student (batch, ..., width) -> (batch,), from 0 to 2 without a mask.

    Raises:
        ValueError: For different shapes, or a width of 1, where a cosine is always 1 or -1.

    Examples:
        >>> objective = keras_kd.CosineHidden(teacher_layer="block_5", student_layer="block_2")
        >>> np.array(objective(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])))
        array([1.], dtype=float32)

    Source: DistilBERT, Sanh et al. 2019, section 2, https://arxiv.org/abs/1910.01108
    """

    def __init__(
        self, weight: float | Schedule = 1.0, *, adapter: Adapting = None, **kwargs: Unpack[ObjectiveArguments]
    ) -> None:
        super().__init__(weight, adapter=adapter, **kwargs)

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        if self.adapter is None:
            require_same_shape(self.message_name, teacher_shape, student_shape)
        else:
            super().check(teacher_shape, student_shape)
            require_same_shape(self.message_name, teacher_shape[:-1], student_shape[:-1])
        require_width(self.message_name, teacher_shape[-1], teacher_shape, "a cosine")

    def compare(
        self, teacher: Tensor, student: Tensor, y: Structure | None = None, mask: Tensor | None = None
    ) -> Tensor:
        return mean_over_inner_axes(1.0 - ops.sum(unit(teacher) * unit(self.adapted(student)), axis=-1), mask)


@serializable
class SimpleRecipe(Adapted):
    """SRD: log of the mean of |teacher - adapter(student)|^4, both normalized over the batch, channel by channel.

    The logarithm makes large differences count less and small ones more; the power lets the worst channels lead. The paper
    sums inside the logarithm, which only adds a constant. On maps, positions count as further examples.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        power: Of the difference, above 0; 4 in the paper.
        adapter: The projector, linear in the paper; see `Hint`.
        kwargs: `name`, `teacher_layer`, `student_layer`; see `Objective`.

    Shapes: teacher (batch, *positions, channels_t), student (batch, *positions, channels_s) -> (), from about -12 for equal
        features up. A batch of one example without positions teaches nothing: normalized over itself it is zero.

    Raises:
        ValueError: For features of different rank, a power that is not positive.

    Examples:
        >>> objective = keras_kd.SimpleRecipe(teacher_layer="pool", student_layer="pool")
        >>> features = np.random.default_rng(0).normal(size=(8, 16))
        >>> len(objective(features, features[:, :4]).shape)
        0

    Source: SRD, Miles and Mikolajczyk 2024, https://arxiv.org/abs/2303.11098; normalization, power and logarithm as in the
        authors' code for ImageNet.
    """

    takes_mask = False

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        *,
        power: float = 4.0,
        adapter: Adapting = "linear",
        **kwargs: Unpack[ObjectiveArguments],
    ) -> None:
        super().__init__(weight, adapter=adapter, **kwargs)
        self.power = require_number(power, "objective SimpleRecipe: power", above=0.0)

    def compare(self, teacher: Tensor, student: Tensor, y: Structure | None = None) -> Tensor:
        theirs, mine = at_one_size(teacher, student)
        difference = ops.abs(_over_batch(theirs) - _over_batch(self.adapted(mine)))
        # Zero differences have no slope at powers below 1.
        positive = difference > 0
        powers = ops.where(positive, ops.power(ops.where(positive, difference, 1.0), self.power), 0.0)
        return ops.log(ops.mean(powers) + 1e-5)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "power": self.power}


def _over_batch(features: Tensor) -> Tensor:
    """Features less their mean over their standard deviation, channel by channel over all examples and positions."""
    axes = tuple(range(len(features.shape) - 1))
    centered = features - ops.mean(features, axis=axes, keepdims=True)
    return centered / ops.sqrt(ops.mean(ops.square(centered), axis=axes, keepdims=True) + 1e-4)
