"""RELU, RELU6, LEAKY_RELU and ABS: int8 by a table, int16 by a factor on each side of 0."""

from __future__ import annotations

import numpy as np

from micro.aot.calls import (
    Call,
    Lowered,
    given,
    grid_of,
    ints,
    operator,
    require_kind,
    require_shape,
    require_within_32_bits,
    tensors_of,
)
from micro.aot.fixed_point import quantize_multiplier, round_half_away
from micro.aot.operators.lookup import lookup
from micro.aot.overlap import IN_PLACE
from micro.aot.weight_layout import Storage
from micro.tflite.graph import Graph, Op

LEAST, MOST = -(1 << 15), (1 << 15) - 1


@operator(inputs=(1, 1), exchangeable=True)
def slopes(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Of int8 or int16."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    if x.dtype != "int16":
        return lookup.lowering(op, graph, storage)
    require_kind(("int16",), op, graph, x, y)
    require_shape(y, x.shape, op, graph)
    (x_scale, _), (y_scale, _) = grid_of(x, op, graph), grid_of(y, op, graph)
    above = below = x_scale / y_scale
    before, after, low, high = 1, 1, LEAST, MOST
    if op.name == "RELU":
        low = 0
    elif op.name == "RELU6":  # limits values as they are, whatever the scale of the output
        above, low, high = 1.0, 0, min(round_half_away(float(np.float32(6) / np.float32(x_scale))), MOST)
    elif op.name == "ABS":
        before = -1
    else:
        below = x_scale * op.options.get("alpha", 0.0) / y_scale
        after = -1 if below < 0 else 1
    factors = [quantize_multiplier(above), quantize_multiplier(abs(below))]
    for _, power in factors:
        require_within_32_bits(1 << 15, power, op, graph)
    parameters = ints([*factors[0], *factors[1], before, after, low, high])
    return Lowered((Call("slopes", (x, y, x.size, parameters)),), overlap={0: IN_PLACE})
