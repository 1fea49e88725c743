"""The column that is probably the speed of a shaft, and the speeds that the machine runs at."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from micro.datasets.spacing import evenly_spaced
from micro.look.surveyed import Surveyed
from micro.support.masks import runs_of

# Words in the name of a column that holds the speed of a shaft, the first in RPM whatever its values; and the highest values in
# RPM that one reaches, at least and at most: below are speeds in other units, above what no shaft of a machine does.
IN_RPM = ("rpm", "drehzahl", "umin")
SPEED_WORDS = (*IN_RPM, "speed", "tacho", "tach", "rev", "revs")
LEAST_RPM, MOST_RPM = 30.0, 200_000.0
# From here on a speed without such a word is taken to be in RPM, and no percentage and no speed of something that drives.
SURELY_RPM = 300.0
# The share of rows without a value that a column has at most, to be taken as a speed beside others.
MOST_MISSING = 0.01
# Values that are kept of a file.
KEPT = 2000
# Below this fraction of the highest speed a machine stands.
STANDS = 0.05
# Speeds that a machine is held at: a bin's width in fractions of the highest, the share of values that a bin and a speed have
# at least, what all speeds have together, how wide one is at most, and how many there are at most.
BIN, BIN_SHARE, SPEED_SHARE, TOGETHER, WIDEST, MOST_SPEEDS = 0.02, 0.01, 0.1, 0.85, 0.2, 6
# What the range of a speed has beyond its values, in fractions of the speed; and the fraction of values at either end that is
# no part of it, as it may be of a machine that starts.
BEYOND, OUTER = 0.03, 0.005


@dataclass(frozen=True)
class Plateau:
    """A speed that a machine is held at: the middle of its values, the lowest and the highest of them."""

    middle: float
    low: float
    high: float


@dataclass(frozen=True)
class Speed:
    """A column that is probably the speed of a shaft.

    Attributes:
        name: Of the column.
        low: Its lowest value.
        high: Its highest.
        is_rpm: Whether its unit is surely RPM.
        stands: Whether the machine stands for a part of the time.
        slowest: The lowest speed that it runs at for long.
        plateaus: Speeds that it is held at, where they are clearly apart and hold nearly all values; else none.
    """

    name: str
    low: float
    high: float
    is_rpm: bool
    stands: bool
    slowest: float
    plateaus: tuple[Plateau, ...]

    @property
    def edges(self) -> tuple[float, ...]:
        """Edges of [modes] around two or more plateaus, two to each; none where there are not two."""
        if len(self.plateaus) < 2:
            return ()
        ends = [(each.low - BEYOND * each.middle, each.high + BEYOND * each.middle) for each in self.plateaus]
        return tuple(edge for low, high in ends for edge in (_down(low), -_down(-high)))

    @property
    def bounds(self) -> tuple[float, float]:
        """Slowest and fastest speed for features in orders of it: what it runs at for long, and its highest, with some room."""
        return _down(0.95 * self.slowest), -_down(-1.05 * self.high)

    @property
    def off_below(self) -> float | None:
        """A speed between those of the machine that stands and that runs; None where it never stands."""
        return _down(self.slowest / 10) if self.stands else None


def speeds_of(files: Sequence[Surveyed], columns: Sequence[str] = ()) -> list[Speed]:
    """Channels that by name and values are probably the speed of a shaft, of those in `columns`, or of all."""
    names = columns or [channel.name for channel in files[0].channels]
    return [found for name in names if (found := _speed(files, name)) is not None] if len(names) > 1 else []


def is_speed(name: str) -> bool:
    """Whether a column is called as the speed of a shaft is.

    Examples:
        >>> from micro.look.speed import is_speed
        >>> [is_speed(name) for name in ("motorRPM", "Drehzahl", "temperature")]
        [True, True, False]
    """
    return bool(_words(name) & set(SPEED_WORDS))


def kept_of(samples: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Some values of each channel that is called a speed, evenly over a file's rows, (k,) float32."""
    rows = evenly_spaced(len(samples), KEPT)
    return {name: samples[rows, place].copy() for place, name in enumerate(names) if is_speed(name)}


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()))


def _speed(files: Sequence[Surveyed], name: str) -> Speed | None:
    held = [channel for file in files for channel in file.channels if channel.name == name]
    low, high = min((c.low for c in held), default=-1.0), max((c.high for c in held), default=-1.0)
    rows, missing = sum(file.rows for file in files), sum(channel.missing for channel in held)
    if missing > MOST_MISSING * rows:
        return None  # the keys that take it need its value at every row
    if not is_speed(name) or not (low >= 0 and LEAST_RPM <= high <= MOST_RPM):
        return None
    values = np.concatenate([file.speeds[name] for file in files if name in file.speeds] or [np.empty(0, np.float32)])
    values = np.sort(values[np.isfinite(values)])
    runs = values[values > STANDS * high]
    plateaus = _plateaus(runs, high)
    slowest = plateaus[0].middle if plateaus else float(np.quantile(runs, SPEED_SHARE)) if len(runs) else high
    is_rpm = bool(_words(name) & set(IN_RPM)) or high >= SURELY_RPM
    stands = len(runs) < (1 - SPEED_SHARE) * len(values)
    return Speed(name, low, high, is_rpm, stands, slowest, plateaus)


def _plateaus(runs: np.ndarray, high: float) -> tuple[Plateau, ...]:
    """Speeds that a machine is held at, of rising values: values in a row of bins that hold many; none where many are
    elsewhere, where one is so wide that it is a range, or where two are near each other."""
    if not len(runs):
        return ()
    bins = np.floor(runs / (BIN * high)).astype(int)
    many = np.bincount(bins) >= max(2.0, BIN_SHARE * len(runs))
    groups = [runs[(bins >= first) & (bins < end)] for first, end in zip(*runs_of(many))]
    held = [group for group in groups if len(group) >= SPEED_SHARE * len(runs)]
    found = tuple(Plateau(*np.quantile(each, (0.5, OUTER, 1 - OUTER)).tolist()) for each in held)
    narrow = all(each.high - each.low <= WIDEST * each.middle for each in found)
    apart = all(one.high + 4 * BEYOND * one.middle < other.low for one, other in pairwise(found))
    whole = sum(map(len, held)) >= TOGETHER * len(runs)
    return found if whole and narrow and apart and len(found) <= MOST_SPEEDS else ()


def _down(value: float) -> float:
    """A number rounded down to two digits, or to three from 1000 on."""
    if value == 0:
        return 0.0
    digits = 3 if abs(value) >= 1000 else 2
    step = 10.0 ** (math.floor(math.log10(abs(value))) + 1 - digits)
    return math.floor(value / step) * step
