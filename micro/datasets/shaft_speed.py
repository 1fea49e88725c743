"""Whether a column of numbers is probably the speed of a shaft, and the speeds that the machine runs at."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from micro.datasets.recording import Recording
from micro.datasets.spacing import evenly_spaced
from micro.support.masks import runs_of
from micro.support.wording import listed

# Words in the name of a column that holds the speed of a shaft, the first in RPM whatever its values; and the highest values in
# RPM that one reaches, at least and at most: below are speeds in other units, above what no shaft of a machine does.
IN_RPM = ("rpm", "drehzahl", "umin")
SPEED_WORDS = (*IN_RPM, "speed", "tacho", "tach", "rev", "revs")
LEAST_RPM, MOST_RPM = 30.0, 200_000.0
# From here on a speed without such a word is taken to be in RPM, and no percentage and no speed of something that drives.
SURELY_RPM = 300.0
# Values that are looked at, of all recordings together.
KEPT = 20_000
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


def is_speed(name: str) -> bool:
    """Whether a column is called as the speed of a shaft is.

    Examples:
        >>> from micro.datasets.shaft_speed import is_speed
        >>> [is_speed(name) for name in ("motorRPM", "Drehzahl", "temperature")]
        [True, True, False]
    """
    return bool(_words(name) & set(SPEED_WORDS))


def speed_of(name: str, low: float, high: float, values: np.ndarray) -> Speed | None:
    """What a column says as a speed, of its lowest and highest value and some of its values, (k,); None where it is none."""
    if not is_speed(name) or not (low >= 0 and LEAST_RPM <= high <= MOST_RPM):
        return None
    values = np.sort(values[np.isfinite(values)])
    runs = values[values > STANDS * high]
    plateaus = _plateaus(runs, high)
    slowest = plateaus[0].middle if plateaus else float(np.quantile(runs, SPEED_SHARE)) if len(runs) else high
    is_rpm = bool(_words(name) & set(IN_RPM)) or high >= SURELY_RPM
    stands = len(runs) < (1 - SPEED_SHARE) * len(values)
    return Speed(name, low, high, is_rpm, stands, slowest, plateaus)


def keys_of_modes(speed: Speed) -> str:
    """The keys of [modes] for a column of speed; with edges for a machine that is held at several speeds."""
    said = f"[modes] column = {speed.name!r}"
    if not speed.edges:
        return said
    off = "" if speed.off_below is None else f", off_below = {speed.off_below:g}"
    edges = ", ".join(f"{edge:g}" for edge in speed.edges)
    return f'{said}, edges = [{edges}], too_few = "unknown"{off}'


def modes_missing(
    recordings: Sequence[Recording], channels: Sequence[str], places: Sequence[int] | None = None, also: str = ""
) -> list[str]:
    """A sentence on each channel that is the speed of a machine which is held at several speeds, for runs without [modes].

    Args:
        places: Of the channels in the recordings, None for all.
        also: What else [modes] takes, to go behind its keys.
    """
    said = []
    rows = max(1, KEPT // max(1, len(recordings)))
    for place, name in zip(range(len(channels)) if places is None else places, channels):
        if not is_speed(name) or len(channels) < 2:
            continue
        columns = [one.sensed.samples[one.sensed.valid, place] for one in recordings]
        columns = [column for column in columns if len(column)]
        if not columns:
            continue
        values = np.concatenate([column[evenly_spaced(len(column), rows)] for column in columns])
        ends = min(float(column.min()) for column in columns), max(float(column.max()) for column in columns)
        found = speed_of(name, *ends, values)
        if found is not None and found.edges:
            held = listed([f"{one.middle:.4g}" for one in found.plateaus], len(found.plateaus))
            said.append(
                f"by {name!r} the machine is held at speeds that are clearly apart, {held}, and one threshold serves all: "
                f"{keys_of_modes(found)},{also} gives each its own (docs/firmware.md, Operating modes)."
            )
    return said


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()))


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
