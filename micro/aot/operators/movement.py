"""Operators that only move values: RESHAPE, EXPAND_DIMS, SQUEEZE, PAD, CONCATENATION, TRANSPOSE, STRIDED_SLICE."""

from __future__ import annotations

import math

import numpy as np

from micro.aot.calls import (
    Call,
    Lowered,
    four,
    int8_of,
    integers_of,
    ints,
    operator,
    refusal,
    require,
    require_shape,
    strides_of,
    tensors_of,
)
from micro.aot.operators.elementwise import operand
from micro.aot.weight_layout import Storage
from micro.tflite.graph import Graph, Op


def _same_values(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """The values stay where they are, in another shape."""
    inputs, y = tensors_of(op, graph)
    if y.variable:
        # A state set to a constant: the operator whose state it is starts from it.
        return Lowered(alias=True)
    int8_of(y, op, graph)
    assert inputs[0] is not None
    if inputs[0].size != y.size:
        raise refusal(op, graph, f"has {inputs[0].size} values in and {y.size} out")
    return Lowered(alias=True)


reshape = operator(inputs=(1, 2))(_same_values)
expand_dims = operator(inputs=(2, 2))(_same_values)
squeeze = operator(inputs=(1, 1))(_same_values)


@operator(inputs=(2, 2))
def pad(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Padding with the output's zero point."""
    inputs, y = tensors_of(op, graph)
    x = inputs[0]
    assert x is not None
    zero = int8_of(y, op, graph)[1]
    around = integers_of(inputs[1], op, graph, "paddings")
    require(around.shape == (len(x.shape), 2) and bool((around >= 0).all()), op, graph, "paddings")
    require_shape(y, [size + int(sum(pair)) for size, pair in zip(x.shape, around.tolist())], op, graph)
    before = [int(pair[0]) for pair in around][-4:]
    before = [0] * (4 - len(before)) + before
    strides = strides_of(four(y.shape, op, graph))
    start = sum(first * stride for first, stride in zip(before, strides))
    return Lowered((Call("pad", (operand(x), y, y.size, ints(four(x.shape, op, graph)), ints(strides), start, zero)),))


@operator(inputs=(1, 64), options=("axis",))
def concatenation(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Along any axis. As in TFLite, all inputs have the output's scale and zero point."""
    inputs, y = tensors_of(op, graph)
    axis = op.options["axis"] % len(y.shape)
    joined = [tensor.shape for tensor in inputs if tensor is not None]
    wanted = [sum(lengths) if n == axis else lengths[0] for n, lengths in enumerate(zip(*joined))]
    require(all(len({*sizes}) == 1 for n, sizes in enumerate(zip(*joined)) if n != axis), op, graph, "shapes of inputs")
    require_shape(y, wanted, op, graph)
    if op.options.get("fusedActivationFunction", 0):
        raise refusal(op, graph, "has a fused activation, which TFLite Micro does not compute either")
    calls = []
    offset = 0
    rows, step = math.prod(y.shape[:axis]), math.prod(y.shape[axis:])
    for tensor in inputs:
        assert tensor is not None
        if int8_of(tensor, op, graph) != int8_of(y, op, graph):
            raise refusal(op, graph, "joins tensors with different scales or zero points; requantize them first")
        length = math.prod(tensor.shape[axis:])
        calls.append(Call("copy_rows", (operand(tensor), (y, offset), rows, length, step)))
        offset += length
    return Lowered(tuple(calls))


@operator(inputs=(2, 2))
def transpose(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Any order of up to four axes."""
    inputs, y = tensors_of(op, graph)
    x = inputs[0]
    assert x is not None
    int8_of(y, op, graph)
    order = [int(axis) for axis in integers_of(inputs[1], op, graph, "order")]
    require(sorted(order) == list(range(len(x.shape))), op, graph, f"axes {order}")
    require_shape(y, [x.shape[axis] for axis in order], op, graph)
    strides = strides_of(x.shape)
    shape = four(y.shape, op, graph)
    taken = ([0] * 4 + [strides[axis] for axis in order])[-4:]
    return Lowered((Call("gather", (operand(x), y, ints(shape), ints(taken))),))


@operator(inputs=(4, 4))
def strided_slice(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Begins, ends and steps of either sign, with masks. New axes are refused."""
    inputs, y = tensors_of(op, graph)
    x = inputs[0]
    assert x is not None
    int8_of(y, op, graph)
    if op.options.get("ellipsisMask") or op.options.get("newAxisMask"):
        raise refusal(op, graph, "adds axes or an ellipsis; static C takes plain begins, ends and steps")
    begins, ends, steps = (integers_of(tensor, op, graph, "bounds").tolist() for tensor in inputs[1:4])
    require(len(begins) == len(ends) == len(steps) == len(x.shape) and all(steps), op, graph, "bounds or steps")
    strides = strides_of(x.shape)
    start, shape, taken = 0, [], []
    for axis, size in enumerate(x.shape):
        begin = None if op.options.get("beginMask", 0) >> axis & 1 else begins[axis]
        end = None if op.options.get("endMask", 0) >> axis & 1 else ends[axis]
        step = steps[axis]
        if op.options.get("shrinkAxisMask", 0) >> axis & 1:
            require(-size <= begins[axis] < size, op, graph, f"bounds {begins}")
            begin, step = begins[axis] % size, 1
            end = begin + 1
        chosen = range(size)[slice(begin, end, step)]
        start += (chosen.start if len(chosen) else 0) * strides[axis]
        shape.append(len(chosen))
        taken.append(step * strides[axis])
    padded = four(shape, op, graph)
    steps_taken = ([0] * 4 + taken)[-4:]
    if int(np.prod(shape)) != y.size:
        raise refusal(op, graph, f"has {y.size} values where its bounds give {int(np.prod(shape))}")
    return Lowered((Call("gather", ((x, start), y, ints(padded), ints(steps_taken))),))
