"""What an operator becomes: a call of a C function with constants, or nothing where values stay where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from micro.errors import ConversionError
from micro.tflite.graph import Graph, Op, Tensor


@dataclass(frozen=True)
class Constant:
    """An array that a call takes, of its own width."""

    values: np.ndarray


# What a call takes: a tensor, from its start or from an element on; a constant array; or a number.
Argument = Tensor | tuple[Tensor, int] | Constant | int


@dataclass(frozen=True)
class Call:
    """One call of a kernel: the file of that name holds it."""

    kernel: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class Step:
    """The calls of one operator. `alias` tells that its output is its input in another shape, and nothing is done."""

    calls: tuple[Call, ...] = ()
    alias: bool = False


def refusal(op: Op, graph: Graph, problem: str) -> ConversionError:
    """An error that names the operator and its output."""
    name = graph.tensors[op.outputs[0]].name if op.outputs and op.outputs[0] >= 0 else ""
    return ConversionError(f"operator {op.index} ({op.name}, {name!r}) {problem}")


def tensors_of(op: Op, graph: Graph) -> tuple[list[Tensor | None], Tensor]:
    """Inputs (None where an optional one is absent) and the only output."""
    return [graph.tensors[i] if i >= 0 else None for i in op.inputs], graph.tensors[op.outputs[0]]


def int8_of(tensor: Tensor | None, op: Op, graph: Graph) -> tuple[float, int]:
    """Scale and zero point of an int8 tensor with one of each.

    Raises:
        ConversionError: For another type, or scales by channel.
    """
    if tensor is None or tensor.dtype != "int8" or tensor.quantization is None:
        found = "absent" if tensor is None else tensor.dtype
        if found == "int8":
            found = "int8 without a scale and a zero point"
        raise refusal(op, graph, f"takes or gives a tensor that is {found}; static C computes on quantized int8")
    if len(tensor.quantization.scale) != 1:
        raise refusal(op, graph, "computes on a tensor with a scale for each channel; only weights may have these")
    return tensor.quantization.scale[0], tensor.quantization.zero_point[0]


def require_shape(tensor: Tensor, shape: Sequence[int], op: Op, graph: Graph) -> None:
    """Refuse an operator whose tensor has another shape than its operands make; axes of 1 in front do not count."""
    if four(tensor.shape, op, graph) != four(shape, op, graph):
        raise refusal(op, graph, f"gives or takes {list(tensor.shape)} where its operands make {list(shape)}")


def require(sound: bool, op: Op, graph: Graph, what: str) -> None:
    """Refuse an operator whose `what` makes no sense."""
    if not sound:
        raise refusal(op, graph, f"has {what} that make no sense")


def require_within_32_bits(largest: int, power: int, op: Op, graph: Graph) -> None:
    """Refuse sums of up to `largest` that leave 32 bits, now or brought to the output's grid by 2^power and more.

    TFLite's kernels overflow there, so that no result would be the right one.
    """
    brought = largest << max(power, 0)
    if brought >= (1 << 31) - 256:
        raise refusal(op, graph, f"makes sums of up to {brought:,} in steps of its output, which 32 bits do not hold")


def array_of(tensor: Tensor) -> np.ndarray:
    """A constant tensor's values."""
    return np.frombuffer(tensor.data or b"", tensor.dtype).reshape(tensor.shape)


def integers_of(tensor: Tensor | None, op: Op, graph: Graph, what: str) -> np.ndarray:
    """Values of a constant integer input; ConversionError where it is computed or absent."""
    if tensor is None or tensor.data is None:
        raise refusal(op, graph, f"computes its {what} while it runs; static C needs them constant")
    if tensor.dtype != "int32":
        raise refusal(op, graph, f"has {what} that are {tensor.dtype}; TFLite Micro reads them as int32")
    return array_of(tensor)


def ints(values: Sequence[Any]) -> Constant:
    """Numbers as an array of int32_t; C's int may have 16 bits."""
    return Constant(np.asarray(values, np.int32))


def four(shape: Sequence[int], op: Op, graph: Graph) -> tuple[int, ...]:
    """A shape with axes of 1 before it, to make four; ConversionError for more than four that are not 1."""
    shape = tuple(shape)
    while len(shape) > 4 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) > 4:
        raise refusal(op, graph, f"has {len(shape)} axes; static C takes four")
    return (1,) * (4 - len(shape)) + shape


def strides_of(shape: Sequence[int]) -> list[int]:
    """How far apart neighbours lie along each axis, in elements."""
    strides = [1]
    for size in reversed(shape[1:]):
        strides.insert(0, strides[0] * size)
    return strides
