"""The page of scored recordings: how many windows, what was reported, and the scores over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from micro.runs.alarm_times import begins_in, ends_of
from micro.runs.report.over_time import Track, scores_over_time
from micro.runs.scored import Scored, Scores
from micro.support.html import drawing, page
from micro.support.wording import counted

# Stretches of a file with a row each; of more the file has one.
MOST_STRETCHES = 20
# Alarms with a row each.
MOST_ALARMS = 200


def render_scores(run: str, scores: Scores) -> bytes:
    """The page, whole in itself; the same scores give the same bytes."""
    scored = scores.windows
    by_file: dict[str, list[Scored]] = {}
    for window in scored:
        by_file.setdefault(window.file, []).append(window)
    tracks = [_track(name, rows) for name, rows in by_file.items()]
    detects = any(window.alarm is not None for window in scored)
    with drawing():
        drawn = scores_over_time(tracks, scores.threshold if detects else None)
    rows = [
        (
            name,
            _seconds(own[0].begin),
            _seconds(own[-1].end),
            len(own),
            sum(bool(window.above_threshold) for window in own),
            sum(bool(window.alarm) for window in own),
            ", ".join(f"{what or 'none'} {count:,}" for what, count in Counter(map(_said, own)).most_common(4)),
        )
        for name, whole in by_file.items()
        for own in stretches(whole)
    ]
    return page(
        "micro.runs",
        "score.html.j2",
        run=run,
        says=_says(by_file, detects),
        timed=any(row[1] != "–" for row in rows),
        notes=scores.notes,
        alarms=[each for each in scores.alarms if each.reported is not None],
        most=MOST_ALARMS,
        rows=rows,
        detects=detects,
        charts=[drawn] if drawn else [],
    )


def _said(window: Scored) -> str:
    """What is reported of a window: what the firmware does, else its result."""
    if window.score is None and window.reported is None and not window.numbers:
        return window.result
    return next((each for each in (window.reported, window.recognized) if each is not None), window.result)


def stretches(rows: Sequence[Scored]) -> list[Sequence[Scored]]:
    """A file's windows, apart where its time has a gap: where the next window begins later than windows follow each other."""
    begins = begins_in(rows)
    steps = np.diff(begins)
    if not len(steps) or np.isnan(steps).any():
        return [rows]
    ends = [0, *(np.flatnonzero((steps > 1.5 * np.median(steps)) | (steps < 0)) + 1).tolist(), len(rows)]
    return [rows[start:end] for start, end in pairwise(ends)] if len(ends) <= MOST_STRETCHES + 1 else [rows]


def _seconds(time: float | None) -> str:
    return "–" if time is None else f"{time:.6g}"


def _says(by_file: Mapping[str, Sequence[Scored]], detects: bool) -> str:
    """The verdict: what is in alarm."""
    rows = [(name, len(own), sum(bool(each.alarm) for each in own)) for name, own in by_file.items()]
    windows = sum(row[1] for row in rows)
    what = f"{counted(windows, 'window')} of {counted(len(rows), 'file')}"
    if not detects:
        return what
    alarms = [row[0] for row in rows if row[2]]
    if not alarms:
        return f"No alarm in {what}"
    after = f"after {sum(row[2] for row in rows):,} of {counted(windows, 'window')}"
    return f"Alarm in {len(alarms)} of {counted(len(rows), 'file')}, {after}"


def _track(name: str, rows: Sequence[Scored]) -> Track:
    return Track(
        name,
        ends_of(rows),
        np.array([np.nan if row.score is None else row.score for row in rows], float),
        np.array([bool(row.alarm) for row in rows]),
    )
