"""AVERAGE_POOL_2D, MAX_POOL_2D."""

from __future__ import annotations

import math

from micro.aot.calls import (
    Call,
    Lowered,
    grid_of,
    numbers,
    operator,
    refusal,
    require,
    require_kind,
    require_shape,
    sized,
    tensors_of,
)
from micro.aot.fixed_point import activation_range
from micro.aot.operators.convolution import padding, window_shape
from micro.aot.overlap import in_rows
from micro.aot.weight_layout import Storage
from micro.tflite.graph import Graph, Op

# average_pool_2d_mve.c adds up to this many values of 8 bits in 16 bits.
MOST_TAPS = 255
WITH_MVE = {"average_pool_2d": "average_pool_2d_mve", "max_pool_2d": "max_pool_2d_mve"}


@operator(inputs=(1, 1), options=("padding", "strideH", "strideW", "filterHeight", "filterWidth"), exchangeable=True)
def average_pool_2d(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """The mean over the part of the window that lies inside the input."""
    return _pool("average_pool_2d", op, graph)


@operator(inputs=(1, 1), options=("padding", "strideH", "strideW", "filterHeight", "filterWidth"), exchangeable=True)
def max_pool_2d(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """The maximum over the window."""
    return _pool("max_pool_2d", op, graph)


def _pool(kernel: str, op: Op, graph: Graph) -> Lowered:
    inputs, y = tensors_of(op, graph)
    x, options = inputs[0], op.options
    require_kind(("int8", "int16"), op, graph, x, y)
    if grid_of(x, op, graph) != grid_of(y, op, graph):
        raise refusal(op, graph, "changes scale or zero point, which pooling in TFLite does not")
    assert x is not None
    require(len(x.shape) == 4, op, graph, f"axes {list(x.shape)}")
    require_shape(y, window_shape(op, graph, x, options["filterHeight"], options["filterWidth"], x.shape[3]), op, graph)
    size, strides = (options["filterHeight"], options["filterWidth"]), (options["strideH"], options["strideW"])
    before = (0, 0)
    if options["padding"] == 0:
        before = tuple(padding(x.shape[i + 1], y.shape[i + 1], size[i], strides[i], 1) for i in (0, 1))  # type: ignore[assignment]
    bits = 8 if y.dtype == "int8" else 16
    reach = activation_range(options.get("fusedActivationFunction", 0), *grid_of(y, op, graph), bits)
    if x.dtype == "int16" and math.prod(size) >= 1 << 16:
        raise refusal(op, graph, f"adds up to {math.prod(size):,} values of 16 bits, which 32 bits do not hold")
    arguments = x, y, *x.shape, *size, *y.shape[1:3], *strides, *before, *numbers(*reach)
    fits = y.dtype == "int8" and (kernel == "max_pool_2d" or math.prod(size) <= MOST_TAPS)
    lowered = Lowered((Call(sized(kernel, y), arguments, Call(WITH_MVE[kernel], arguments) if fits else None),))
    return in_rows(lowered, x, y, size, (*strides, 1, 1, *before)) if y.dtype == "int8" else lowered
