"""Operators over whole axes: MEAN, SUM, REDUCE_MAX, REDUCE_MIN."""

from __future__ import annotations

import math

from micro.aot.calls import (
    Call,
    Constant,
    Lowered,
    axes_of,
    four,
    given,
    grid_of,
    int8_of,
    ints,
    numbers,
    operator,
    refusal,
    require,
    require_kind,
    require_within_32_bits,
    sized,
    strides_of,
    tensors_of,
)
from micro.aot.fixed_point import quantize_multiplier
from micro.aot.weight_layout import Storage
from micro.tflite.graph import Graph, Op


@operator(inputs=(2, 2), exchangeable=True)
def mean(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Over any axes."""
    (fraction, power), count = _unit_of(op, graph), reduced(op, graph)[0]
    # As in TFLite, the multiplier includes the division by the count: the fraction is divided, the power adjusted by halvings.
    halvings = min(count.bit_length() - 1, 32, 31 + power)
    return _sums(op, graph, (fraction << halvings) // count, power - halvings)


@operator(inputs=(2, 2), exchangeable=True)
def sum_(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Over any axes."""
    return _sums(op, graph, *_unit_of(op, graph))


def _unit_of(op: Op, graph: Graph) -> tuple[int, int]:
    """Fraction and power of the input's scale, in steps of the output."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    require_kind(("int8", "int16"), op, graph, x, y)
    return quantize_multiplier(grid_of(x, op, graph)[0] / grid_of(y, op, graph)[0])


def _sums(op: Op, graph: Graph, fraction: int, power: int) -> Lowered:
    """Sums over axes times a factor."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    count, tables = reduced(op, graph)
    x_zero, y_zero = grid_of(x, op, graph)[1], grid_of(y, op, graph)[1]
    require_within_32_bits((255 if y.dtype == "int8" else 1 << 15) * count, power, op, graph)
    factors = numbers(-x_zero * count, fraction, power, y_zero)
    return Lowered((Call(sized("mean", y), (x, y, *tables, *factors), _with_mve(op, graph, factors)),))


def _with_mve(op: Op, graph: Graph, factors: tuple[int, ...]) -> Call | None:
    """The call for cores with MVE, of int8 values over neighboring axes whose sums are not scaled up."""
    (x, axes), y = tensors_of(op, graph)
    x = given(x)
    over = sorted(axis for axis in set(axes_of(axes, x, op, graph)) if x.shape[axis] > 1)
    if y.dtype != "int8" or factors[2] > 0 or not over or over != list(range(over[0], over[-1] + 1)):
        return None
    first, past = over[0], over[-1] + 1
    rows, count, channels = (math.prod(part) for part in (x.shape[:first], x.shape[first:past], x.shape[past:]))
    if channels == 1:
        return Call("mean_of_rows_mve", (x, y, rows, count, *factors))
    return Call("mean_mve", (x, y, rows, count, channels, *factors))


@operator(inputs=(2, 2), exchangeable=True)
def reduce_max_min(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """The largest or smallest value over any axes."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    require_kind(("int8",), op, graph, x, y)
    if int8_of(x, op, graph) != int8_of(y, op, graph):
        raise refusal(op, graph, "changes scale or zero point, which TFLite Micro refuses too")
    _, tables = reduced(op, graph)
    return Lowered((Call("extreme", (x, y, *tables, int(op.name == "REDUCE_MAX"))),))


def reduced(op: Op, graph: Graph) -> tuple[int, tuple[Constant, Constant, Constant]]:
    """How many values become one; sizes of the axes that stay, of those that go, and strides."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    axes = axes_of(inputs[1], x, op, graph)
    shape = four(x.shape, op, graph)
    shift = 4 - len(x.shape)
    over = [size if axis - shift in axes else 1 for axis, size in enumerate(shape)]
    stay = [1 if axis - shift in axes else size for axis, size in enumerate(shape)]
    require(y.size == math.prod(stay), op, graph, "sizes of input and output")
    return math.prod(over), (ints(stay), ints(over), ints(strides_of(shape)))
