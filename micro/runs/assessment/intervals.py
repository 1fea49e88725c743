"""The statistics that a verdict rests on: intervals, standard errors, how many windows it takes to verify a rate."""

from __future__ import annotations

import math

# Of false alarms, in multiples of the rate asked for: above the first they are doubtful, surely above the second unusable; a
# good run is surely below the second. Half of all healthy windows is unusable whatever was asked.
ABOVE, FAR, HALF = 2.0, 5.0, 0.5
# How far a good run's rate may lie above what was asked for at most, in fractions of windows: five times 10 % would be half.
MARGIN = 0.1
# An interval wider than this says nothing of a rate of faults found.
TOO_WIDE = 0.5

CONFIDENCE = 0.95


def interval(count: int, of: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Exact binomial interval of a rate: what it may be where `count` in `of` were seen; all of [0, 1] where `of` is 0."""
    if of == 0:
        return 0.0, 1.0
    from scipy.stats import beta

    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, count, of - count + 1)) if count else 0.0
    high = float(beta.ppf(1 - tail, count + 1, of - count)) if count < of else 1.0
    return low, high


def far_above(asked: float) -> float:
    """The rate of false alarms from which on a detector that was asked for `asked` is unusable."""
    return max(asked, min(FAR * asked, HALF))


def shown_below(asked: float) -> float:
    """The rate that the false alarms of a test must surely be below, for it to show anything of a detector that was asked for
    `asked`: 0.05 of 0.01, 0.2 of 0.1."""
    return min(far_above(asked), asked + MARGIN)


def is_above(asked: float, count: int, windows: int) -> bool:
    """Whether `count` false alarms in `windows` windows are surely above what was asked for, and by more than a little."""
    low, high = interval(count, windows)
    return low > asked and (count / windows > ABOVE * asked or high > shown_below(asked))


def decides(asked: float, count: int, windows: int) -> bool:
    """Whether `count` false alarms in `windows` windows say how often a detector that was asked for `asked` raises them: the
    rate is surely higher, or surely not much higher."""
    low, high = interval(count, windows)
    return low > asked or (high <= shown_below(asked) and count / windows <= ABOVE * asked)


def enough(asked: float, rate: float, more_than: int) -> int:
    """Healthy windows, more than there are, that tell how often false alarms come where `rate` of them are some.

    A rate that is nearly as high as what it must be shown to be below hardly ever is; then half of that is taken.
    """
    limit, of = shown_below(asked), more_than + 1
    if asked >= rate > 0.9 * limit:
        rate = limit / 2
    while not decides(asked, math.ceil(rate * of), of):
        of += max(1, of // 20)
    return of


def area_error(area: float, healthy: int, faulty: int) -> float:
    """Standard error of an area under the ROC curve (Hanley and McNeil 1982)."""
    one, other = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (faulty - 1) * (one - area**2) + (healthy - 1) * (other - area**2)
    return float((max(variance, 0.0) / max(1, healthy * faulty)) ** 0.5)
