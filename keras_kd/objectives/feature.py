"""Feature objectives: what layers inside the two models give. Features are (batch, *positions, channels)."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_kd.objectives.base import (
    Objective,
    along,
    flat,
    mean_over_inner_axes,
    require_number,
    require_same_shape,
    require_width,
    serializable,
    unit,
)
from keras_kd.schedules import Schedule

Shape = tuple[int | None, ...]


class _Regressed(Objective):
    """An objective with a linear map from the student's channels to the teacher's, the same at every position."""

    takes_mask = True

    def __init__(self, weight: float | Schedule = 1.0, **kwargs: Any) -> None:
        super().__init__(weight, **kwargs)
        self.regressor = keras.layers.Dense(1, dtype="float32", name=f"{self.name}_regressor")
        self._width: int | None = None

    @property
    def learnt(self) -> tuple[keras.Layer, ...]:
        return (self.regressor,)

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        _require_features(self, teacher_shape, student_shape)
        if self._width is not None and teacher_shape[-1] != self._width:
            raise ValueError(
                f"objective {type(self).__name__}: learnt for {self._width} teacher channels, got {teacher_shape[-1]}; "
                "use an objective of its own for each pair of layers"
            )

    def build(self, teacher_shape: Shape, student_shape: Shape) -> None:
        assert teacher_shape[-1] is not None
        self._width = teacher_shape[-1]
        self.regressor.units = teacher_shape[-1]
        self.regressor.build(student_shape)


@serializable
class Hint(_Regressed):
    """Lead a student's layer to a teacher's: 1/2 * ||teacher - regressor(student)||^2, summed over all features.

    The regressor is a Dense layer on the channels (on a map, a 1x1 convolution), trained with the student and no part of it.
    Maps of other sizes are resized to the teacher's; masked positions count as the mean of the others. The sum grows with the
    size of the features, so weights are small: 1 / (number of features) gives half the mean squared difference.

    Shapes: teacher (batch, *positions, channels_t), student (batch, *positions, channels_s) -> (batch,).

    Raises:
        ValueError: For features of different rank.

    Source: FitNets, Romero et al. 2015, equation 3.
    """

    def compare(self, teacher: Any, student: Any, y: Any = None, mask: Any = None) -> Any:
        guided = self.regressor(resize_like(student, teacher))
        squares = weighted(ops.square(teacher - guided), _resized_weights(mask, student, teacher))
        return 0.5 * ops.sum(flat(squares), axis=-1)


@serializable
class VariationalInformation(_Regressed):
    """Raise the information that the student's layer holds of the teacher's, by a Gaussian that predicts one from the other.

    sum over features of (log sigma_c + (teacher - mu(student))^2 / (2 * sigma_c^2)), with mu a learnt linear map and
    sigma_c^2 = log(1 + exp(a_c)) + 1e-5 a learnt variance for each teacher channel. Constants are left out, so the value
    may be negative.

    Args:
        initial_variance: sigma^2 to start from, above 1e-5.

    Shapes: teacher (batch, *positions, channels_t), student (batch, *positions, channels_s) -> (batch,).

    Raises:
        ValueError: For features of different rank.

    Source: Ahn et al. 2019, equations 5 and 6.
    """

    def __init__(self, weight: float | Schedule = 1.0, *, initial_variance: float = 5.0, **kwargs: Any) -> None:
        super().__init__(weight, **kwargs)
        self.initial_variance = require_number(
            initial_variance, "objective VariationalInformation: initial_variance", above=1e-5
        )
        spread = math.log(math.expm1(self.initial_variance - 1e-5))
        self.spread = _Channels(spread, dtype="float32", name=f"{self.name}_spread")

    @property
    def learnt(self) -> tuple[keras.Layer, ...]:
        return (self.regressor, self.spread)

    def build(self, teacher_shape: Shape, student_shape: Shape) -> None:
        super().build(teacher_shape, student_shape)
        self.spread.build(teacher_shape)

    def compare(self, teacher: Any, student: Any, y: Any = None, mask: Any = None) -> Any:
        mean = self.regressor(resize_like(student, teacher))
        variance = ops.softplus(self.spread(teacher)) + 1e-5
        rows = (ops.shape(teacher)[0], -1, teacher.shape[-1])
        weights = _resized_weights(mask, student, teacher)
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
    """Match where teacher and student look, not how many channels they look with.

    Each map is reduced to its channel mean of squares, flattened and L2-normalised; the value is the mean squared
    difference. Maps of other sizes are resized to the teacher's.

    Shapes: teacher (batch, *positions, channels_t), student (batch, *positions, channels_s) -> (batch,).

    Raises:
        ValueError: If a feature has no position axis, or a single position (its map is always 1), or the ranks differ.

    Source: Zagoruyko and Komodakis 2017, equation 2.
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
                f"objective AttentionTransfer: a map of one position, {tuple(teacher_shape)}, is always 1 once normalised and "
                "teaches nothing; name an earlier layer, or use Hint"
            )

    def compare(self, teacher: Any, student: Any, y: Any = None) -> Any:
        difference = attention_map(teacher) - attention_map(resize_like(student, teacher))
        return ops.mean(ops.square(difference), axis=-1)


@serializable
class FlowOfSolution(Objective):
    """Match how features turn from one layer to a later one: the Gram matrix of two layers' channels.

    G[i, j] = sum over positions of first[i] * second[j] / positions; the value is ||G_teacher - G_student||^2. Where the
    first map is a whole multiple of the second's size, it is max-pooled down to it.

    `teacher_layer` and `student_layer` are pairs (first, second) whose channels agree between the models.

    Shapes: teacher and student each a pair (batch, *positions, c1), (batch, *positions, c2) -> (batch,).

    Raises:
        ValueError: If a pair is missing, channels differ, or sizes are no whole multiples.

    Source: Yim et al. 2017, equations 1 and 2.
    """

    layers_a_side = 2

    def check(self, teacher_shape: Any, student_shape: Any) -> None:
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

    def compare(self, teacher: Any, student: Any, y: Any = None) -> Any:
        return ops.sum(ops.square(_flow(*teacher) - _flow(*student)), axis=(1, 2))


@serializable
class CosineHidden(Objective):
    """Align hidden states: 1 - cos(teacher, student) at each position, averaged over positions that are not masked.

    Shapes: teacher (batch, ..., width), student (batch, ..., width) -> (batch,).

    Raises:
        ValueError: For different shapes, or a width of 1, where a cosine is always 1 or -1.

    Source: DistilBERT, Sanh et al. 2019, section 2.
    """

    takes_mask = True

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        require_same_shape(self, teacher_shape, student_shape)
        require_width(self, teacher_shape[-1], teacher_shape, "a cosine")

    def compare(self, teacher: Any, student: Any, y: Any = None, mask: Any = None) -> Any:
        return mean_over_inner_axes(1.0 - ops.sum(unit(teacher) * unit(student), axis=-1), mask)


def attention_map(features: Any) -> Any:
    """Channel mean of squares, flattened and L2-normalised: (batch, *positions, channels) -> (batch, positions)."""
    return unit(flat(ops.mean(ops.square(features), axis=-1)))


def resize_like(features: Any, like: Any) -> Any:
    """Maps resized to the positions of another: 1-D and 2-D, (batch, *positions, channels).

    Larger along an axis: linear between the nearest two. Smaller: the mean of what each new position covers, so that every old
    one takes part and is taught.
    """
    wanted = tuple(like.shape[1:-1])
    if None in (*features.shape[1:-1], *wanted):
        return features
    for axis, size in enumerate(wanted, 1):
        if features.shape[axis] != size:
            shares = ops.convert_to_tensor(_shares(features.shape[axis], size), features.dtype)
            moved = ops.moveaxis(features, axis, -1)
            features = ops.moveaxis(ops.matmul(moved, ops.transpose(shares)), -1, axis)
    return features


def _shares(size: int, wanted: int) -> np.ndarray:
    """What each old position gives to each new one along an axis, (wanted, size); rows sum to 1."""
    new, old = np.arange(wanted)[:, None], np.arange(size)[None]
    if wanted < size:
        # New position n covers [n, n + 1) * size / wanted of the old axis.
        scale = size / wanted
        return np.clip(np.minimum((new + 1) * scale, old + 1) - np.maximum(new * scale, old), 0.0, None) / scale
    centre = np.clip((new + 0.5) * size / wanted - 0.5, 0.0, size - 1.0)
    return np.clip(1.0 - np.abs(centre - old), 0.0, None)


def weighted(values: Any, weights: Any) -> Any:
    """Values times weights of their first axes, as they are without weights."""
    return values if weights is None else values * along(weights, values)


def _resized_weights(weights: Any, student: Any, teacher: Any) -> Any:
    """Weights of the student's positions as weights of the teacher's."""
    if weights is None or tuple(student.shape[1:-1]) == tuple(teacher.shape[1:-1]):
        return weights
    each = ops.broadcast_to(along(weights, student)[..., :1], (*ops.shape(student)[:-1], 1))
    return resize_like(each, teacher)[..., 0]


def _flow(first: Any, second: Any) -> Any:
    """Gram matrix of two maps' channels, (batch, c1, c2)."""
    pool = tuple(a // b for a, b in zip(first.shape[1:-1], second.shape[1:-1]))
    if any(factor > 1 for factor in pool):
        first = ops.max_pool(first, pool, pool, data_format="channels_last")
    first, second = (ops.reshape(f, (ops.shape(f)[0], -1, f.shape[-1])) for f in (first, second))
    return ops.einsum("bpi,bpj->bij", first, second) / ops.cast(ops.shape(first)[1], "float32")


def _require_features(objective: Objective, teacher_shape: Shape, student_shape: Shape) -> None:
    label = f"objective {type(objective).__name__}"
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
class _Channels(keras.layers.Layer):
    """One learnt number for each channel, whatever the input."""

    def __init__(self, initial: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initial = initial

    def build(self, input_shape: Shape) -> None:
        self.value = self.add_weight(
            shape=(input_shape[-1],), initializer=keras.initializers.Constant(self.initial), name="value"
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        return ops.convert_to_tensor(self.value)
