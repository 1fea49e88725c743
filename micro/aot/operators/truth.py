"""Operators of truth values: LOGICAL_AND, LOGICAL_OR, LOGICAL_NOT, REDUCE_ALL; EQUAL and NOT_EQUAL of them."""

from __future__ import annotations

from micro.aot.calls import (
    Call,
    Lowered,
    four,
    given,
    ints,
    operator,
    require_kind,
    require_shape,
    strides_of,
    tensors_of,
)
from micro.aot.operators.elementwise import broadcast
from micro.aot.operators.reduction import reduced
from micro.aot.overlap import IN_PLACE
from micro.aot.weight_layout import Storage
from micro.tflite.graph import Graph, Op

# The results for both false, for the second, the first, and both true: bits 0 to 3.
RESULTS = {"LOGICAL_AND": 8, "LOGICAL_OR": 14, "EQUAL": 9, "NOT_EQUAL": 6}
# With the value twice: of false and of true.
NOT = 1


@operator(inputs=(2, 2))
def logical(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """A function of two truth values."""
    inputs, y = tensors_of(op, graph)
    require_kind(("bool",), op, graph, *inputs, y)
    return broadcast("logical", op, graph, RESULTS[op.name])


@operator(inputs=(1, 1))
def logical_not(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """False where the value is true."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    require_kind(("bool",), op, graph, x, y)
    require_shape(y, x.shape, op, graph)
    shape = four(y.shape, op, graph)
    strides = ints(strides_of(shape))
    return Lowered((Call("logical", (x, x, y, ints(shape), strides, strides, NOT)),), overlap={0: IN_PLACE})


@operator(inputs=(2, 2))
def reduce_all(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Whether all values over some axes are true: the smallest of them."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    require_kind(("bool",), op, graph, x, y)
    return Lowered((Call("extreme", (x, y, *reduced(op, graph)[1], 0)),))
