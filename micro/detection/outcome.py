"""What a firmware's last stage makes of the model's outputs, whatever it gives: alarms, classes or numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from micro.detection.detector import Detector, Status, decide
from micro.detection.estimator import Estimate, Estimator, Estimators
from micro.detection.recognizer import NO_CLASS, Recognition, Recognizer, leads, recognize

# The last stage of a firmware: it turns a model's outputs into what the firmware reports.
Decider = Detector | Recognizer | Estimator | Estimators


@dataclass(frozen=True)
class Outcome:
    """Results of windows in their order.

    Attributes:
        scores: The detector's score, the recognizer's lead or the estimator's output in integers, (n,) int64, of several
            estimators (n, numbers); 0 where the sensor is at fault.
        statuses: What the C returns for each.
        classes: The class that a recognizer reports, `NO_CLASS` where there is none, (n,) int.
    """

    scores: np.ndarray
    statuses: Sequence[Status | Recognition | Estimate]
    classes: np.ndarray


def decided(decider: Decider, features: np.ndarray, outputs: np.ndarray, faulty: np.ndarray) -> Outcome:
    """Results of windows in turn, from a state that was just reset.

    Args:
        features, outputs: int8, (n, ...) each; those of windows with a sensor fault are ignored.
        faulty: As `micro.detection.sensor.faults` gives them, (n,).
    """
    good = np.asarray(faulty) == 0
    scores, classes = np.zeros(len(good), np.int64), np.full(len(good), NO_CLASS)
    if isinstance(decider, Detector):
        if good.any():
            scores[good] = decider.score(features[good], outputs[good])
        return Outcome(scores, decide(decider, scores, faulty), classes)
    if isinstance(decider, Estimator | Estimators):
        if isinstance(decider, Estimators):
            scores = np.zeros((len(good), len(decider.each)), np.int64)
        if good.any():
            scores[good] = decider.scores(outputs[good])
        return Outcome(scores, [Estimate(int(fault) or Estimate.ESTIMATED) for fault in faulty], classes)
    candidates = classes.copy()
    if good.any():
        scores[good] = leads(outputs[good])
        candidates[good] = decider.candidates(outputs[good])
    statuses, reported = recognize(decider, candidates, faulty)
    return Outcome(scores, statuses, np.array(reported, int))


def real_scores(decider: Decider, scores: np.ndarray) -> np.ndarray:
    """Scores in real units, estimators' as the numbers that they stand for: (n,) -> (n,) float64, (n, numbers) alike."""
    if isinstance(decider, Estimator | Estimators):
        return decider.numbers(scores)
    return np.asarray(scores * (decider.score.unit if isinstance(decider, Detector) else decider.unit))
