"""Operators that compare or choose: MAXIMUM, MINIMUM, EQUAL and the like, SELECT_V2, and ARG_MAX, ARG_MIN."""

from __future__ import annotations

import math

from micro.aot.calls import (
    Call,
    Lowered,
    axis_of,
    four,
    given,
    int8_of,
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
from micro.aot.operators.elementwise import broadcast, to_unit
from micro.aot.operators.truth import RESULTS, logical
from micro.aot.weight_layout import Storage
from micro.tflite.graph import Graph, Op

# Whether the result is true where the first is less, equal, greater: bits 0, 1, 2.
TRUE_WHERE = {"EQUAL": 2, "NOT_EQUAL": 5, "GREATER": 4, "GREATER_EQUAL": 6, "LESS": 1, "LESS_EQUAL": 3}


@operator(inputs=(2, 2))
def maximum_minimum(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """The larger or the smaller integer of two, whatever their scales: so does TFLite Micro."""
    inputs, y = tensors_of(op, graph)
    require_kind(("int8", "int16", "int32"), op, graph, *inputs, y)
    return broadcast(sized("larger", y), op, graph, int(op.name == "MAXIMUM"))


@operator(inputs=(2, 2))
def comparison(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Truth values of a comparison: of int8 on two scales, of int32 as they are, of truth values where they may differ."""
    (a, b), y = tensors_of(op, graph)
    require(y.dtype == "bool", op, graph, f"outputs that are {y.dtype}, which")
    if given(a).dtype == "bool" and op.name in RESULTS:
        return logical.lowering(op, graph, storage)
    require_kind(("int8", "int32"), op, graph, a, b)
    if given(a).dtype == "int32":
        return broadcast("compare_32", op, graph, TRUE_WHERE[op.name])
    grids = [int8_of(tensor, op, graph) for tensor in (a, b)]
    for scale, _ in grids:
        if scale >= 1:
            raise refusal(op, graph, f"compares values with a scale of {scale:g}; TFLite Micro takes scales below 1")
    return broadcast("compare", op, graph, TRUE_WHERE[op.name], ints(to_unit(grids, 1.0)))


@operator(inputs=(3, 3))
def select_v2(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Of two tensors, the values of the first where a condition is true, else those of the second."""
    inputs, y = tensors_of(op, graph)
    condition, *values = map(given, inputs)
    require(condition.dtype == "bool", op, graph, f"conditions that are {condition.dtype}, which")
    require_kind(("int8", "int16"), op, graph, *values, y)
    shape = four(y.shape, op, graph)
    strides = []
    for tensor in (condition, *values):
        own = four(tensor.shape, op, graph)
        require(all(n in (1, size) for n, size in zip(own, shape)), op, graph, f"shapes {list(own)} and {list(shape)}")
        strides.append(ints([0 if n == 1 else stride for n, stride in zip(own, strides_of(own))]))
    made = [max(sizes) for sizes in zip(*(four(tensor.shape, op, graph) for tensor in (condition, *values)))]
    require_shape(y, made, op, graph)
    return Lowered((Call(sized("choose", y), (condition, *values, y, ints(shape), *strides)),))


@operator(inputs=(2, 2))
def arg_max_min(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """The position of the largest or smallest value along an axis, the first if there are several, as int32."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    require_kind(("int8",), op, graph, x)
    if y.dtype != "int32":
        raise refusal(op, graph, f"has an output that is {y.dtype}; TFLite Micro makes int32")
    axis = axis_of(inputs[1], x, op, graph)
    require_shape(y, x.shape[:axis] + x.shape[axis + 1 :], op, graph)
    sizes = (math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :]))
    return Lowered((Call("position_of", (x, y, *sizes, int(op.name == "ARG_MAX"))),))
