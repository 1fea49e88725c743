"""Operators that only move values: RESHAPE, EXPAND_DIMS, SQUEEZE, PAD, PADV2, CONCATENATION, TRANSPOSE, STRIDED_SLICE."""

from __future__ import annotations

import math
from collections.abc import Sequence

from micro.aot.calls import (
    KINDS,
    Call,
    Lowered,
    ModelNumber,
    array_of,
    four,
    four_merged,
    given,
    int8_of,
    integers_of,
    ints,
    operator,
    refusal,
    require,
    require_kind,
    require_shape,
    sized,
    strides_of,
    tensors_of,
)
from micro.aot.weight_layout import Storage
from micro.tflite.graph import Graph, Op, Tensor


def _same_values(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """The values stay where they are, in another shape; constants are copied."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    if y.variable and x.data is not None:
        _require_state(op, graph)
        return Lowered(alias=True)
    require_kind(KINDS, op, graph, x, y)
    if x.size != y.size:
        raise refusal(op, graph, f"has {x.size} values in and {y.size} out")
    if x.data is None:
        return Lowered(alias=True)
    return Lowered((Call(sized("copy_rows", y), (x, y, 1, y.size, 0)),))


def _require_state(op: Op, graph: Graph) -> None:
    """Refuse a variable that is set to a constant unless it is the state of one LSTM, which starts from it without a copy."""
    index = op.outputs[0]
    readers = [
        (reader.name, place) for reader in graph.ops for place, read in enumerate(reader.inputs) if read == index
    ]
    lstm = "UNIDIRECTIONAL_SEQUENCE_LSTM"
    if len(readers) > 1 or index in graph.outputs or any(reader not in ((lstm, 18), (lstm, 19)) for reader in readers):
        raise refusal(op, graph, "sets a variable that is more than the state of one LSTM")


reshape = operator(inputs=(1, 2), exchangeable=True)(_same_values)
expand_dims = operator(inputs=(2, 2), exchangeable=True)(_same_values)
squeeze = operator(inputs=(1, 1), exchangeable=True)(_same_values)


@operator(inputs=(2, 2), exchangeable=True)
def pad(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Padding with the output's zero point; of int16 and int32 with 0."""
    inputs, y = tensors_of(op, graph)
    require_kind(("int8", "int16", "int32"), op, graph, inputs[0], y)
    return padded(op, graph, ModelNumber(int8_of(y, op, graph)[1] if y.dtype == "int8" else 0))


@operator(inputs=(3, 3))
def padv2(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Padding with a constant value, which has the scale and zero point of the other tensors."""
    inputs, y = tensors_of(op, graph)
    x, value = given(inputs[0]), given(inputs[2])
    require_kind(("int8",), op, graph, x, value, y)
    if value.data is None:
        raise refusal(op, graph, "pads with a computed value; static C needs a constant")
    if int8_of(value, op, graph) != int8_of(y, op, graph):
        raise refusal(op, graph, "pads with a value of another scale or zero point; TFLite Micro takes the output's")
    require(value.size == 1, op, graph, f"{value.size} values to pad with, which")
    return padded(op, graph, int(array_of(value).reshape(-1)[0]))


def padded(op: Op, graph: Graph, value: int) -> Lowered:
    """The input in the middle of an output full of `value`."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    around = integers_of(inputs[1], op, graph, "paddings")
    require(around.shape == (len(x.shape), 2) and bool((around >= 0).all()), op, graph, "paddings")
    require_shape(y, [size + int(sum(pair)) for size, pair in zip(x.shape, around.tolist())], op, graph)
    before = [int(pair[0]) for pair in around][-4:]
    before = [0] * (4 - len(before)) + before
    strides = strides_of(four(y.shape, op, graph))
    start = sum(first * stride for first, stride in zip(before, strides))
    shape = ints(four(x.shape, op, graph))
    return Lowered((Call(sized("pad", y), (x, y, y.size, shape, ints(strides), start, value)),))


@operator(inputs=(1, 64), options=("axis",), exchangeable=True)
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
    require_kind(KINDS, op, graph, *inputs, y)
    for tensor in map(given, inputs):
        if y.dtype == "int8" and int8_of(tensor, op, graph) != int8_of(y, op, graph):
            raise refusal(op, graph, "joins tensors with different scales or zero points; requantize them first")
        length = math.prod(tensor.shape[axis:])
        calls.append(Call(sized("copy_rows", y), (tensor, (y, offset), rows, length, step)))
        offset += length
    return Lowered(tuple(calls))


@operator(inputs=(2, 2), exchangeable=True)
def transpose(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Any order of up to four axes."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    require_kind(("int8", "int16"), op, graph, x, y)
    order = [int(axis) for axis in integers_of(inputs[1], op, graph, "order")]
    require(sorted(order) == list(range(len(x.shape))), op, graph, f"axes {order}")
    require_shape(y, [x.shape[axis] for axis in order], op, graph)
    strides = strides_of(x.shape)
    return gathered(op, graph, x, 0, y, y.shape, [strides[axis] for axis in order])


@operator(inputs=(4, 4), exchangeable=True)
def strided_slice(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Begins, ends and steps of either sign, with masks. New axes are refused."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    require_kind(KINDS, op, graph, x, y)
    start, shape, taken = _chosen(op, graph)
    if math.prod(shape) != y.size:
        raise refusal(op, graph, f"has {y.size} values where its bounds give {math.prod(shape)}")
    if last_step_only(x.index, graph):
        start -= (x.shape[1] - 1 - (x.shape[1] - 1) % 2) * x.shape[2]
    return gathered(op, graph, x, start, y, shape, taken)


def _chosen(op: Op, graph: Graph) -> tuple[int, list[int], list[int]]:
    """What a STRIDED_SLICE takes: from where on, how many along each axis, and how far apart."""
    inputs, _ = tensors_of(op, graph)
    x = given(inputs[0])
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
    return start, shape, taken


def last_step_only(index: int, graph: Graph) -> bool:
    """Whether a tensor is an LSTM's sequence, (1, steps, units), of which all that is taken lies in the last step.

    Such a sequence is held as two steps by turns: step n is row n % 2.
    """
    made = any(index in op.outputs for op in graph.ops if op.name == "UNIDIRECTIONAL_SEQUENCE_LSTM")
    readers = [op for op in graph.ops if index in op.inputs]
    shape = graph.tensors[index].shape
    sliced = [op.name for op in readers] == ["STRIDED_SLICE"] and len(shape) == 3 and shape[0] == 1 and shape[1] > 2
    if not made or not sliced or index in graph.outputs:
        return False
    start, counts, taken = _chosen(readers[0], graph)
    return start + sum((n - 1) * min(stride, 0) for n, stride in zip(counts, taken)) >= (shape[1] - 1) * shape[2]


def gathered(
    op: Op, graph: Graph, x: Tensor, start: int, y: Tensor, shape: Sequence[int], strides: Sequence[int]
) -> Lowered:
    """All values of `y`, in order, from those of `x` that are `strides` apart along the axes of `shape`, from `start` on."""
    return Lowered((gather_call(op, graph, x, start, y, shape, strides),))


def gather_call(
    op: Op, graph: Graph, x: Tensor, start: int, y: Tensor, shape: Sequence[int], strides: Sequence[int]
) -> Call:
    """The one call of `gathered`."""
    return Call(sized("gather", y), ((x, start), y, *four_merged(op, graph, shape, strides)))
