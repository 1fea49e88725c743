"""What test windows say of single operating modes, which the average over all of them hides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from micro.runs.assessment.intervals import HALF, TOO_WIDE, interval, is_above
from micro.runs.assessment.words import percent
from micro.runs.mode_report import ModeReport
from micro.runs.run_report import RunReport
from micro.runs.verdict import Reason
from micro.support.wording import listed

# Modes that a headline names.
NAMED = 3


def mode_reasons(report: RunReport) -> Iterator[Reason]:
    """Modes in which more than half of the faulty windows are missed, or whose false alarms are above what was asked for.

    The rules are those for all windows together. A single mode with a threshold is all windows, and has no reason of its own.
    """
    judged = [row for row in report.by_mode if row.threshold is not None]
    if len(judged) < 2:
        return
    missing = [row for row in judged if _misses(row)]
    if missing:
        found = [f"{_share(row.detected, row.faulty)} in mode {row.name}" for row in missing]
        yield Reason(
            "doubtful",
            f"more than half of the faulty windows missed in {_named(missing)}",
            f"faulty test windows found: {listed(found)}",
            "make [features] window longer where the shaft is slow, so that it holds more turns, look for features in which "
            "the fault shows there, or allow more false alarms ([detect] false_alarm_rate)",
        )
    asked = report.false_alarm_rate or 0.0
    loud = [row for row in judged if _alarms(row, asked)]
    if loud:
        above = [f"{_share(row.false_alarms, row.healthy)} in mode {row.name}" for row in loud]
        yield Reason(
            "doubtful",
            f"false alarms above what was asked in {_named(loud)}",
            f"healthy test windows above the threshold of their mode: {listed(above)}; {percent(asked)} was asked for",
            "record more of the healthy machine in these modes, on more days, and add it to training and calibration",
        )


def _misses(row: ModeReport) -> bool:
    """Whether more than half of a mode's faulty windows are missed, if these are enough to tell."""
    if row.detected is None:
        return False
    low, high = interval(_count(row.detected, row.faulty), row.faulty)
    return high - low <= TOO_WIDE and row.detected < HALF


def _alarms(row: ModeReport, asked: float) -> bool:
    """Whether a mode's false alarms are above what was asked for."""
    return row.false_alarms is not None and is_above(asked, _count(row.false_alarms, row.healthy), row.healthy)


def _count(rate: float, of: int) -> int:
    return round(rate * of)


def _share(rate: float | None, of: int) -> str:
    """A rate with the windows that it is of."""
    assert rate is not None
    return f"{_count(rate, of):,} of {of:,} ({percent(rate)})"


def _named(rows: Sequence[ModeReport]) -> str:
    return f"{'mode' if len(rows) == 1 else 'modes'} {listed([row.name for row in rows], NAMED)}"
