"""Summaries put together into periods, each as long as a session of calibration or longer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from micro.detection.score_bins import BINS, above
from micro.detection.summary import Summary
from micro.detection.summary_format import FEATURE_UNIT
from micro.support.wording import counted


@dataclass(frozen=True)
class Periods:
    """Periods of summaries, each as long as a session of calibration or longer.

    Attributes:
        counts: Of scores in bins, (periods, bins).
        features: Means of int8 features, (periods, features); None where they are not compared.
        octaves: Levels and crossings of the samples, (periods, 2 * octaves); None where they are not compared.
    """

    counts: np.ndarray
    features: np.ndarray | None
    octaves: np.ndarray | None

    def part(self, rows: slice) -> Periods:
        """Some of the periods."""
        sides = (None if side is None else side[rows] for side in (self.features, self.octaves))
        return Periods(self.counts[rows], *sides)

    @property
    def fractions_above(self) -> np.ndarray:
        """Of each period the fraction of windows above the threshold."""
        return np.asarray(above(self.counts) / self.counts.sum(axis=1))


def joined_means(
    each: Sequence[Summary], part: Callable[[Summary], Sequence[float] | np.ndarray | None], unit: float = 1.0
) -> np.ndarray | None:
    """Means over several summaries of a part of each, times a unit; None where one with windows lacks it."""
    scored = [(one.windows, part(one)) for one in each if one.windows]
    if any(means is None for _, means in scored):
        return None
    windows = np.array([count for count, _ in scored], float)
    return np.asarray(windows @ np.array([means for _, means in scored], float) / windows.sum() * unit)


def whole(each: Sequence[np.ndarray | None], what: str, notes: list[str]) -> np.ndarray | None:
    """Means of all periods; None, and a note, where some periods have none."""
    known = [mean for mean in each if mean is not None]
    if known and len(known) < len(each):
        notes.append(f"{what} of {counted(len(each) - len(known), 'period')} are missing, so that none are compared")
    return np.stack(known) if known and len(known) == len(each) else None


def periods_of(
    each: Sequence[Summary], starts: set[int], block: int, *, off: bool = False
) -> tuple[Periods, list[str]]:
    """Summaries as periods: those with fewer windows than `block` are joined with the next ones of the same start.

    With `off` windows in which the machine was off are in no other count of a summary: of a detector with `off_rms`, no modes.
    """
    counts: list[np.ndarray] = []
    means: list[np.ndarray | None] = []
    octaves: list[np.ndarray | None] = []
    waiting: list[Summary] = []
    held = left_out = 0
    for place, one in enumerate(each):
        if place in starts:
            left_out, waiting, held = left_out + held, [], 0
        waiting.append(one)
        held += one.windows
        if held >= block:
            counts.append(np.sum([summary.bins for summary in waiting], axis=0))
            means.append(joined_means(waiting, lambda one: one.features, FEATURE_UNIT))
            octaves.append(joined_means(waiting, lambda one: None if one.octaves is None else one.octaves.values))
            waiting, held = [], 0
    left_out += held
    notes = []
    if left_out:
        notes.append(
            f"windows at the end and before restarts that are too few for a period of {block} are left out: {left_out:,}"
        )
    uncounted = sum(one.uncounted for one in each)
    if uncounted:
        what = "are in no other count, as those with the machine off" if off else "the device could not count"
        notes.append(f"windows that {what}: {uncounted:,}")
    sides = (whole(means, "features", notes), whole(octaves, "levels of the samples", notes))
    return Periods(np.array(counts, np.int64).reshape(len(counts), BINS), *sides), notes
