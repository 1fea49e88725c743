"""Operators that keep values from one inference to the next: SVDF."""

from __future__ import annotations

import numpy as np

from micro.aot.calls import (
    Call,
    Constant,
    Lowered,
    array_of,
    given,
    int8_of,
    ints,
    operator,
    refusal,
    require,
    require_within_32_bits,
    tensors_of,
)
from micro.aot.fixed_point import quantize_multiplier
from micro.aot.weight_layout import Storage
from micro.tflite.graph import Graph, Op, Tensor


@operator(inputs=(5, 5), options=("rank",))
def svdf(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Int8 with a bias, and a state and weights over time of 16 bits, which start at 0."""
    inputs, y = tensors_of(op, graph)
    x, features, time, bias, state = map(given, inputs)
    (x_scale, x_zero), (y_scale, y_zero) = int8_of(x, op, graph), int8_of(y, op, graph)
    kinds = [tensor.dtype for tensor in (features, time, bias, state)]
    if kinds != ["int8", "int16", "int32", "int16"]:
        raise refusal(op, graph, f"has features, weights over time, bias and state that are {', '.join(kinds)}; "
                                 "static C takes int8, int16, int32 and int16")  # fmt: skip
    if any(tensor.data is None for tensor in (features, time, bias)):
        raise refusal(op, graph, "computes its weights at run time; static C needs constants")
    rank = op.options["rank"]
    axes = all(len(tensor.shape) == 2 for tensor in (x, features, time, state, y))
    require(axes and rank >= 1 and features.shape[0] % rank == 0, op, graph, f"axes or a rank of {rank}, which")
    (batches, depth), (filters, memory) = x.shape, time.shape
    require(features.shape == (filters, depth) and bias.size == filters // rank, op, graph, "shapes of weights")
    require(state.shape == (batches, filters * memory) and y.shape == (batches, filters // rank), op, graph, "shapes")
    scales = [_scale(tensor, op, graph) for tensor in (features, time, bias, state)]
    single = np.float32
    if abs(float(single(scales[2])) - float(single(scales[3]) * single(scales[1]))) >= 1e-5:
        raise refusal(op, graph, "has a bias on another scale than that of its sums, which TFLite Micro refuses too")
    inner = quantize_multiplier(float(single(x_scale) * single(scales[0]) / single(scales[3])))
    outer = quantize_multiplier(float(single(scales[3]) * single(scales[1]) / single(y_scale)))
    require_within_32_bits(255 * 128 * depth, inner[1], op, graph)
    parameters = ints([-x_zero, *inner, *outer, y_zero])
    weights = (Constant(array_of(features)), Constant(array_of(time)), Constant(array_of(bias)))
    return Lowered((Call("svdf", (x, *weights, state, y, batches, depth, filters, rank, memory, parameters)),))


def _scale(tensor: Tensor, op: Op, graph: Graph) -> float:
    """The one scale of a symmetric tensor."""
    if tensor.quantization is None or len(tensor.quantization.scale) != 1 or any(tensor.quantization.zero_point):
        raise refusal(op, graph, f"has {tensor.name!r} without one scale, or with a zero point")
    return tensor.quantization.scale[0]
