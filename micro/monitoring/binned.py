"""Scores that are known by the bins that they were counted in: their median, the threshold they call for, and stand-ins."""

from __future__ import annotations

import numpy as np

from micro.detection.permutation import histogram_medians
from micro.detection.score_bins import bounds_of
from micro.detection.threshold import Threshold, conformal_rank

# Scores that stand for those of one period where a change of all of them is tried.
STAND_INS = 500


def median_of(counts: np.ndarray, threshold: int, unit: float) -> float:
    """The median score of all periods together, in real units, as if scores were spread evenly within their bin."""
    place = float(histogram_medians(counts.sum(axis=0)[None])[0])
    edges = np.array([0, *bounds_of(threshold), bounds_of(threshold)[-1]], float)
    return float(np.interp(place, np.arange(len(edges)), edges)) * unit


def upper_bound_of(counts: np.ndarray, threshold: int, unit: float, rate: float) -> Threshold | None:
    """A threshold that keeps the rate: the bound above the score that a log of every window would give; None for too few."""
    windows = int(counts.sum())
    rank = conformal_rank(windows, rate)
    if rank > windows:
        return None
    bounds = bounds_of(threshold)
    place = int(np.searchsorted(np.cumsum(counts), rank))
    if place == len(bounds):
        return Threshold(bounds[-1] * unit, f"none: more than {100 * rate:g} % of {windows:,} windows are above it")
    guarantee = f"at most {100 * rate:g} % of healthy windows like the {windows:,} summarized"
    return Threshold(bounds[place] * unit, f"{guarantee}; rounded up to a bound of the histogram")


def stand_ins(counts: np.ndarray, threshold: int) -> np.ndarray:
    """Scores that have these counts, some `STAND_INS` of them, evenly in the middle of each bin by its logarithm."""
    bounds = np.maximum(1, np.array(bounds_of(threshold), float))
    middle = np.sqrt(np.array([bounds[0] / 2, *bounds]) * np.array([*bounds, 2 * bounds[-1]]))
    shares = np.maximum(counts > 0, np.round(counts * min(1.0, STAND_INS / counts.sum()))).astype(int)
    return np.repeat(middle, shares)
