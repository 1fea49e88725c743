"""How much an operator has to do, and what that costs on a core: instructions or cycles, linear in its size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Operators that one kernel computes, by the name under which its cost stands in the fitted tables.
FAMILIES = {
    **dict.fromkeys(("RELU", "RELU6", "LEAKY_RELU", "LOGISTIC", "TANH", "HARD_SWISH", "QUANTIZE"), "LOOKUP"),
    # A variable that is read stays where it lies, as a tensor in another shape does.
    **dict.fromkeys(("RESHAPE", "EXPAND_DIMS", "SQUEEZE", "VAR_HANDLE", "READ_VARIABLE"), "RESHAPE"),
    **dict.fromkeys(
        ("PAD", "PADV2", "CONCATENATION", "STRIDED_SLICE", "SLICE", "TRANSPOSE", "SPLIT", "PACK")
        + (
            "ASSIGN_VARIABLE",
            "SPLIT_V",
            "UNPACK",
            "GATHER",
            "EMBEDDING_LOOKUP",
            "REVERSE_V2",
            "BROADCAST_TO",
            "MIRROR_PAD",
        )
        + ("SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "RESIZE_NEAREST_NEIGHBOR"),
        "MOVEMENT",
    ),
    "SUB": "ADD",
}


@dataclass(frozen=True)
class Work:
    """The size of one operator.

    Attributes:
        op: Its name in the schema of TFLite.
        macs: Steps of its innermost loop: multiply-accumulates, or the values that pooling reads.
        rows: How often the innermost loop is entered: `macs` by the length of a run of channels.
        outputs: Values that it computes.
        weight_bytes: Bytes of constants that it reads.
    """

    op: str
    macs: int
    rows: int
    outputs: int
    weight_bytes: int

    @property
    def family(self) -> str:
        """The name under which its cost stands."""
        return FAMILIES.get(self.op, self.op)


@dataclass(frozen=True)
class Cost:
    """Instructions or cycles of a kernel: for each step of the innermost loop, each entry into it, each output, each call."""

    mac: float
    row: float
    output: float
    call: float

    def of(self, work: Work) -> float:
        """The cost of an operator of that size."""
        return self.mac * work.macs + self.row * work.rows + self.output * work.outputs + self.call


def cost_of(work: Work, costs: Mapping[str, Cost]) -> float | None:
    """What an operator costs by a fitted table; None where the table does not have its kernel."""
    cost = costs.get(work.family)
    return None if cost is None else cost.of(work)
