"""Operators that take tensors apart or put parts together: SPLIT, SPLIT_V, UNPACK, PACK, SLICE, REVERSE_V2."""

from __future__ import annotations

import math

from micro.aot.calls import (
    KINDS,
    Call,
    Lowered,
    axes_of,
    axis_of,
    given,
    integers_of,
    operator,
    refusal,
    require,
    require_kind,
    require_shape,
    sized,
    strides_of,
    tensors_of,
)
from micro.aot.operators.movement import gather_call, gathered
from micro.aot.weight_layout import Storage
from micro.tflite.graph import Graph, Op, Tensor

MOST_PARTS = 64
# Of PACK, which joins what a layer gives at each of its steps.
MOST_JOINED = 1024
WIDE = ("int8", "int16", "int32")


@operator(inputs=(2, 2), outputs=(1, MOST_PARTS))
def split(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Equal parts along a constant axis."""
    axis, x = (graph.tensors[i] for i in op.inputs)
    parts = [graph.tensors[i] for i in op.outputs]
    return _cut(op, graph, x, axis_of(axis, x, op, graph), [part.shape for part in parts])


@operator(inputs=(3, 3), outputs=(1, MOST_PARTS))
def split_v(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Parts of the sizes of the outputs along a constant axis."""
    x, _, axis = (graph.tensors[i] for i in op.inputs)
    parts = [graph.tensors[i] for i in op.outputs]
    return _cut(op, graph, x, axis_of(axis, x, op, graph), [part.shape for part in parts])


@operator(inputs=(1, 1), outputs=(1, MOST_PARTS), options=("axis",))
def unpack(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Each index along an axis as an output without that axis."""
    x = graph.tensors[op.inputs[0]]
    axis = op.options["axis"]
    require(-len(x.shape) <= axis < len(x.shape), op, graph, f"axes {axis}")
    axis %= len(x.shape)
    require(op.options.get("num", len(op.outputs)) == len(op.outputs), op, graph, "numbers of outputs")
    shapes = [(*graph.tensors[i].shape[:axis], 1, *graph.tensors[i].shape[axis:]) for i in op.outputs]
    return _cut(op, graph, x, axis, shapes)


def _cut(op: Op, graph: Graph, x: Tensor, axis: int, shapes: list[tuple[int, ...]]) -> Lowered:
    """Parts of `shapes`, one after the other along an axis of `x`."""
    require_kind(WIDE, op, graph, x, *(graph.tensors[i] for i in op.outputs))
    wanted = [(*x.shape[:axis], shape[axis], *x.shape[axis + 1 :]) if len(shape) > axis else () for shape in shapes]
    require(wanted == shapes, op, graph, f"parts of shapes {[list(shape) for shape in shapes]}, which")
    lengths = [shape[axis] for shape in shapes]
    require(sum(lengths) == x.shape[axis], op, graph, f"parts of {lengths} of {x.shape[axis]}, which")
    strides = strides_of(x.shape)
    calls, start = [], 0
    for index, shape in zip(op.outputs, shapes):
        calls.append(gather_call(op, graph, x, start * strides[axis], graph.tensors[index], shape, strides))
        start += shape[axis]
    return Lowered(tuple(calls))


@operator(inputs=(1, MOST_JOINED), options=("axis",))
def pack(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Tensors of one shape along a new axis."""
    inputs, y = tensors_of(op, graph)
    require_kind(WIDE, op, graph, *inputs, y)
    axis = op.options["axis"]
    require(-len(y.shape) <= axis < len(y.shape), op, graph, f"axes {axis}")
    axis %= len(y.shape)
    require(op.options.get("valuesCount", len(inputs)) == len(inputs), op, graph, "numbers of inputs")
    shape = (*y.shape[:axis], *y.shape[axis + 1 :])
    require(y.shape[axis] == len(inputs), op, graph, f"{len(inputs)} inputs for {y.shape[axis]} places, which")
    calls = []
    rows, length = math.prod(y.shape[:axis]), math.prod(y.shape[axis + 1 :])
    for number, x in enumerate(map(given, inputs)):
        require(x.shape == shape, op, graph, f"inputs of shape {list(x.shape)}, which")
        calls.append(Call(sized("copy_rows", y), (x, (y, number * length), rows, length, length * len(inputs))))
    return Lowered(tuple(calls))


@operator(inputs=(3, 3))
def slice_(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Constant begins and sizes; -1 is the rest of the axis."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    require_kind(KINDS, op, graph, x, y)
    begins, sizes = (integers_of(tensor, op, graph, "bounds").reshape(-1).tolist() for tensor in inputs[1:])
    require(len(begins) == len(sizes) == len(x.shape), op, graph, "bounds")
    shape = [n - begin if size == -1 else size for n, begin, size in zip(x.shape, begins, sizes)]
    inside = all(begin >= 0 and 1 <= size <= n - begin for n, begin, size in zip(x.shape, begins, shape))
    require(inside, op, graph, f"begins {begins} and sizes {sizes} of {list(x.shape)}")
    require_shape(y, shape, op, graph)
    strides = strides_of(x.shape)
    start = sum(begin * stride for begin, stride in zip(begins, strides))
    return gathered(op, graph, x, start, y, shape, strides)


@operator(inputs=(2, 2))
def reverse_v2(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Along constant axes that follow each other."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    require_kind(KINDS, op, graph, x, y)
    taken_axes = axes_of(inputs[1], x, op, graph)
    axes = set(taken_axes)
    if len(axes) < len(taken_axes) or sorted(axes) != list(range(min(axes, default=0), max(axes, default=-1) + 1)):
        listed = integers_of(inputs[1], op, graph, "axes").reshape(-1).tolist()
        raise refusal(op, graph, f"reverses axes {listed}; TFLite Micro takes axes that follow each other")
    require_shape(y, x.shape, op, graph)
    strides = strides_of(x.shape)
    start = sum((x.shape[axis] - 1) * strides[axis] for axis in axes)
    taken = [-stride if axis in axes else stride for axis, stride in enumerate(strides)]
    return gathered(op, graph, x, start, y, x.shape, taken)
