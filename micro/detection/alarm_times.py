"""When a device reports alarms, and which stretch of a recording they come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from micro.detection.alarm_parts import alarm_windows, raised_at


@dataclass(frozen=True)
class AlarmTime:
    """One alarm, in seconds since its file's first row, None of pictures.

    Attributes:
        reported: When the device reports it: the end of the first window after which the detector is in alarm.
        cleared: The end of the first window after which it is no longer; None where the file ends in alarm.
        begin, end: The stretch of the recording that it comes from: from the begin of the first window that counts for it to
            the end of the last one above the threshold.
    """

    file: str
    reported: float | None
    cleared: float | None
    begin: float | None
    end: float | None


def times_of(
    file: str, begins: np.ndarray, ends: np.ndarray, state: np.ndarray, above: np.ndarray, history: int
) -> list[AlarmTime]:
    """The alarms of a file in their order.

    Args:
        begins, ends: Of its windows in seconds, NaN without a time, (n,).
        state: Whether the detector is in alarm after each, as `held` has it, (n,) bool.
        above: Those above the threshold, (n,) bool.
        history: Over how many windows the detector counts.
    """
    made = []
    past = np.append(ends, np.nan)
    for start, places in zip(raised_at(state).tolist(), alarm_windows(state, above, history)):
        after = start + int(np.argmin(np.append(state, False)[start:]))
        moments = (ends[start], past[after], begins[places[0]], ends[places[-1]])
        made.append(AlarmTime(file, *(None if np.isnan(at) else float(at) for at in moments)))
    return made
