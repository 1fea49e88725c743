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


def label_figures(holds: np.ndarray, logits: np.ndarray) -> dict[str, float | None]:
    """How well a label's logits tell windows with it from windows without it, (n,) each.

    'auc' is the area under the ROC curve; 'precision' the fraction of windows found at a probability of one half that have the
    label, 'recall' the fraction of windows with it that are found, 'f1' their harmonic mean; None where the windows do not
    show it.
    """
    holds, found = np.asarray(holds, bool), np.asarray(logits) > 0
    right = int((holds & found).sum())
    either = int(holds.sum() + found.sum())
    return {
        "auc": auc(holds, logits),
        "f1": 2 * right / either if holds.any() else None,
        "precision": right / int(found.sum()) if found.any() else None,
        "recall": right / int(holds.sum()) if holds.any() else None,
    }


def label_calibration_error(holds: np.ndarray, logits: np.ndarray, bins: int = 15) -> float:
    """How far a label's probability is from how often it holds: as `calibration_error`, of probabilities of the label itself.

    Shapes: (n,) 0 or 1, (n,) -> 0 to 1.
    """
    from scipy.special import expit

    probabilities = expit(np.asarray(logits, np.float64))
    return _binned_gaps(probabilities, np.asarray(holds, float), bins)


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
    return _binned_gaps(confidence, right, bins)


def _binned_gaps(probabilities: np.ndarray, right: np.ndarray, bins: int) -> float:
    """The mean over windows, put into bins of equal width, of the difference between probability and what is right."""
    place = np.minimum((probabilities * bins).astype(int), bins - 1)
    gaps = np.bincount(place, weights=right - probabilities, minlength=bins)
    return float(np.abs(gaps).sum() / len(probabilities))
