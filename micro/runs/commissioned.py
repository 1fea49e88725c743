"""A detector that learns its machine, window by window from the first on, as the emitted C does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from micro.detection.commissioning import (
    OFFSET_FRACTION,
    Commissioning,
    Phase,
    Refusal,
    Refused,
    adapted,
    learn,
    learned_threshold,
    part_of,
    with_offsets,
)
from micro.detection.detector import Detector, Status, decide
from micro.signal import FrontEnd
from micro.signal.learned import BEYOND, Learned, int8_learned, powers, whole_values
from micro.tflite.graph import read
from micro.tflite.interpreter import run_inputs


@dataclass(frozen=True)
class Course:
    """What became of windows, from the first after a reset.

    Attributes:
        statuses: What the C returns for each.
        features: The model's inputs, (n, features) int8; 0 where none were computed with a learned scaling.
        outputs: Of the model, (n, ...) int8.
        scores: (n,) int64; 0 where there is none.
        phase: Where commissioning stands after the last window.
        refused: Why the machine was refused, if it was.
        learned: The scaling, with means as they have adapted; None before it is known.
        threshold, clear_threshold: None before they are known.
    """

    statuses: Sequence[Status]
    features: np.ndarray
    outputs: np.ndarray
    scores: np.ndarray
    phase: Phase
    refused: Refused
    learned: Learned | None = None
    threshold: int | None = None
    clear_threshold: int | None = None


def commissioned(
    commissioning: Commissioning,
    detector: Detector,
    front_end: FrontEnd,
    tflite: bytes,
    frames: np.ndarray,
    faulty: np.ndarray,
) -> Course:
    """The course of windows in turn.

    Args:
        detector: Score and alarm logic; its threshold is not used.
        frames: As the target takes them, (n, window, channels).
        faulty: As `micro.detection.sensor.faults` gives them, (n,).
    """
    work = _Work(detector, front_end, tflite, frames, faulty)
    count = commissioning.learn_windows
    state = _learned(commissioning, work, min(count, len(frames)))
    if isinstance(state, Course) or len(frames) <= count:
        return state if isinstance(state, Course) else work.course(Phase.CALIBRATING, Refused(Refusal.NONE), state)
    stop = min(count + commissioning.calibrate_windows, len(frames))
    rows = np.arange(count, stop)
    bad = np.flatnonzero(faulty[rows])
    rows = rows[: bad[0]] if len(bad) else rows
    work.score(rows, state)
    work.statuses[rows] = Status.CALIBRATING
    if len(bad):
        work.statuses[len(rows) + count :] = Status.REFUSED
        return work.course(Phase.FAULT, Refused(Refusal.SENSOR), state)
    if len(rows) < commissioning.calibrate_windows:
        return work.course(Phase.CALIBRATING, Refused(Refusal.NONE), state)
    threshold, clear = learned_threshold(commissioning, work.scores[rows].tolist())
    watching = np.arange(stop, len(frames))
    if commissioning.adapt_limit:
        state = _followed(commissioning, work, watching, state, threshold)
    else:
        work.score(watching[faulty[watching] == 0], state)
    own = replace(detector, threshold=threshold, clear_threshold=clear)
    work.statuses[watching] = decide(own, work.scores[watching], faulty[watching])
    return replace(
        work.course(Phase.WATCHING, Refused(Refusal.NONE), state), threshold=threshold, clear_threshold=clear
    )


class _Work:
    """The windows of a course and what has been computed of them."""

    def __init__(
        self, detector: Detector, front_end: FrontEnd, tflite: bytes, frames: np.ndarray, faulty: np.ndarray
    ) -> None:
        graph = read(tflite)
        quantization = graph.tensors[graph.inputs[0]].quantization
        assert quantization is not None
        self.detector, self.front_end, self.tflite, self.frames, self.faulty = (
            detector,
            front_end,
            tflite,
            frames,
            np.asarray(faulty),
        )
        self.grid = quantization.scale[0], quantization.zero_point[0]
        self.features = np.zeros((len(frames), *front_end.shape), np.int8)
        self.outputs = np.zeros((len(frames), *graph.tensors[graph.outputs[0]].shape), np.int8)
        self.scores, self.statuses = np.zeros(len(frames), np.int64), np.zeros(len(frames), int)

    def score(self, rows: np.ndarray, learned: Learned, means: np.ndarray | None = None) -> None:
        """Score windows with a scaling, or with means of their own, (n, features)."""
        if len(rows):
            self.features[rows] = int8_learned(self.front_end, self.frames[rows], learned, *self.grid, means)
            self.outputs[rows] = run_inputs(self.tflite, self.features[rows])
            self.scores[rows] = self.detector.score(self.features[rows], self.outputs[rows])

    def course(self, phase: Phase, refused: Refused, learned: Learned | None = None) -> Course:
        """As far as it has come."""
        statuses = [Status(int(each)) for each in self.statuses]
        return Course(statuses, self.features, self.outputs, self.scores, phase, refused, learned)


def _learned(commissioning: Commissioning, work: _Work, count: int) -> Learned | Course:
    """The scaling from the first windows; where it is not known after them, the course so far."""
    work.statuses[:count] = Status.LEARNING
    bad = np.flatnonzero(work.faulty[:count])
    whole = int(bad[0]) if len(bad) else count
    values = whole_values(work.front_end, work.frames[:whole])
    level = powers(work.front_end, work.frames[:whole], commissioning.prior.exponent)
    outside = np.argwhere(np.abs(values) >= BEYOND)
    if len(outside):
        return _refused(work, int(outside[0, 0]), Refused(Refusal.RANGE, int(outside[0, 1])))
    if len(bad):
        return _refused(work, whole, Refused(Refusal.SENSOR))
    if count < commissioning.learn_windows:
        return work.course(Phase.LEARNING, Refused(Refusal.NONE))
    found = learn(commissioning, values, level)
    return _refused(work, count - 1, found) if isinstance(found, Refused) else found


def _refused(work: _Work, place: int, refused: Refused) -> Course:
    """The course of a machine that is refused at a window."""
    work.statuses[place:] = Status.REFUSED
    return work.course(Phase.FAULT, refused)


def _followed(commissioning: Commissioning, work: _Work, rows: np.ndarray, learned: Learned, threshold: int) -> Learned:
    """Score windows whose means follow those that are well below the threshold; returns the scaling after the last.

    Which windows are followed decides all means, and these the scores. All windows are scored at once for a guess of that; it
    is right up to the first window that contradicts it, and the next guess is taken from there.
    """
    rows = rows[work.faulty[rows] == 0]
    below = part_of(threshold, commissioning.adapt_below)
    values = whole_values(work.front_end, work.frames[rows])
    follow, known = np.ones(len(rows), bool), 0
    offsets = _offsets(commissioning, learned, values, follow)
    while known < len(rows):
        part = slice(known, None)
        work.score(rows[part], learned, np.array(learned.mean) + (offsets[part][:-1] >> OFFSET_FRACTION))
        found = work.scores[rows] <= below
        wrong = np.flatnonzero(found[part] != follow[part])
        known = known + int(wrong[0]) + 1 if len(wrong) else len(rows)
        follow = found
        offsets = _offsets(commissioning, learned, values, follow)
    return with_offsets(learned, offsets[-1])


def _offsets(commissioning: Commissioning, learned: Learned, values: np.ndarray, follow: np.ndarray) -> np.ndarray:
    """How far means have moved before each window and after the last, (n + 1, features) int64."""
    offsets = np.zeros((len(values) + 1, len(learned.mean)), np.int64)
    for place, one in enumerate(values):
        now = offsets[place]
        offsets[place + 1] = adapted(commissioning, learned, now, one) if follow[place] else now
    return offsets
