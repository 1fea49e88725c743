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


def unjudged_of(modes: Sequence[np.ndarray]) -> Unjudged | None:
    """How many windows are not judged; None where neither modes nor `off_rms` tell."""
    if not modes:
        return None
    found = np.concatenate(modes)
    return Unjudged(len(found), int((found == OFF).sum()), int((found == UNKNOWN).sum()))


def not_judged(modes: Sequence[np.ndarray]) -> list[str]:
    """Sentences on windows that were left out as the machine is off or the mode unknown."""
    found = np.concatenate(modes) if modes else np.empty(0, int)
    said = []
    for mode, why in ((OFF, "in which the machine is off"), (UNKNOWN, "of unknown operating mode")):
        count = int((found == mode).sum())
        if count:
            said.append(
                f"{count:,} of {counted(len(found), 'window')} {why} {was(count)} left out of training, threshold and test."
            )
    return said
