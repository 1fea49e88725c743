"""The column of a speed or load that is no channel of its own, and the operating modes of windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from micro.config import Config
from micro.config.bearing import speed_beside
from micro.datasets import store
from micro.datasets.recording import Recording
from micro.datasets.reported import Unjudged
from micro.detection.modes import OFF, UNKNOWN, Ranges
from micro.errors import DataError
from micro.support.wording import counted, was

# Columns that a message names at most.
LISTED = 12


@dataclass(frozen=True)
class SpeedColumn:
    """A column of the files with a speed or load, and the key of the config that names it."""

    name: str
    key: str


def speed_column(config: Config) -> SpeedColumn | None:
    """A column of the files with a speed or load that is read without being a channel with features: that of bands in orders,
    of operating modes, or of a bearing's shaft."""
    if config.features.speed_column is not None:
        return SpeedColumn(config.features.speed_column, "[features] speed_column")
    if config.modes is not None:
        return SpeedColumn(config.modes.column, "[modes] column")
    beside = speed_beside(config.bearing, config.data, config.teacher.columns)
    return None if beside is None else SpeedColumn(beside, "[bearing] rpm_column")


def with_speed(
    recordings: Sequence[Recording], names: tuple[str, ...], speed: SpeedColumn
) -> tuple[list[Recording], tuple[str, ...]]:
    """The recordings with a column as their speed and no channel, and the names of the others; DataError without the column."""
    if speed.name not in names:
        more = ", ..." if len(names) > LISTED else ""
        raise DataError(
            f"{speed.key} = {speed.name!r}, and {recordings[0].name} has no such column of numbers; it has "
            f"{', '.join(names[:LISTED])}{more}"
        )
    place = names.index(speed.name)
    kept = [channel for channel in range(len(names)) if channel != place]
    if not kept:
        raise DataError(f"{speed.key} = {speed.name!r} is the only column of numbers: nothing is left to learn from")
    found = [
        replace(one, samples=store.taken(one.samples, kept), speed=np.ascontiguousarray(one.samples[:, place]))
        for one in recordings
    ]
    return found, tuple(names[channel] for channel in kept)


def speed_last(
    recordings: Sequence[Recording],
    names: tuple[str, ...],
    whole: Sequence[Recording],
    all_names: tuple[str, ...],
    speed: str,
) -> tuple[list[Recording], tuple[str, ...]]:
    """Recordings with the speed as their last channel, and the channels' names; `whole` are the same with every channel."""
    kept = [all_names.index(name) for name in (*names, speed)]
    found = [
        replace(one, samples=store.taken(given.samples, kept)) for one, given in zip(recordings, whole, strict=True)
    ]
    return found, (*names, speed)


def modes_of(ranges: Ranges | None, recording: Recording, starts: np.ndarray, window: int) -> np.ndarray | None:
    """The mode of each window, (n,) int; None where there are none.

    Of a recording that was decimated a window has the mode of all samples of the sensor that it is made of: the value comes
    with each of these. What a filter remembers of earlier ones does not count.
    """
    if ranges is None:
        return None
    assert recording.speed is not None
    return ranges.of_windows(recording.speed, starts * recording.every, window * recording.every)


def starts_before(stands: np.ndarray | None, learnable: np.ndarray, chosen: np.ndarray) -> int:
    """How many of some windows are the first after the machine was off.

    Shapes: stands (n,) bool of a recording's windows, None where that is not known; learnable (m,), of which windows that are
        judged; chosen (k,), places among these.
    """
    if stands is None:
        return 0
    after = np.flatnonzero(np.diff(np.cumsum(stands)[learnable], prepend=0))
    return int(np.isin(after, chosen).sum())


def unjudged_of(modes: Sequence[np.ndarray], starts: int) -> Unjudged | None:
    """How many windows are not judged, and starts of the machine in the test; None where neither modes nor `off_rms` tell."""
    if not modes:
        return None
    found = np.concatenate(modes)
    return Unjudged(len(found), int((found == OFF).sum()), int((found == UNKNOWN).sum()), starts)


@dataclass(frozen=True)
class Outside:
    """Windows of unknown mode that lie wholly outside the edges: how many lie below the first and at or above the last, and the
    lowest and the highest value in these."""

    below: int
    lowest: float
    above: int
    highest: float


def outside_of(ranges: Ranges | None, recording: Recording, starts: np.ndarray, window: int) -> Outside | None:
    """The windows of a recording that another edge would take into a range; None where there are no ranges with edges."""
    if ranges is None or not ranges.edges or not len(starts):
        return None
    assert recording.speed is not None
    values = ranges.values(recording.speed)
    first = starts * recording.every
    ends = np.stack([first, first + window * recording.every], 1).ravel()
    # Of pairs of places every second part is a window; the last one may end where the values do.
    padded = np.append(values, values[-1:])
    low, high = np.minimum.reduceat(padded, ends)[::2], np.maximum.reduceat(padded, ends)[::2]
    below = (high < ranges.bounds[0]) & (ranges.off is None or low >= ranges.off)
    above = low >= ranges.bounds[-1]
    unit = ranges.resolution or 1.0
    return Outside(
        int(below.sum()),
        float(low[below].min(initial=np.inf)) * unit,
        int(above.sum()),
        float(high[above].max(initial=-np.inf)) * unit,
    )


def not_judged(
    modes: Sequence[np.ndarray], ranges: Ranges | None = None, outside: Sequence[Outside | None] = ()
) -> list[str]:
    """Sentences on windows that were left out as the machine is off or the mode unknown, and what edges would take in."""
    found = np.concatenate(modes) if modes else np.empty(0, int)
    said = []
    for mode, why in ((OFF, "in which the machine is off"), (UNKNOWN, "of unknown operating mode")):
        count = int((found == mode).sum())
        if count:
            left = f"{count:,} of {counted(len(found), 'window')} {why} {was(count)} left out of training, threshold and test"
            known = [each for each in outside if each is not None]
            where = _where(count, ranges, known) if mode == UNKNOWN and ranges is not None and known else ""
            said.append(f"{left}{where}.")
    return said


def _where(unknown: int, ranges: Ranges, outside: Sequence[Outside]) -> str:
    """Where windows of unknown mode lie, and the edge that would take them in."""
    below, above = sum(each.below for each in outside), sum(each.above for each in outside)
    across, parts = unknown - below - above, []
    if below:
        lowest = min(each.lowest for each in outside)
        parts.append(
            f"{below:,} below the first edge {ranges.edges[0]:g}, down to {lowest:.6g}, which a first edge of that or less "
            "would take in"
        )
    if above:
        highest = max(each.highest for each in outside)
        parts.append(
            f"{above:,} at or above the last edge {ranges.edges[-1]:g}, up to {highest:.6g}, which a last edge above that "
            "would take in"
        )
    if across:
        parts.append(f"{across:,} across several ranges, as of a machine that changes its speed")
    return f", by their {ranges.column!r}: {'; '.join(parts)}"
