"""What a firmware's last stage makes of the model's outputs, whatever it gives: alarms, classes, labels or numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from micro.detection.detector import Detector, Status, decide
from micro.detection.estimator import Estimate, Estimator, Estimators
from micro.detection.labeler import Labeler, Labeling, labeled
from micro.detection.recognizer import NO_CLASS, Recognition, Recognizer, leads, recognize

# The last stage of a firmware: it turns a model's outputs into what the firmware reports.
Decider = Detector | Recognizer | Labeler | Estimator | Estimators


@dataclass(frozen=True)
class Outcome:
    """Results of windows in their order.

    Attributes:
        scores: The detector's score, the recognizer's lead or the estimator's output in integers, (n,) int64, of several
            estimators (n, numbers), of a labeler (n, labels); 0 where the sensor is at fault.
        statuses: What the C returns for each.
        classes: The class that a recognizer reports, `NO_CLASS` where there is none, (n,) int.
        labels: The labels that a labeler reports, as the bits of a mask, (n,) int64; 0 of others.
    """

    scores: np.ndarray
    statuses: Sequence[Status | Recognition | Labeling | Estimate]
    classes: np.ndarray
    labels: np.ndarray


def decided(
    decider: Decider, features: np.ndarray, outputs: np.ndarray, faulty: np.ndarray, modes: np.ndarray | None = None
) -> Outcome:
    """Results of windows in turn, from a state that was just reset.

    Args:
        features, outputs: int8, (n, ...) each; those of windows with a sensor fault are ignored.
        faulty: As `micro.detection.sensor.faults` gives them, (n,); of a detector with modes with `Modes.faults` among them.
        modes: Of such a detector that of each window, (n,).
    """
    good = np.asarray(faulty) == 0
    scores, classes = np.zeros((len(good), *_values(decider)), np.int64), np.full(len(good), NO_CLASS)
    none = np.zeros(len(good), np.int64)
    if isinstance(decider, Detector):
        if good.any():
            scores[good] = decider.score(features[good], outputs[good])
        return Outcome(scores, decide(decider, scores, faulty, modes), classes, none)
    if isinstance(decider, Estimator | Estimators | Labeler):
        if good.any():
            scores[good] = decider.scores(outputs[good])
        if isinstance(decider, Labeler):
            labelings, masks = labeled(decider, decider.holds(scores), faulty)
            return Outcome(scores, labelings, classes, masks)
        return Outcome(scores, [Estimate(int(fault) or Estimate.ESTIMATED) for fault in faulty], classes, none)
    candidates = classes.copy()
    if good.any():
        scores[good] = leads(outputs[good])
        candidates[good] = decider.candidates(outputs[good])
    statuses, reported = recognize(decider, candidates, faulty)
    return Outcome(scores, statuses, np.array(reported, int), none)


def _values(decider: Decider) -> tuple[int, ...]:
    """The shape of one window's scores: () where there is one."""
    if isinstance(decider, Labeler):
        return (len(decider.label_names),)
    return (len(decider.each),) if isinstance(decider, Estimators) else ()


def real_scores(decider: Decider, scores: np.ndarray) -> np.ndarray:
    """Scores in real units, estimators' as the numbers that they stand for, a labeler's as logits.

    Shapes: (n,) -> (n,) float64; (n, numbers) and (n, labels) alike.
    """
    if isinstance(decider, Estimator | Estimators):
        return decider.numbers(scores)
    if isinstance(decider, Labeler):
        return decider.logits(scores)
    return np.asarray(scores * (decider.score.unit if isinstance(decider, Detector) else decider.unit))
