"""Whether a detector is in alarm after each of a recording's windows, of which those with the machine off were left out."""

from __future__ import annotations

import numpy as np

from micro.detection.detector import Detector, Status, decide
from micro.detection.modes import OFF


def in_alarm(
    detector: Detector, scores: np.ndarray, off_before: np.ndarray | None = None, modes: np.ndarray | None = None
) -> np.ndarray:
    """As the firmware has it, which forgets earlier windows while the machine is off, (n,) bool.

    Args:
        detector: Just reset.
        scores: One recording's windows' in order, in its integers, (n,).
        off_before: In how many windows before each one the machine is off, (n,) int; None where that is not known.
        modes: Of a detector with modes that of each window, (n,) int.
    """
    stops = np.zeros(0, int) if off_before is None else np.flatnonzero(np.diff(off_before)) + 1
    faulty = np.insert(np.zeros(len(scores), int), stops, int(Status.MACHINE_OFF))
    with_stops = None if modes is None else np.insert(modes, stops, OFF)
    statuses = np.array(decide(detector, np.insert(scores, stops, 0), faulty, with_stops), int)
    return np.asarray(statuses[statuses != Status.MACHINE_OFF] == Status.ALARM)
