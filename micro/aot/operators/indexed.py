"""Operators that look up by indices: GATHER, EMBEDDING_LOOKUP. An index beyond the end takes the nearest value there is."""

from __future__ import annotations

import math

from micro.aot.calls import (
    Call,
    Lowered,
    given,
    operator,
    require,
    require_kind,
    require_shape,
    tensors_of,
)
from micro.aot.weight_layout import Storage
from micro.tflite.graph import Graph, Op


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
