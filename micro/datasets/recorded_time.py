"""When and for how long a run's data were recorded, and when samples of a file were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from micro.datasets.recording import Recording
from micro.datasets.reported import RecordedTime

# Clocks that count from 1970 are past this many seconds; others count from their own start and name no day.
EARLIEST = 631_152_000.0  # 1990


def recorded_time(recordings: Sequence[Recording], firsts: Mapping[str, str]) -> RecordedTime | None:
    """None of pictures and of recordings without a rate.

    Args:
        firsts: Of files that hold the same the first one's name, which alone counts.
    """
    timed = [(one, one.sample_rate) for one in recordings if one.sample_rate]
    if not timed or len(timed) < len(recordings):
        return None
    copies = {one.name for one in recordings if firsts.get(one.name, one.name) != one.name}
    timed = [(one, rate) for one, rate in timed if one.name not in copies]
    lengths = [len(one.valid) / rate for one, rate in timed]
    begins = [
        one.clock for one in recordings if one.name not in copies and one.clock is not None and one.clock > EARLIEST
    ]
    days: tuple[str | None, str | None] = (None, None)
    if len(begins) == len(timed):
        ends = [begin + one.start_seconds + length for begin, (one, _), length in zip(begins, timed, lengths)]
        days = (_day(min(begins)), _day(max(ends)))
    return RecordedTime(len({one.name for one, _ in timed}), sum(lengths), *days, len(copies))


def _day(seconds: float) -> str | None:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
    except (OverflowError, OSError, ValueError):
        return None


def begins_of(recording: Recording, starts: np.ndarray) -> np.ndarray:
    """Seconds from the first row of a recording's file to samples of it, NaN of a picture: (n,) int -> (n,)."""
    rate = recording.sample_rate
    return np.full(len(starts), np.nan) if rate is None else recording.start_seconds + starts / rate
