"""SOFTMAX over the last axis, its exponentials as a table."""

from __future__ import annotations

import math

import numpy as np

from micro.aot.calls import Call, Constant, Step, int8_of, refusal, require, require_shape, tensors_of
from micro.aot.fixed_point import exp_of_negative, high_product, quantize_multiplier
from micro.tflite.graph import Graph, Op

# Differences to the largest are held with 5 integer bits.
INTEGER_BITS = 5
# Sums of exponentials are held with 12 integer bits.
MOST_VALUES = (1 << 12) - 1


def softmax(op: Op, graph: Graph) -> Step:
    """With the output grid that TFLite prescribes: 1/256 from -128."""
    inputs, y = tensors_of(op, graph)
    x = inputs[0]
    scale, _ = int8_of(x, op, graph)
    assert x is not None
    require_shape(y, x.shape, op, graph)
    if int8_of(y, op, graph) != (1 / 256, -128):
        raise refusal(op, graph, "gives another grid than 1/256 from -128")
    depth = x.shape[-1]
    if depth > MOST_VALUES:
        raise refusal(op, graph, f"sums {depth:,} exponentials; TFLite's sums hold {MOST_VALUES:,}")
    factor = min(op.options.get("beta", 1.0) * scale * (1 << (31 - INTEGER_BITS)), 2.0**31 - 1)
    require(factor > 1, op, graph, "beta or scale")
    fraction, power = quantize_multiplier(factor)
    farthest = math.floor(((1 << INTEGER_BITS) - 1) * (1 << (31 - INTEGER_BITS)) / (1 << power))
    exponentials = [
        exp_of_negative(high_product(-below * (1 << power), fraction)) for below in range(min(farthest, 255) + 1)
    ]
    table = Constant(np.array(exponentials, np.int32))
    return Step((Call("softmax", (x, y, x.size // depth, depth, table, len(exponentials))),))
