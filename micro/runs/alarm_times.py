"""When the alarms of scored windows are reported, and the times of windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from micro.detection.alarm_parts import held
from micro.detection.alarm_times import AlarmTime, times_of
from micro.runs.scored import Scored
from micro.support.wording import counted, listed

# Times of one file that a sentence names, and files with a sentence.
MOST_TIMES, MOST_FILES = 3, 20


def alarm_times(windows: Sequence[Scored], history: int) -> tuple[AlarmTime, ...]:
    """The alarms of scored windows, file by file in their order."""
    by_file: dict[str, list[Scored]] = {}
    for window in windows:
        by_file.setdefault(window.file, []).append(window)
    return tuple(each for name, rows in by_file.items() for each in times_of(name, *_arrays(rows), history))


def _arrays(rows: Sequence[Scored]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Begins, ends, state and windows above the threshold of a file's windows."""
    judged = np.array([row.score is not None for row in rows])
    state = held(np.array([bool(row.alarm) for row in rows]), judged)
    return begins_in(rows), ends_of(rows), state, judged & np.array([bool(row.above_threshold) for row in rows])


def said(alarms: Sequence[AlarmTime]) -> list[str]:
    """A sentence for each file on when its alarms are reported; none where files have no time."""
    by_file: dict[str, list[str]] = {}
    for each in alarms:
        if each.reported is not None:
            by_file.setdefault(each.file, []).append(f"{each.reported:.6g} s")
    rest = [f"{counted(len(by_file) - MOST_FILES, 'more file')} in alarm"] if len(by_file) > MOST_FILES else []
    named = list(by_file.items())[:MOST_FILES]
    return [*(f"{name}: alarm reported at {listed(times, MOST_TIMES)}" for name, times in named), *rest]


def begins_in(windows: Sequence[Scored]) -> np.ndarray:
    """Seconds at which windows begin, NaN without a time, (n,)."""
    return np.array([np.nan if each.begin is None else each.begin for each in windows], float)


def ends_of(windows: Sequence[Scored]) -> np.ndarray:
    """Seconds at which windows end, NaN without a time, (n,)."""
    return np.array([np.nan if each.end is None else each.end for each in windows], float)
