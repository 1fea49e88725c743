"""How well scores separate healthy windows from faulty ones, classifiers tell classes apart, and estimates fit numbers."""

from __future__ import annotations

import numpy as np


def auc(faulty: np.ndarray, scores: np.ndarray) -> float | None:
    """Area under the ROC curve; None where only one of the two kinds of window is present."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(faulty, scores)) if len(np.unique(faulty)) == 2 else None


def alarm_rates(faulty: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, float | None]:
    """Fractions of healthy and of faulty windows above the threshold; None where there are none."""
    alarm = scores > threshold
    faulty = np.asarray(faulty, bool)
    return {
        "false_alarm_rate": float(alarm[~faulty].mean()) if (~faulty).any() else None,
        "detection_rate": float(alarm[faulty].mean()) if faulty.any() else None,
    }


def fit_of(numbers: np.ndarray, estimates: np.ndarray) -> dict[str, float]:
    """How well estimates fit numbers, (n,) each.

    'r2' is the fraction of the numbers' variance that is explained: 1 less squared errors over squared distances from their
    mean, 0 where they are all the same; 'rmse' the root of the mean squared error, 'mae' the mean absolute error.
    """
    errors = np.asarray(estimates, np.float64) - np.asarray(numbers, np.float64)
    spread = float(np.sum((numbers - np.mean(numbers)) ** 2))
    return {
        "r2": 1 - float(np.sum(errors**2)) / spread if spread > 0 else 0.0,
        "rmse": float(np.sqrt(np.mean(errors**2))),
        "mae": float(np.mean(np.abs(errors))),
    }


def macro_f1(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Mean over the classes that occur in `labels` of F1, the harmonic mean of a class's precision and recall."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0.0))


def calibration_error(labels: np.ndarray, logits: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error: how far the probability of the likeliest class is from how often it is right.

    Windows are put into `bins` of equal width by that probability; the mean over windows of their bin's difference.

    Shapes: (n,), (n, classes) -> 0 to 1.

    Source: Guo et al. 2017, equation 3, https://arxiv.org/abs/1706.04599
    """
    from scipy.special import softmax

    probabilities = softmax(np.asarray(logits, np.float64), axis=-1)
    confidence = probabilities.max(axis=-1)
    right = probabilities.argmax(axis=-1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(place, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))
