"""Operators that look up or put by indices: GATHER, GATHER_ND, EMBEDDING_LOOKUP, DYNAMIC_UPDATE_SLICE.

An index beyond the end takes the nearest value there is.
"""

from __future__ import annotations

import math

from micro.aot.calls import (
    Call,
    Lowered,
    four,
    given,
    ints,
    operator,
    require,
    require_kind,
    require_shape,
    sized,
    strides_of,
    tensors_of,
)
from micro.aot.weight_layout import Storage
from micro.tflite.graph import Graph, Op

# Axes of a position in TFLite Micro.
MOST_AXES = 5


@operator(inputs=(2, 2))
def gather(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Int8 values by constant or computed int32 indices along an axis."""
    inputs, y = tensors_of(op, graph)
    x, indices = map(given, inputs)
    require_kind(("int8",), op, graph, x, y)
    require_kind(("int32",), op, graph, indices)
    axis, batch = op.options.get("axis", 0), op.options.get("batchDims", 0)
    require(-len(x.shape) <= axis < len(x.shape), op, graph, f"axes {axis}")
    require(-len(indices.shape) <= batch <= len(indices.shape), op, graph, f"batch axes {batch}")
    axis, batch = axis % len(x.shape), batch + len(indices.shape) * (batch < 0)
    require(batch <= axis and x.shape[:batch] == indices.shape[:batch], op, graph, f"{batch} batch axes, which")
    require_shape(y, (*x.shape[:axis], *indices.shape[batch:], *x.shape[axis + 1 :]), op, graph)
    sizes = (
        *(math.prod(x.shape[:batch]), math.prod(x.shape[batch:axis]), math.prod(indices.shape[batch:])),
        *(x.shape[axis], math.prod(x.shape[axis + 1 :])),
    )
    return Lowered((Call("take", (x, indices, y, *sizes)),))


@operator(inputs=(2, 2))
def embedding_lookup(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Rows of an int8 table by int32 indices."""
    inputs, y = tensors_of(op, graph)
    indices, table = map(given, inputs)
    require_kind(("int8",), op, graph, table, y)
    require_kind(("int32",), op, graph, indices)
    require(len(indices.shape) == 1 and len(table.shape) >= 2, op, graph, "axes of indices or table")
    require(y.shape == (*indices.shape, *table.shape[1:]), op, graph, "shapes of table and output")
    sizes = (1, 1, indices.size, table.shape[0], math.prod(table.shape[1:]))
    return Lowered((Call("take", (table, indices, y, *sizes)),))


@operator(inputs=(2, 2))
def gather_nd(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Int8 slices by int32 positions along the first axes."""
    inputs, y = tensors_of(op, graph)
    x, indices = map(given, inputs)
    require_kind(("int8",), op, graph, x, y)
    require_kind(("int32",), op, graph, indices)
    require(len(indices.shape) >= 1 and 1 <= indices.shape[-1] <= min(len(x.shape), MOST_AXES), op, graph, "axes")
    depth = indices.shape[-1]
    require(y.shape == (*indices.shape[:-1], *x.shape[depth:]), op, graph, "shapes")
    size = math.prod(x.shape[depth:])
    numbers = (math.prod(indices.shape[:-1]), depth, size, x.size - size, ints(strides_of(x.shape)[:depth]))
    return Lowered((Call("take_at", (x, indices, y, *numbers)),))


@operator(inputs=(3, 3))
def dynamic_update_slice(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """A tensor with another in it, from constant or computed int32 positions on, which are moved inside."""
    inputs, y = tensors_of(op, graph)
    x, update, start = map(given, inputs)
    require_kind(("int8", "int16", "int32"), op, graph, x, update, y)
    require_kind(("int32",), op, graph, start)
    axes = len(x.shape)
    require(1 <= axes == len(update.shape) <= 4 and start.size == axes, op, graph, "axes")
    require(all(n <= size for n, size in zip(update.shape, x.shape)) and y.shape == x.shape, op, graph, "shapes")
    shape, part = four(x.shape, op, graph), four(update.shape, op, graph)
    numbers = (y.size, ints(shape), ints(part), ints(strides_of(shape)), 4 - axes)
    return Lowered((Call(sized("put", y), (x, update, start, y, *numbers)),))
