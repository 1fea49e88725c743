"""What a detector's test says to those who run machines: false alarms a day, how late faults are seen, thresholds to choose."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

import numpy as np

from micro.datasets.prepared import Prepared
from micro.detection.detector import Status, decide, in_units, stand_in
from micro.detection.rates import DAY, daily, duration, false_alarm_words
from micro.detection.threshold import Threshold
from micro.runs.evaluate import Evaluation
from micro.runs.report.over_time import Track
from micro.runs.run_report import RunReport

# Fractions of healthy test windows above a threshold that it is chosen by.
CHOICES = (0.1, 0.05, 0.02, 0.01, 0.005, 0.001)


@dataclass(frozen=True)
class Choice:
    """A threshold with the fractions of test windows above it, None where there are none, and healthy ones above it a day."""

    threshold: float
    is_the_run_s: bool
    found: float | None
    false: float | None
    a_day: float | None


def tracks(report: RunReport, evaluation: Evaluation, data: Prepared) -> list[Track]:
    """The test windows of each recording and state in their order, with the alarms of a detector that was just reset."""
    threshold = report.threshold
    if threshold is None:
        return []
    detector = report.detector or stand_in(Threshold(threshold, ""))
    origins, labels = np.array(data.test.origins), np.asarray(data.test.labels)
    places = np.arange(len(origins)) if data.test.places is None else data.test.places
    timed = _seconds(data)
    made = []
    for name in dict.fromkeys(data.test.origins):
        for label, what in ((0, "healthy"), (1, "faulty"), (-1, "unknown")):
            mine = np.flatnonzero((origins == name) & (labels == label))
            if not len(mine):
                continue
            mine = mine[np.argsort(places[mine], kind="stable")]
            scores = evaluation.scores[mine]
            modes = None if data.test.modes is None else data.test.modes[mine]
            statuses = decide(detector, in_units(scores, detector.score.unit), None, modes)
            alarm = np.array([each == Status.ALARM for each in statuses])
            at = (places[mine] - places[mine[0]]) * timed[1] if timed is not None else np.full(len(mine), np.nan)
            spans = ((0.0, None, "faulty"),) if label == 1 else ()
            made.append(Track(f"{name} ({what})", np.asarray(at, float), scores, alarm, spans))
    return made


def sentences(report: RunReport, evaluation: Evaluation, data: Prepared) -> list[str]:
    """How many false alarms a day, and how late faults are seen, by the test; none where files have no time."""
    found, timed = tracks(report, evaluation, data), _seconds(data)
    if not found or timed is None:
        return []
    window, hop = timed
    healthy = [each for each in found if each.name.endswith(" (healthy)")]
    faulty = [each for each in found if each.name.endswith(" (faulty)")]
    said = []
    if healthy:
        begun = sum(int((np.diff(np.concatenate(([False], each.alarm)).astype(int)) == 1).sum()) for each in healthy)
        said.append(false_alarm_words(daily(begun, sum(len(each.scores) for each in healthy) * hop)))
    if faulty:
        delays = [float(each.seconds[int(each.alarm.argmax())]) + window for each in faulty if each.alarm.any()]
        late = ""
        if delays:
            late = f", {duration(median(delays))} after their first tested window begins in the median"
            late += f", {duration(max(delays))} at the latest"
        said.append(f"{len(delays)} of {len(faulty)} faulty recordings raise an alarm{late}")
    return [f"{each[0].upper()}{each[1:]}." for each in said]


def choices(report: RunReport, evaluation: Evaluation, data: Prepared) -> list[Choice]:
    """Thresholds that leave so many healthy test windows above them, and the run's own, the lowest first."""
    own = report.common_threshold
    if own is None:
        return []
    labels, scores = np.asarray(data.test.labels), evaluation.scores
    healthy, faulty = scores[labels == 0], scores[labels == 1]
    if not len(healthy):
        return []
    values = {float(np.quantile(healthy, 1 - each)) for each in CHOICES if each * len(healthy) >= 1}
    timed = _seconds(data)
    a_day = None if timed is None else DAY / timed[1]
    made = []
    for value in sorted({*values, own}):
        false = float((healthy > value).mean())
        found = float((faulty > value).mean()) if len(faulty) else None
        made.append(Choice(value, value == own, found, false, None if a_day is None else false * a_day))
    return made


def _seconds(data: Prepared) -> tuple[float, float] | None:
    """Of a window and of a hop; None where the rate is not known."""
    if data.sample_rate is None:
        return None
    rate = data.features.rate or data.sample_rate
    return data.features.window / rate, data.features.hop / rate
