"""What a model is worth on a run's test windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from micro import detect
from micro.prepare import Prepared

Predict = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Evaluation:
    """Figures of one model; `scores` are anomaly scores or predicted classes, one a test window."""

    metrics: dict[str, float | None]
    scores: np.ndarray
    threshold: float | None = None


def evaluate(predict: Predict, data: Prepared, false_alarm_rate: float) -> Evaluation:
    """Accuracy of a classifier; or AUC, detections and false alarms of an autoencoder at its calibrated threshold.

    Windows of unknown state are scored but not counted.
    """
    if data.class_names:
        classes = predict(data.test.x).argmax(axis=-1)
        return Evaluation({"accuracy": float(np.mean(classes == data.test.labels))}, classes)
    healthy = detect.reconstruction_error(data.calibration.x, predict(data.calibration.x))
    threshold = detect.fit_threshold(healthy, false_alarm_rate)
    scores = detect.reconstruction_error(data.test.x, predict(data.test.x))
    known = data.test.labels >= 0
    labels = data.test.labels[known]
    metrics = {"auc": detect.auc(labels, scores[known]), **detect.alarm_rates(labels, scores[known], threshold)}
    return Evaluation(metrics, scores, threshold)


def by_origin(evaluation: Evaluation, data: Prepared) -> list[dict[str, Any]]:
    """For each recording of the test: windows, and the share that alarms or is classified rightly."""
    rows = []
    origins = np.array(data.test.origins)
    for origin in dict.fromkeys(data.test.origins):
        chosen = origins == origin
        if data.class_names:
            share = {"accuracy": float(np.mean(evaluation.scores[chosen] == data.test.labels[chosen]))}
        else:
            assert evaluation.threshold is not None
            share = {"alarms": float(np.mean(evaluation.scores[chosen] > evaluation.threshold))}
        label = int(data.test.labels[chosen][0])
        rows.append(
            {"origin": str(origin), "state": _state(label, data.class_names), "windows": int(chosen.sum()), **share}
        )
    return rows


def summarise(seeds: Sequence[dict[str, Any]], variants: Sequence[str]) -> dict[str, dict[str, dict[str, float]]]:
    """Mean, standard deviation (n - 1), smallest and largest of each metric of each variant over the seeds."""
    summary: dict[str, dict[str, dict[str, float]]] = {}
    for variant in variants:
        for metric in seeds[0][variant]:
            values = [seed[variant][metric] for seed in seeds]
            if None in values:
                continue
            summary.setdefault(variant, {})[metric] = {
                "mean": float(np.mean(values)),
                "deviation": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0,
                "min": float(min(values)),
                "max": float(max(values)),
            }
    return summary


def compare(seeds: Sequence[dict[str, Any]], metric: str, one: str, other: str) -> dict[str, Any] | None:
    """Paired difference of a metric between two variants over the seeds, and what it allows to say."""
    pairs = [(seed[one][metric], seed[other][metric]) for seed in seeds]
    if any(a is None or b is None for a, b in pairs):
        return None
    differences = np.array([a - b for a, b in pairs])
    if (differences > 0).all():
        verdict = "better in every seed"
    elif (differences < 0).all():
        verdict = "worse in every seed"
    elif not differences.any():
        verdict = "the same in every seed"
    else:
        verdict = "no consistent difference"
    return {
        "metric": metric,
        "mean_difference": float(differences.mean()),
        "differences": [float(d) for d in differences],
        "verdict": verdict,
    }


def _state(label: int, class_names: Sequence[str]) -> str:
    if class_names:
        return class_names[label]
    return {0: "healthy", 1: "faulty"}.get(label, "unknown")
