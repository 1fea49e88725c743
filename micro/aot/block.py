"""All that calls take of a model's weights, scales and zero points, as one block, whose place another model's may take."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from micro.aot.calls import Argument, Call, Constant, Held, Lowered, ModelNumber, Several, array_of, refusal
from micro.aot.kernel_files import kinds_of
from micro.aot.memory import C_TYPES
from micro.aot.operators import OPERATORS
from micro.aot.states import State
from micro.aot.weight_layout import Storage
from micro.emission.c_text import c_array
from micro.errors import ConversionError
from micro.tflite.graph import Graph, Tensor

# What arrays of weights mean to the kernels; a block is of no use to kernels that read another layout.
LAYOUT = 1
# Whether a model's numbers are in the C or in a block that can be exchanged.
Weights = Literal["constant", "exchangeable"]
DIGEST = 8
# Blocks begin and end at multiples of it.
ALIGNMENT = 4

# What the first members of the block of numbers are, as comments.
SAYS = {
    "architecture": " /**< First bytes of the SHA-256 of what the C does with them. */",
    "model": " /**< First bytes of the SHA-256 of the .tflite. */",
    "steps": " /**< Of the inputs and outputs in order, what 1 more in the integer adds to the real value. */",
    "zeros": " /**< Of the same, the integers that stand for 0. */",
}


@dataclass(frozen=True)
class Member:
    """An array of the block; what stands behind the values that a model has is 0."""

    name: str
    values: np.ndarray


@dataclass(frozen=True)
class Block:
    """A model's numbers.

    Attributes:
        architecture: First bytes of the SHA-256 of `described`. Blocks of one architecture have one size and one order, and the
            C of one runs any of them.
        model: First bytes of the SHA-256 of the .tflite.
        members: Widest values first, so that each lies at a multiple of its width.
        described: What the C does with them, a line for each side of the model and each operator.

    Examples:
        >>> inputs = keras.Input((8,))
        >>> model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
        >>> tflite = micro.convert(model, np.random.default_rng(0).normal(size=(32, 8)).astype("float32"))
        >>> [member.name for member in micro.aot.weights_of(tflite).members][:3]
        ['steps', 'zeros', 'numbers']
    """

    architecture: bytes
    model: bytes
    members: tuple[Member, ...]
    described: tuple[str, ...]

    def to_bytes(self) -> bytes:
        """Digests of architecture and model, and all members, little-endian, with zeros up to a multiple of four bytes."""
        made = b"".join([self.architecture, self.model, *(_little(each.values) for each in self.members)])
        return made + bytes(-len(made) % ALIGNMENT)

    @property
    def unused(self) -> int:
        """Bytes behind the last member."""
        return -sum(each.values.nbytes for each in self.members) % ALIGNMENT

    def named(self, content: bytes) -> dict[str, np.ndarray]:
        """The members of another block of this architecture, by their names."""
        found, at = {}, 2 * DIGEST
        for each in self.members:
            kind = each.values.dtype.newbyteorder("<")
            found[each.name] = np.frombuffer(content, kind, each.values.size, at)
            at += each.values.nbytes
        return found


def held(
    graph: Graph, lowered: Sequence[Lowered], states: Sequence[State], model: bytes
) -> tuple[list[Lowered], list[str], Block]:
    """Calls that take a model's numbers from its block, what states start from, and the block.

    Args:
        lowered: What each operator of the graph becomes, with dense weights.
        states: What is kept between inferences.
        model: SHA-256 of the .tflite.

    Raises:
        ConversionError: Names an operator whose numbers a block does not hold.
    """
    _require_exchangeable(graph)
    _require_one_of_int8(graph)
    numbers: list[int] = []
    arrays: list[Member] = []

    def moved(argument: Argument, kind: str = "int32_t") -> Argument:
        if isinstance(argument, tuple) and argument[0].data is not None:
            part = moved(argument[0])
            return Held(f"{part.text} + {argument[1]}") if isinstance(part, Held) else argument
        if isinstance(argument, Tensor) and argument.data is not None:
            argument = Constant(array_of(argument), True)
        if isinstance(argument, ModelNumber):
            numbers.append(int(argument))
            cast = "" if kind == "int32_t" else f"({kind})"
            return Held(f"{cast}weights->numbers[{len(numbers) - 1}]")
        if isinstance(argument, Constant) and argument.of_model:
            arrays.append(Member(f"values_{len(arrays)}", _with_room(argument)))
            return Held(f"weights->{arrays[-1].name}")
        return argument

    calls = [
        [
            Call(call.kernel, tuple(moved(*each) for each in zip(call.arguments, kinds_of(call.kernel), strict=True)))
            for call in each.calls
        ]
        for each in lowered
    ]
    starts = [moved(ModelNumber(each.start), C_TYPES[each.dtype]) for each in states]
    members = [*([Member("numbers", np.array(numbers, np.int32))] if numbers else []), *arrays]
    members.sort(key=lambda each: -each.values.dtype.itemsize)
    described = _described(graph, calls, states, members)
    digest = hashlib.sha256("\n".join(described).encode()).digest()
    made = Block(digest[:DIGEST], model[:DIGEST], (*_ends(graph), *members), described)
    texts = [start.text for start in starts if isinstance(start, Held)]
    return [replace(each, calls=tuple(own)) for each, own in zip(lowered, calls)], texts, made


def checked_storage(storage: Storage, weights: Weights) -> Storage:
    """How weights are stored; ValueError for what there is not."""
    for what, value, known in (("storage", storage, get_args(Storage)), ("weights", weights, get_args(Weights))):
        if value not in known:
            raise ValueError(f"{what} must be one of {', '.join(known)}, got {value!r}")
    if weights == "constant":
        return storage
    if storage == "small":
        raise ValueError(
            "exchangeable weights are stored 'dense', since how small others would be is not known; got 'small'"
        )
    return "dense"


def _ends(graph: Graph) -> tuple[Member, ...]:
    """Steps and zero points of the model's inputs and outputs, for those who fill and read them; 0 where there are none."""
    units = [graph.tensors[i].quantization for i in (*graph.inputs, *graph.outputs)]
    steps = [unit.scale[0] if unit else 0.0 for unit in units]
    zeros = [unit.zero_point[0] if unit else 0 for unit in units]
    return Member("steps", np.array(steps, np.float32)), Member("zeros", np.array(zeros, np.int32))


def _require_exchangeable(graph: Graph) -> None:
    for op in graph.ops:
        if op.index < 0:
            raise ConversionError(
                "the model repeats steps, as a GRU does; exchangeable weights are for models without a loop"
            )
        if not OPERATORS[op.name].exchangeable:
            able = ", ".join(name for name, each in OPERATORS.items() if each.exchangeable)
            raise refusal(op, graph, f"is not among the operators whose numbers can be exchanged: {able}")
        tensors = [graph.tensors[i] for i in (*op.inputs, *op.outputs) if i >= 0]
        if any(tensor.dtype in ("int16", "int64") for tensor in tensors):
            raise refusal(op, graph, "computes on 16-bit values; those of int8 models can be exchanged")


def _require_one_of_int8(graph: Graph) -> None:
    sides = (graph.inputs, graph.outputs)
    if any(len(side) != 1 or graph.tensors[side[0]].dtype != "int8" for side in sides):
        raise ConversionError("weights are exchanged in models of one int8 input and one int8 output")


def _with_room(constant: Constant) -> np.ndarray:
    flat = np.ascontiguousarray(constant.values).reshape(-1)
    return flat if constant.room is None else np.pad(flat, (0, constant.room - flat.size))


def _described(
    graph: Graph, calls: Sequence[Sequence[Call]], states: Sequence[State], members: Sequence[Member]
) -> tuple[str, ...]:
    """What the C does, whatever the numbers; tensors are counted as they first occur, so that their names do not matter."""
    order: dict[int, int] = {}

    def tensor(index: int) -> str:
        number = order.setdefault(index, len(order))
        return f"t{number}:{graph.tensors[index].dtype}{list(graph.tensors[index].shape)}"

    def argument(each: Argument) -> str:
        if isinstance(each, tuple):
            return f"{tensor(each[0].index)}+{each[1]}"
        if isinstance(each, Tensor):
            return tensor(each.index)
        if isinstance(each, Several):
            return " ".join(tensor(part.index) for part in each.parts)
        if isinstance(each, Constant):
            return f"{each.values.dtype}{each.values.reshape(-1).tolist()}"
        return each.text if isinstance(each, Held) else str(each)

    lines = [f"layout {LAYOUT}", "in " + ", ".join(map(tensor, graph.inputs))]
    for op, own in zip(graph.ops, calls):
        taken = [tensor(i) for i in op.inputs if i >= 0 and graph.tensors[i].data is None]
        made = [tensor(i) for i in op.outputs]
        text = "; ".join(f"{call.kernel}({', '.join(map(argument, call.arguments))})" for call in own)
        lines.append(f"{op.name} {', '.join(taken)} -> {', '.join(made)}: {text}")
    lines += [f"state {each.dtype} {each.size} {[tensor(i) for i in each.tensors]}" for each in states]
    lines.append("out " + ", ".join(map(tensor, graph.outputs)))
    lines.append("holds " + ", ".join(f"{each.name}:{each.values.dtype}[{each.values.size}]" for each in members))
    return tuple(lines)


def difference(one: Block, other: Block) -> str | None:
    """Where two models differ in more than their numbers, in words; None where they do not.

    Examples:
        >>> from micro.aot.block import Block, difference
        >>> difference(*(Block(b"", b"", (), (f"in t0:int8[1, {size}]",)) for size in (8, 9)))
        'in t0:int8[1, 8] is in t0:int8[1, 9]'
    """
    for number, (mine, others) in enumerate(zip(one.described, other.described)):
        if mine != others:
            first, second = (re.split(r": ", each)[0] for each in (mine, others))
            if first != second:
                return f"{first} is {second}"
            return (
                f"operator {number - 2} ({mine.split(' ')[0]}) has other options, or weights that are stored otherwise"
            )
    return None if len(one.described) == len(other.described) else "one has more operators than the other"


def struct_context(block: Block) -> dict[str, Any]:
    """For templates of the block as a struct of C, whose bytes are those of `Block.to_bytes`."""
    kinds = {**C_TYPES, "float32": "float"}
    digests = [c_array("uint8_t", name, list(getattr(block, name))) for name in ("architecture", "model")]
    members = [c_array(kinds[each.values.dtype.name], each.name, each.values) for each in block.members]
    unused = [c_array("uint8_t", "unused", [0] * block.unused)] if block.unused else []
    return {
        "arrays": [*digests, *members, *unused],
        "size": len(block.to_bytes()),
        "architecture": digests[0].rows[0],
        "digest_size": DIGEST,
        "alignment": ALIGNMENT,
        "says": SAYS,
    }


def _little(values: np.ndarray) -> bytes:
    return values.astype(values.dtype.newbyteorder("<")).tobytes()
