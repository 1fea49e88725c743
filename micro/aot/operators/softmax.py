"""SOFTMAX over the last axis, with a table of exponentials."""

from __future__ import annotations

import math

import numpy as np

from micro.aot.calls import (
    Call,
    Constant,
    Lowered,
    int8_of,
    operator,
    refusal,
    require,
    require_shape,
    tensors_of,
)
from micro.aot.fixed_point import exp_of_negative, high_product, quantize_multiplier
from micro.aot.overlap import IN_PLACE
from micro.aot.weight_layout import Storage
from micro.tflite.graph import Graph, Op

# Integer bits of the differences from the largest value.
INTEGER_BITS = 5
# Sums of exponentials have 12 integer bits.
MOST_VALUES = (1 << 12) - 1


@operator(inputs=(1, 1))
def softmax(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Over the last axis, with the output that TFLite prescribes: scale 1/256, zero point -128."""
    inputs, y = tensors_of(op, graph)
    x = inputs[0]
    scale, _ = int8_of(x, op, graph)
    assert x is not None
    require_shape(y, x.shape, op, graph)
    if int8_of(y, op, graph) != (1 / 256, -128):
        raise refusal(op, graph, "has an output with another scale than 1/256 or another zero point than -128")
    depth = x.shape[-1]
    factor = factor_of_differences(op, graph, depth, op.options.get("beta", 0.0) * scale)
    require(factor > 1, op, graph, "beta or scale")
    table = exponentials(*quantize_multiplier(factor))
    return Lowered(
        (Call("softmax", (x, y, x.size // depth, depth, Constant(table), table.size)),), overlap={0: IN_PLACE}
    )


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
