"""Anomaly scores, the threshold that keeps false alarms rare, and what both are worth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

Calibration = Literal["conformal", "quantile", "extreme"]
# Share of the healthy scores, the highest, that the tail is fitted on, and the fewest that do.
TAIL_SHARE, FEWEST_IN_TAIL = 0.1, 20


def reconstruction_error(x: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    """Mean squared difference of each window's features: (n, ...), (n, ...) -> (n,) float64."""
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
    """Which of `count` held-out healthy scores, counted from 1 upwards, is the threshold; ValueError if they are too few."""
    if not 0 < false_alarm_rate < 1:
        raise ValueError(f"false_alarm_rate must be between 0 and 1, got {false_alarm_rate}")
    # The small term keeps (n + 1) * (1 - rate) from being rounded up past a whole number.
    rank = math.ceil((count + 1) * (1 - false_alarm_rate) - 1e-9)
    if rank > count:
        needed = math.ceil(1 / false_alarm_rate - 1e-9) - 1
        raise ValueError(
            f"{count} held-out healthy windows are too few for a false-alarm rate of {false_alarm_rate:g}; "
            f"at least {needed} are needed: record more, shorten the hop, or allow more false alarms"
        )
    return rank


@dataclass(frozen=True)
class Threshold:
    """Score above which a window alarms, and what is promised of healthy windows, in words."""

    value: float
    promise: str


def calibrate(healthy_scores: np.ndarray, false_alarm_rate: float, method: Calibration = "conformal") -> Threshold:
    """A threshold from the scores of healthy windows that the model was not trained on.

    'conformal': `fit_threshold`; the rate bounds the chance of a false alarm of any window exchangeable with these.
    'quantile': the scores' own quantile; needs fewer of them, and promises nothing of others.
    'extreme': the quantile of a generalised Pareto distribution fitted on the highest tenth; reaches rates that the scores
        are too few for, as far as the tail goes on as it begins.

    Raises:
        ValueError: For a rate outside (0, 1), scores that are not finite, or too few of them.

    Source: Vovk et al. 2005; Pickands 1975; Siffer et al. 2017, section 3.
    """
    if method not in get_args(Calibration):
        raise ValueError(f"method must be one of {', '.join(get_args(Calibration))}, got {method!r}")
    said = _promise(method, false_alarm_rate, len(healthy_scores))
    if method == "conformal":
        return Threshold(fit_threshold(healthy_scores, false_alarm_rate), said)
    scores = np.asarray(healthy_scores, np.float64)
    if not 0 < false_alarm_rate < 1:
        raise ValueError(f"false_alarm_rate must be between 0 and 1, got {false_alarm_rate}")
    if not len(scores) or not np.isfinite(scores).all():
        raise ValueError("healthy scores are not finite" if len(scores) else "no healthy scores to calibrate on")
    if method == "quantile":
        return Threshold(float(np.quantile(scores, 1 - false_alarm_rate, method="higher")), said)
    return Threshold(_tail_quantile(scores, false_alarm_rate), said)


def _promise(method: Calibration, false_alarm_rate: float, count: int) -> str:
    """What a threshold by that method from so many healthy scores promises, in words."""
    share = f"{100 * false_alarm_rate:g} %"
    return {
        "conformal": f"at most {share} of healthy windows like the {count} held out, whatever their scores' distribution",
        "quantile": f"{share} of {count} healthy windows; of others nothing is promised",
        "extreme": f"{share} of healthy windows, if the tail of the {count} held out goes on as it begins",
    }[method]


def _tail_quantile(scores: np.ndarray, rate: float) -> float:
    from scipy.stats import genpareto

    start = float(np.quantile(scores, 1 - TAIL_SHARE))
    excess = scores[scores > start] - start
    if len(excess) < FEWEST_IN_TAIL:
        needed = math.ceil(FEWEST_IN_TAIL / TAIL_SHARE)
        raise ValueError(f"{len(scores)} healthy scores are too few to fit their tail on; about {needed} are needed")
    share = len(excess) / len(scores)
    if rate >= share:
        return float(np.quantile(scores, 1 - rate, method="higher"))
    shape, _, scale = genpareto.fit(excess, floc=0)
    return start + float(genpareto.isf(rate / share, shape, scale=scale))
