"""One file's channels as vibration: samples and rate, however the file is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from micro.datasets import clock
from micro.datasets.contents import Contents
from micro.datasets.formats import read_contents
from micro.errors import DataError
from micro.look.given import given_of
from micro.look.survey import reading, survey
from micro.support.wording import counted


@dataclass(frozen=True)
class Vibration:
    """One channel of a file.

    Attributes:
        channel: Its name.
        samples: (n,) float32, the longest stretch without a gap in time.
        sample_rate: In Hz.
    """

    channel: str
    samples: np.ndarray = field(repr=False)
    sample_rate: float


def vibration_of(path: str | Path, sample_rate: float | None = None, channels: Sequence[str] = ()) -> list[Vibration]:
    """A file's channels, read as `keras-kd look` reads it.

    Args:
        sample_rate: In Hz, where the file does not say it.
        channels: Names or patterns; all that are numbers and change if empty.

    Raises:
        DataError: For a file that cannot be read, has no such channel or no rate, or misses values.
    """
    found = survey([path], sample_rate, given_of({"columns": list(channels)}, None) if channels else given_of({}, None))
    file = found.files[0]
    if found.pictures:
        raise DataError(f"{path} is a picture, not a recording of vibration")
    settings = {key: value for key, value in found.settings.items() if key not in ("label_column", "label_columns")}
    used = channels or [channel.name for channel in file.channels if channel.low < channel.high]
    read = read_contents(file.path, reading({**settings, "columns": list(used)} if used else settings))
    rate, stretch = _longest(read, found.settings, file.rate, sample_rate)
    signals = []
    for name, samples in zip(read.channels, read.samples[stretch].T):
        missing = int((~np.isfinite(samples)).sum())
        if missing:
            raise DataError(f"{path}: {counted(missing, 'value')} of {name} {'is' if missing == 1 else 'are'} missing")
        signals.append(Vibration(name, samples, rate))
    return signals


def _longest(
    read: Contents, settings: Mapping[str, Any], own: float | None, given: float | None
) -> tuple[float, slice]:
    """The sample rate, and the rows of the longest stretch without a gap."""
    rate = own if own is not None else given
    if read.moments is None:
        if rate is None:
            raise DataError(f"{read.path} does not say its sample rate; give it by --sample-rate")
        return rate, slice(None)
    config = reading(dict(settings))
    named = clock.called(read.moments, config)
    since = clock.seconds(read.moments, named, read.path)
    found, breaks = clock.rate_and_breaks(since, named, read.path, read.rows.where)
    start, stop = max(pairwise([0, *breaks, len(read.samples)]), key=lambda each: each[1] - each[0])
    return found, slice(start, stop)
