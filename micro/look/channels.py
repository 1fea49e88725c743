"""What one channel of a file holds: its range, what is odd about it, and its curve."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from micro.datasets.columns import is_ramp
from micro.datasets.precision import Precision
from micro.support.masks import runs_of

# A channel hits a limit if this fraction of its values, and three in a row, are its largest or smallest, and this many times as
# many as lie just before it: of a sine that is rounded to integers, up to three times as many may.
AT_LIMIT, IN_A_ROW, CROWDED = 0.01, 3, 3.5
# The fraction of a channel's range that is just before a limit, at least.
BEFORE = 1 / 128
# A signal with fewer values is one of states; one that keeps its value in more rows than this fraction is set in steps.
FEWEST_VALUES, KEPT = 20, 0.5
# The upper end of fractions and of percent.
WHOLE = (1.0, 100.0)
# What is said of odd channels.
ODD = {
    "text": "holds text among numbers",
    "constant": "the same throughout a file",
    "coarse": "changes too little for float32 (subtract an offset)",
    "at_limit": "stays at its limit (clipped?)",
    "counts": "only counts up",
}
# Points of a curve: the least and the most of as many stretches.
POINTS = 600
Curve = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Channel:
    """One channel of one file: range, mean, missing values, and what is odd about it; `whole` where it holds integers only;
    what float32 keeps of its values; and its `unit` where the file names one."""

    name: str
    low: float
    high: float
    mean: float
    missing: int
    constant: bool
    at_limit: bool
    counts: bool
    text: bool = False
    whole: bool = False
    precision: Precision | None = None
    unit: str = ""

    @property
    def coarse(self) -> bool:
        """Whether float32 keeps too few steps of it."""
        return self.precision is not None and self.precision.is_coarse

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is odd about it, in words."""
        return tuple(says for what, says in ODD.items() if getattr(self, what))


def channel_of(name: str, column: np.ndarray, precision: Precision | None = None) -> Channel:
    """What a channel of a file holds, (n,) float32, and of what its file has there float32 keeps."""
    finite = column[np.isfinite(column)]
    missing = len(column) - len(finite)
    if not len(finite):
        return Channel(name, np.nan, np.nan, np.nan, missing, False, False, False)
    low, high = float(finite.min()), float(finite.max())
    limited = low < high and any(_stuck(finite, limit) for limit in (low, high))
    return Channel(
        name,
        low,
        high,
        float(finite.mean(dtype=np.float64)),
        missing,
        low == high and not (precision is not None and precision.lost_all),
        limited,
        is_ramp(finite),
        whole=bool((finite == np.round(finite)).all()),
        precision=precision,
    )


def _stuck(values: np.ndarray, limit: float) -> bool:
    """Whether a signal of many values moves up to its limit and is held there again and again, as one that is clipped is.

    Coarse values repeat at a turning point too, but no more often than just before it. What is set in steps, and what rests at
    0 or at 100 %, is where it should be.
    """
    at = values == limit
    if at.mean() < AT_LIMIT or len(np.unique(values[:4096])) < FEWEST_VALUES or _is_natural(values, limit):
        return False
    begins, ends = runs_of(at)
    if (ends - begins).max() < IN_A_ROW:
        return False
    distance = np.abs(values.astype(np.float64) - limit)
    grain = float(np.diff(np.unique(distance)).min())
    steps = np.abs(np.diff(distance))
    ends = (distance == 0) | (distance == distance.max())
    free = ~(ends[1:] | ends[:-1])
    moved = steps[free & (steps > 0)]
    if not len(moved) or ((steps[free] == 0).mean() > KEPT and np.median(moved) > 1.5 * grain):
        return False
    # A turning point that stays at its limit for three rows is at most two of the coarse steps away from it a row later.
    near = max(2 * grain, BEFORE * float(distance.max()))
    before = (distance > 0) & (distance <= near * (1 + 1e-6))
    return int(at.sum()) > CROWDED * int(before.sum())


def _is_natural(values: np.ndarray, limit: float) -> bool:
    """Whether a limit is the end of a scale and not of a sensor: 0 of what is never negative, and 1 or 100 % of that."""
    return bool(values.min() >= 0) and limit in (0.0, *WHOLE)


def envelope(column: np.ndarray) -> Curve:
    """Rows, least and most of each stretch of a signal, so that no peak is lost; NaN where a stretch has no value."""
    edges = np.unique(np.linspace(0, len(column), min(len(column), POINTS) + 1).astype(int))
    low, high = np.full(len(edges) - 1, np.nan), np.full(len(edges) - 1, np.nan)
    for place, (first, end) in enumerate(pairwise(edges)):
        part = column[first:end]
        part = part[np.isfinite(part)]
        if len(part):
            low[place], high[place] = part.min(), part.max()
    return edges[:-1].astype(float), low, high
