"""What an operator of the graph becomes in C: calls of kernels with constant arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from micro.aot.weight_layout import Storage
from micro.errors import ConversionError
from micro.tflite.graph import Graph, Op, Tensor

# Types that tensors may have.
KINDS = ("int8", "int16", "int32", "bool")


class ModelNumber(int):
    """A number that comes of a model's weights, scales or zero points; another model of the same layers has another one."""


@dataclass(frozen=True)
class Constant:
    """A constant array that a call takes; its dtype is that of the C array.

    Attributes:
        of_model: Whether it comes of weights, scales or zero points, as a `ModelNumber` does.
        room: How many values it has at most in any model of the same layers; None for as many as it has.
    """

    values: np.ndarray
    of_model: bool = False
    room: int | None = None


@dataclass(frozen=True)
class Several:
    """Pointers to several int8 tensors, as one array that a call takes."""

    parts: tuple[Tensor, ...]


@dataclass(frozen=True)
class Stepped:
    """A tensor in a loop: from element `start` on in its first step, in each other one `stride` elements further on."""

    tensor: Tensor
    start: int
    stride: int


@dataclass(frozen=True)
class Held:
    """A part of the block of a model's numbers, as an expression of C."""

    text: str


# An argument of a call: a tensor, computed or constant, from its first or from another element on, which a loop may move; a
# constant array; several tensors; a part of the block of numbers; or a number.
Argument = Tensor | tuple[Tensor, int] | Stepped | Constant | Several | Held | int


@dataclass(frozen=True)
class Call:
    """One call of a kernel, which is the C file of that name.

    Attributes:
        mve: The call that computes the same on cores with the vector extension MVE (Cortex-M55, M85), if it is another one; of
            the same tensors.
    """

    kernel: str
    arguments: tuple[Argument, ...]
    mve: Call | None = None


@dataclass(frozen=True)
class Slide:
    """Row r of an output takes `reach` rows of each input from row r * stride - pad on, as far as they are there."""

    stride: int = 1
    reach: int = 1
    pad: int = 0

    def rows(self, row: int, height: int) -> tuple[int, int]:
        """The first row that an output row takes of an input of this height, and the one after the last."""
        top = row * self.stride - self.pad
        return max(top, 0), max(0, min(top + self.reach, height))


@dataclass(frozen=True)
class Lowered:
    """The calls that one operator becomes. With `alias` there are none: its output is its input in another shape.

    Attributes:
        overlap: By the number of an input, the fewest bytes by which the output must begin before that input, where the two may
            lie over each other; see `micro.aot.overlap`. Other inputs stay apart from the output.
        slide: Of an operator that can be computed row by row, which rows of its inputs a row takes.
        kept: Bytes of RAM of the output, where these are fewer than it has.
        loop: Steps of the loop that begins after the calls; 0 where none does.
        ends_loop: Whether the loop ends after the calls.
    """

    calls: tuple[Call, ...] = ()
    alias: bool = False
    overlap: Mapping[int, int] = field(default_factory=dict)
    slide: Slide | None = None
    kept: int | None = None
    loop: int = 0
    ends_loop: bool = False


@dataclass(frozen=True)
class Operator:
    """An operator of the TFLite schema that static C has; made by `@operator` above the function that lowers it.

    Attributes:
        lowering: From the operator in its graph, and how weights are stored, to its calls.
        inputs: The fewest and the most inputs it takes.
        optional: Whether inputs beyond the fewest may be left out, which the schema writes as -1.
        options: Options that must be there, as the schema names them; others have the schema's defaults.
        outputs: The fewest and the most outputs it has.
        exchangeable: Whether all that comes of weights, scales or zero points is marked as such (`ModelNumber`, `Constant`)
            where its tensors are int8, so that it can come from a block of numbers.
    """

    lowering: Callable[[Op, Graph, Storage], Lowered]
    inputs: tuple[int, int]
    optional: bool
    options: tuple[str, ...]
    outputs: tuple[int, int] = (1, 1)
    exchangeable: bool = False

    def lower(self, op: Op, graph: Graph, storage: Storage) -> Lowered:
        """The operator's calls.

        Raises:
            ConversionError: Where static C does not have the operator in this form.
        """
        missing = [option for option in self.options if option not in op.options]
        if missing:
            raise refusal(op, graph, f"lacks the option {missing[0]}")
        return self.lowering(op, graph, storage)


def operator(
    inputs: tuple[int, int],
    *,
    optional: bool = False,
    options: Sequence[str] = (),
    outputs: tuple[int, int] = (1, 1),
    exchangeable: bool = False,
) -> Callable[[Callable[[Op, Graph, Storage], Lowered]], Operator]:
    """Make an `Operator` of the function below; arguments are its attributes."""
    return lambda lowering: Operator(lowering, inputs, optional, tuple(options), outputs, exchangeable)


def refusal(op: Op, graph: Graph, problem: str) -> ConversionError:
    """An error that names the operator and its output."""
    name = graph.tensors[op.outputs[0]].quoted if op.outputs and op.outputs[0] >= 0 else "''"
    return ConversionError(f"operator {op.index} ({op.name}, {name}) {problem}")


def tensors_of(op: Op, graph: Graph) -> tuple[list[Tensor | None], Tensor]:
    """Inputs (None where an optional one is absent) and the only output."""
    return [graph.tensors[i] if i >= 0 else None for i in op.inputs], graph.tensors[op.outputs[0]]


def given(tensor: Tensor | None) -> Tensor:
    """An input that is there, since `validate` has seen that no input is absent which must not be."""
    assert tensor is not None
    return tensor


def require_kind(kinds: Sequence[str], op: Op, graph: Graph, *tensors: Tensor | None) -> None:
    """Refuse tensors that do not all have one dtype, one of `kinds`; int8 values have a scale and a zero point."""
    found = ["absent" if tensor is None else tensor.dtype for tensor in tensors]
    if len(set(found)) > 1 or found[0] not in kinds:
        raise refusal(
            op, graph, f"has tensors that are {', '.join(found)}; TFLite Micro takes {' or '.join(kinds)} in all"
        )
    for tensor in tensors:
        if tensor is not None and tensor.dtype == "int8":
            int8_of(tensor, op, graph)


def sized(kernel: str, tensor: Tensor) -> str:
    """The kernel for values of a tensor's width: 'gather' for int8 and bool, 'gather_16' for int16, 'gather_32' for int32."""
    return kernel + {"int16": "_16", "int32": "_32"}.get(tensor.dtype, "")


def int8_of(tensor: Tensor | None, op: Op, graph: Graph) -> tuple[float, int]:
    """Scale and zero point of an int8 tensor that is quantized per tensor.

    Raises:
        ConversionError: For another dtype, or a tensor quantized per channel.
    """
    if tensor is None or tensor.dtype != "int8" or tensor.quantization is None:
        kind = "absent" if tensor is None else tensor.dtype
        if kind == "int8":
            kind = "int8 without a scale and a zero point"
        raise refusal(op, graph, f"has an input or output that is {kind}; static C computes on quantized int8")
    if len(tensor.quantization.scale) != 1:
        raise refusal(op, graph, "computes on a tensor that is quantized per channel; only weights may be")
    return tensor.quantization.scale[0], tensor.quantization.zero_point[0]


def grid_of(tensor: Tensor | None, op: Op, graph: Graph) -> tuple[float, int]:
    """Scale and zero point of an int8 tensor, or of an int16 one, which is symmetric.

    Raises:
        ConversionError: For another dtype, a tensor quantized per channel, or 16-bit values with a zero point.
    """
    if tensor is None or tensor.dtype != "int16":
        return int8_of(tensor, op, graph)
    if tensor.quantization is None or len(tensor.quantization.scale) != 1:
        raise refusal(op, graph, "has an input or output that is int16 without one scale")
    if tensor.quantization.zero_point[0]:
        raise refusal(op, graph, "has 16-bit values with a zero point; TFLite Micro takes symmetric ones")
    return tensor.quantization.scale[0], 0


def require_shape(tensor: Tensor, shape: Sequence[int], op: Op, graph: Graph) -> None:
    """Refuse an operator whose tensor does not have the shape that its operands give; leading axes of 1 do not count."""
    if four(tensor.shape, op, graph) != four(shape, op, graph):
        raise refusal(op, graph, f"has a tensor of shape {list(tensor.shape)} where its operands give {list(shape)}")


def require(valid: bool, op: Op, graph: Graph, what: str) -> None:
    """Refuse an operator whose `what` makes no sense."""
    if not valid:
        raise refusal(op, graph, f"has {what} that make no sense")


def require_within_32_bits(largest: int, power: int, op: Op, graph: Graph) -> None:
    """Refuse sums of up to `largest` that overflow 32 bits, as they are or scaled to the output by 2^power.

    TFLite's kernels overflow there, so no result would be the right one.
    """
    scaled = largest << max(power, 0)
    if scaled >= (1 << 31) - 256:
        raise refusal(op, graph, f"makes sums of up to {scaled:,} in steps of its output, which 32 bits do not hold")


def array_of(tensor: Tensor) -> np.ndarray:
    """A constant tensor's values; truth values as int8."""
    return np.frombuffer(tensor.data or b"", tensor.dtype.replace("bool", "int8")).reshape(tensor.shape)


def integers_of(tensor: Tensor | None, op: Op, graph: Graph, what: str) -> np.ndarray:
    """Values of a constant int32 input; ConversionError where it is computed, absent or of another dtype."""
    if tensor is None or tensor.data is None:
        raise refusal(op, graph, f"computes its {what} at run time; static C needs constants")
    if tensor.dtype != "int32":
        raise refusal(op, graph, f"has {what} that are {tensor.dtype}; TFLite Micro reads them as int32")
    return array_of(tensor)


def axes_of(tensor: Tensor | None, x: Tensor, op: Op, graph: Graph) -> list[int]:
    """Constant axes of `x`, counted from 0, as they are listed."""
    listed = [int(axis) for axis in integers_of(tensor, op, graph, "axes").reshape(-1)]
    require(all(-len(x.shape) <= axis < len(x.shape) for axis in listed), op, graph, f"axes {listed}")
    return [axis % len(x.shape) for axis in listed]


def axis_of(tensor: Tensor | None, x: Tensor, op: Op, graph: Graph) -> int:
    """A constant axis of `x`, counted from 0."""
    listed = [int(axis) for axis in integers_of(tensor, op, graph, "axis").reshape(-1)]
    require(len(listed) == 1 and -len(x.shape) <= listed[0] < len(x.shape), op, graph, f"axes {listed}")
    return listed[0] % len(x.shape)


def ints(values: Sequence[int], of_model: bool = False) -> Constant:
    """Numbers as an array of int32_t, since int has 16 bits on some MCUs."""
    return Constant(np.asarray(values, np.int32), of_model)


def numbers(*values: int) -> tuple[ModelNumber, ...]:
    """Numbers that come of weights, scales or zero points."""
    return tuple(map(ModelNumber, values))


def four(shape: Sequence[int], op: Op, graph: Graph) -> tuple[int, ...]:
    """A shape padded to four axes with leading 1s; ConversionError for more than four axes that are not 1."""
    shape = tuple(shape)
    while len(shape) > 4 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) > 4:
        raise refusal(op, graph, f"has {len(shape)} axes; static C takes four")
    return (1,) * (4 - len(shape)) + shape


def merged(shape: Sequence[int], *strides: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """A shape and strides along it with the fewest axes: those of size 1 left out, neighbors joined where they are one run."""
    axes: list[tuple[int, ...]] = []
    for size, *steps in zip(shape, *strides):
        if size == 1:
            continue
        if axes and all(outer == size * inner for outer, inner in zip(axes[-1][1:], steps)):
            axes[-1] = (axes[-1][0] * size, *steps)
        else:
            axes.append((size, *steps))
    return tuple(zip(*axes)) if axes else ((1,), *((0,) for _ in strides))


def four_merged(op: Op, graph: Graph, shape: Sequence[int], *strides: Sequence[int]) -> list[Constant]:
    """`merged` as arrays of four axes; ConversionError where more remain."""
    sizes, *steps = merged(shape, *strides)
    if len(sizes) > 4:
        raise refusal(op, graph, f"moves values along {len(sizes)} axes; static C takes four")
    missing = 4 - len(sizes)
    return [ints([1] * missing + list(sizes)), *(ints([0] * missing + list(each)) for each in steps)]


def strides_of(shape: Sequence[int]) -> list[int]:
    """Distance between neighbors along each axis, in elements."""
    strides = [1]
    for size in reversed(shape[1:]):
        strides.insert(0, strides[0] * size)
    return strides
