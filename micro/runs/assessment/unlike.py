"""Healthy recordings that are unlike the others: a faulty one among them, or one of another load."""

from __future__ import annotations

from collections.abc import Sequence

from micro.datasets.reported import Doubt
from micro.runs.assessment.intervals import CONFIDENCE, interval
from micro.runs.assessment.words import above, named, percent
from micro.runs.report_parts import RecordingReport
from micro.runs.run_report import RunReport

# The fraction of the windows above the threshold that is nearly all, the fewest windows that say something, the most recordings
# that are unlike the others, and the fewest healthy recordings for each of these.
NEARLY_ALL, FEWEST, MOST, EACH = 0.8, 3, 2, 3


def unlike_others(report: RunReport) -> list[Doubt]:
    """What to say where one or two healthy test recordings hold nearly all false alarms, each surely more than asked for."""
    healthy = [row for row in report.by_origin if row.state == "healthy"]
    odd = _odd(healthy, report.false_alarm_rate or 0.0)
    if not odd:
        return []
    its, theirs = (_fraction(rows) for rows in (odd, [row for row in healthy if row not in odd]))
    names, which = " and ".join(row.origin for row in odd), " and ".join(map(named, odd))
    verb, it, own = ("is", "it", "its") if len(odd) == 1 else ("are", "them", "their")
    return [
        Doubt(
            f"{names} {verb} unlike the other healthy recordings",
            f"{which} {verb} unlike the other healthy recordings: {its} of {own} windows are above the threshold, and {theirs} "
            "of the others'",
            f"look whether {names} {verb} healthy: if not, leave {it} out of the healthy files; if so, record more like {it}",
        )
    ]


def _fraction(rows: Sequence[RecordingReport]) -> str:
    """Windows above the threshold, in percent."""
    count, windows = above(rows)
    return percent(count / windows)


def _odd(healthy: Sequence[RecordingReport], asked: float) -> list[RecordingReport]:
    """As few recordings as hold nearly all windows above the threshold; none where these are many, or few windows."""
    total, _ = above(healthy)
    worst = sorted(healthy, key=lambda row: -above([row])[0])
    for count in range(1, MOST + 1):
        odd = worst[:count]
        if total >= FEWEST and len(healthy) >= EACH * count and above(odd)[0] >= NEARLY_ALL * total:
            # One of many is above by chance more easily than one alone.
            confidence = 1 - (1 - CONFIDENCE) / len(healthy)
            return odd if all(interval(*above([row]), confidence)[0] > asked for row in odd) else []
    return []
