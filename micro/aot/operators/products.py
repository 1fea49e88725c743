"""Sums of products in forms of their own: groups, 4-bit weights, 16-bit values, TRANSPOSE_CONV, BATCH_MATMUL."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from micro.aot.calls import (
    Argument,
    Call,
    Constant,
    Lowered,
    array_of,
    given,
    grid_of,
    int8_of,
    ints,
    merged,
    numbers,
    operator,
    refusal,
    require,
    require_kind,
    require_shape,
    require_within_32_bits,
    strides_of,
    tensors_of,
)
from micro.aot.fixed_point import activation_range, quantize_multiplier
from micro.aot.operators import convolution
from micro.aot.operators.convolution import output_range, padding, window_shape
from micro.aot.weight_layout import Storage
from micro.tflite.graph import Graph, Op, Tensor

# Sums of 64 bits are scaled by shifts within these bounds; TFLite asserts them.
LEAST_POWER, MOST_POWER, MOST_SUM = -31, 7, 1 << 47

# Whose biases of 16-bit values have 64 bits.
WIDE_BIAS = ("DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")


@dataclass(frozen=True)
class Operands:
    """Input, output, weights as int64 values, biases or None, and how many outputs there are.

    `packed` are the bytes of 4-bit weights, two to a byte.
    """

    x: Tensor
    y: Tensor
    weights: Tensor
    values: np.ndarray
    packed: np.ndarray | None
    bias: Tensor | None
    channels: int


@operator(inputs=(2, 3), optional=True, exchangeable=True)
def fully_connected(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Int8, also with 4-bit weights and with one set of scales; 16-bit values with 8-bit weights."""
    if _is_plain(op, graph):
        return convolution.fully_connected(op, graph, storage)
    operands = _operands(op, graph, 0)
    require(len(operands.weights.shape) == 2, op, graph, f"weights of shape {list(operands.weights.shape)}")
    outputs, depth = operands.weights.shape
    rows = operands.x.size // depth
    require(operands.x.size == rows * depth and operands.y.size == rows * outputs, op, graph, "sizes")
    if operands.packed is not None and len(given(operands.weights).quantization.scale) > 1:  # type: ignore[union-attr]
        raise refusal(op, graph, "has 4-bit weights with a scale for each output, which TFLite Micro refuses too")
    if operands.x.dtype == "int16":
        arrays, wide, scaling = _wide(op, graph, operands)
        return Lowered((Call("fully_connected_16", (*arrays, rows, depth, outputs, wide, *scaling)),))
    geometry = (rows, 1, 1, depth, 1, 1, 1, 1, outputs, 1, 1, 1, 1, 0, 0, depth, outputs, depth, depth, depth, 1)
    return _products(op, graph, operands, geometry)


@operator(inputs=(2, 3), optional=True, options=("padding", "strideH", "strideW"), exchangeable=True)
def conv_2d(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Strides, dilations, both paddings, groups; 4-bit weights; 16-bit values with 8-bit weights."""
    if _is_plain(op, graph) and graph.tensors[op.inputs[1]].shape[-1:] == graph.tensors[op.inputs[0]].shape[-1:]:
        return convolution.conv_2d(op, graph, storage)
    operands = _operands(op, graph, 0)
    x, y = operands.x, operands.y
    require(len(x.shape) == len(operands.weights.shape) == 4, op, graph, "axes")
    outputs, height, width, depth = operands.weights.shape
    groups = x.shape[3] // depth
    fits = groups >= 1 and x.shape[3] == groups * depth and outputs % groups == 0
    require(fits, op, graph, f"groups of {depth} of {x.shape[3]} channels for {outputs} filters, which")
    require_shape(y, window_shape(op, graph, x, height, width, outputs), op, graph)
    geometry = (
        *(*x.shape, height, width, *y.shape[1:], *convolution.geometry_of(op, x, y, height, width)),
        *(depth, outputs // groups, height * width * depth, width * depth, depth, 1),
    )
    return _products(op, graph, operands, geometry)


@operator(inputs=(2, 3), optional=True, options=("padding", "strideH", "strideW", "depthMultiplier"), exchangeable=True)
def depthwise_conv_2d(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Any depth multiplier; 4-bit weights; 16-bit values with 8-bit weights."""
    if _is_plain(op, graph):
        return convolution.depthwise_conv_2d(op, graph, storage)
    operands = _operands(op, graph, 3)
    x, y = operands.x, operands.y
    axes = len(x.shape) == len(operands.weights.shape) == 4 and operands.weights.shape[0] == 1
    require(axes, op, graph, "axes")
    _, height, width, outputs = operands.weights.shape
    require_shape(y, window_shape(op, graph, x, height, width, outputs), op, graph)
    multiplier = op.options["depthMultiplier"]
    fits = outputs == x.shape[3] * multiplier
    require(fits, op, graph, f"{outputs} filters for {x.shape[3]} channels times {multiplier}, which")
    geometry = (
        *(*x.shape, height, width, *y.shape[1:], *convolution.geometry_of(op, x, y, height, width)),
        *(1, multiplier, 1, width * outputs, outputs, 0),
    )
    return _products(op, graph, operands, geometry)


@operator(inputs=(3, 4), optional=True, options=("padding", "strideH", "strideW"))
def transpose_conv(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Int8, or 16-bit values with 8-bit weights; both paddings, with or without a bias."""
    _, weights, x = (graph.tensors[i] for i in op.inputs[:3])
    bias = graph.tensors[op.inputs[3]] if len(op.inputs) > 3 and op.inputs[3] >= 0 else None
    operands = _checked(op, graph, x, weights, bias, 0)
    if operands.packed is not None:
        raise refusal(op, graph, "has 4-bit weights, which TFLite Micro refuses too")
    y, (outputs, height, width, depth) = operands.y, weights.shape
    require(len(x.shape) == len(y.shape) == 4 and x.shape[3] == depth, op, graph, "axes or channels")
    require(x.shape[0] == y.shape[0] and y.shape[3] == outputs, op, graph, "shapes")
    strides = op.options["strideH"], op.options["strideW"]
    require(op.options["padding"] in (0, 1) and min(strides) >= 1, op, graph, "paddings or strides")
    require(max(*strides, height, width) <= convolution.FARTHEST, op, graph, "strides or windows")
    before = []
    for axis, size, stride in ((1, height, strides[0]), (2, width, strides[1])):
        reach = y.shape[axis] if op.options["padding"] == 0 else y.shape[axis] - size + 1
        before.append(padding(y.shape[axis], -(-reach // stride), size, stride, 1))
    sizes = (*x.shape, height, width, *y.shape[1:], *strides, *before)
    arrays = (x, Constant(operands.values.astype(np.int8)), _bias(operands.bias), y)
    multipliers = _rescaling(op, graph, operands, wide=x.dtype == "int16")
    if x.dtype == "int16":
        limits = activation_range(op.options.get("fusedActivationFunction", 0), *grid_of(y, op, graph), bits=16)
        return Lowered((Call("transpose_conv_16", (*arrays, *sizes, *multipliers, *limits)),))
    x_offset = -int8_of(x, op, graph)[1]
    return Lowered((Call("transpose_conv", (*arrays, *sizes, x_offset, *multipliers, *output_range(op, graph, y))),))


@operator(inputs=(2, 2))
def batch_matmul(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Products of two tensors of int8 or int16, either of them transposed, computed or constant."""
    (a, b), y = tensors_of(op, graph)
    a, b = given(a), given(b)
    require_kind(("int8", "int16"), op, graph, a, b, y)
    (a_scale, a_zero), (b_scale, b_zero), (y_scale, y_zero) = (grid_of(t, op, graph) for t in (a, b, y))
    require(min(len(a.shape), len(b.shape)) >= 2, op, graph, "axes")
    sides = []
    for tensor, swapped in ((a, op.options.get("adjX")), (b, op.options.get("adjY"))):
        shape, strides = list(tensor.shape), strides_of(tensor.shape)
        if swapped:
            shape[-2:], strides[-2:] = shape[:-3:-1], strides[:-3:-1]
        sides.append((shape, strides))
    rank = max(len(shape) for shape, _ in sides)
    (a_shape, a_steps), (b_shape, b_steps) = (
        ([1] * (rank - len(shape)) + shape, [0] * (rank - len(shape)) + strides) for shape, strides in sides
    )
    (rows, depth), (inner, columns) = a_shape[-2:], b_shape[-2:]
    require(depth == inner, op, graph, f"matrices of {rows} x {depth} and {inner} x {columns}, which")
    pairs = list(zip(a_shape[:-2], b_shape[:-2]))
    require(all(m == n or 1 in (m, n) for m, n in pairs), op, graph, f"batches {pairs}")
    batches = [max(pair) for pair in pairs]
    require_shape(y, (*batches, rows, columns), op, graph)
    a_steps[:-2] = [0 if n == 1 else step for n, step in zip(a_shape, a_steps[:-2])]
    b_steps[:-2] = [0 if n == 1 else step for n, step in zip(b_shape, b_steps[:-2])]
    sizes, a_outer, b_outer = merged(batches, a_steps[:-2], b_steps[:-2])
    if len(sizes) > 2:
        raise refusal(op, graph, f"has {len(sizes)} batch axes; static C takes two")
    missing = 2 - len(sizes)
    fraction, power = quantize_multiplier(a_scale * b_scale / y_scale)
    arguments = (
        *(a, b, y, ints([1] * missing + [*sizes, rows, columns, depth])),
        *(ints([0] * missing + [*a_outer, a_steps[-2], 0, a_steps[-1]]),),
        *(ints([0] * missing + [*b_outer, 0, b_steps[-1], b_steps[-2]]),),
    )
    if y.dtype == "int16":
        require_within_64_bits(depth << 30, fraction, power, op, graph)
        return Lowered((Call("batch_matmul_16", (*arguments, fraction, power)),))
    require_within_32_bits(depth * 255 * 255, power, op, graph)
    return Lowered((Call("batch_matmul", (*arguments, ints([-a_zero, -b_zero, fraction, power, y_zero]))),))


def _is_plain(op: Op, graph: Graph) -> bool:
    """Whether all is int8, so that the quicker kernels serve."""
    x, weights = graph.tensors[op.inputs[0]], graph.tensors[op.inputs[1]]
    return x.dtype != "int16" and weights.dtype != "int4"


def _operands(op: Op, graph: Graph, axis: int) -> Operands:
    inputs, _ = tensors_of(op, graph)
    return _checked(op, graph, given(inputs[0]), given(inputs[1]), inputs[2] if len(inputs) > 2 else None, axis)


def _checked(op: Op, graph: Graph, x: Tensor, weights: Tensor, bias: Tensor | None, axis: int) -> Operands:
    """Operands that are constant and of the types that TFLite Micro takes; `axis` of the weights is that of outputs."""
    y = graph.tensors[op.outputs[0]]
    require_kind(("int8", "int16"), op, graph, x, y)
    kinds = ("int8", "int4") if x.dtype == "int8" else ("int8",)
    if weights.data is None or weights.dtype not in kinds or weights.quantization is None:
        raise refusal(op, graph, f"has weights that are not constant {' or '.join(kinds)}")
    if any(weights.quantization.zero_point):
        raise refusal(op, graph, "has weights with a zero point; they are symmetric")
    require(len(weights.shape) in (2, 4), op, graph, f"weights of shape {list(weights.shape)}")
    channels = weights.shape[axis]
    if len(weights.quantization.scale) not in (1, channels):
        raise refusal(op, graph, f"has {len(weights.quantization.scale)} scales for {channels} channels")
    if bias is not None:
        kinds = ("int32",) if x.dtype == "int8" else ("int64",) if op.name in WIDE_BIAS else ("int32", "int64")
        if bias.data is None or bias.dtype not in kinds:
            raise refusal(op, graph, f"has a bias that is {bias.dtype}; it takes constant {' or '.join(kinds)}")
        require(bias.size == channels, op, graph, f"{bias.size} biases for {channels} channels, which")
        if np.abs(array_of(bias).astype(np.float64)).max() >= 1 << 31:
            raise refusal(op, graph, "has biases beyond 32 bits")
    packed = None
    if weights.dtype == "int4":
        packed = np.frombuffer(weights.data, np.int8)
        low, high = (packed & 15 ^ 8) - 8, packed >> 4
        values = np.stack([low, high], 1).reshape(-1)[: weights.size].reshape(weights.shape)
    else:
        values = array_of(weights)
    return Operands(x, y, weights, values.astype(np.int64), packed, bias, channels)


def _products(op: Op, graph: Graph, operands: Operands, geometry: tuple[int, ...]) -> Lowered:
    x, y = operands.x, operands.y
    if x.dtype == "int16":
        given_16, wide, rescaling = _wide(op, graph, operands)
        return Lowered((Call("products_16", (*given_16, ints(geometry), wide, *rescaling)),))
    weights = operands.values.astype(np.int8) if operands.packed is None else operands.packed
    arrays = (x, Constant(weights, True), _bias(operands.bias), y)
    packed, x_offset = int(operands.packed is not None), -int8_of(x, op, graph)[1]
    scaling = _rescaling(op, graph, operands, wide=False)
    limits = numbers(*output_range(op, graph, y))
    return Lowered((Call("products", (*arrays, ints(geometry), packed, *numbers(x_offset), *scaling, *limits)),))


def _wide(
    op: Op, graph: Graph, operands: Operands
) -> tuple[tuple[Argument, ...], int, tuple[Constant, Constant, int, int, int]]:
    """Of 16-bit values: the arrays, whether sums are scaled as 64 bits, and how they are, with the range of the output."""
    for tensor in (operands.x, operands.y):
        grid_of(tensor, op, graph)
    wide = operands.bias.dtype == "int64" if operands.bias is not None else op.options.get("quantizedBiasType", 0) != 2
    wide = wide or op.name == "DEPTHWISE_CONV_2D"
    arrays = (operands.x, Constant(operands.values.astype(np.int8)), _bias(operands.bias), operands.y)
    low, high = activation_range(op.options.get("fusedActivationFunction", 0), *grid_of(operands.y, op, graph), bits=16)
    return arrays, int(wide), (*_rescaling(op, graph, operands, wide=wide), low, high)


def _bias(bias: Tensor | None) -> Argument:
    return 0 if bias is None else Constant(array_of(bias).astype(np.int32), True)


def _rescaling(op: Op, graph: Graph, operands: Operands, wide: bool) -> tuple[Constant, Constant, int]:
    """Multipliers, powers, and whether there is one for each channel; sums must fit 32 or 64 bits."""
    x_scale, x_zero = grid_of(operands.x, op, graph)
    assert operands.weights.quantization is not None
    scales, y_scale = operands.weights.quantization.scale, grid_of(operands.y, op, graph)[0]
    pairs = [quantize_multiplier(x_scale * scale / y_scale) for scale in scales]
    farthest = 1 << 15 if operands.x.dtype == "int16" else max(128 + x_zero, 127 - x_zero)
    axes = (0, 1, 2) if op.name == "DEPTHWISE_CONV_2D" else tuple(range(1, operands.values.ndim))
    sums = np.abs(operands.values).sum(axis=axes) * farthest
    if operands.bias is not None:
        sums = sums + np.abs(array_of(operands.bias).astype(np.int64)).reshape(-1)
    for total, (fraction, power) in zip(sums.tolist(), pairs * (len(sums) if len(pairs) == 1 else 1)):
        if not wide:
            require_within_32_bits(total, power, op, graph)
        else:
            require_within_64_bits(total, fraction, power, op, graph)
    return (
        Constant(np.array([fraction for fraction, _ in pairs], np.int32), True),
        Constant(np.array([power for _, power in pairs], np.int8), True),
        int(len(scales) > 1),
    )


def require_within_64_bits(total: int, fraction: int, power: int, op: Op, graph: Graph) -> None:
    """Refuse sums of up to `total` that TFLite's kernels cannot scale as 64 bits."""
    if not LEAST_POWER <= power <= MOST_POWER or total >= MOST_SUM or total * fraction >> 31 - power >= 1 << 31:
        raise refusal(op, graph, f"scales sums of up to {total:,} by 2^{power}, which TFLite's 64 bits do not hold")
