"""FULLY_CONNECTED, CONV_2D, DEPTHWISE_CONV_2D all in int8: sums of products, rescaled to the output by multipliers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from micro.aot.calls import (
    Argument,
    Call,
    Constant,
    Lowered,
    array_of,
    int8_of,
    numbers,
    refusal,
    require,
    require_shape,
    require_within_32_bits,
    tensors_of,
)
from micro.aot.fixed_point import activation_range, quantize_multiplier
from micro.aot.overlap import in_rows
from micro.aot.weight_layout import Storage, blocks_of_filters, by_channels, stored, windows_in_words
from micro.tflite.graph import Graph, Op, Tensor

# Larger strides and windows could overflow the kernels' 32-bit positions.
FARTHEST = 1 << 24
# Windows of up to this number of bytes are copied before they are multiplied, as conv_2d.c says, unless they are contiguous.
LARGEST_COPY = 160
# Bytes of the columns of windows that conv_2d_mve.c holds, which must have room for a window.
MVE_COLUMNS = 1280


@dataclass(frozen=True)
class Mve:
    """The kernel for cores with MVE, its weights, and its sizes."""

    kernel: str
    weights: np.ndarray
    sizes: tuple[int, ...]


def fully_connected(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Per tensor or per channel, with or without a bias."""
    x, weights, bias, y = _operands(op, graph)
    require(len(weights.shape) == 2, op, graph, f"weights of shape {list(weights.shape)}")
    outputs, depth = weights.shape
    rows = x.size // depth
    require(x.size == rows * depth and y.size == rows * outputs, op, graph, "sizes of input, weights and output")
    return _dense(op, graph, (x, bias, y), weights, (1, 1, rows), storage)


def _dense(
    op: Op,
    graph: Graph,
    operands: tuple[Tensor, Argument, Tensor],
    weights: Tensor,
    places: tuple[int, ...],
    storage: Storage,
) -> Lowered:
    """A dense layer at each place of the input: batches, height, width."""
    x, bias, y = operands
    outputs, depth = weights.shape[0], weights.size // weights.shape[0]
    kind, arrays = stored(array_of(weights).reshape(outputs, 1, depth), storage)
    if kind == "dense":
        sizes: tuple[int, ...] = (math.prod(places), depth, outputs, _fours(arrays, depth))
        rows = math.prod(places), places[-1], depth, outputs
        mve = Mve("fully_connected_mve", blocks_of_filters(array_of(weights).reshape(outputs, depth)), rows)
        return _sums_of_products("fully_connected", op, graph, (x, arrays, bias, y), weights, sizes, mve=mve)
    # The other storages have no kernel of their own: a dense layer is a convolution with a window of 1.
    sizes = (*places, depth, 1, 1, *places[1:], outputs, 1, 1, 1, 1, 0, 0)
    return _sums_of_products(
        f"conv_2d_{kind}", op, graph, (x, arrays, bias, y), weights, sizes, folded=kind == "sparse"
    )


def _fours(arrays: tuple[np.ndarray, ...], size: int) -> int:
    """How many filters of `size` weights lie in pairs."""
    return 2 * arrays[0].size // size


def conv_2d(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Strides, dilations, both paddings; one group of all channels."""
    x, weights, bias, y = _operands(op, graph)
    require(len(x.shape) == len(weights.shape) == 4, op, graph, "axes")
    outputs, height, width, _ = weights.shape
    require_shape(y, window_shape(op, graph, x, height, width, outputs), op, graph)
    geometry = geometry_of(op, x, y, height, width)
    if height == width == 1 and geometry[:2] == (1, 1):
        lowered = _dense(op, graph, (x, bias, y), weights, x.shape[:3], storage)
        return in_rows(lowered, x, y, (1, 1), geometry)
    return _windows(op, graph, (x, bias, y), weights, array_of(weights), geometry, storage)


def _windows(
    op: Op,
    graph: Graph,
    operands: tuple[Tensor, Argument, Tensor],
    weights: Tensor,
    filters: np.ndarray,
    geometry: tuple[int, ...],
    storage: Storage,
) -> Lowered:
    """A convolution with filters (outputs, height, width, channels)."""
    x, bias, y = operands
    outputs, height, width, channels = filters.shape
    window = height * width * channels
    together = window <= LARGEST_COPY and (height > 1 or channels % 4 > 0)
    filters = filters.reshape(outputs, height, width * channels)
    kind, arrays = stored(filters, storage, window if together else channels)
    sizes = (*x.shape, height, width, *y.shape[1:], *geometry)
    kernel = "conv_2d" if kind == "dense" else f"conv_2d_{kind}"
    if kind == "dense":
        sizes = (*sizes, _fours(arrays, window), int(together))
    mve = None
    if kind == "dense" and window <= MVE_COLUMNS:
        by_columns = filters.reshape(outputs, height, width, channels).swapaxes(1, 2).reshape(outputs, window)
        mve = Mve("conv_2d_mve", blocks_of_filters(by_columns), (*x.shape, height, width, *y.shape[1:], *geometry))
    lowered = _sums_of_products(kernel, op, graph, (x, arrays, bias, y), weights, sizes, mve=mve)
    return in_rows(lowered, x, y, (height, width), geometry)


def depthwise_conv_2d(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Any depth multiplier."""
    x, weights, bias, y = _operands(op, graph)
    require(len(x.shape) == len(weights.shape) == 4 and weights.shape[0] == 1, op, graph, "axes")
    _, height, width, outputs = weights.shape
    require_shape(y, window_shape(op, graph, x, height, width, outputs), op, graph)
    # TFLite Micro computes this number of filters a channel and leaves others unwritten; TFLite divides the sizes instead.
    multiplier = op.options["depthMultiplier"]
    fits = outputs == x.shape[3] * multiplier
    require(
        fits, op, graph, f"{outputs} filters for {x.shape[3]} channels with a depth multiplier of {multiplier}, which"
    )
    geometry = geometry_of(op, x, y, height, width)
    if x.shape[3] == 1:  # all filters see the same channel, as in any convolution
        filters = array_of(weights).reshape(height, width, 1, outputs).transpose(3, 0, 1, 2)
        return _windows(op, graph, (x, bias, y), weights, filters, geometry, "dense")
    fours = outputs // 4 * 4 if multiplier == 1 else 0
    arrays = (by_channels(array_of(weights).reshape(height * width, outputs), fours),)
    sizes = (*x.shape, multiplier, height, width, *y.shape[1:3], *geometry, fours)
    mve = None
    if height == width == 3 and multiplier == 1:
        words = windows_in_words(array_of(weights).reshape(height, width, outputs))
        mve = Mve("depthwise_3x3_mve", words, (*x.shape, *y.shape[1:3], *geometry))
    lowered = _sums_of_products("depthwise_conv_2d", op, graph, (x, arrays, bias, y), weights, sizes, mve=mve)
    return in_rows(lowered, x, y, (height, width), geometry)


def padding(x: int, y: int, size: int, stride: int, dilation: int) -> int:
    """Padding before the input along an axis, as TFLite computes it for 'same'."""
    return max(0, (y - 1) * stride + (size - 1) * dilation + 1 - x) // 2


def window_shape(op: Op, graph: Graph, x: Tensor, height: int, width: int, channels: int) -> tuple[int, ...]:
    """Output shape for a window over `x`, by the operator's padding, strides and dilations."""
    options = op.options
    reach = []
    for axis, size in ((1, height), (2, width)):
        stride = options["strideH" if axis == 1 else "strideW"]
        require(options["padding"] in (0, 1), op, graph, "paddings")
        dilation = options.get("dilationHFactor" if axis == 1 else "dilationWFactor", 1)
        require(size >= 1 and dilation >= 1, op, graph, f"windows of {size} with a dilation of {dilation}, which")
        span = (size - 1) * dilation + 1
        require(
            1 <= stride <= FARTHEST and span <= FARTHEST, op, graph, f"strides of {stride} or windows of {span}, which"
        )
        reach.append(-(-(x.shape[axis] if options["padding"] == 0 else x.shape[axis] - span + 1) // stride))
    return (x.shape[0], *reach, channels)


def _sums_of_products(
    kernel: str,
    op: Op,
    graph: Graph,
    operands: tuple[Tensor, tuple[np.ndarray, ...], Argument, Tensor],
    weights: Tensor,
    sizes: tuple[int, ...],
    folded: bool = False,
    mve: Mve | None = None,
) -> Lowered:
    """The call of a kernel: input, arrays of weights, bias, output, sizes, and how sums are rescaled to the output.

    With `folded` the bias takes up the input's offset, which is right where every weight meets an input. Kernels for MVE take
    such a bias, and no sums for which `wide` is set.
    """
    x, arrays, bias, y = operands
    x_offset = -int8_of(x, op, graph)[1]
    channels = weights.shape[3] if op.name == "DEPTHWISE_CONV_2D" else weights.shape[0]
    fractions, powers = _multipliers(op, graph, x, weights, y, channels)
    wide = _require_sums(op, graph, weights, bias, x_offset, powers) >= 1 << 30 or max(powers) >= 0
    shifts = powers if wide else -1 - powers
    rescaling: tuple[Argument, ...] = (
        Constant(fractions, True),
        Constant(shifts, True),
        int(len(powers) > 1),
        *numbers(int(wide), *output_range(op, graph, y)),
    )
    vector = None
    if mve is not None and not wide:
        arguments: list[Argument] = [x, Constant(mve.weights), _folded(bias, weights, channels, x_offset, op), y]
        arguments += mve.sizes if mve.kernel == "fully_connected_mve" else (*mve.sizes, -x_offset)
        arguments += [Constant(fractions), Constant(powers), int(len(powers) > 1), *output_range(op, graph, y)]
        vector = Call(mve.kernel, tuple(arguments))
    if folded and x_offset:
        bias = _folded(bias, weights, channels, x_offset, op)
        x_offset = 0
    held = (Constant(array, True) if array.size else 0 for array in arrays)
    return Lowered((Call(kernel, (x, *held, bias, y, *sizes, *numbers(x_offset), *rescaling), vector),))


def _folded(bias: Argument, weights: Tensor, channels: int, x_offset: int, op: Op) -> Constant:
    """The bias with what the input's offset adds to each sum."""
    filters = array_of(weights).astype(np.int32)
    filters = filters.reshape(-1, channels).T if op.name == "DEPTHWISE_CONV_2D" else filters.reshape(channels, -1)
    own = filters.sum(axis=1, dtype=np.int32) * x_offset
    return Constant((own + bias.values.reshape(-1) if isinstance(bias, Constant) else own).astype(np.int32))


def _operands(op: Op, graph: Graph) -> tuple[Tensor, Tensor, Argument, Tensor]:
    """Input, weights, bias (0 if there is none) and output."""
    inputs, y = tensors_of(op, graph)
    x, weights = inputs[0], inputs[1]
    int8_of(x, op, graph)
    assert x is not None
    if weights is None or weights.data is None or weights.dtype != "int8" or weights.quantization is None:
        raise refusal(op, graph, "has weights that are not constant int8")
    if any(weights.quantization.zero_point):
        raise refusal(op, graph, "has weights with a zero point; int8 weights are symmetric")
    bias = inputs[2] if len(inputs) > 2 else None
    if bias is None:
        return x, weights, 0, y
    channels = weights.shape[-1] if op.name == "DEPTHWISE_CONV_2D" else weights.shape[0]
    require(bias.size == channels, op, graph, f"{bias.size} biases for {channels} channels, which")
    if bias.data is None or bias.dtype != "int32":
        raise refusal(op, graph, f"has a bias that is {bias.dtype}; static C takes constant int32")
    return x, weights, Constant(array_of(bias), True), y


def _multipliers(
    op: Op, graph: Graph, x: Tensor, weights: Tensor, y: Tensor, channels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Fractions (int32) and powers (int8) of the factors from sums to the output: one, or one a channel."""
    (x_scale, _), (y_scale, _) = int8_of(x, op, graph), int8_of(y, op, graph)
    assert weights.quantization is not None
    scales = weights.quantization.scale
    if len(scales) not in (1, channels):
        raise refusal(op, graph, f"has {len(scales)} scales for {channels} channels")
    pairs = [quantize_multiplier(x_scale * scale / y_scale) for scale in scales]
    pairs = [(fraction, power if fraction else -1) for fraction, power in pairs]  # 0 times any power is 0
    return np.array([pair[0] for pair in pairs], np.int32), np.array([pair[1] for pair in pairs], np.int8)


def _require_sums(op: Op, graph: Graph, weights: Tensor, bias: Argument, x_offset: int, powers: np.ndarray) -> int:
    """The largest sum that weights and biases make.

    Refuses those whose sums may overflow 32 bits, before or after they are rescaled to the output.
    """
    farthest = max(abs(-128 + x_offset), abs(127 + x_offset))
    axes = tuple(range(3)) if op.name == "DEPTHWISE_CONV_2D" else tuple(range(1, len(weights.shape)))
    sums = np.abs(array_of(weights).astype(np.int64)).sum(axis=axes) * farthest
    if isinstance(bias, Constant):
        sums = sums + np.abs(bias.values.astype(np.int64)).reshape(-1)
    shifts = np.broadcast_to(powers, sums.shape)
    for power in np.unique(shifts):
        require_within_32_bits(int(sums[shifts == power].max()), int(power), op, graph)
    return int(sums.max())


def geometry_of(op: Op, x: Tensor, y: Tensor, height: int, width: int) -> tuple[int, ...]:
    """Strides, dilations, and the padding before the input."""
    options = op.options
    strides = options["strideH"], options["strideW"]
    # Of a window of one tap, a dilation says nothing and may be anything.
    dilations = (
        options.get("dilationHFactor", 1) if height > 1 else 1,
        options.get("dilationWFactor", 1) if width > 1 else 1,
    )
    before = (0, 0)
    if options["padding"] == 0:
        before = (
            padding(x.shape[1], y.shape[1], height, strides[0], dilations[0]),
            padding(x.shape[2], y.shape[2], width, strides[1], dilations[1]),
        )
    return (*strides, *dilations, *before)


def output_range(op: Op, graph: Graph, y: Tensor) -> tuple[int, int, int]:
    """Zero point and range of the output."""
    scale, zero = int8_of(y, op, graph)
    return (zero, *activation_range(op.options.get("fusedActivationFunction", 0), scale, zero))
