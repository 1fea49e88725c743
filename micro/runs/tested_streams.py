"""The test windows of each recording and state in their order, as a detector that was just reset decides on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from micro.datasets.prepared import Prepared
from micro.detection.detector import Detector, in_units
from micro.detection.in_alarm import in_alarm
from micro.runs.evaluate import Evaluation

STATES = ((0, "healthy"), (1, "faulty"), (-1, "unknown"))


@dataclass(frozen=True)
class TestedStream:
    """One recording and state, (n,) each: rows among the test's windows, seconds from the file's first row at which each begins
    (NaN without a time), scores in real units, whether a window is above its threshold, and whether the detector is in alarm
    after it."""

    origin: str
    state: str
    rows: np.ndarray
    begins: np.ndarray
    scores: np.ndarray
    above: np.ndarray
    alarm: np.ndarray


def tested_streams(detector: Detector, evaluation: Evaluation, data: Prepared) -> Iterator[TestedStream]:
    """Recording by recording, its healthy windows first; those of both sides of a gap in their order in time."""
    origins, labels = np.array(data.test.origins), np.asarray(data.test.labels)
    off = data.test.off_before
    begins = _begins(data)
    for name in dict.fromkeys(data.test.origins):
        for label, state in STATES:
            rows = np.flatnonzero((origins == name) & (labels == label))
            if not len(rows):
                continue
            rows = rows[np.argsort(begins[rows], kind="stable")]
            scores = evaluation.scores[rows]
            raw = in_units(scores, detector.score.unit)
            modes = None if data.test.modes is None else data.test.modes[rows]
            limits = (
                detector.threshold if detector.modes is None or modes is None else detector.modes.limits(modes)[:, 0]
            )
            alarm = in_alarm(detector, raw, None if off is None else off[rows], modes)
            yield TestedStream(name, state, rows, begins[rows], scores, np.asarray(raw > limits), alarm)


def _begins(data: Prepared) -> np.ndarray:
    """Seconds from the first row of its file to the beginning of each test window: (n,), NaN without a time."""
    timed = seconds_of(data)
    if timed is None:
        return np.full(len(data.test), np.nan)
    if data.test.seconds is not None:
        return data.test.seconds
    # Recordings that were made for the test, whole: the first window begins with the recording.
    places = np.arange(len(data.test)) if data.test.places is None else data.test.places
    return places * timed[1]


def seconds_of(data: Prepared) -> tuple[float, float] | None:
    """Of a window and of a hop; None where the rate is not known."""
    if data.sample_rate is None:
        return None
    rate = data.features.rate or data.sample_rate
    return data.features.window / rate, data.features.hop / rate
