"""What a firmware's last stage makes of the model's outputs, whatever it decides: alarms or classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from micro.detection.detector import Detector, Status, decide
from micro.detection.recognizer import NO_CLASS, Recognition, Recognizer, leads, recognize

# The last stage of a firmware: it turns a model's outputs into what the firmware reports.
Decider = Detector | Recognizer


@dataclass(frozen=True)
class Outcome:
    """Results of windows in their order.

    Attributes:
        scores: The detector's score or the recognizer's lead in integers, (n,) int64; 0 where the sensor is at fault.
        statuses: What the C returns for each.
        classes: The class that a recognizer reports, `NO_CLASS` where there is none, (n,) int.
    """

    scores: np.ndarray
    statuses: Sequence[Status | Recognition]
    classes: np.ndarray


def decided(decider: Decider, inputs: np.ndarray, outputs: np.ndarray, faulty: np.ndarray) -> Outcome:
    """Results of windows in turn, from a state that was just reset.

    Args:
        inputs, outputs: int8, (n, ...) each; those of windows with a sensor fault are ignored.
        faulty: As `micro.detection.sensor.faults` gives them, (n,).
    """
    good = np.asarray(faulty) == 0
    scores, classes = np.zeros(len(good), np.int64), np.full(len(good), NO_CLASS)
    if isinstance(decider, Detector):
        if good.any():
            scores[good] = decider.score(inputs[good], outputs[good])
        return Outcome(scores, decide(decider, scores, faulty), classes)
    candidates = classes.copy()
    if good.any():
        scores[good] = leads(outputs[good])
        candidates[good] = decider.candidates(outputs[good])
    statuses, reported = recognize(decider, candidates, faulty)
    return Outcome(scores, statuses, np.array(reported, int))


def unit_of(decider: Decider) -> float:
    """What a score of 1 is in real units."""
    return decider.score.unit if isinstance(decider, Detector) else decider.unit
