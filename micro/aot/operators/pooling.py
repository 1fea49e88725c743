"""AVERAGE_POOL_2D, MAX_POOL_2D, MEAN."""

from __future__ import annotations

import math

from micro.aot.calls import (
    Call,
    Lowered,
    four,
    grid_of,
    integers_of,
    ints,
    operator,
    refusal,
    require,
    require_kind,
    require_shape,
    require_within_32_bits,
    sized,
    strides_of,
    tensors_of,
)
from micro.aot.fixed_point import activation_range, quantize_multiplier
from micro.aot.operators.convolution import padding, window_shape
from micro.aot.overlap import in_rows
from micro.aot.weight_layout import Storage
from micro.tflite.graph import Graph, Op


@operator(inputs=(1, 1), options=("padding", "strideH", "strideW", "filterHeight", "filterWidth"))
def average_pool_2d(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """The mean over the part of the window that lies inside the input."""
    return _pool("average_pool_2d", op, graph)


@operator(inputs=(1, 1), options=("padding", "strideH", "strideW", "filterHeight", "filterWidth"))
def max_pool_2d(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """The maximum over the window."""
    return _pool("max_pool_2d", op, graph)


@operator(inputs=(2, 2))
def mean(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Over any axes."""
    inputs, y = tensors_of(op, graph)
    x = inputs[0]
    require_kind(("int8", "int16"), op, graph, x, y)
    (x_scale, x_zero), (y_scale, y_zero) = grid_of(x, op, graph), grid_of(y, op, graph)
    assert x is not None
    listed = [int(axis) for axis in integers_of(inputs[1], op, graph, "axes").reshape(-1)]
    require(all(-len(x.shape) <= axis < len(x.shape) for axis in listed), op, graph, f"axes {listed}")
    axes = {axis % len(x.shape) for axis in listed}
    shape = four(x.shape, op, graph)
    shift = 4 - len(x.shape)
    over = [size if axis - shift in axes else 1 for axis, size in enumerate(shape)]
    stay = [1 if axis - shift in axes else size for axis, size in enumerate(shape)]
    count = math.prod(over)
    require(y.size == math.prod(stay), op, graph, "sizes of input and output")
    fraction, power = quantize_multiplier(x_scale / y_scale)
    # As in TFLite, the multiplier includes the division by the count: the fraction is divided, the power adjusted by halvings.
    halvings = min(count.bit_length() - 1, 32, 31 + power)
    fraction, power = (fraction << halvings) // count, power - halvings
    require_within_32_bits((255 if y.dtype == "int8" else 1 << 15) * count, power, op, graph)
    tables = (ints(stay), ints(over), ints(strides_of(shape)))
    return Lowered((Call(sized("mean", y), (x, y, *tables, -x_zero * count, fraction, power, y_zero)),))


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
    lowered = Lowered((Call(sized(kernel, y), (x, y, *x.shape, *size, *y.shape[1:3], *strides, *before, *reach)),))
    return in_rows(lowered, x, y, size, (*strides, 1, 1, *before)) if y.dtype == "int8" else lowered
