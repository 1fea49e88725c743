"""Map objectives: they compare where and how channels respond, (batch, *positions, channels)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from keras import ops

from keras_kd.objectives.adapters import Adapted, Adapting, require_maps
from keras_kd.objectives.base import Objective, ObjectiveArguments
from keras_kd.objectives.resizing import at_one_size, positions_of, weights_at
from keras_kd.objectives.tensors import along, flat, hidden, unit
from keras_kd.schedules import Schedule, as_config, number_or_schedule
from keras_kd.serialization import serializable
from keras_kd.types import Shape, Structure, Tensor


@serializable
class AttentionTransfer(Objective):
    """Match where teacher and student look: their maps of attention, whatever the number of channels.

    Each map is reduced to its channel mean of squares, flattened and L2-normalized; the value is the squared distance of the
    two, from 0 to 2. Of maps of two sizes the larger is averaged down. The authors' code divides by the number of positions
    and weighs with 1000: a weight here is theirs over the number of positions.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        kwargs: `name`, `teacher_layer`, `student_layer`; see `Objective`.

    Shapes: teacher (batch, *positions, channels_t), student (batch, *positions, channels_s) -> (batch,).

    Raises:
        ValueError: If a feature has no position axis, or a single position (its map is always 1), or the ranks differ.

    Examples:
        >>> objective = keras_kd.AttentionTransfer(10.0, teacher_layer="conv_4", student_layer="conv_2")
        >>> maps = np.random.default_rng(0).normal(size=(2, 16, 8))
        >>> np.array(objective(maps, maps))
        array([0., 0.], dtype=float32)

    Source: Zagoruyko and Komodakis 2017, equation 2, https://arxiv.org/abs/1612.03928
    """

    takes_mask = True
    weighs_positions = False

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        require_positions(self.message_name, teacher_shape, student_shape)

    def compare(
        self, teacher: Tensor, student: Tensor, y: Structure | None = None, mask: Tensor | None = None
    ) -> Tensor:
        theirs, mine = at_one_size(teacher, student)
        weights = weights_at(mask, student, mine)
        difference = attention_map(hidden(theirs, weights)) - attention_map(hidden(mine, weights))
        return ops.sum(ops.square(difference), axis=-1)


@serializable
class ChannelWise(Adapted):
    """CWD: match where each channel responds: T^2 * mean over channels of KL(phi(teacher_c) || phi(student_c)).

    phi is the softmax of a channel over its positions, at temperature T. Of maps of two sizes the larger is averaged down.

    Args:
        temperature: T, above 0, or a schedule; 4 in the paper for features, 1 for maps of logits.
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        adapter: 'as_needed' is a 1x1 convolution where the numbers of channels differ; else as `Hint` takes it.
        kwargs: `name`, `teacher_layer`, `student_layer`, `ignore_class`; see `Objective`.

    Shapes: teacher (batch, *positions, channels_t), student (batch, *positions, channels_s) -> (batch,), at least 0.
        Masked positions are left out of the softmax.

    Raises:
        ValueError: For features without positions or of a single one, different ranks, a temperature that is not positive.

    Examples:
        >>> objective = keras_kd.ChannelWise(temperature=1.0)
        >>> teacher, student = np.zeros((1, 2, 1)), np.log([[[3.0], [1.0]]])
        >>> np.array(objective(teacher, student)).round(4)
        array([0.1438], dtype=float32)

    Source: Shu et al. 2021, equations 3 to 5, https://arxiv.org/abs/2011.13256
    """

    weighs_positions = False

    def __init__(
        self,
        temperature: float | Schedule = 4.0,
        weight: float | Schedule = 1.0,
        *,
        adapter: Adapting = "as_needed",
        **kwargs: Unpack[ObjectiveArguments],
    ) -> None:
        super().__init__(weight, adapter=adapter, **kwargs)
        self.temperature = number_or_schedule(temperature, "objective ChannelWise: temperature", above=0.0)

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        super().check(teacher_shape, student_shape)
        require_positions(self.message_name, teacher_shape, student_shape)

    def compare(
        self, teacher: Tensor, student: Tensor, y: Structure | None = None, mask: Tensor | None = None
    ) -> Tensor:
        theirs, mine = at_one_size(teacher, student)
        kept = weights_at(mask, student, mine)
        log_p, log_q = (
            ops.log_softmax(_channels_first(_left_out(side / self.temperature, kept)), axis=-1)
            for side in (theirs, self.adapted(mine))
        )
        return self.temperature**2 * ops.mean(ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": as_config(self.temperature)}


@serializable
class InterChannel(Adapted):
    """ICKD: match how channels correlate: mean over channels of the squared distance of rows of F F^T, each of length 1.

    F is a map as (channels, positions). The student's has as many channels as the teacher's by its adapter.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule; 2.5 in the authors' code.
        adapter: 'norm', a 1x1 convolution with BatchNormalization, as in the authors' code; else as `Hint` takes it.
        kwargs: `name`, `teacher_layer`, `student_layer`; see `Objective`.

    Shapes: teacher (batch, *positions, channels_t), student (batch, *positions, channels_s) -> (batch,), from 0 to 4.
        Numbers of positions need not agree.

    Raises:
        ValueError: For features without positions, different ranks, or a teacher's layer of a single channel.

    Examples:
        >>> objective = keras_kd.InterChannel(teacher_layer="conv_4", student_layer="conv_2")
        >>> objective(np.ones((4, 5, 3)), np.ones((4, 5, 2))).shape[0]
        4

    Source: Liu et al. 2021, https://arxiv.org/abs/2202.03680; rows of length 1 and the means as in the authors' code.
    """

    weighs_positions = False

    def __init__(
        self, weight: float | Schedule = 1.0, *, adapter: Adapting = "norm", **kwargs: Unpack[ObjectiveArguments]
    ) -> None:
        super().__init__(weight, adapter=adapter, **kwargs)

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        super().check(teacher_shape, student_shape)
        require_maps(self.message_name, teacher_shape, student_shape)
        if teacher_shape[-1] == 1:
            raise ValueError(
                f"{self.message_name}: a single channel, {tuple(teacher_shape)}, correlates with nothing; name a wider layer"
            )

    def compare(
        self, teacher: Tensor, student: Tensor, y: Structure | None = None, mask: Tensor | None = None
    ) -> Tensor:
        sides = teacher, self.adapted(student)
        grams = [_gram(hidden(side, weights_at(mask, student, side))) for side in sides]
        return ops.mean(ops.sum(ops.square(grams[0] - grams[1]), axis=-1), axis=-1)


@serializable
class NeuronSelectivity(Objective):
    """NST: match the set of patterns that channels select, by the squared maximum mean discrepancy under k(a, b) = (a . b)^2.

    mean k(t_i, t_j) + mean k(s_i, s_j) - 2 mean k(t_i, s_j), the t_i and s_j being the channels' maps scaled to length 1. Of
    maps of two sizes the larger is averaged down. No channel of one model belongs to one of the other.

    Args:
        weight: Factor in the sum that training minimizes, at least 0, or a schedule; 50 is usual.
        kwargs: `name`, `teacher_layer`, `student_layer`; see `Objective`.

    Shapes: teacher (batch, *positions, channels_t), student (batch, *positions, channels_s) -> (batch,), at least 0.

    Raises:
        ValueError: For features without positions or of a single one, or different ranks.

    Examples:
        >>> maps = np.random.default_rng(0).normal(size=(2, 9, 4))
        >>> np.array(keras_kd.NeuronSelectivity()(maps, maps[..., ::-1].copy())).round(5) + 0.0
        array([0., 0.], dtype=float32)

    Source: Huang and Wang 2017, equations 4 to 8, https://arxiv.org/abs/1707.01219
    """

    takes_mask = True
    weighs_positions = False

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        require_positions(self.message_name, teacher_shape, student_shape)

    def compare(
        self, teacher: Tensor, student: Tensor, y: Structure | None = None, mask: Tensor | None = None
    ) -> Tensor:
        theirs, mine = at_one_size(teacher, student)
        weights = weights_at(mask, student, mine)
        t, s = (unit(_channels_first(hidden(side, weights))) for side in (theirs, mine))
        return _kernel(t, t) + _kernel(s, s) - 2.0 * _kernel(t, s)


@serializable
class FlowOfSolution(Objective):
    """Match how features change from one layer to a later one: the Gram matrix of two layers' channels.

    G[i, j] = sum over positions of first[i] * second[j] / positions; the value is the mean over i and j of (G_teacher -
    G_student)^2. Where the first map's size is an integer multiple of the second's, it is max-pooled down to it. The paper
    sums; the mean gives a weight the same meaning at any width.

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
        return ops.mean(ops.square(_flow(*teacher) - _flow(*student)), axis=(1, 2))


def attention_map(features: Tensor) -> Tensor:
    """Channel mean of squares, flattened and L2-normalized: (batch, *positions, channels) -> (batch, positions)."""
    return unit(flat(ops.mean(ops.square(features), axis=-1)))


def require_positions(label: str, teacher_shape: Shape, student_shape: Shape) -> None:
    """Raise ValueError unless both are maps of several positions: one says nothing once it is normalized over positions."""
    require_maps(label, teacher_shape, student_shape)
    for shape in (teacher_shape, student_shape):
        if positions_of(shape) == 1:
            raise ValueError(
                f"{label}: a map of one position, {tuple(shape)}, is always 1 once normalized over positions and teaches "
                "nothing; name an earlier layer, or use Hint"
            )


def _channels_first(maps: Tensor) -> Tensor:
    """(batch, *positions, channels) -> (batch, channels, positions)."""
    rows = ops.reshape(maps, (ops.shape(maps)[0], -1, maps.shape[-1]))
    return ops.transpose(rows, (0, 2, 1))


def _left_out(maps: Tensor, kept: Tensor | None) -> Tensor:
    """Maps that are far below all others where a mask of their first axes is 0."""
    return maps if kept is None else ops.where(along(kept, maps) > 0, maps, -1e9)


def _gram(maps: Tensor) -> Tensor:
    """Dot products of a map's channels, (batch, channels, channels), rows of length 1."""
    rows = _channels_first(maps)
    return unit(ops.matmul(rows, ops.transpose(rows, (0, 2, 1))))


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    """Mean over pairs of channels of the squared dot product, (batch,)."""
    return ops.mean(ops.square(ops.matmul(a, ops.transpose(b, (0, 2, 1)))), axis=(1, 2))


def _flow(first: Tensor, second: Tensor) -> Tensor:
    """Gram matrix of two maps' channels, (batch, c1, c2)."""
    pool = tuple(a // b for a, b in zip(first.shape[1:-1], second.shape[1:-1]))
    if any(factor > 1 for factor in pool):
        first = ops.max_pool(first, pool, pool, data_format="channels_last")
    first, second = (ops.reshape(f, (ops.shape(f)[0], -1, f.shape[-1])) for f in (first, second))
    return ops.einsum("bpi,bpj->bij", first, second) / ops.cast(ops.shape(first)[1], "float32")
