"""SOFTMAX over the last axis, with a table of exponentials."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from micro.aot.calls import (
    Call,
    Constant,
    Lowered,
    ModelNumber,
    given,
    grid_of,
    int8_of,
    operator,
    refusal,
    require,
    require_kind,
    require_shape,
    require_within_32_bits,
    tensors_of,
)
from micro.aot.fixed_point import exp_of_negative, high_product, quantize_multiplier, round_half_away
from micro.aot.overlap import IN_PLACE
from micro.aot.weight_layout import Storage
from micro.tflite.graph import Graph, Op

# Integer bits of the differences from the largest value.
INTEGER_BITS = 5
# Sums of exponentials have 12 integer bits.
MOST_VALUES = (1 << 12) - 1
# Differences of two int8 values, from 0 on.
MOST_DIFFERENCES = 256


@operator(inputs=(1, 1), exchangeable=True)
def softmax(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Over the last axis, with the output that TFLite prescribes: of int8 scale 1/256, zero point -128."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    require_shape(y, x.shape, op, graph)
    if x.dtype == "int16":
        return _wide(op, graph)
    scale, _ = int8_of(x, op, graph)
    if y.dtype == "int16":
        _require_output(op, graph, 1 / 65536, -32768)
    elif int8_of(y, op, graph) != (1 / 256, -128):
        raise refusal(op, graph, "has an output with another scale than 1/256 or another zero point than -128")
    depth = x.shape[-1]
    factor = factor_of_differences(op, graph, depth, op.options.get("beta", 0.0) * scale)
    require(factor > 1, op, graph, "beta or scale")
    table = exponentials(*quantize_multiplier(factor))
    if y.dtype == "int16":
        return Lowered((Call("softmax_to_16", (x, y, x.size // depth, depth, Constant(table), table.size)),))
    held = Constant(table, True, MOST_DIFFERENCES)
    arguments = (x, y, x.size // depth, depth, held, ModelNumber(table.size))
    return Lowered((Call("softmax", arguments, Call("softmax_mve", arguments)),), overlap={0: IN_PLACE})


def _wide(op: Op, graph: Graph) -> Lowered:
    """Of 16-bit values, with two tables between whose entries lines are drawn."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    require_kind(("int16",), op, graph, x, y)
    scale, depth = grid_of(x, op, graph)[0], x.shape[-1]
    _require_output(op, graph, 1 / 32768, 0)
    require(depth < 1 << 16, op, graph, f"rows of {depth:,} values")
    fraction, power = quantize_multiplier(scale * float(np.float32(op.options.get("beta", 0.0))) / (10.0 / 65535.0))
    require_within_32_bits(65535, power, op, graph)
    tables = (
        line_table(lambda value: math.exp(value), 10.0, (1 << 15) - 1),
        line_table(lambda value: 1.0 / (1.0 + value), 1.0, -(1 << 15)),
    )
    call = Call("softmax_16", (x, y, x.size // depth, depth, fraction, power, Constant(tables[0]), Constant(tables[1])))
    return Lowered((call,), overlap={0: IN_PLACE})


def _require_output(op: Op, graph: Graph, scale: float, zero: int) -> None:
    """Refuse 16-bit outputs on another scale than TFLite's."""
    y = graph.tensors[op.outputs[0]]
    unit = y.quantization
    if unit is None or len(unit.scale) != 1 or abs(unit.scale[0] - scale) > 0.001 * scale or unit.zero_point[0] != zero:
        raise refusal(
            op, graph, f"has a 16-bit output with another scale than 1/{round(1 / scale)} or zero point than {zero}"
        )


def line_table(function: Callable[[float], float], reach: float, zero: int) -> np.ndarray:
    """513 results (int16) of a function of a 16-bit value with this zero point and a range of `reach`, as 15-bit fractions.

    TFLite computes them in float32. Each is moved by half of what the line to the next one is off in the middle.
    """
    single = np.float32
    step_in, step_out = single(reach) / single(65535), single(2.0) / single(65535)
    first, last = step_in * single(-(1 << 15) - zero), step_in * single((1 << 15) - 1 - zero)
    inverse = single(65536) / (step_out * single((1 << 15) - 1) - step_out * single(-(1 << 15)))
    step = (last - first) / single(512)

    def at(place: np.float32) -> np.float32:
        return single(function(float(place)))

    def rounded(value: np.float32) -> np.float32:
        return single(round_half_away(float(value)))

    entries = []
    for number in range(512):
        value = at(first + single(number) * step)
        middle = at(first + single(number) * step + step / single(2))
        after = at(first + single(number + 1) * step)
        line = rounded((after * inverse + rounded(value * inverse)) / single(2))
        entries.append(rounded(value * inverse) - rounded((line - rounded(middle * inverse)) / single(2)))
    entries.append(rounded(at(last) * inverse))
    return np.clip(np.array(entries), -(1 << 15), (1 << 15) - 1).astype(np.int16)


def factor_of_differences(op: Op, graph: Graph, depth: int, scale: float) -> float:
    """From a difference of two of `depth` values to 5 integer and 26 fraction bits."""
    if depth > MOST_VALUES:
        raise refusal(op, graph, f"sums {depth:,} exponentials; TFLite's sums hold {MOST_VALUES:,}")
    return min(scale * (1 << (31 - INTEGER_BITS)), 2.0**31 - 1)


def exponentials(fraction: int, power: int) -> np.ndarray:
    """exp of the differences 0, -1, ... from the largest value, as 31-bit fractions (int32), as far as they are not 0."""
    farthest = math.floor(((1 << INTEGER_BITS) - 1) * (1 << (31 - INTEGER_BITS)) / (1 << power))
    differences = range(min(farthest, 255) + 1)
    return np.array([exp_of_negative(high_product(-below * (1 << power), fraction)) for below in differences], np.int32)
