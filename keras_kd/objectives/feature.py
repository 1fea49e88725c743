"""Feature objectives: they compare outputs of layers inside the two models, (batch, *positions, channels)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Unpack

import keras
from keras import ops

from keras_kd.checks import require_number, require_same_shape, require_width
from keras_kd.objectives.base import Objective, ObjectiveArguments
from keras_kd.objectives.resizing import resize_like, resized_weights
from keras_kd.objectives.tensors import along, flat, mean_over_inner_axes, unit, weighted
from keras_kd.schedules import Schedule
from keras_kd.serialization import serializable
from keras_kd.types import Shape, Structure, Tensor


class _Regressed(Objective):
    """An objective with a linear map from the student's channels to the teacher's, the same at every position."""

    takes_mask = True

    def __init__(self, weight: float | Schedule = 1.0, **kwargs: Unpack[ObjectiveArguments]) -> None:
        super().__init__(weight, **kwargs)
        self.regressor = keras.layers.Dense(1, dtype="float32", name=f"{self.name}_regressor")
        self._width: int | None = None

    @property
    def learned(self) -> tuple[keras.Layer, ...]:
        return (self.regressor,)

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        _require_features(self, teacher_shape, student_shape)
        if self._width is not None and teacher_shape[-1] != self._width:
            raise ValueError(
                f"{self.message_name}: learned for {self._width} teacher channels, got {teacher_shape[-1]}; "
                "use an objective of its own for each pair of layers"
            )

    def build(self, teacher_shape: Shape, student_shape: Shape) -> None:
        assert teacher_shape[-1] is not None
        self._width = teacher_shape[-1]
        self.regressor.units = teacher_shape[-1]
        self.regressor.build(student_shape)


@serializable
class Hint(_Regressed):
    """Regress a teacher's layer from a student's: 1/2 * ||teacher - regressor(student)||^2, summed over all features.

    The regressor is a Dense layer on the channels (on a map, a 1x1 convolution). It is trained with the student but does not
    belong to it. Maps of another size are resized to the teacher's; masked positions count as the mean of the others. The sum
    grows with the number of features, so weights are small: 1 / (number of features) gives half the mean squared difference.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        kwargs: `name`, `teacher_layer`, `student_layer`; see `Objective`.

    Shapes: teacher (batch, *positions, channels_t), student (batch, *positions, channels_s) -> (batch,).

    Raises:
        ValueError: For features of different rank.

    Examples:
        >>> hint = keras_kd.Hint(1 / 32, teacher_layer="body", student_layer="body")
        >>> value = hint(np.ones((4, 32)), np.ones((4, 8)))
        >>> value.shape[0], hint.regressor.units
        (4, 32)

    Source: FitNets, Romero et al. 2015, equation 3, https://arxiv.org/abs/1412.6550
    """

    def compare(
        self, teacher: Tensor, student: Tensor, y: Structure | None = None, mask: Tensor | None = None
    ) -> Tensor:
        guided = self.regressor(resize_like(student, teacher))
        squares = weighted(ops.square(teacher - guided), resized_weights(mask, student, teacher))
        return 0.5 * ops.sum(flat(squares), axis=-1)


@serializable
class VariationalInformation(_Regressed):
    """Maximize a bound on the mutual information of two layers: a Gaussian predicts the teacher's from the student's.

    sum over features of (log sigma_c + (teacher - mu(student))^2 / (2 * sigma_c^2)), with mu a learned linear map and
    sigma_c^2 = log(1 + exp(a_c)) + 1e-5 a learned variance per teacher channel. Constants are left out, so the value may be
    negative.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        initial_variance: sigma^2 to start from, above 1e-5.
        kwargs: `name`, `teacher_layer`, `student_layer`; see `Objective`.

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
        self, weight: float | Schedule = 1.0, *, initial_variance: float = 5.0, **kwargs: Unpack[ObjectiveArguments]
    ) -> None:
        super().__init__(weight, **kwargs)
        self.initial_variance = require_number(
            initial_variance, "objective VariationalInformation: initial_variance", above=1e-5
        )
        initial = math.log(math.expm1(self.initial_variance - 1e-5))
        self.raw_variance = _PerChannel(initial, dtype="float32", name=f"{self.name}_raw_variance")

    @property
    def learned(self) -> tuple[keras.Layer, ...]:
        return (self.regressor, self.raw_variance)

    def build(self, teacher_shape: Shape, student_shape: Shape) -> None:
        super().build(teacher_shape, student_shape)
        self.raw_variance.build(teacher_shape)

    def compare(
        self, teacher: Tensor, student: Tensor, y: Structure | None = None, mask: Tensor | None = None
    ) -> Tensor:
        mean = self.regressor(resize_like(student, teacher))
        variance = ops.softplus(self.raw_variance(teacher)) + 1e-5
        rows = (ops.shape(teacher)[0], -1, teacher.shape[-1])
        weights = resized_weights(mask, student, teacher)
        squares = ops.reshape(weighted(ops.square(teacher - mean), weights), rows)
        if weights is None:
            positions = ops.cast(ops.shape(squares)[1], "float32")
        else:
            counts = ops.broadcast_to(along(weights, teacher)[..., :1], (*ops.shape(teacher)[:-1], 1))
            positions = ops.sum(flat(counts), axis=-1, keepdims=True)
        # Summed over positions first: what is left has one value a channel.
        return ops.sum(ops.sum(squares, axis=1) / (2.0 * variance) + 0.5 * positions * ops.log(variance), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "initial_variance": self.initial_variance}


@serializable
class AttentionTransfer(Objective):
    """Match where teacher and student look: their maps of attention, whatever the number of channels.

    Each map is reduced to its channel mean of squares, flattened and L2-normalized; the value is the mean squared
    difference. Maps of another size are resized to the teacher's.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        kwargs: `name`, `teacher_layer`, `student_layer`; see `Objective`.

    Shapes: teacher (batch, *positions, channels_t), student (batch, *positions, channels_s) -> (batch,).

    Raises:
        ValueError: If a feature has no position axis, or a single position (its map is always 1), or the ranks differ.

    Examples:
        >>> objective = keras_kd.AttentionTransfer(100.0, teacher_layer="conv_4", student_layer="conv_2")
        >>> maps = np.random.default_rng(0).normal(size=(2, 16, 8))
        >>> np.array(objective(maps, maps))
        array([0., 0.], dtype=float32)

    Source: Zagoruyko and Komodakis 2017, equation 2, https://arxiv.org/abs/1612.03928
    """

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        _require_features(self, teacher_shape, student_shape)
        if len(teacher_shape) < 3:
            raise ValueError(
                f"objective AttentionTransfer needs maps (batch, *positions, channels), got {tuple(teacher_shape)}; "
                "name a layer before pooling"
            )
        if math.prod(size or 0 for size in teacher_shape[1:-1]) == 1:
            raise ValueError(
                f"objective AttentionTransfer: a map of one position, {tuple(teacher_shape)}, is always 1 once normalized and "
                "teaches nothing; name an earlier layer, or use Hint"
            )

    def compare(self, teacher: Tensor, student: Tensor, y: Structure | None = None) -> Tensor:
        difference = attention_map(teacher) - attention_map(resize_like(student, teacher))
        return ops.mean(ops.square(difference), axis=-1)


@serializable
class FlowOfSolution(Objective):
    """Match how features change from one layer to a later one: the Gram matrix of two layers' channels.

    G[i, j] = sum over positions of first[i] * second[j] / positions; the value is ||G_teacher - G_student||^2. Where the
    first map's size is an integer multiple of the second's, it is max-pooled down to it.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        kwargs: `name`, and `teacher_layer` and `student_layer` as pairs (first, second) whose channels agree between the
            models; see `Objective`.

    Shapes: teacher and student each a pair (batch, *positions, c1), (batch, *positions, c2) -> (batch,).

    Raises:
        ValueError: If a pair is missing, channels differ, or sizes are no integer multiples.

    Examples:
        >>> objective = keras_kd.FlowOfSolution(teacher_layer=("conv_1", "conv_4"), student_layer=("conv_1", "conv_2"))
        >>> first, second = np.ones((2, 16, 4)), np.ones((2, 8, 6))
        >>> np.array(objective((first, second), (first, second)))
        array([0., 0.], dtype=float32)

    Source: Yim et al. 2017, equations 1 and 2.
    """

    layers_a_side = 2

    def check(  # type: ignore[override]
        self, teacher_shape: Sequence[Shape], student_shape: Sequence[Shape]
    ) -> None:
        for side, shapes in (("teacher", teacher_shape), ("student", student_shape)):
            if not isinstance(shapes, (tuple, list)) or len(shapes) != 2 or not isinstance(shapes[0], (tuple, list)):
                raise ValueError(f"objective FlowOfSolution: {side}_layer must be a pair of layers (first, second)")
            if any(len(shape) < 3 for shape in shapes) or len(shapes[0]) != len(shapes[1]):
                raise ValueError(f"objective FlowOfSolution: {side} needs two maps of one rank, got {shapes}")
            for first, second in zip(shapes[0][1:-1], shapes[1][1:-1]):
                if first is not None and second is not None and first % second:
                    raise ValueError(
                        f"objective FlowOfSolution: {side} map of {first} positions is no multiple of {second}"
                    )
        channels = [tuple(shape[-1] for shape in shapes) for shapes in (teacher_shape, student_shape)]
        if channels[0] != channels[1]:
            raise ValueError(
                f"objective FlowOfSolution: teacher channels {channels[0]}, student channels {channels[1]}; they must agree"
            )

    def compare(  # type: ignore[override]
        self, teacher: Sequence[Tensor], student: Sequence[Tensor], y: Structure | None = None
    ) -> Tensor:
        return ops.sum(ops.square(_flow(*teacher) - _flow(*student)), axis=(1, 2))


@serializable
class CosineHidden(Objective):
    """Align hidden states: 1 - cos(teacher, student) at each position, averaged over positions that are not masked.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        kwargs: `name`, `teacher_layer`, `student_layer`; see `Objective`.

    Shapes: teacher (batch, ..., width), student (batch, ..., width) -> (batch,), from 0 to 2 without a mask.

    Raises:
        ValueError: For different shapes, or a width of 1, where a cosine is always 1 or -1.

    Examples:
        >>> objective = keras_kd.CosineHidden(teacher_layer="block_5", student_layer="block_2")
        >>> np.array(objective(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])))
        array([1.], dtype=float32)

    Source: DistilBERT, Sanh et al. 2019, section 2, https://arxiv.org/abs/1910.01108
    """

    takes_mask = True

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        require_same_shape(self.message_name, teacher_shape, student_shape)
        require_width(self.message_name, teacher_shape[-1], teacher_shape, "a cosine")

    def compare(
        self, teacher: Tensor, student: Tensor, y: Structure | None = None, mask: Tensor | None = None
    ) -> Tensor:
        return mean_over_inner_axes(1.0 - ops.sum(unit(teacher) * unit(student), axis=-1), mask)


def attention_map(features: Tensor) -> Tensor:
    """Channel mean of squares, flattened and L2-normalized: (batch, *positions, channels) -> (batch, positions)."""
    return unit(flat(ops.mean(ops.square(features), axis=-1)))


def _flow(first: Tensor, second: Tensor) -> Tensor:
    """Gram matrix of two maps' channels, (batch, c1, c2)."""
    pool = tuple(a // b for a, b in zip(first.shape[1:-1], second.shape[1:-1]))
    if any(factor > 1 for factor in pool):
        first = ops.max_pool(first, pool, pool, data_format="channels_last")
    first, second = (ops.reshape(f, (ops.shape(f)[0], -1, f.shape[-1])) for f in (first, second))
    return ops.einsum("bpi,bpj->bij", first, second) / ops.cast(ops.shape(first)[1], "float32")


def _require_features(objective: Objective, teacher_shape: Shape, student_shape: Shape) -> None:
    label = objective.message_name
    if len(teacher_shape) != len(student_shape):
        raise ValueError(
            f"{label}: teacher gives {tuple(teacher_shape)}, student gives {tuple(student_shape)}; the ranks must agree"
        )
    if not 2 <= len(teacher_shape) <= 4 or teacher_shape[-1] is None or student_shape[-1] is None:
        raise ValueError(
            f"{label} takes (batch, channels), (batch, steps, channels) or (batch, height, width, channels) with known "
            f"channels, got {tuple(teacher_shape)} and {tuple(student_shape)}"
        )


@serializable
class _PerChannel(keras.layers.Layer):
    """One learned number per channel, whatever the input."""

    def __init__(self, initial: float, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.initial = initial

    def build(self, input_shape: Shape) -> None:
        self.value = self.add_weight(
            shape=(input_shape[-1],), initializer=keras.initializers.Constant(self.initial), name="value"
        )
        self.built = True

    def call(self, inputs: Tensor) -> Any:
        return ops.convert_to_tensor(self.value)
