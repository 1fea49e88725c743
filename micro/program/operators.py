"""A net's operators with their share of the time on a core."""

from __future__ import annotations

from dataclasses import dataclass

from micro.aot.decode import unpacked
from micro.program.size import Model
from micro.targets.cores import Core, Runtime
from micro.targets.timing import Timing, timing


@dataclass(frozen=True)
class OperatorShare:
    """One operator's part of an inference.

    Attributes:
        op: Its name.
        steps: Steps of its innermost loop: multiply-accumulates, or the values that pooling reads.
        instructions: Of static C; None with TFLite Micro, or where unknown.
        share: Fraction of the cycles; None where unknown.
        milliseconds: At the clock; None where unknown.
    """

    op: str
    steps: int
    instructions: int | None
    share: float | None
    milliseconds: float | None


def operator_shares(model: Model, runtime: Runtime, core: Core, mhz: float) -> tuple[dict[int, OperatorShare], Timing]:
    """Each operator's share of the time, by the number of the tensor that it computes; and the time of all of them."""
    time = timing(model.works(runtime), core, runtime)
    total = sum(each.cycles or 0.0 for each in time.operators)
    ops = (unpacked(model.graph) if runtime == "static" else model.graph).ops
    shares = {}
    for op, each in zip(ops, time.operators):
        if op.outputs:
            shares[op.outputs[0]] = OperatorShare(
                each.op,
                each.macs,
                None if each.instructions is None else round(each.instructions),
                None if each.cycles is None or time.cycles is None or not total else each.cycles / total,
                None if each.cycles is None else each.cycles / mhz / 1e3,
            )
    return shares, time
