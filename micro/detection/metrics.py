"""How well scores separate healthy windows from faulty ones."""

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
