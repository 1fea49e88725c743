"""What a quantized model computes: a line of TFLite operators and the range of every value between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Activations = Literal["int8", "int16"]


@dataclass(frozen=True)
class Node:
    """One operator. Values are known by number: 0 is the model's input, n + 1 what node n gives.

    `shape` is the output's, with a batch of 1; `options` are the schema's; `numbers` the constant integer inputs that
    follow the data, such as axes or paddings. Operators with weights say the kernel's shape, in Keras's layout, whether there
    is a bias, the grids of the kernel (`per_channel`, `bits`), and the Keras layer it came from (`source`). `operand` is
    the shape of a constant that is added, subtracted or multiplied; it may come first. `seen` is the shape that the Keras
    layer of the node's name gives, without batch, where only axes of size 1 differ.
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


@dataclass(frozen=True)
class Range:
    """Lowest and highest value that a grid holds, `low` <= 0 <= `high`; `fixed` where an operator prescribes it."""

    low: float
    high: float
    fixed: bool = False


@dataclass(frozen=True)
class Program:
    """Nodes in the order in which they run; `grids` tells for each value which of the `ranges` it has."""

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

        def tuples(value: Any) -> Any:
            return tuple(tuples(item) for item in value) if isinstance(value, (list, tuple)) else value

        nodes = tuple(Node(**{name: tuples(value) for name, value in node.items()}) for node in config["nodes"])
        ranges = tuple(Range(**entry) for entry in config["ranges"])
        return cls(tuples(config["input_shape"]), nodes, tuples(config["grids"]), ranges, config["activations"])
