"""The columns of files that are probably the speed of a shaft."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from micro.datasets.shaft_speed import Speed, is_speed, speed_of
from micro.datasets.spacing import evenly_spaced
from micro.look.surveyed import Surveyed

# The share of rows without a value that a column has at most, to be taken as a speed beside others.
MOST_MISSING = 0.01
# Values that are kept of a file.
KEPT = 2000


def speeds_of(files: Sequence[Surveyed], columns: Sequence[str] = ()) -> list[Speed]:
    """Channels that by name and values are probably the speed of a shaft, of those in `columns`, or of all."""
    names = columns or [channel.name for channel in files[0].channels]
    return [found for name in names if (found := _speed(files, name)) is not None] if len(names) > 1 else []


def kept_of(samples: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Some values of each channel that is called a speed, evenly over a file's rows, (k,) float32."""
    rows = evenly_spaced(len(samples), KEPT)
    return {name: samples[rows, place].copy() for place, name in enumerate(names) if is_speed(name)}


def _speed(files: Sequence[Surveyed], name: str) -> Speed | None:
    held = [channel for file in files for channel in file.channels if channel.name == name]
    low, high = min((c.low for c in held), default=-1.0), max((c.high for c in held), default=-1.0)
    rows, missing = sum(file.rows for file in files), sum(channel.missing for channel in held)
    if missing > MOST_MISSING * rows:
        return None  # the keys that take it need its value at every row
    values = [file.speeds[name] for file in files if name in file.speeds] or [np.empty(0, np.float32)]
    return speed_of(name, low, high, np.concatenate(values))
