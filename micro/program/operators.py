"""A net's operators with their share of the time on a core."""

from __future__ import annotations

from dataclasses import dataclass

from micro.targets.timing import Timing


@dataclass(frozen=True)
class OperatorShare:
    """One operator's part of an inference.

    Attributes:
        op: Its name.
        macs: Steps of its innermost loop.
        instructions: Of static C; None with TFLite Micro, or where unknown.
        share: Fraction of the cycles; None where unknown.
        milliseconds: At the clock; None where unknown.
    """

    op: str
    macs: int
    instructions: int | None
    share: float | None
    milliseconds: float | None


def shares_of(timing: Timing, mhz: float) -> tuple[OperatorShare, ...]:
    """Each operator's share of the time, in the order in which they run."""
    total = sum(each.cycles or 0.0 for each in timing.operators)
    return tuple(
        OperatorShare(
            each.op,
            each.macs,
            None if each.instructions is None else round(each.instructions),
            None if each.cycles is None or not total else each.cycles / total,
            None if each.cycles is None else each.cycles / mhz / 1e3,
        )
        for each in timing.operators
    )
