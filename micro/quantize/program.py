"""What a quantized model computes: a line of TFLite operators and the range of every value between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Activations = Literal["int8", "int16"]


@dataclass(frozen=True)
class Node:
    """One operator. Values are known by number: 0 is the model's input, n + 1 the output of node n.

    The names of the attributes stand in saved .keras files.

    Attributes:
        op: The operator's name in TFLite's schema.
        name: A name of its own: that of the Keras layer whose output it gives, where there is one.
        inputs: Numbers of the values that it reads.
        shape: Shape of the output, with a batch of 1.
        options: The operator's options, as in the schema.
        numbers: Constant integer inputs that follow the data, such as axes or paddings.
        kernel: Shape of the kernel, in Keras's layout; None where there is none.
        bias: Whether there is a bias.
        per_channel, bits: How the kernel is quantized.
        source: The Keras layer that the kernel came from.
        operand: Shape of a constant that is added, subtracted or multiplied.
        operand_first: Whether that constant is the first input.
        cell_power: Of an LSTM, the power of two that is its cells' scale, once ranges are calibrated.
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


@dataclass(frozen=True)
class Range:
    """Lowest and highest value that can be represented, `low` <= 0 <= `high`; `fixed` where an operator prescribes it."""

    low: float
    high: float
    fixed: bool = False


@dataclass(frozen=True)
class Program:
    """Nodes in the order in which they run; `grids` holds for each value the index of its range in `ranges`."""

    input_shape: tuple[int, ...]
    nodes: tuple[Node, ...]
    grids: tuple[int, ...] = ()
    ranges: tuple[Range, ...] = ()
    activations: Activations = "int8"

    def to_config(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Program:
        """A program from `to_config`."""
        nodes = tuple(Node(**{name: tuples(value) for name, value in node.items()}) for node in config["nodes"])
        ranges = tuple(Range(**entry) for entry in config["ranges"])
        return cls(tuples(config["input_shape"]), nodes, tuples(config["grids"]), ranges, config["activations"])


def tuples(value: Any) -> Any:
    """Lists as tuples, nested ones too; anything else as it is."""
    return tuple(tuples(item) for item in value) if isinstance(value, (list, tuple)) else value
