"""When and for how long a run's data were recorded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from micro.datasets.recording import Recording
from micro.datasets.reported import RecordedTime

# Clocks that count from 1970 are past this many seconds; others count from their own start and name no day.
EARLIEST = 631_152_000.0  # 1990


def recorded_time(recordings: Sequence[Recording]) -> RecordedTime | None:
    """None of pictures and of recordings without a rate."""
    timed = [(one, one.sample_rate) for one in recordings if one.sample_rate]
    if not timed or len(timed) < len(recordings):
        return None
    lengths = [len(one.valid) / rate for one, rate in timed]
    begins = [one.clock for one in recordings if one.clock is not None and one.clock > EARLIEST]
    days: tuple[str | None, str | None] = (None, None)
    if len(begins) == len(recordings):
        ends = [begin + one.start_seconds + length for begin, (one, _), length in zip(begins, timed, lengths)]
        days = (_day(min(begins)), _day(max(ends)))
    return RecordedTime(len({one.name for one in recordings}), sum(lengths), *days)


def _day(seconds: float) -> str | None:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
    except (OverflowError, OSError, ValueError):
        return None
