"""Operating modes of a machine: ranges of its speed or load, a threshold for each, and when it is off."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from micro.detection.sensor import Fault

# Ranges that a detector may tell apart, and what the emitted C holds of a value where it takes integers.
MOST_MODES, LARGEST_VALUE = 64, 2**31 - 1
# In place of a mode: windows in which the machine is off, and those of which the mode is unknown.
OFF, UNKNOWN = -1, -2
# The threshold of a mode without one, whose windows are of unknown mode: no score is above it.
NO_THRESHOLD = 2**63 - 1


@dataclass(frozen=True)
class Ranges:
    """Ranges of a speed or load, one an operating mode.

    Range i holds values from `edges[i]` on and below `edges[i + 1]`, in float32; without edges there is one, from `off_below`
    on. Below `off_below` the machine is off. All other values are of unknown mode, also those that are no numbers.

    Attributes:
        column: What the value is called in the recordings.
        edges: Rising, two at least, or none.
        off_below: At most the first edge; None where the machine is never off.
        resolution: Of firmware in fixed point, which takes values as int32: how much one count is, in the column's unit. None
            for firmware that takes float32.

    Raises:
        ValueError: For edges that do not rise in float32, or in counts, and for ranges that are none.

    Examples:
        >>> ranges = micro.Ranges("rpm", (600.0, 1200.0, 1800.0), off_below=50.0)
        >>> ranges.names
        ('600 to 1200', '1200 to 1800')
        >>> ranges.of_values([10.0, 600.0, 1199.9, 1800.0, 300.0]).tolist()
        [-1, 0, 0, -2, -2]
    """

    column: str
    edges: tuple[float, ...] = ()
    off_below: float | None = None
    resolution: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "edges", tuple(float(edge) for edge in self.edges))
        if not self.column or not isinstance(self.column, str):
            raise ValueError(f"column must be the name of a column, got {self.column!r}")
        if len(self.edges) == 1 or (not self.edges and self.off_below is None):
            one = f"{self.edges[0]:g}" if self.edges else ""
            make = (
                f"for a mode below {one} and one from {one} on give the lowest and the highest value too, as "
                f"[LOWEST, {one}, HIGHEST]"
                if one
                else "[600, 1200, 1800] are 600 to 1200 and 1200 to 1800"
            )
            raise ValueError(
                f"edges must be two numbers at least, or none where off_below is given, got {list(self.edges)}: n edges make "
                f"n - 1 modes; {make}"
            )
        if self.count > MOST_MODES:
            raise ValueError(f"edges must be {MOST_MODES + 1} at most, got {len(self.edges)}")
        if self.resolution is not None and not 0 < self.resolution < math.inf:
            raise ValueError(f"resolution must be above 0, got {self.resolution}")
        if not all(math.isfinite(bound) and abs(bound) <= float(np.finfo(np.float32).max) for bound in self._given):
            raise ValueError("edges and off_below must be within float32")
        bounds = self.bounds
        if any(not low < high for low, high in pairwise(bounds)):
            unit = "float32" if self.resolution is None else f"counts of {self.resolution:g}"
            raise ValueError(f"edges must rise, in {unit}, got {', '.join(f'{edge:g}' for edge in self.edges)}")
        if self.resolution is not None and any(abs(bound) > LARGEST_VALUE for bound in self._counts(self._given)):
            raise ValueError(f"edges and off_below in counts of {self.resolution:g} must be within int32")
        if self.off_below is not None and self.edges and self.off_below > self.edges[0]:
            raise ValueError(f"off_below must be at most the first edge {self.edges[0]:g}, got {self.off_below:g}")

    @property
    def _given(self) -> tuple[float, ...]:
        return self.edges if self.off_below is None else (self.off_below, *self.edges)

    def _counts(self, values: npt.ArrayLike) -> list[int]:
        """The first count at or above each value."""
        return [math.ceil(float(value) / (self.resolution or 1.0) - 1e-9) for value in np.asarray(values).tolist()]

    def _bounds(self, values: tuple[float, ...]) -> list[float]:
        return (
            np.asarray(values, np.float32).tolist()
            if self.resolution is None
            else [float(n) for n in self._counts(values)]
        )

    @property
    def count(self) -> int:
        """How many ranges there are."""
        return max(1, len(self.edges) - 1)

    @property
    def bounds(self) -> list[float]:
        """The edges as the firmware compares values with them: in float32, or in counts. Without edges `off` alone."""
        return self._bounds(self.edges)

    @property
    def off(self) -> float | None:
        """`off_below` as the firmware compares values with it."""
        return None if self.off_below is None else self._bounds((self.off_below,))[0]

    @property
    def names(self) -> tuple[str, ...]:
        """The ranges in words, each another: with 6 digits, or with as many as tell the edges apart."""
        if not self.edges:
            return (f"{self.off_below:g} and above",)
        spelled = ([f"{edge:.{digits}g}" for edge in self.edges] for digits in range(6, 18))
        edges = next(each for each in spelled if len(set(each)) == len(each))
        return tuple(f"{low} to {high}" for low, high in pairwise(edges))

    def values(self, values: npt.ArrayLike) -> np.ndarray:
        """Values of the column as the firmware is given them: float32, or counts, (n,) float64 of integers or NaN."""
        if self.resolution is None:
            with np.errstate(over="ignore"):
                return np.asarray(values, np.float32)
        counts = np.rint(np.asarray(values, np.float64) / self.resolution)
        return np.clip(counts, -LARGEST_VALUE - 1, LARGEST_VALUE)

    def of_values(self, values: npt.ArrayLike) -> np.ndarray:
        """The mode of each value of the column: its range, `OFF` or `UNKNOWN`, (n,) -> (n,) int."""
        given = self.values(values)
        found = np.full(given.shape, UNKNOWN)
        if self.edges:
            place = np.searchsorted(np.asarray(self.bounds, given.dtype), given, side="right") - 1
            within = (place >= 0) & (place < self.count) & ~np.isnan(given)
            found[within] = place[within]
        elif self.off is not None:
            found[given >= self.off] = 0
        if self.off is not None:
            found[given < self.off] = OFF
        return found

    def of_windows(self, values: npt.ArrayLike, starts: np.ndarray, window: int) -> np.ndarray:
        """The mode of each window, (k,) int, from the value at each sample, (n,), and the windows' first samples, (k,).

        A window whose values are not all in one range is of unknown mode. The mean of the others is in that range too, so that
        no sum is needed, and firmware finds the same.
        """
        each = self.of_values(values)
        steady = since_change(each)[starts + window - 1] >= window
        return np.where(steady, each[starts + window - 1], UNKNOWN)

    @property
    def every(self) -> tuple[int, ...]:
        """All modes, then `OFF` and `UNKNOWN` where a single value can be of these."""
        off = () if self.off is None else (OFF,)
        return (*range(self.count), *off, *((UNKNOWN,) if self.edges else ()))

    def middle(self, mode: int) -> float:
        """A value as firmware is given it that is of a mode, of `OFF` or of `UNKNOWN`, of which there must be one."""
        bounds, off = self.bounds, self.off or 0.0
        if mode == OFF:
            return off - max(1.0, abs(off))
        if mode == UNKNOWN:
            return bounds[-1]
        if not bounds:
            return off + max(1.0, abs(off))
        return float(self.values([(self.edges[mode] + self.edges[mode + 1]) / 2])[0])


def since_change(each: np.ndarray) -> np.ndarray:
    """How many in a row up to each are the same, itself among them: (n,) -> (n,) int."""
    places = np.arange(len(each))
    changed = np.append(True, each[1:] != each[:-1])[: len(each)]
    return np.asarray(places - np.maximum.accumulate(np.where(changed, places, 0)) + 1)


@dataclass(frozen=True)
class Modes:
    """A detector's thresholds by operating mode.

    Attributes:
        ranges: What tells the modes apart.
        thresholds: For each mode the threshold and the clear threshold, in the score's integers; `NO_THRESHOLD` for both where
            a mode is treated as unknown.
        guarantees: What each threshold guarantees for healthy windows of its mode, in words.

    Raises:
        ValueError: For more or fewer thresholds than modes, or one that makes no sense.

    Examples:
        >>> modes = micro.Modes(micro.Ranges("rpm", (0.0, 900.0, 1800.0)), ((20, 16), (55, 44)))
        >>> modes.limits(np.array([1, 0, 1])).tolist()
        [[55, 44], [20, 16], [55, 44]]
    """

    ranges: Ranges
    thresholds: tuple[tuple[int, int], ...]
    guarantees: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        pairs = tuple((operator.index(alarm), operator.index(clear)) for alarm, clear in self.thresholds)
        object.__setattr__(self, "thresholds", pairs)
        object.__setattr__(self, "guarantees", tuple(self.guarantees) or ("",) * len(pairs))
        if len(pairs) != self.ranges.count or len(self.guarantees) != len(pairs):
            raise ValueError(f"{self.ranges.count} modes need as many thresholds, got {len(pairs)}")
        for alarm, clear in pairs:
            if max(abs(alarm), abs(clear)) > NO_THRESHOLD:
                raise ValueError(f"thresholds must be within ±{NO_THRESHOLD:,}, got {alarm} and {clear}")
            if clear > alarm:
                raise ValueError(f"clear threshold {clear} is above the threshold {alarm}")

    @property
    def first(self) -> int:
        """The first mode that has a threshold; 0 where none has."""
        return next((mode for mode, (alarm, _) in enumerate(self.thresholds) if alarm < NO_THRESHOLD), 0)

    def limits(self, modes: np.ndarray) -> np.ndarray:
        """Threshold and clear threshold of windows of these modes, (n,) -> (n, 2) int64; those of none are `NO_THRESHOLD`."""
        table = np.array([*self.thresholds, (NO_THRESHOLD,) * 2], np.int64)
        return np.asarray(table[np.where(modes >= 0, modes, len(self.thresholds))])

    def faults(self, modes: np.ndarray) -> np.ndarray:
        """0 where a window of that mode can be judged, else why not, as `micro.detection.sensor.faults`: (n,) -> (n,) int."""
        unknown = (modes == UNKNOWN) | ((modes >= 0) & (self.limits(modes)[:, 0] == NO_THRESHOLD))
        return np.where(unknown, int(Fault.UNKNOWN_MODE), np.where(modes == OFF, int(Fault.MACHINE_OFF), 0))
