"""Reconstruction errors, and thresholds that keep false alarms rare."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from micro.support.wording import are, counted

Calibration = Literal["conformal", "quantile", "extreme"]
# Fraction of the healthy scores, the highest, that the tail is fitted on, and the fewest that suffice.
TAIL_FRACTION, FEWEST_IN_TAIL = 0.1, 20


def reconstruction_error(x: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    """Mean squared difference of each window's features.

    Shapes: (n, ...) and (n, ...) -> (n,) float64.

    Examples:
        >>> micro.reconstruction_error(np.array([[1.0, 2.0], [0.0, 4.0]]), np.zeros((2, 2))).tolist()
        [2.5, 8.0]
    """
    difference = np.asarray(x, np.float64) - np.asarray(reconstruction, np.float64)
    return np.mean(np.square(difference).reshape(len(difference), -1), axis=1)


def fit_threshold(healthy_scores: np.ndarray, false_alarm_rate: float) -> float:
    """Score that a healthy window exceeds with at most the given probability.

    The ceil((n + 1) * (1 - rate))-th smallest of n held-out healthy scores: for windows exchangeable with these, the chance
    of a score above it is at most the rate, whatever the scores' distribution.

    Raises:
        ValueError: For a rate outside (0, 1), scores that are not finite, or too few scores for the rate.

    Source: Vovk, Gammerman and Shafer 2005, inductive conformal prediction.
    """
    scores = np.sort(np.asarray(healthy_scores, np.float64))
    if not np.isfinite(scores).all():
        raise ValueError("healthy scores are not finite")
    return float(scores[threshold_rank(len(scores), false_alarm_rate) - 1])


def threshold_rank(count: int, false_alarm_rate: float) -> int:
    """Which of `count` sorted held-out healthy scores, counted from 1, is the threshold; ValueError if they are too few."""
    if not 0 < false_alarm_rate < 1:
        raise ValueError(f"false_alarm_rate must be between 0 and 1, got {false_alarm_rate}")
    rank = conformal_rank(count, false_alarm_rate)
    if rank > count:
        least = fewest_scores(false_alarm_rate)
        raise ValueError(
            f"{counted(count, 'held-out healthy window')} {'is' if count == 1 else 'are'} too few for a false-alarm rate of "
            f"{false_alarm_rate:g}; "
            f"at least {least:,} are needed: record more, shorten the hop, or allow more false alarms ([detect] "
            f"false_alarm_rate = {least_rate(count):g} at least)"
        )
    return rank


def fewest_scores(false_alarm_rate: float, method: Calibration = "conformal") -> int:
    """How many held-out healthy scores a threshold by that method takes at least."""
    if method == "conformal":
        return math.ceil(1 / false_alarm_rate - 1e-9) - 1
    return 1 if method == "quantile" else math.ceil(FEWEST_IN_TAIL / TAIL_FRACTION)


def least_rate(count: int) -> float:
    """The lowest false-alarm rate, in thousandths, that `count` held-out healthy windows can promise."""
    return math.ceil(1000 / (count + 1)) / 1000


def conformal_rank(count: int, rate: float) -> int:
    """Which of `count` sorted held-out scores, counted from 1, a fresh one exceeds with at most `rate`; above count if none."""
    # The small term keeps (n + 1) * (1 - rate) from being rounded up past an integer.
    return math.ceil((count + 1) * (1 - rate) - 1e-9)


@dataclass(frozen=True)
class Threshold:
    """A score above which a window is anomalous.

    Attributes:
        value: In real units of the score.
        guarantee: What it rests on, in words: how often healthy windows exceed it, where that is known.

    Examples:
        >>> micro.Threshold(value=1.5, guarantee="set by hand")
        Threshold(value=1.5, guarantee='set by hand')
    """

    value: float
    guarantee: str


def calibrate(healthy_scores: np.ndarray, false_alarm_rate: float, method: Calibration = "conformal") -> Threshold:
    """A threshold from the scores of healthy windows that the model was not trained on.

    'conformal': `fit_threshold`; the rate bounds the chance of a false alarm of any window exchangeable with these.
    'quantile': the scores' own quantile; needs fewer of them, and guarantees nothing for others.
    'extreme': the quantile of a generalized Pareto distribution fitted to the highest tenth; reaches rates that the scores
        are too few for, as long as the tail continues as it begins.

    Args:
        healthy_scores: (n,), in real units.
        false_alarm_rate: Fraction of healthy windows allowed above the threshold, in (0, 1).
        method: One of the three above.

    Raises:
        ValueError: For a rate outside (0, 1), scores that are not finite, or too few of them.

    Source: Vovk et al. 2005; Pickands 1975; Siffer et al. 2017, section 3.

    Examples:
        >>> scores = np.random.default_rng(0).exponential(size=500)
        >>> threshold = micro.calibrate(scores, false_alarm_rate=0.01)
        >>> threshold.guarantee
        "at most 1 % of healthy windows like the 500 held out, whatever their scores' distribution"
    """
    if method not in get_args(Calibration):
        raise ValueError(f"method must be one of {', '.join(get_args(Calibration))}, got {method!r}")
    guarantee = _guarantee(method, false_alarm_rate, len(healthy_scores))
    if method == "conformal":
        return Threshold(fit_threshold(healthy_scores, false_alarm_rate), guarantee)
    scores = np.asarray(healthy_scores, np.float64)
    if not 0 < false_alarm_rate < 1:
        raise ValueError(f"false_alarm_rate must be between 0 and 1, got {false_alarm_rate}")
    if not len(scores) or not np.isfinite(scores).all():
        raise ValueError("healthy scores are not finite" if len(scores) else "no healthy scores to calibrate on")
    if method == "quantile":
        return Threshold(float(np.quantile(scores, 1 - false_alarm_rate, method="higher")), guarantee)
    return Threshold(_tail_quantile(scores, false_alarm_rate), guarantee)


def _guarantee(method: Calibration, false_alarm_rate: float, count: int) -> str:
    """What a threshold by that method from `count` healthy scores guarantees, in words."""
    rate = f"{100 * false_alarm_rate:g} %"
    return {
        "conformal": f"at most {rate} of healthy windows like the {count} held out, whatever their scores' distribution",
        "quantile": f"{rate} of {counted(count, 'healthy window')}; no guarantee for others",
        "extreme": f"{rate} of healthy windows, if the tail of the {count} held out continues as it begins",
    }[method]


def require_tail(count: int) -> None:
    """ValueError where method 'extreme' takes more than `count` healthy scores."""
    if count - 1 - math.floor((1 - TAIL_FRACTION) * max(0, count - 1)) < FEWEST_IN_TAIL:
        raise ValueError(_few_in_tail(count))


def _few_in_tail(count: int) -> str:
    least = math.ceil(FEWEST_IN_TAIL / TAIL_FRACTION)
    return f"{counted(count, 'healthy score')} {are(count)} too few to fit their tail on; about {least:,} are needed"


def _tail_quantile(scores: np.ndarray, rate: float) -> float:
    from scipy.stats import genpareto

    start = float(np.quantile(scores, 1 - TAIL_FRACTION))
    excess = scores[scores > start] - start
    if len(excess) < FEWEST_IN_TAIL:
        raise ValueError(_few_in_tail(len(scores)))
    fraction = len(excess) / len(scores)
    if rate >= fraction:
        return float(np.quantile(scores, 1 - rate, method="higher"))
    shape, _, scale = genpareto.fit(excess, floc=0)
    return start + float(genpareto.isf(rate / fraction, shape, scale=scale))
