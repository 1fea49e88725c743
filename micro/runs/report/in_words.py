"""What a detector's test says to those who run machines: false alarms a day, how late faults are seen, thresholds to choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from micro.datasets.prepared import Prepared
from micro.detection.detector import stand_in
from micro.detection.rates import false_alarm_words
from micro.detection.threshold import Threshold
from micro.runs.assessment.alarms import FAULTY, HEALTHY, UNKNOWN, Stretch, Timing, Watched, detector_figures
from micro.runs.evaluate import Evaluation
from micro.runs.report.over_time import Track
from micro.runs.run_report import RunReport
from micro.runs.tested_streams import seconds_of, tested_streams
from micro.support.wording import DAY, counted, hold

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
    timed, made = seconds_of(data), []
    for each in tested_streams(report.detector or stand_in(Threshold(threshold, "")), evaluation, data):
        at = each.begins + (0.0 if timed is None else timed[0])
        spans = ((float(each.begins[0]), None, "faulty"),) if each.state == "faulty" else ()
        made.append(Track(f"{each.origin} ({each.state})", at, each.scores, each.alarm, spans))
    return made


def sentences(report: RunReport, evaluation: Evaluation, data: Prepared) -> list[str]:
    """What was tested and, where files have a time, how many false alarms a day there are and how late faults are seen."""
    found, timed = tracks(report, evaluation, data), seconds_of(data)
    if not found:
        return []
    counted_once, copies = _without_copies(found, data.related.firsts)
    said = [_tested(counted_once, copies, folds=bool(report.folds))]
    return [f"{each[0].upper()}{each[1:]}." for each in [*said, *_by_time(report, counted_once, timed)]]


def _by_time(report: RunReport, found: Sequence[Track], timed: tuple[float, float] | None) -> list[str]:
    """How many false alarms a day, and how late faults are seen; none where files have no time."""
    if timed is None:
        return []
    window, hop = timed
    history = 1 if report.detector is None else report.detector.history
    faults = {each.name: [Stretch(each.spans[0][0], np.inf, "")] for each in found if each.spans}
    test = detector_figures([_watched(each, window) for each in found], faults, Timing(window, hop, history))
    said = []
    if test.false_alarms is not None and any(row.healthy for row in test.by_file):
        said.append(false_alarm_words(test.false_alarms))
    if test.by_event:
        late = test.lateness("of the beginning of the first tested window")
        found_of = f"{test.events.found:,} of {counted(len(test.by_event), 'faulty recording')}"
        said.append(
            f"{found_of} {'raises' if test.events.found == 1 else 'raise'} an alarm{f', {late}' if late else ''}"
        )
    return said


def _without_copies(found: Sequence[Track], firsts: Mapping[str, str]) -> tuple[list[Track], int]:
    """The tracks without those of recordings that hold the same as another one of them, and how many these are."""
    kept: dict[str, Track] = {}
    for each in found:
        name, _, state = each.name.rpartition(" (")
        kept.setdefault(f"{firsts.get(name, name)} ({state}", each)
    return list(kept.values()), len(found) - len(kept)


def _tested(found: Sequence[Track], copies: int, *, folds: bool) -> str:
    """What was tested, by the state of recordings."""
    said = []
    for state in ("healthy", "faulty", "unknown"):
        own = [each for each in found if _state(each) == state]
        if own:
            windows = counted(
                sum(len(each.scores) for each in own), f"{'unlabeled' if state == 'unknown' else state} window"
            )
            said.append(f"{windows} of {counted(len(own), 'recording')}")
    what = f"{'the first fold was tested' if folds else 'tested'} on {' and '.join(said)}, of which the student learned none"
    if not copies:
        return what
    return f"{what}; {counted(copies, 'more recording')} {hold(copies)} the same as one of them"


def _watched(track: Track, window: float | None) -> Watched:
    """A track as alarms are counted; every window of the run's test has a score."""
    state = {"healthy": HEALTHY, "faulty": FAULTY}.get(_state(track), UNKNOWN)
    labels = np.full(len(track.scores), state)
    begins = track.seconds - (window or 0.0)
    return Watched(track.name, begins, track.seconds, track.scores, track.alarm, track.alarm, labels)


def _state(track: Track) -> str:
    """What is recorded of a track, which its name ends with."""
    return track.name.rpartition(" (")[2].removesuffix(")")


def choices(report: RunReport, evaluation: Evaluation, data: Prepared) -> list[Choice]:
    """Thresholds that leave given numbers of healthy test windows above them, and the run's own, the lowest first."""
    own = report.common_threshold
    if own is None:
        return []
    labels, scores = np.asarray(data.test.labels), evaluation.scores
    healthy, faulty = scores[labels == 0], scores[labels == 1]
    if not len(healthy):
        return []
    values = {float(np.quantile(healthy, 1 - each)) for each in CHOICES if each * len(healthy) >= 1}
    timed = seconds_of(data)
    a_day = None if timed is None else DAY / timed[1]
    made = []
    for value in sorted({*values, own}):
        false = float((healthy > value).mean())
        found = float((faulty > value).mean()) if len(faulty) else None
        made.append(Choice(value, value == own, found, false, None if a_day is None else false * a_day))
    return made
