"""The page of scored recordings: how many windows, what was reported, and the scores over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from micro.runs.report.over_time import Track, scores_over_time
from micro.runs.score_files import Scored
from micro.support.html import drawing, page
from micro.support.wording import counted


def render_scores(run: str, scored: Sequence[Scored], notes: Sequence[str], threshold: float | None) -> bytes:
    """The page, whole in itself; the same scores give the same bytes."""
    by_file: dict[str, list[Scored]] = {}
    for window in scored:
        by_file.setdefault(window.file, []).append(window)
    tracks = [_track(name, rows) for name, rows in by_file.items()]
    detects = any(window.alarm is not None for window in scored)
    with drawing():
        drawn = scores_over_time(tracks, threshold if detects else None)
    rows = [
        (
            name,
            len(own),
            sum(bool(window.above_threshold) for window in own),
            sum(bool(window.alarm) for window in own),
            ", ".join(f"{what or 'none'} {count:,}" for what, count in Counter(map(_said, own)).most_common(4)),
        )
        for name, own in by_file.items()
    ]
    return page(
        "micro.runs",
        "score.html.j2",
        run=run,
        says=_says(rows, detects),
        notes=notes,
        rows=rows,
        detects=detects,
        charts=[drawn] if drawn else [],
    )


def _said(window: Scored) -> str:
    """What is reported of a window: what the firmware does, else its result."""
    if window.score is None and window.reported is None and not window.numbers:
        return window.result
    return next((each for each in (window.reported, window.recognized) if each is not None), window.result)


def _says(rows: Sequence[tuple[str, int, int, int, str]], detects: bool) -> str:
    """The verdict: what is in alarm."""
    windows = sum(row[1] for row in rows)
    what = f"{counted(windows, 'window')} of {counted(len(rows), 'file')}"
    if not detects:
        return what
    alarms = [row[0] for row in rows if row[3]]
    if not alarms:
        return f"No alarm in {what}"
    after = f"after {sum(row[3] for row in rows):,} of {counted(windows, 'window')}"
    return f"Alarm in {len(alarms)} of {counted(len(rows), 'file')}, {after}"


def _track(name: str, rows: Sequence[Scored]) -> Track:
    return Track(
        name,
        np.array([np.nan if row.seconds is None else row.seconds for row in rows], float),
        np.array([np.nan if row.score is None else row.score for row in rows], float),
        np.array([bool(row.alarm) for row in rows]),
    )
