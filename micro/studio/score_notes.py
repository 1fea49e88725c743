"""What is said of new recordings that were scored: doubts about the files, and when alarms are reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from micro.runs.alarm_times import alarm_times, said
from micro.runs.scored import Scored


def notes_of(log: str) -> list[str]:
    """What `keras-kd score` says of the files beside its scores, of what it wrote to standard error.

    Examples:
        >>> from micro.studio.score_notes import notes_of
        >>> notes_of("starting\\nNote: a is in mg in new.csv.\\n")
        ['a is in mg in new.csv.']
    """
    lines = (line.strip() for line in log.splitlines())
    return [line.removeprefix("Note: ") for line in lines if line.startswith("Note: ")]


def alarms_of(report: Mapping[str, Any], windows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sentences on when the alarms of scored windows are reported; none of a run without a detector."""
    history = (report.get("detector") or {}).get("history")
    if not isinstance(history, int):
        return []
    scored = [
        Scored(
            str(each.get("file")),
            0,
            each.get("begin"),
            each.get("score"),
            each.get("above_threshold"),
            each.get("alarm"),
            str(each.get("result")),
            end=each.get("end"),
        )
        for each in windows
    ]
    return said(alarm_times(scored, history))
