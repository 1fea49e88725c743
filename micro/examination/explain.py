"""Which channels, bands and statistics raised an alarm, or made a class or a label be reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micro.datasets.feature_names import Feature, features_of, players
from micro.datasets.recording import cut
from micro.detection.alarm_parts import Share, alarm_windows, by_channel, held, raised_at, shares_of
from micro.detection.contributions import SUMS, shapley, summands
from micro.detection.detector import Detector
from micro.detection.labeler import Labeler
from micro.detection.recognizer import Recognizer
from micro.errors import RunError
from micro.examination.labeled import LEARNS
from micro.examination.stretches import Report, Span, chosen, ends_of_span, reported_at, spans_of
from micro.runs.alarm_times import ends_of
from micro.runs.run_report import RunReport
from micro.runs.score_files import ToScore, read_to_score, score_read
from micro.runs.score_words import not_judged
from micro.runs.scored import Scored
from micro.runs.student_scores import Student, load_student, observed
from micro.runs.text_scores import is_text
from micro.support.masks import runs_of
from micro.support.wording import counted
from micro.tflite.graph import read
from micro.tflite.interpreter import run_inputs

# Windows below the threshold from which a feature's usual part in a score is taken, at least.
FEWEST_USUAL = 5
# Reports of a class or label that are explained, the first ones of a file.
MOST_REPORTS = 20


@dataclass(frozen=True)
class ModeOf:
    """An operating mode that windows are of, how many of them, and its threshold."""

    name: str
    windows: int
    threshold: float


@dataclass(frozen=True)
class Explained:
    """An alarm, or a stretch in which a class or label is reported, in seconds since the file's first row, None of pictures.

    Attributes:
        what: 'alarm', 'no alarm' of the window with the highest score where there is none, a class, or a label.
        begin, end: Of the first and past the last of its windows, in seconds.
        windows: How many windows are explained: those above the threshold that belong to the alarm; one of a class or a label.
        score: The mean of these windows' scores, in real units; of a class its lead, of a label its logit.
        reference: The same of the mean training window, which values add up from; 0 where the score is a sum over features.
        shares: By feature, the largest first.
        channels: By channel, the largest first.
        number: Its place among the stretches of the file, from 1.
        reports: How many alarms, or reports, it is: those whose windows overlap are one stretch.
        reported: When the device reports it, in seconds: the end of the window that raised it, one for each of `reports`; empty
            without a time, and where nothing is reported.
        times: The mean of the scores over the thresholds that decide on them; None of Shapley values.
        modes: The operating modes of its windows, in their order; empty of a run without, and of Shapley values.
    """

    what: str
    begin: float | None
    end: float | None
    windows: int
    score: float
    reference: float
    shares: tuple[Share, ...]
    channels: tuple[Share, ...]
    number: int = 1
    reports: int = 1
    reported: tuple[float, ...] = ()
    times: float | None = None
    modes: tuple[ModeOf, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """What raised the alarms of a file.

    Attributes:
        method: 'summands' where the score is a sum over features, else 'shapley'.
        explained: The stretches, in their order; those that hold a time alone where one was given.
        seconds: At which windows end, (n,), NaN without a time; `scores`, NaN where the sensor is at fault.
        features: Of `over_time`, (n, features), what each adds to each window's score in real units, NaN where there is none;
            both empty of Shapley values.
        alarm: Whether the detector is in alarm, (n,).
    """

    run: str
    file: str
    method: str
    threshold: float | None
    explained: tuple[Explained, ...]
    features: tuple[Feature, ...]
    seconds: np.ndarray
    scores: np.ndarray
    alarm: np.ndarray
    over_time: np.ndarray
    notes: tuple[str, ...]


def explain(
    run_folder: str | Path, file: str | Path, *, channel: str | None = None, at: float | None = None
) -> Explanation:
    """Say which features of a file's windows raised its alarms, or made classes or labels be reported.

    Where a detector's score is a sum of squares over features, each feature's part is its square, and parts add up to the score
    that the firmware computes. Where it is not, parts are sampled Shapley values of groups of features: they add up to what the
    score is above that of the mean training window.

    Args:
        run_folder: A finished run.
        file: A recording.
        channel: As of `keras-kd score`.
        at: Seconds since the file's first row; the stretches that hold it are explained alone.

    Raises:
        RunError: If the folder is no finished run, or of a task without alarms, classes and labels.
        DataError: Names file and row of what cannot be scored; for a time at which nothing is reported.
    """
    if is_text(run_folder):
        raise RunError(f"{run_folder} is a run on text; keras-kd explain is for recordings")
    given = read_to_score(run_folder, [file], channel=channel)
    report, student = given.report, load_student(given.folder, given.report, given.config)
    if report.task == "regression":
        raise RunError(f"{run_folder} estimates numbers; keras-kd explain is for alarms, classes and labels")
    if report.data.image_size is not None:
        raise RunError(
            f"{run_folder} is a run on pictures; keras-kd explain is for recordings, whose features have names"
        )
    if not student.on_chip or student.decider is None:
        raise RunError(
            f"{run_folder}: the student is not int8, so its score is not the firmware's; keras-kd explain needs that"
        )
    scored, notes = score_read(given)
    if given.report.commissioning is not None:
        notes = (*notes, LEARNS)
    notes = (*notes, *not_judged(scored))
    inputs, outputs = _observed(given, student)
    names = tuple(features_of(given.features, report.data.channels, report.data.sources))
    if isinstance(student.decider, Detector) and student.decider.score.kind in SUMS:
        return _by_summands(given, scored, inputs, outputs, student, names, notes, at)
    return _by_shapley(given, scored, inputs, student, names, notes, at)


def _observed(given: ToScore, student: Student) -> tuple[np.ndarray, np.ndarray]:
    """The int8 inputs and outputs of all windows in their order, 0 where the sensor is at fault."""
    graph = read(student.model)
    shape = graph.tensors[graph.outputs[0]].shape
    inputs, outputs = [], []
    for recording in given.recordings:
        frames, _ = cut(recording, given.features)
        if not len(frames):
            continue
        seen = observed(student, given.features, recording, frames, given.scalings.get(recording.name))
        good = seen.faulty == 0
        own = np.zeros((len(good), *given.features.shape), np.int8), np.zeros((len(good), *shape[1:]), np.int8)
        if good.any():
            own[0][good], own[1][good] = seen.inputs, seen.outputs.reshape(-1, *shape[1:])
        inputs.append(own[0])
        outputs.append(own[1])
    return np.concatenate(inputs), np.concatenate(outputs)


def _by_summands(
    given: ToScore,
    scored: Sequence[Scored],
    inputs: np.ndarray,
    outputs: np.ndarray,
    student: Student,
    names: tuple[Feature, ...],
    notes: tuple[str, ...],
    at: float | None,
) -> Explanation:
    """The parts of a score that is a sum over features."""
    detector = student.decider
    assert isinstance(detector, Detector)
    names = tuple(names[place] for place in student.predicted) if student.predicted else names
    squares, off = summands(detector.score, inputs, outputs)
    along = tuple(range(1, squares.ndim - 1))
    parts = squares.sum(axis=along) * detector.score.unit
    signed = off.sum(axis=along)
    judged = np.array([row.score is not None for row in scored])
    above = np.array([bool(row.above_threshold) for row in scored])
    alarm = np.array([bool(row.alarm) for row in scored])
    scores = np.array([np.nan if row.score is None else row.score for row in scored])
    quiet = judged & ~above & ~alarm
    usual = parts[quiet].mean(axis=0) if quiet.sum() >= FEWEST_USUAL else None
    reports = _alarms(scored, detector.history)
    if not reports and judged.any():
        reports = [Report("no alarm", np.array([int(np.nanargmax(scores))]))]
    limits = _limits(given.report)
    found = []
    for one in chosen(spans_of(reports, scored), scored, next(iter(given.paths)), at):
        mine = parts[one.places].mean(axis=0), usual, signed[one.places].sum(axis=0)
        found.append(_of_span(one, scored, shares_of(_named(names), *mine), limits))
    over_time = np.where(judged[:, None], parts, np.nan)
    return Explanation(
        str(given.folder),
        next(iter(given.paths)),
        "summands",
        given.report.common_threshold,
        tuple(found),
        names,
        ends_of(scored),
        scores,
        alarm,
        over_time,
        notes,
    )


def _alarms(scored: Sequence[Scored], history: int) -> list[Report]:
    """The alarms, each with the windows that raised it and kept it on."""
    judged = np.array([row.score is not None for row in scored])
    state = held(np.array([bool(row.alarm) for row in scored]), judged)
    above = judged & np.array([bool(row.above_threshold) for row in scored])
    places = alarm_windows(state, above, history)
    return [Report("alarm", own, raised) for own, raised in zip(places, raised_at(state).tolist())]


def _of_span(one: Span, scored: Sequence[Scored], shares: tuple[Share, ...], limits: Mapping[str, float]) -> Explained:
    """A stretch whose scores are sums, by its features' shares."""
    windows = [scored[place] for place in one.places.tolist()]
    mean = float(np.mean([window.score for window in windows if window.score is not None]))
    times, modes = _against(limits, windows)
    return Explained(
        *(one.what, *ends_of_span(one, scored), len(windows), mean, 0.0, shares, by_channel(shares)),
        number=one.number,
        reports=one.reports,
        reported=reported_at(one, scored),
        times=times,
        modes=modes,
    )


def _limits(report: RunReport) -> dict[str, float]:
    """Thresholds by operating mode, '' of a run without."""
    if report.common_threshold is not None:
        return {"": report.common_threshold}
    return {mode.name: mode.threshold for mode in report.by_mode if mode.threshold is not None}


def _against(limits: Mapping[str, float], windows: Sequence[Scored]) -> tuple[float | None, tuple[ModeOf, ...]]:
    """The mean of windows' scores over their thresholds, None where one has none; and their operating modes."""
    of_modes = Counter(window.mode for window in windows if window.mode)
    modes = tuple(ModeOf(name, count, limits[name]) for name, count in of_modes.items() if name in limits)
    own = [limits.get("" if "" in limits else window.mode or "") for window in windows]
    ratios = [window.score / limit for window, limit in zip(windows, own) if limit and window.score is not None]
    return (float(np.mean(ratios)) if len(ratios) == len(windows) else None), modes


def _named(features: Sequence[Feature]) -> list[tuple[str, str]]:
    return [(each.channel, each.name) for each in features]


def _by_shapley(
    given: ToScore,
    scored: Sequence[Scored],
    inputs: np.ndarray,
    student: Student,
    names: tuple[Feature, ...],
    notes: tuple[str, ...],
    at: float | None,
) -> Explanation:
    """The parts of a lead, a logit or a margin."""
    graph = read(student.model)
    tensor = graph.tensors[graph.inputs[0]]
    assert tensor.quantization is not None
    # Scaled features are 0 in the mean of the training windows.
    reference = np.full(inputs.shape[1:], tensor.quantization.zero_point[0], np.int8)
    groups = players(names)
    scores = np.array([np.nan if row.score is None else row.score for row in scored])
    alarm = np.array([bool(row.alarm) for row in scored])
    found = []
    spans = chosen(spans_of(_reports(scored, student), scored), scored, next(iter(given.paths)), at)
    for one in spans[:MOST_REPORTS]:
        value = _value_of(one.what, student)
        own = value(inputs[one.places])
        place = one.places[int(own.argmax())]
        values = shapley(value, inputs[place], reference, [group for _, group in groups])
        shares = shares_of(_named([feature for feature, _ in groups]), values, None, None)
        ends = ends_of_span(one, scored)
        score, base = float(own.max()), float(value(reference[None])[0])
        about = (one.what, *ends, 1, score, base, shares, by_channel(shares), one.number, one.reports)
        found.append(Explained(*about, reported_at(one, scored)))
    if len(spans) > MOST_REPORTS:
        more = counted(len(spans), "report")
        notes = (*notes, f"The file has {more}; the first {MOST_REPORTS} are explained, others with --at.")
    return Explanation(
        str(given.folder),
        next(iter(given.paths)),
        "shapley",
        given.report.common_threshold,
        tuple(found),
        (),
        ends_of(scored),
        scores,
        alarm,
        np.empty((len(scored), 0)),
        notes,
    )


def _reports(scored: Sequence[Scored], student: Student) -> list[Report]:
    """What is reported, each stretch of windows with one report in turn; the likeliest class where nothing is."""
    decider = student.decider
    if isinstance(decider, Detector):
        return _alarms(scored, decider.history)
    if isinstance(decider, Labeler):
        said = [set(filter(None, (row.reported or "").split("+"))) for row in scored]
    else:
        said = [{row.recognized} if row.recognized else set() for row in scored]
    found: list[Report] = []
    for what in dict.fromkeys(each for own in said for each in sorted(own)):
        on = np.array([what in own for own in said])
        found += [Report(what, np.arange(begin, end), int(begin)) for begin, end in zip(*runs_of(on))]
    return sorted(found, key=lambda each: int(each.places[0]))


def _value_of(what: str, student: Student) -> Callable[[np.ndarray], np.ndarray]:
    """What is explained, of int8 inputs: a margin, the lead of a class, or the logit of a label, in real units."""
    decider = student.decider

    def outputs(inputs: np.ndarray) -> np.ndarray:
        return run_inputs(student.model, inputs).reshape(len(inputs), -1).astype(np.int64)

    if isinstance(decider, Detector):
        return lambda inputs: decider.score(inputs, outputs(inputs)) * decider.score.unit
    if isinstance(decider, Labeler):
        label = decider.label_names.index(what)
        return lambda inputs: (outputs(inputs)[:, label] - decider.zero) * decider.unit
    assert isinstance(decider, Recognizer)
    place, unit = decider.class_names.index(what), decider.unit

    def lead(inputs: np.ndarray) -> np.ndarray:
        given = outputs(inputs)
        return np.asarray((given[:, place] - np.delete(given, place, axis=1).max(axis=1)) * unit)

    return lead
