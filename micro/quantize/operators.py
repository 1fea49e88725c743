"""The operators that are simulated: what each computes, whose scale its output has, how it is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from keras import ops

from micro.quantize.gate_scales import GRU, LSTM
from micro.quantize.gru import gru
from micro.quantize.program import Node
from micro.quantize.recurrent import lstm
from micro.quantize.resize import resize_bilinear, resize_nearest

if TYPE_CHECKING:
    from keras_kd.types import Tensor
    from micro.quantize.fake_quant import Accumulator

# Where the options of a PADV2 hold the value that it pads with; it is a tensor in the schema.
PAD_VALUE = "value"

# (node, inputs, kernel, bias) -> output, float32, with any batch.
Compute: TypeAlias = "Callable[[Node, Sequence[Tensor], Tensor | None, Tensor | None], Tensor]"


@dataclass(frozen=True)
class Operator:
    """One operator of the table below.

    Attributes:
        compute: The operator in float32.
        range_rule: Which range the output has: 'own', its own; 'same', those of its first input; 'tied', one
            with all inputs; 'unit' and 'tanh', those of [0, 1) and [-1, 1), which TFLite Micro's kernel prescribes.
        options: The table of its options in the schema.
        version: The first version that takes int8.
        rounding: How its kernel rounds to the output's scale: 'multiplier', by a fixed-point multiplier for its accumulator;
            'exact', once, counted from the zero point; 'whole', once, counted from 0.
        int16: Whether TFLite Micro has it with int16 activations.
    """

    compute: Compute
    range_rule: Literal["own", "same", "tied", "unit", "tanh"]
    options: str | None
    version: int
    rounding: Literal["multiplier", "exact", "whole"] = "exact"
    int16: bool = True


def activate(node: Node, y: Tensor) -> Tensor:
    """The fused activation."""
    kind = node.options.get("fusedActivationFunction", 0)
    if kind == 1:
        return ops.relu(y)
    return ops.relu6(y) if kind == 3 else y


def _convolution(kind: Callable[..., Tensor]) -> Compute:
    def compute(node: Node, inputs: Sequence[Tensor], kernel: Tensor | None, bias: Tensor | None) -> Tensor:
        options = node.options
        y = kind(
            inputs[0],
            kernel,
            strides=(options["strideH"], options["strideW"]),
            padding=_padding(node),
            dilation_rate=(options["dilationHFactor"], options["dilationWFactor"]),
            data_format="channels_last",
        )
        return activate(node, y if bias is None else y + bias)

    return compute


def _fully_connected(node: Node, inputs: Sequence[Tensor], kernel: Tensor | None, bias: Tensor | None) -> Tensor:
    assert kernel is not None
    x = ops.reshape(inputs[0], (-1, kernel.shape[0]))
    y = ops.matmul(x, kernel)
    return ops.reshape(activate(node, y if bias is None else y + bias), (-1, *node.shape[1:]))


def _pool(kind: Callable[..., Tensor]) -> Compute:
    def compute(node: Node, inputs: Sequence[Tensor], kernel: Tensor | None, bias: Tensor | None) -> Tensor:
        options = node.options
        size, strides = (options["filterHeight"], options["filterWidth"]), (options["strideH"], options["strideW"])
        return activate(node, kind(inputs[0], size, strides, _padding(node), data_format="channels_last"))

    return compute


def _merge(kind: Callable[[Tensor, Tensor], Tensor]) -> Compute:
    def compute(node: Node, inputs: Sequence[Tensor], kernel: Tensor | None, bias: Tensor | None) -> Tensor:
        constant = None if node.operand is None else int(not node.operand_first)
        one, other = (_of_rank(value, len(node.shape), place == constant) for place, value in enumerate(inputs))
        return activate(node, kind(one, other))

    return compute


def _of_rank(value: Tensor, rank: int, constant: bool) -> Tensor:
    """A value with as many axes as the output: axes of size 1 behind its batch are dropped or put there.

    A RESHAPE that drops or adds such axes in front of an operator that aligns shapes at the last axis is left out, as a .tflite
    with its batch of 1 needs none. A constant has no batch, and is aligned at the last axis as it is.
    """
    while len(value.shape) > rank and value.shape[1] == 1:
        value = ops.squeeze(value, 1)
    while len(value.shape) < rank and not constant:
        value = ops.expand_dims(value, 1)
    return value


def _unary(kind: Callable[[Tensor], Tensor]) -> Compute:
    return lambda node, inputs, kernel, bias: kind(inputs[0])


def _reduce(kind: Callable[..., Tensor]) -> Compute:
    def compute(node: Node, inputs: Sequence[Tensor], kernel: Tensor | None, bias: Tensor | None) -> Tensor:
        return ops.reshape(kind(inputs[0], axis=tuple(node.numbers[0])), (-1, *node.shape[1:]))

    return compute


def _reshape(node: Node, inputs: Sequence[Tensor], kernel: Tensor | None, bias: Tensor | None) -> Tensor:
    return ops.reshape(inputs[0], (-1, *node.shape[1:]))


def _strided_slice(node: Node, inputs: Sequence[Tensor], kernel: Tensor | None, bias: Tensor | None) -> Tensor:
    begin, end, strides = node.numbers
    y = inputs[0][tuple(slice(b, e, s) for b, e, s in zip((None, *begin[1:]), (None, *end[1:]), strides))]
    return ops.reshape(y, (-1, *node.shape[1:]))  # axes of which one index was read may be dropped


def _transposed_convolution(node: Node, inputs: Sequence[Tensor], kernel: Tensor | None, bias: Tensor | None) -> Tensor:
    options = node.options
    strides = (options["strideH"], options["strideW"])
    y = ops.conv_transpose(inputs[0], kernel, strides, _padding(node), data_format="channels_last")
    return activate(node, y if bias is None else y + bias)


def _batch_matmul(node: Node, inputs: Sequence[Tensor], kernel: Tensor | None, bias: Tensor | None) -> Tensor:
    one, other = (
        ops.swapaxes(value, -1, -2) if node.options[flag] else value for value, flag in zip(inputs, ("adjX", "adjY"))
    )
    return ops.matmul(one, other)


def _pad_with(node: Node, inputs: Sequence[Tensor], kernel: Tensor | None, bias: Tensor | None) -> Tensor:
    return ops.pad(inputs[0], node.numbers[0], constant_values=node.options[PAD_VALUE])


def _l2_normalization(node: Node, inputs: Sequence[Tensor], kernel: Tensor | None, bias: Tensor | None) -> Tensor:
    """Rows, along the last axis, divided by their length; a row of zeros stays so."""
    squares = ops.sum(ops.square(inputs[0]), axis=-1, keepdims=True)
    return inputs[0] * ops.rsqrt(ops.where(squares > 0, squares, 1.0))


def _gather(node: Node, inputs: Sequence[Tensor], kernel: Tensor | None, bias: Tensor | None) -> Tensor:
    """Rows of a table, which is the constant operand, by their numbers."""
    table, numbers = inputs
    return ops.take(table, ops.cast(numbers, "int32"), axis=0)


def _lstm(node: Node, inputs: Sequence[Tensor], kernel: Tensor | None, bias: Tensor | None) -> Tensor:
    assert kernel is not None
    return lstm(inputs[0], kernel, bias, node.shape[-1])[0]


def _gru(node: Node, inputs: Sequence[Tensor], kernel: Tensor | None, bias: Tensor | None) -> Tensor:
    assert kernel is not None
    states = gru(inputs[0], kernel, bias, node.shape[-1])
    return states[:, -1] if len(node.shape) == 2 else states


OPERATORS: dict[str, Operator] = {
    "ADD": Operator(_merge(ops.add), "own", "AddOptions", 2),
    "AVERAGE_POOL_2D": Operator(_pool(ops.average_pool), "same", "Pool2DOptions", 2, "whole"),
    "BATCH_MATMUL": Operator(_batch_matmul, "own", "BatchMatMulOptions", 2, "multiplier"),
    "CONCATENATION": Operator(
        lambda node, inputs, kernel, bias: activate(node, ops.concatenate(inputs, node.options["axis"])),
        "tied",
        "ConcatenationOptions",
        2,
    ),
    "CONV_2D": Operator(_convolution(ops.conv), "own", "Conv2DOptions", 3, "multiplier"),
    "DEPTHWISE_CONV_2D": Operator(_convolution(ops.depthwise_conv), "own", "DepthwiseConv2DOptions", 3, "multiplier"),
    "FULLY_CONNECTED": Operator(_fully_connected, "own", "FullyConnectedOptions", 4, "multiplier"),
    "GATHER": Operator(_gather, "own", "GatherOptions", 2, int16=False),
    "HARD_SWISH": Operator(_unary(ops.hard_swish), "own", None, 1, int16=False),
    "L2_NORMALIZATION": Operator(_l2_normalization, "tanh", "L2NormOptions", 2, int16=False),
    "LEAKY_RELU": Operator(
        lambda node, inputs, kernel, bias: ops.leaky_relu(inputs[0], node.options["alpha"]),
        "own",
        "LeakyReluOptions",
        2,
    ),
    "LOGISTIC": Operator(_unary(ops.sigmoid), "unit", None, 2),
    "MAX_POOL_2D": Operator(_pool(ops.max_pool), "same", "Pool2DOptions", 2),
    "MAXIMUM": Operator(_merge(ops.maximum), "tied", "MaximumMinimumOptions", 2, int16=False),
    "MEAN": Operator(_reduce(ops.mean), "own", "ReducerOptions", 2, "multiplier"),
    "MINIMUM": Operator(_merge(ops.minimum), "tied", "MaximumMinimumOptions", 2, int16=False),
    "MUL": Operator(_merge(ops.multiply), "own", "MulOptions", 2, "multiplier"),
    "PAD": Operator(lambda node, inputs, kernel, bias: ops.pad(inputs[0], node.numbers[0]), "same", "PadOptions", 2),
    "PADV2": Operator(_pad_with, "same", "PadV2Options", 2, int16=False),
    "QUANTIZE": Operator(_unary(lambda x: x), "own", "QuantizeOptions", 2, "multiplier"),
    "REDUCE_MAX": Operator(_reduce(ops.max), "same", "ReducerOptions", 2),
    "RELU": Operator(_unary(ops.relu), "own", None, 2, "multiplier", int16=False),
    "RELU6": Operator(_unary(ops.relu6), "own", None, 2, "multiplier", int16=False),
    "RESHAPE": Operator(_reshape, "same", None, 1),
    "RESIZE_BILINEAR": Operator(resize_bilinear, "same", "ResizeBilinearOptions", 2, "whole", int16=False),
    "RESIZE_NEAREST_NEIGHBOR": Operator(resize_nearest, "same", "ResizeNearestNeighborOptions", 2),
    "SOFTMAX": Operator(_unary(ops.softmax), "unit", "SoftmaxOptions", 2),
    "STRIDED_SLICE": Operator(_strided_slice, "same", "StridedSliceOptions", 2),
    "SUB": Operator(_merge(ops.subtract), "own", "SubOptions", 2),
    "TANH": Operator(_unary(ops.tanh), "tanh", None, 2),
    "TRANSPOSE": Operator(
        lambda node, inputs, kernel, bias: ops.transpose(inputs[0], node.numbers[0]), "same", "TransposeOptions", 2
    ),
    "TRANSPOSE_CONV": Operator(_transposed_convolution, "own", "TransposeConvOptions", 3, "multiplier"),
    GRU: Operator(_gru, "own", None, 1),
    LSTM: Operator(_lstm, "own", "UnidirectionalSequenceLSTMOptions", 3),
}


def accumulator(
    node: Node, inputs: Sequence[Tensor], scales: Sequence[Tensor], kernel_scale: Tensor | None
) -> Accumulator | None:
    """The scale of the integers that a kernel multiplies to get its output, and how often it halves the multiplier.

    None where it does not multiply. `scales` are those of the inputs.
    """
    if OPERATORS[node.op].rounding != "multiplier":
        return None
    if node.op == "MEAN":
        # The kernel divides its multiplier by the count, and keeps the exponent that the nearest power of two leaves.
        count = math.prod(inputs[0].shape[axis] or 1 for axis in node.numbers[0])
        return scales[0], int(math.log2(count))
    if node.op in ("MUL", "BATCH_MATMUL"):
        return scales[0] * scales[1], 0
    return (scales[0] if kernel_scale is None else scales[0] * kernel_scale), 0


def _padding(node: Node) -> str:
    return ("same", "valid")[node.options["padding"]]
