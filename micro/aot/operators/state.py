"""Operators that keep values from one inference to the next: SVDF, and those of variables."""

from __future__ import annotations

import numpy as np

from micro.aot.calls import (
    KINDS,
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
    require_kind,
    require_within_32_bits,
    sized,
    tensors_of,
)
from micro.aot.fixed_point import quantize_multiplier
from micro.aot.states import HANDLE, stays_until_read
from micro.aot.weight_layout import Storage
from micro.tflite.graph import Graph, Op, Tensor


@operator(inputs=(5, 5), options=("rank",))
def svdf(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Int8 with a bias, and a state and weights over time of 8 or of 16 bits."""
    inputs, y = tensors_of(op, graph)
    x, features, time, bias, state = map(given, inputs)
    (x_scale, x_zero), (y_scale, y_zero) = int8_of(x, op, graph), int8_of(y, op, graph)
    kinds = [tensor.dtype for tensor in (features, time, bias, state)]
    if kinds not in (["int8", "int16", "int32", "int16"], ["int8", "int8", "int32", "int8"]):
        raise refusal(op, graph, f"has features, weights over time, bias and state that are {', '.join(kinds)}; "
                                 "static C takes int8, int16, int32 and int16, or int8, int8, int32 and int8")  # fmt: skip
    if any(tensor.data is None for tensor in (features, time, bias)):
        raise refusal(op, graph, "computes its weights at run time; static C needs constants")
    rank = op.options["rank"]
    axes = all(len(tensor.shape) == 2 for tensor in (x, features, time, state, y))
    require(axes and rank >= 1 and features.shape[0] % rank == 0, op, graph, f"axes or a rank of {rank}, which")
    (batches, depth), (filters, memory) = x.shape, time.shape
    require(features.shape == (filters, depth) and bias.size == filters // rank, op, graph, "shapes of weights")
    require(state.shape == (batches, filters * memory) and y.shape == (batches, filters // rank), op, graph, "shapes")
    scales = [_scale(tensor, op, graph) for tensor in (features, time, bias)]
    scales.append(int8_of(state, op, graph)[0] if state.dtype == "int8" else _scale(state, op, graph))
    single = np.float32
    if abs(float(single(scales[2])) - float(single(scales[3]) * single(scales[1]))) >= 1e-5:
        raise refusal(op, graph, "has a bias on another scale than that of its sums, which TFLite Micro refuses too")
    inner = quantize_multiplier(x_scale * scales[0] / scales[3])
    outer = quantize_multiplier(scales[3] * scales[1] / y_scale)
    require_within_32_bits(255 * 128 * depth, inner[1], op, graph)
    parameters, kernel = [-x_zero, *inner, *outer, y_zero], "svdf"
    if state.dtype == "int8":
        parameters, kernel = [*parameters, int8_of(state, op, graph)[1]], "svdf_8"
        sums = np.abs(array_of(time).astype(np.int64)).sum(axis=1).reshape(-1, rank).sum(axis=1) * 255
        largest = int((sums + np.abs(array_of(bias).astype(np.int64)).reshape(-1)).max())
        require_within_32_bits(largest, outer[1], op, graph)
    weights = (Constant(array_of(features)), Constant(array_of(time)), Constant(array_of(bias)))
    return Lowered((Call(kernel, (x, *weights, state, y, batches, depth, filters, rank, memory, ints(parameters))),))


@operator(inputs=(0, 0), exchangeable=True)
def var_handle(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Stands for a variable."""
    if graph.tensors[op.outputs[0]].dtype != HANDLE:
        raise refusal(op, graph, f"gives {graph.tensors[op.outputs[0]].dtype} in place of a variable")
    return Lowered()


@operator(inputs=(1, 1), exchangeable=True)
def read_variable(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """The values of a variable: where they lie, or a copy where the variable is assigned before they have been taken."""
    _require_handle(op, graph)
    y = graph.tensors[op.outputs[0]]
    require_kind(KINDS, op, graph, y)
    if stays_until_read(op, graph):
        return Lowered(alias=True)
    return Lowered((Call(sized("copy_rows", y), (graph.tensors[op.inputs[0]], y, 1, y.size, 0)),))


@operator(inputs=(2, 2), outputs=(0, 0), exchangeable=True)
def assign_variable(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """A copy to a variable."""
    _require_handle(op, graph)
    value = graph.tensors[op.inputs[1]]
    require_kind(KINDS, op, graph, value)
    return Lowered((Call(sized("copy_rows", value), (value, graph.tensors[op.inputs[0]], 1, value.size, 0)),))


def _require_handle(op: Op, graph: Graph) -> None:
    if not any(other.name == "VAR_HANDLE" and op.inputs[0] in other.outputs for other in graph.ops):
        raise refusal(op, graph, "takes something that is no variable")


def _scale(tensor: Tensor, op: Op, graph: Graph) -> float:
    """The one scale of a symmetric tensor."""
    if tensor.quantization is None or len(tensor.quantization.scale) != 1 or any(tensor.quantization.zero_point):
        raise refusal(op, graph, f"has {tensor.quoted} without one scale, or with a zero point")
    return tensor.quantization.scale[0]
