"""Operators that fill or repeat: FILL, ZEROS_LIKE, BROADCAST_TO."""

from __future__ import annotations

from micro.aot.calls import (
    KINDS,
    Call,
    Lowered,
    array_of,
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
from micro.aot.operators.movement import gathered
from micro.aot.weight_layout import Storage
from micro.tflite.graph import Graph, Op


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
