"""What a report keeps of the data of a run: further sources, how long was recorded, velocities, what is not judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class SourceData:
    """What was read of a further source: its name, its channels, their rate in Hz, and their units where files name them."""

    name: str
    channels: tuple[str, ...]
    sample_rate: float
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Doubt:
    """What is probably wrong with the files of a run: in a few words, in a sentence that names file and channel, and what to
    do about it."""

    what: str
    says: str
    then: str

    def __str__(self) -> str:
        return f"{self.says}: {self.then}."


@dataclass(frozen=True)
class RecordedTime:
    """Of all recordings that were read, those that hold the same once: `files`, their `seconds` together, without gaps, and the
    days of the first and the last sample, as year-month-day, None where files name no day; and how many `copies` there are."""

    files: int
    seconds: float
    first: str | None = None
    last: str | None = None
    copies: int = 0


@dataclass(frozen=True)
class Level:
    """Velocities of one state in one recording, in mm/s RMS: median and 95th percentile of the running values, the blocks that
    were measured and those with a sensor fault, and the zone of the 95th percentile, '' where there are no zones."""

    origin: str
    state: str
    blocks: int
    faults: int
    median: float | None
    high: float | None
    zone: str


@dataclass(frozen=True)
class Unjudged:
    """Of all windows of a run's recordings those in which the machine is off, and those of unknown operating mode, 0 without
    modes; and how often the machine starts within the healthy test windows, None where that is not known."""

    windows: int
    off: int
    unknown: int
    starts: int | None = None
