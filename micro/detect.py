"""Anomaly scores, the threshold that keeps false alarms rare, and what both are worth."""

from __future__ import annotations

import math

import numpy as np


def reconstruction_error(x: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    """Mean squared difference of each window's features: (n, ...), (n, ...) -> (n,) float64."""
    difference = np.asarray(x, np.float64) - np.asarray(reconstruction, np.float64)
    return np.mean(np.square(difference).reshape(len(difference), -1), axis=1)


def fit_threshold(healthy_scores: np.ndarray, false_alarm_rate: float) -> float:
    """Score that a healthy window exceeds with at most the given probability.

    The ceil((n + 1) * (1 - rate))-th smallest of n held-out healthy scores: for windows exchangeable with these, the chance
    of a score above it is at most the rate, whatever the scores' distribution.

    Raises: ValueError for a rate outside (0, 1), scores that are not finite, or too few scores for the rate.
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


def auc(faulty: np.ndarray, scores: np.ndarray) -> float | None:
    """Area under the ROC curve; None where only one of the two kinds of window is present."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(faulty, scores)) if len(np.unique(faulty)) == 2 else None


def alarm_rates(faulty: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, float | None]:
    """Share of healthy windows that alarm and share of faulty ones that do; None where there are none."""
    alarm = scores > threshold
    faulty = np.asarray(faulty, bool)
    return {
        "false_alarm_rate": float(alarm[~faulty].mean()) if (~faulty).any() else None,
        "detection_rate": float(alarm[faulty].mean()) if faulty.any() else None,
    }
