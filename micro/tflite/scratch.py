"""Size of TFLite Micro's arena with CMSIS-NN, whose kernels need scratch buffers that the reference kernels do not.

Estimated, since CMSIS-NN does not run on the host: buffer sizes by the formulas that CMSIS-NN publishes with its kernels
(`arm_*_get_buffer_size*`, version 7, and the calls in TFLite Micro's kernels/cmsis_nn), placed as TFLite Micro's planner does
(greedy_memory_planner.cc). Kernels of other vendors (ESP-NN, Cadence, Ethos-U) have buffers of their own, not counted here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from micro.tflite.cost import bytes_of
from micro.tflite.graph import Graph, Op, Tensor

# Kernels for cores with the vector extension (Cortex-M55, M85: 'mve') and for those without (M0 to M33: 'dsp').
Variant = Literal["dsp", "mve"]

# Buffers in the arena are aligned to this many bytes.
ALIGNMENT = 16
# Upper bounds: bytes that a CMSIS-NN kernel keeps per operator beyond the reference kernel, and per scratch buffer.
KEPT, HANDLE = 32, 16
LSTM_KEPT = 384
# Channels that CMSIS-NN's vector kernel of depthwise convolutions takes at once; from how many outputs on a depthwise
# convolution of one channel becomes a plain one; from how many channels on a transposed convolution is turned round.
CHANNELS_AT_ONCE, ONE_CHANNEL_ABOVE, REVERSED_ABOVE = 124, 1, 16
KERNELS = (
    *("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL", "AVERAGE_POOL_2D", "SVDF"),
    *("ADD", "MUL", "MAX_POOL_2D", "SOFTMAX", "MINIMUM", "MAXIMUM", "TRANSPOSE", "PAD", "UNIDIRECTIONAL_SEQUENCE_LSTM"),
)


@dataclass(frozen=True)
class Buffer:
    """`size` bytes, needed from operator `first` through operator `last`; -1 is before the first operator."""

    size: int
    first: int
    last: int


def cmsis_nn_extra(graph: Graph, activation_bytes: int, variant: Variant) -> int:
    """Bytes by which the arena grows with CMSIS-NN's kernels in place of the reference kernels; an upper estimate.

    Args:
        activation_bytes: The activation part as measured with the reference kernels.
    """
    scratch = [Buffer(size, op.index, op.index) for op in graph.ops for size in scratch_of(op, graph.tensors, variant)]
    planned, with_scratch = planned_bytes(tensors_held(graph)), planned_bytes([*tensors_held(graph), *scratch])
    if planned == activation_bytes:
        grown = max(0, with_scratch - planned)
    else:  # The planner placed tensors differently: at worst the buffers of one operator come on top.
        grown = max(
            (_aligned(sum(_aligned(b.size) for b in scratch if b.first == op.index)) for op in graph.ops), default=0
        )
    kept = sum(_kept(op, graph.tensors) for op in graph.ops)
    return grown + kept + (HANDLE * len(scratch) if scratch else 0)


def _kept(op: Op, tensors: Sequence[Tensor]) -> int:
    """Bytes that a kernel keeps beyond the reference kernel."""
    if op.name == "UNIDIRECTIONAL_SEQUENCE_LSTM" and op.outputs and tensors[op.outputs[0]].shape:
        # A sum of each row of its eight kernels, as wide as a bias.
        y = tensors[op.outputs[0]]
        return LSTM_KEPT + 8 * _aligned((8 if y.dtype == "int16" else 4) * y.shape[-1])
    return KEPT if op.name in KERNELS else 0


def scratch_of(op: Op, tensors: Sequence[Tensor], variant: Variant) -> tuple[int, ...]:
    """Sizes of the buffers that CMSIS-NN's kernel asks for while an operator of int8 or int16 runs; none that are empty."""
    if op.name not in SIZES or min(op.inputs[:2], default=-1) < 0 or not op.outputs or op.outputs[0] < 0:
        return ()
    x, y = tensors[op.inputs[0]], tensors[op.outputs[0]]
    weights = tensors[op.inputs[1]] if len(op.inputs) > 1 else x
    if op.name == "TRANSPOSE_CONV":
        x = tensors[op.inputs[2]] if len(op.inputs) > 2 and op.inputs[2] >= 0 else x
    axes = 4 if "CONV" in op.name or "POOL" in op.name else 1
    if x.dtype not in ("int8", "int16") or min(len(x.shape), len(y.shape)) < axes or min(x.size, y.size, 1) < 1:
        return ()
    if "CONV" in op.name and len(weights.shape) != 4:
        return ()
    return tuple(size for size in SIZES[op.name](op.options, x, weights, y, variant) if size > 0)


def planned_bytes(buffers: Sequence[Buffer]) -> int:
    """Bytes of the plan that TFLite Micro's planner makes: the largest first, each in the lowest gap that holds it."""
    # By operator, what is placed and needed there: where it begins, its turn, and where it ends.
    placed: dict[int, list[tuple[int, int, int]]] = {}
    end = 0
    # Among buffers of equal size the last one added comes first, as the planner's sort orders them.
    for turn, number in enumerate(sorted(range(len(buffers)), key=lambda n: (-_aligned(buffers[n].size), -n))):
        buffer = buffers[number]
        size, offset = _aligned(buffer.size), 0
        needed = range(buffer.first, buffer.last + 1)
        for start, _, past in sorted({each for now in needed for each in placed.get(now, ())}):
            if start - offset >= size:
                break
            offset = max(offset, past)
        for now in needed:
            placed.setdefault(now, []).append((offset, turn, offset + size))
        end = max(end, offset + size)
    return end


def tensors_held(graph: Graph) -> list[Buffer]:
    """Size and lifetime of every computed tensor, in the order of their indices."""
    first = dict.fromkeys(graph.inputs, -1)
    last = dict(first)
    for op in graph.ops:
        for index in op.outputs:
            first.setdefault(index, op.index)
        for index in (*op.inputs, *op.outputs):
            if index in first:
                last[index] = op.index
    last.update(dict.fromkeys((index for index in graph.outputs if index in first), len(graph.ops)))
    return [
        Buffer(bytes_of(graph.tensors[i]), first[i], last[i])
        for i in sorted(first)
        if i >= 0 and graph.tensors[i].data is None and not graph.tensors[i].variable
    ]


def _conv(options: Mapping[str, int], x: Tensor, weights: Tensor, y: Tensor, variant: Variant) -> tuple[int, ...]:
    _, height, width, channels = weights.shape
    stride = options.get("strideH", 1), options.get("strideW", 1)
    dilated = (options.get("dilationHFactor", 1), options.get("dilationWFactor", 1)) != (1, 1)
    if x.dtype == "int16":
        return (_columns(height * width * x.shape[3], variant, 8, 2),)
    padded = options.get("padding", 0) == 0 and _pads(x, y, (height, width), stride) != (0, 0)
    if (height, width) == (1, 1) and not padded and not dilated and channels == x.shape[3]:
        # Built with Arm's own compiler the kernel needs a buffer, with gcc it does not.
        return (4 * x.shape[3] if variant == "dsp" and stride == (1, 1) else 0,)
    columns = _columns(height * width * x.shape[3], variant, 16, 1)
    if variant == "mve" and x.shape[1] == 1 and height == 1 and not dilated:
        # A convolution along one axis needs a row and its padding, if that is more.
        row = width * x.shape[3]
        return (max(columns, row + _pads(x, y, (height, width), stride)[1] * x.shape[3] + row),)
    return (columns,)


def _depthwise(options: Mapping[str, int], x: Tensor, weights: Tensor, y: Tensor, variant: Variant) -> tuple[int, ...]:
    _, height, width, outputs = weights.shape
    channels = x.shape[3]
    dilated = (options.get("dilationHFactor", 1), options.get("dilationWFactor", 1)) != (1, 1)
    if x.dtype == "int16":
        return ((4 if variant == "mve" else 1) * 2 * channels * height * width + 8,)
    sizes = [0]
    if channels == outputs and x.shape[0] == 1 and not dilated:
        rows = 4 * CHANNELS_AT_ONCE if variant == "mve" else 2 * channels
        sizes.append(rows * height * width)
    if variant == "mve" and channels == 1 and outputs > ONE_CHANNEL_ABOVE:
        sizes.append(_columns(height * width, variant, 16, 1) + outputs * height * width)
    return (max(sizes),)


def _transposed(options: Mapping[str, int], x: Tensor, weights: Tensor, y: Tensor, variant: Variant) -> tuple[int, ...]:
    outputs, height, width, channels = weights.shape
    stride = options.get("strideH", 1), options.get("strideW", 1)
    if x.dtype == "int16":
        return ()  # as the reference kernel's
    if max(stride) <= 2 and channels > REVERSED_ABOVE:
        return _columns(height * width * channels, variant, 16, 1), channels * height * width * outputs
    across = (x.shape[2] - 1) * stride[1] + max(width, *stride)
    return (across * outputs * max(height, *stride) * 4,)


def _dense(options: Mapping[str, int], x: Tensor, weights: Tensor, y: Tensor, variant: Variant) -> tuple[int, ...]:
    if x.dtype != "int8":
        return ()
    depth, outputs = weights.shape[-1] if weights.shape else 1, y.shape[-1]
    faked = 8 * outputs if len(y.shape) > 2 and depth % 4 == 0 else 0
    return faked, 4 * outputs if variant == "mve" else (4 * depth if faked else 0)


def _product(options: Mapping[str, int], x: Tensor, weights: Tensor, y: Tensor, variant: Variant) -> tuple[int, ...]:
    return (4 * y.shape[-1] if variant == "mve" else 0,)


def _averaged(options: Mapping[str, int], x: Tensor, weights: Tensor, y: Tensor, variant: Variant) -> tuple[int, ...]:
    return (4 * x.shape[3] if variant == "dsp" else 0,)


def _state(options: Mapping[str, int], x: Tensor, weights: Tensor, y: Tensor, variant: Variant) -> tuple[int, ...]:
    return (4 * weights.shape[0] if variant == "mve" and weights.shape else 0,)


SIZES = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE_CONV": _transposed,
    "FULLY_CONNECTED": _dense,
    "BATCH_MATMUL": _product,
    "AVERAGE_POOL_2D": _averaged,
    "SVDF": _state,
}


def _columns(length: int, variant: Variant, lanes: int, width: int) -> int:
    """Bytes of a window's values laid out as columns: two of 16 bits, or four of the vectors' lanes."""
    if variant == "mve":
        return 4 * -(-length // lanes) * lanes * width
    return 2 * -(-length // 4) * 4 * 2


def _pads(x: Tensor, y: Tensor, window: tuple[int, int], stride: tuple[int, int]) -> tuple[int, int]:
    """Padding before the input along height and width, rounded up."""
    rows, columns = (max(0, ((y.shape[i + 1] - 1) * stride[i] + window[i] - x.shape[i + 1] + 1) // 2) for i in (0, 1))
    return rows, columns


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
