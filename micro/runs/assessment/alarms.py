"""A detector's alarms against what files say: by window, by event and by file; how late, how often falsely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from micro.detection.alarm_parts import held, raised_at
from micro.detection.alarm_times import AlarmTime, times_of
from micro.detection.metrics import auc
from micro.detection.rates import Rate, daily
from micro.runs.assessment.intervals import interval
from micro.support.wording import duration

HEALTHY, FAULTY, UNKNOWN = 0, 1, -1


@dataclass(frozen=True)
class Stretch:
    """From `start` to before `end`, in seconds since a file's first row, it is what `label` says; '' where not known."""

    start: float
    end: float
    label: str


@dataclass(frozen=True)
class Watched:
    """A file's windows in their order, (n,) each: seconds at which they begin and end, NaN of pictures; scores, NaN where the
    sensor is at fault; whether one is above the threshold, and whether the detector is in alarm after it; 0 healthy, 1 faulty,
    -1 not known."""

    name: str
    begins: np.ndarray
    ends: np.ndarray
    scores: np.ndarray
    above: np.ndarray
    alarm: np.ndarray
    labels: np.ndarray

    @property
    def judged(self) -> np.ndarray:
        """Windows with a score, (n,) bool."""
        return np.isfinite(self.scores)

    @property
    def state(self) -> np.ndarray:
        """Whether the detector is in alarm, (n,) bool; a sensor fault leaves that as it was."""
        return held(self.alarm, self.judged)


@dataclass(frozen=True)
class Figures:
    """Windows found and missed: `precision` is the fraction of alarms that are right, `recall` that of faulty windows found,
    `f1` their harmonic mean; None where the windows do not show it."""

    found: int
    false: int
    missed: int
    right: int
    precision: float | None
    recall: float | None
    f1: float | None

    @classmethod
    def of(cls, labels: np.ndarray, alarm: np.ndarray) -> Figures:
        """Of windows whose state is known."""
        faulty = labels == FAULTY
        found, false = int((faulty & alarm).sum()), int((~faulty & alarm).sum())
        missed, right = int((faulty & ~alarm).sum()), int((~faulty & ~alarm).sum())
        return cls(found, false, missed, right, *rates(found, false, missed))


def rates(found: int, false: int, missed: int) -> tuple[float | None, float | None, float | None]:
    """Precision, recall and F1."""
    precision = found / (found + false) if found + false else None
    recall = found / (found + missed) if found + missed else None
    return precision, recall, 2 * found / (2 * found + false + missed) if found + missed else None


@dataclass(frozen=True)
class Event:
    """A fault in a file, in seconds since its first row; `end` is None where the file ends in it.

    Attributes:
        delay: From its begin to the end of the first window after which the detector is in alarm, without the time in which no
            window is judged; None where it is missed, and where the detector was in alarm before it began.
        before: Whether the detector was in alarm before it began.
        unjudged: Seconds that the delay leaves out; 0 without a delay.
    """

    file: str
    label: str
    start: float
    end: float | None
    found: bool
    delay: float | None
    before: bool
    unjudged: float = 0.0


@dataclass(frozen=True)
class Alarm(AlarmTime):
    """One alarm, 'true' in an event, 'false' in a healthy stretch, else 'unknown'."""

    kind: str


@dataclass(frozen=True)
class FileFigures:
    """A file's windows by state, those after which the detector is in alarm, false alarms, events and the longest delay."""

    file: str
    windows: int
    healthy: int
    faulty: int
    unknown: int
    sensor_faults: int
    healthy_in_alarm: int
    faulty_in_alarm: int
    false_alarms: int
    events: int
    found: int
    worst_delay: float | None
    highest_score: float | None


@dataclass(frozen=True)
class DetectorTest:
    """What a detector's alarms are worth on labeled files.

    Attributes:
        alarms: By window, as the firmware counts.
        above: By window, above the threshold alone.
        events: As found and missed events, and false alarms.
        recall_interval: The ends of the exact interval of the fraction of events found; None without events.
        false_alarms: How often one begins in healthy time; None of pictures, which have no time.
        delay, worst_delay: Median and longest delay of the events found, in seconds; None where there are none.
    """

    alarms: Figures
    above: Figures
    auc: float | None
    events: Figures
    recall_interval: tuple[float, float] | None
    false_alarms: Rate | None
    delay: float | None
    worst_delay: float | None
    by_event: tuple[Event, ...]
    by_alarm: tuple[Alarm, ...]
    by_file: tuple[FileFigures, ...]

    @property
    def missed(self) -> tuple[Event, ...]:
        """The events that were not found."""
        return tuple(event for event in self.by_event if not event.found)

    def lateness(self, since: str) -> str:
        """Within which times faults that are found are seen, in words, to go behind their number; '' where that is not known.

        Args:
            since: From when times count, such as 'of the beginning'.
        """
        if self.delay is None or self.worst_delay is None:
            return ""
        half, last = duration(self.delay), duration(self.worst_delay)
        if half == last:
            return f"within {last} {since}{self.left_out}"
        return f"half of them within {half} {since}, all within {last}{self.left_out}"

    @property
    def left_out(self) -> str:
        """In words what delays leave out, to go behind a sentence on them; '' where nothing."""
        longest = max((event.unjudged for event in self.by_event), default=0.0)
        return f"; without the time in which no window is judged, {duration(longest)} at most" if longest else ""


@dataclass(frozen=True)
class Timing:
    """Seconds of a window and of a hop, None of pictures; and how many windows the detector counts over."""

    window: float | None
    hop: float | None
    history: int = 1


def detector_figures(files: Sequence[Watched], events: Mapping[str, Sequence[Stretch]], timing: Timing) -> DetectorTest:
    """Figures of a detector's windows.

    Args:
        files: Windows, file by file.
        events: The faulty stretches of each file by its name.
        timing: Of the windows.
    """
    by_event: list[Event] = []
    by_alarm: list[Alarm] = []
    rows = []
    for watched in files:
        own = _events(watched, events.get(watched.name, ()), timing)
        raised = _alarms(watched, events.get(watched.name, ()), timing)
        by_event += own
        by_alarm += raised
        rows.append(_row(watched, own, raised))
    known = [one.judged & (one.labels != UNKNOWN) for one in files]
    labels, alarm, above, scores = (
        np.concatenate([getattr(one, what)[mine] for one, mine in zip(files, known)])
        for what in ("labels", "alarm", "above", "scores")
    )
    found, false = sum(event.found for event in by_event), sum(each.kind == "false" for each in by_alarm)
    missed = len(by_event) - found
    delays = [event.delay for event in by_event if event.delay is not None]
    healthy = int((labels == HEALTHY).sum())
    return DetectorTest(
        Figures.of(labels, alarm),
        Figures.of(labels, above),
        auc(labels, scores),
        Figures(found, false, missed, 0, *rates(found, false, missed)),
        interval(found, len(by_event)) if by_event else None,
        None if timing.hop is None else daily(false, healthy * timing.hop),
        median(delays) if delays else None,
        max(delays, default=None),
        tuple(by_event),
        tuple(by_alarm),
        tuple(rows),
    )


def judged_time(begins: np.ndarray, judged: np.ndarray, timing: Timing, start: float) -> np.ndarray:
    """Seconds from `start` to the end of each window, without the time in which no window is judged: that from the begin of a
    window without a score to the next one's, and of a gap between two windows what is more than a hop.

    Args:
        begins: Of the windows in their order, (n,); the first is the first that holds a part of what begins at `start`.
        judged: Those with a score, (n,) bool.

    Returns: (n,).

    >>> judged_time(np.arange(4.0), np.array([False, False, True, True]), Timing(2.0, 1.0), 0.0).tolist()
    [2.0, 2.0, 2.0, 3.0]
    """
    window, hop = timing.window or 0.0, timing.hop or 0.0
    reached = np.maximum(begins, start)
    apart = np.diff(reached)
    steps = np.where(judged[:-1], np.where(apart > 1.5 * hop, hop, apart), 0.0)
    before = min(float(reached[0]) - start, hop)
    return before + np.concatenate(([0.0], np.cumsum(steps))) + begins + window - reached


def _reach(watched: Watched, event: Stretch, timing: Timing) -> tuple[int, int]:
    """The first window that holds a part of an event, and one past the last by which it may be found: those after it of which
    the detector still counts one of its windows are among them."""
    if timing.window is None:
        return 0, len(watched.begins)
    slack = 5e-7 * timing.window
    first = int(np.searchsorted(watched.ends, event.start + slack, side="right"))
    past = int(np.searchsorted(watched.begins, event.end - slack, side="left"))
    return first, min(len(watched.begins), past + timing.history - 1)


def _events(watched: Watched, events: Sequence[Stretch], timing: Timing) -> list[Event]:
    """The events of a file of which it has a window."""
    state, made = watched.state, []
    for event in events:
        first, past = _reach(watched, event, timing)
        if first >= past:
            continue
        on = np.flatnonzero(state[first:past])
        before = bool(first > 0 and state[first - 1] and state[first])
        delay, unjudged = None, 0.0
        if len(on) and not before and timing.window is not None:
            seen = slice(first, first + on[0] + 1)
            delay = float(judged_time(watched.begins[seen], watched.judged[seen], timing, event.start)[-1])
            # What is left of rounding is nothing.
            left = float(watched.ends[first + on[0]] - event.start) - delay
            unjudged = left if left > 1e-6 * timing.window else 0.0
        end = event.end if np.isfinite(event.end) else None
        made.append(Event(watched.name, event.label, event.start, end, bool(len(on)), delay, before, unjudged))
    return made


def _alarms(watched: Watched, events: Sequence[Stretch], timing: Timing) -> list[Alarm]:
    """The alarms of a file, each as long as it goes on."""
    state = watched.state
    in_event = np.zeros(len(state), bool)
    for event in events:
        in_event[slice(*_reach(watched, event, timing))] = True
    times = times_of(watched.name, watched.begins, watched.ends, state, watched.above & watched.judged, timing.history)
    made = []
    for start, at in zip(raised_at(state).tolist(), times):
        kind = "true" if in_event[start] else "false" if watched.labels[start] == HEALTHY else "unknown"
        made.append(Alarm(at.file, at.reported, at.cleared, at.begin, at.end, kind))
    return made


def _row(watched: Watched, events: Sequence[Event], alarms: Sequence[Alarm]) -> FileFigures:
    judged, labels, alarm = watched.judged, watched.labels, watched.alarm
    delays = [event.delay for event in events if event.delay is not None]
    healthy, faulty = judged & (labels == HEALTHY), judged & (labels == FAULTY)
    return FileFigures(
        watched.name,
        len(labels),
        int(healthy.sum()),
        int(faulty.sum()),
        int((judged & (labels == UNKNOWN)).sum()),
        int((~judged).sum()),
        int((healthy & alarm).sum()),
        int((faulty & alarm).sum()),
        sum(each.kind == "false" for each in alarms),
        len(events),
        sum(event.found for event in events),
        max(delays, default=None),
        float(watched.scores[judged].max()) if judged.any() else None,
    )
