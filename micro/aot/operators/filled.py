"""Operators that fill, repeat or respell: FILL, ZEROS_LIKE, BROADCAST_TO, CAST, and shapes: SHAPE, BROADCAST_ARGS."""

from __future__ import annotations

from collections.abc import Sequence

from micro.aot.calls import (
    KINDS,
    Call,
    Lowered,
    array_of,
    given,
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
from micro.aot.operators.movement import gathered
from micro.aot.weight_layout import Storage
from micro.tflite.cost import WIDTHS
from micro.tflite.graph import Graph, Op, Tensor


@operator(inputs=(2, 2))
def fill(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """A constant value everywhere."""
    inputs, y = tensors_of(op, graph)
    value = given(inputs[1])
    require_kind(("int8", "int32"), op, graph, value, y)
    if value.data is None:
        raise refusal(op, graph, "fills with a computed value; static C needs a constant")
    require(value.shape == (), op, graph, f"values of shape {list(value.shape)} to fill with, which")
    shape = integers_of(inputs[0], op, graph, "shape").reshape(-1).tolist()
    require(tuple(shape) == y.shape, op, graph, f"shapes {shape} and {list(y.shape)}")
    return Lowered((Call(sized("fill", y), (y, y.size, int(array_of(value).reshape(-1)[0]))),))


@operator(inputs=(1, 1))
def zeros_like(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """The integer 0 everywhere, whatever the zero point: so does TFLite Micro."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    require_kind(("int8", "int32"), op, graph, x, y)
    require_shape(y, x.shape, op, graph)
    return Lowered((Call(sized("fill", y), (y, y.size, 0)),))


@operator(inputs=(2, 2))
def broadcast_to(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Axes of 1 repeated."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    require_kind(KINDS, op, graph, x, y)
    shape = integers_of(inputs[1], op, graph, "shape").reshape(-1).tolist()
    own = (1,) * (len(shape) - len(x.shape)) + x.shape
    fits = len(own) == len(shape) and all(n in (1, size) for n, size in zip(own, shape))
    require(fits and tuple(shape) == y.shape, op, graph, f"shapes {list(x.shape)} and {shape}")
    strides = [0 if n == 1 else stride for n, stride in zip(own, strides_of(own))]
    return gathered(op, graph, x, 0, y, shape, strides)


@operator(inputs=(1, 1))
def cast(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Integers of another width, whatever their scales; what does not fit wraps."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    require_shape(y, x.shape, op, graph)
    if x.dtype not in KINDS or y.dtype not in KINDS[:3]:
        raise refusal(
            op, graph, f"makes {y.dtype} of {x.dtype}; static C makes int8, int16 or int32 of these and of bool"
        )
    widths = [8 * WIDTHS[tensor.dtype] for tensor in (x, y)]
    bits = (1 << widths[1]) - 1 if widths[1] < widths[0] else 0
    return Lowered((Call(f"cast_{widths[0]}_{widths[1]}", (x, y, x.size, bits, bits // 2 + 1 if bits else 0)),))


@operator(inputs=(1, 1))
def shape(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """The sizes of a tensor's axes, which are known."""
    inputs, y = tensors_of(op, graph)
    return _numbers(op, graph, given(inputs[0]).shape, y)


@operator(inputs=(2, 2))
def broadcast_args(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """The shape that two constant shapes make."""
    inputs, y = tensors_of(op, graph)
    sides = [integers_of(tensor, op, graph, "shapes").reshape(-1).tolist() for tensor in inputs]
    axes = max(map(len, sides))
    pairs = list(zip(*([1] * (axes - len(side)) + side for side in sides)))
    require(all(a == b or 1 in (a, b) for a, b in pairs), op, graph, f"shapes {sides}")
    return _numbers(op, graph, [b if a == 1 else a for a, b in pairs], y)


def _numbers(op: Op, graph: Graph, values: Sequence[int], y: Tensor) -> Lowered:
    """Numbers that are known, as int32."""
    require_kind(("int32",), op, graph, y)
    require(y.shape == (len(values),) and len(values) > 0, op, graph, "shapes")
    return Lowered((Call("copy_rows_32", (ints(values), y, 1, y.size, 0)),))
