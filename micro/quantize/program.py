"""What a quantized model computes: TFLite operators in order, and the range of every value between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from micro.keras_graph.ends import Ends

Activations = Literal["int8", "int16"]
ONE_IN, ONE_OUT = Ends(("input",)), Ends(("output",))


@dataclass(frozen=True)
class Node:
    """One operator. Values are known by number: the model's inputs come first, then the output of each node.

    The names of the attributes stand in saved .keras files.

    Attributes:
        op: The operator's name in TFLite's schema; GRU stands for the operators of all its steps.
        name: A name of its own: that of the Keras layer whose output it gives, where there is one.
        inputs: Numbers of the values that it reads.
        shape: Shape of the output, with a batch of 1.
        options: The operator's options, as in the schema.
        numbers: Constant integer inputs that follow the data, such as axes or paddings.
        kernel: Shape of the kernel, in Keras's layout; None where there is none.
        bias: Whether there is a bias.
        per_channel, bits: How the kernel is quantized.
        source: The Keras layer that the kernel came from.
        operand: Shape of a constant that is added, subtracted or multiplied, or looked up in.
        operand_first: Whether that constant is the first input.
        cell_power: Of an LSTM, the power of two that is its cells' scale, once ranges are calibrated.
        gate_power: Of a GRU, the power of two that is the scale of what goes into its gates, once ranges are calibrated.
        seen: Shape that the Keras layer of this name gives, without batch, where only axes of size 1 differ.
    """

    op: str
    name: str
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    numbers: tuple[Any, ...] = ()
    kernel: tuple[int, ...] | None = None
    bias: bool = False
    per_channel: bool = False
    bits: int = 8
    source: str = ""
    operand: tuple[int, ...] | None = None
    operand_first: bool = False
    seen: tuple[int, ...] | None = None
    cell_power: int | None = None
    gate_power: int | None = None


@dataclass(frozen=True)
class Range:
    """Lowest and highest value that can be represented, `low` <= 0 <= `high`; `fixed` where an operator prescribes it."""

    low: float
    high: float
    fixed: bool = False


@dataclass(frozen=True)
class Program:
    """Nodes in the order in which they run, and what goes in and comes out.

    Attributes:
        input_shapes: Of each input, without batch.
        outputs: Numbers of the values that are the model's outputs.
        inputs_in, outputs_in: Their names, and whether they are in a list or a dict.
        grids: For each value the index of its range in `ranges`.
    """

    input_shapes: tuple[tuple[int, ...], ...]
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    inputs_in: Ends = ONE_IN
    outputs_in: Ends = ONE_OUT
    grids: tuple[int, ...] = ()
    ranges: tuple[Range, ...] = ()
    activations: Activations = "int8"

    @property
    def first(self) -> int:
        """The number of the value that the first node gives."""
        return len(self.input_shapes)

    def maker(self, value: int) -> Node | None:
        """The node that gives a value; None for an input."""
        return self.nodes[value - self.first] if value >= self.first else None

    @property
    def indices(self) -> dict[int, int]:
        """Inputs that are numbers of a table's rows, which stay integers, and how many rows it has."""
        looked_up = [(node.inputs[0], node.operand) for node in self.nodes if node.op == "GATHER"]
        return {value: min(rows[0] for at, rows in looked_up if at == value and rows) for value, _ in looked_up}

    def shape(self, value: int) -> tuple[int, ...]:
        """The shape of a value, with a batch of 1."""
        node = self.maker(value)
        return (1, *self.input_shapes[value]) if node is None else node.shape

    def to_config(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Program:
        """A program from `to_config`."""
        nodes = tuple(Node(**{name: tuples(value) for name, value in node.items()}) for node in config["nodes"])
        ranges = tuple(Range(**entry) for entry in config["ranges"])
        grids, activations = tuples(config["grids"]), config["activations"]
        if "input_shape" in config:  # as it was saved when there was one input and one output
            return cls(
                (tuples(config["input_shape"]),), nodes, (len(nodes),), ONE_IN, ONE_OUT, grids, ranges, activations
            )
        taken, given = (
            Ends(tuples(config[side]["names"]), config[side]["kind"]) for side in ("inputs_in", "outputs_in")
        )
        shapes, outputs = tuples(config["input_shapes"]), tuples(config["outputs"])
        return cls(shapes, nodes, outputs, taken, given, grids, ranges, activations)


def tuples(value: Any) -> Any:
    """Lists as tuples, nested ones too; anything else as it is."""
    return tuple(tuples(item) for item in value) if isinstance(value, (list, tuple)) else value
