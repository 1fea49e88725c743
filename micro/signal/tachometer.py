"""The speed of a shaft from the times of a tachometer's pulses, in the integers of the emitted C."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from micro.signal.limits import MOST_PULSES

# Revolutions whose median is the speed, and microseconds of a minute.
TURNS, MINUTE = 5, 60_000_000


@dataclass(frozen=True)
class Tachometer:
    """A pin that gives a pulse, or several, in each turn of a shaft.

    Times are microseconds as uint32, which wrap around. A pulse sooner than half of the shortest distance at the fastest speed
    is a bounce. Where none has come for twice the longest distance at the slowest speed, the shaft has no speed, and all is
    forgotten.

    Attributes:
        pulses: In a turn, 1 to 1,024.
        slowest, fastest: In RPM.

    Raises:
        ValueError: For numbers that make no sense or that 32 bits of microseconds do not hold.

    Examples:
        >>> tachometer = micro.Tachometer(pulses=2, slowest=300.0, fastest=3000.0)
        >>> tachometer.shortest, tachometer.longest
        (5000, 200000)
    """

    pulses: int
    slowest: float
    fastest: float

    def __post_init__(self) -> None:
        if not 1 <= self.pulses <= MOST_PULSES:
            raise ValueError(f"pulses in a turn must be 1 to {MOST_PULSES:,}, got {self.pulses}")
        if not 0 < self.slowest < self.fastest < np.inf:
            raise ValueError(f"speeds must be above 0 and rise, got {self.slowest:g} and {self.fastest:g} RPM")
        if self.shortest < 1:
            raise ValueError(f"{self.pulses} pulses a turn at {self.fastest:g} RPM are too fast for microseconds")
        if self.longest * self.pulses >= 2**30:
            raise ValueError(f"a turn at {self.slowest:g} RPM takes longer than 32 bits of microseconds hold")

    @property
    def shortest(self) -> int:
        """Microseconds between two pulses below which the second is a bounce."""
        return int(MINUTE / (2 * self.fastest * self.pulses))

    @property
    def longest(self) -> int:
        """Microseconds without a pulse after which there is no speed."""
        return int(2 * MINUTE / (self.slowest * self.pulses))


def turn_times(tachometer: Tachometer, events: Iterable[tuple[bool, int]]) -> list[int]:
    """Microseconds of a turn whenever it is asked for, the median of the latest `TURNS` turns; 0 where there is no speed.

    Args:
        tachometer: Pulses, and the bounds of the speed.
        events: In their order whether one is a pulse, else the speed is asked for, and its time, as uint32.

    Examples:
        >>> from micro.signal.tachometer import turn_times
        >>> pulses = [(True, 60_000 * n) for n in range(5)]
        >>> turn_times(micro.Tachometer(1, 300.0, 3000.0), [*pulses, (False, 250_000), (False, 900_000)])
        [60000, 0]
    """
    turns: list[int] = []
    found: list[int] = []
    last = first = count = 0
    stands = True
    for is_pulse, time in events:
        since = (time - last) % 2**32
        if not is_pulse:
            # A pulse that came after the time was taken is no old one.
            stands = stands or tachometer.longest < since < 2**31
            ordered = sorted(turns[-TURNS:])
            found.append(0 if stands or not ordered else ordered[len(ordered) // 2])
        elif stands or since > tachometer.longest:
            last = first = time
            turns, count, stands = [], 0, False
        elif since >= tachometer.shortest:
            last, count = time, count + 1
            if count == tachometer.pulses:
                turns.append((time - first) % 2**32)
                first, count = time, 0
    return found


def rpm(turns: np.ndarray) -> np.ndarray:
    """RPM from the microseconds of turns as firmware in float32 gives it, 0 for none: (n,) int -> (n,) float32."""
    turns = np.asarray(turns, np.uint32).astype(np.float32)
    with np.errstate(divide="ignore"):
        return np.where(turns > 0, np.float32(MINUTE) / turns, np.float32(0))


def counts(turns: np.ndarray, unit: float, most: int) -> np.ndarray:
    """As `rpm`, of firmware in fixed point, in counts of `unit` RPM, at most `most`: (n,) int -> (n,) int64."""
    turns = np.asarray(turns, np.int64)
    whole = (numerator(unit) + turns // 2) // np.maximum(turns, 1)
    return np.where(turns > 0, np.minimum(whole, most), 0)


def numerator(unit: float) -> int:
    """What is divided by the microseconds of a turn for a speed in counts of `unit` RPM."""
    return round(MINUTE / unit)
