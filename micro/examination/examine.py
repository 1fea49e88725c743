"""A finished run's detector, classifier or labeler on labeled files, as its firmware decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from micro.config import Config, LabelsData
from micro.datasets.cells import label as label_text
from micro.datasets.formats import read_contents
from micro.datasets.labels import labels_of
from micro.errors import DataError, RunError
from micro.examination.classes import (
    Classified,
    ClassifierTest,
    Labeled,
    LabelerTest,
    classifier_figures,
    labeler_figures,
)
from micro.examination.copies import without_copies
from micro.examination.labeled import (
    LEARNS,
    Labeling,
    Truth,
    is_normal,
    normal_words,
    truth_of,
    window_labels,
)
from micro.examination.own_files import OwnFiles, own_files, refuse_own_files
from micro.runs.alarm_times import begins_in, ends_of
from micro.runs.assessment.alarms import FAULTY, HEALTHY, DetectorTest, FileFigures, Timing, Watched, detector_figures
from micro.runs.label_scores import Label
from micro.runs.run_report import RunReport
from micro.runs.score_files import ToScore, read_to_score, score_read
from micro.runs.scored import Scored
from micro.runs.scored_reading import by_the_settings_of_a_run
from micro.runs.text_scores import is_text
from micro.support.wording import listed


@dataclass(frozen=True)
class Examined:
    """What a run is worth on labeled files: `detector` where it raises alarms, `classifier` where it tells classes, `labeler`
    where several labels hold at once; the scored windows with what is recorded of each, by file.

    Attributes:
        run: The run's folder.
        files: Names of the files.
        labels: In words where labels are from.
        threshold: Of the detector, in real units; None where it has one for each operating mode.
        watched: Of a detector, its windows.
        own: Those of the files that the run has read itself, whatever they are called.
        notes: Sentences on what was left out and on what figures do not say.
    """

    run: str
    task: str
    files: tuple[str, ...]
    labels: str
    detector: DetectorTest | None
    classifier: ClassifierTest | None
    labeler: LabelerTest | None
    threshold: float | None
    timing: Timing
    watched: tuple[Watched, ...]
    events: dict[str, tuple[tuple[float, float | None, str], ...]]
    own: OwnFiles
    notes: tuple[str, ...]


@by_the_settings_of_a_run()
def examine(
    run_folder: str | Path,
    files: Sequence[str | Path],
    labeling: Labeling = Labeling(),  # noqa: B008  # frozen
    *,
    channel: str | None = None,
    new_only: bool = False,
) -> Examined:
    """Run labeled recordings through a run's int8 student and what decides behind it, as its firmware does, and compare.

    Files are read as `keras-kd score` reads them; the run is not changed.

    Args:
        run_folder: A finished run of anomaly detection, of classes or of several labels.
        files: Recordings.
        labeling: What says their labels.
        channel: As of `keras-kd score`.
        new_only: Refuse files that the run has read itself, whatever they are called.

    Raises:
        RunError: If the folder is no finished run, or of another task.
        DataError: Names file and row of what cannot be scored, and a file whose labels are not known.
    """
    _require_task(run_folder)
    given = read_to_score(run_folder, files, channel=channel)
    if given.report.task == "regression":
        raise RunError(
            f"{run_folder} estimates {'numbers' if len(given.report.numbers) > 1 else 'a number'}; keras-kd test is for "
            "alarms, classes and labels: keras-kd score gives its estimates"
        )
    own = own_files(given)
    if new_only:
        refuse_own_files(own, given.folder)
    scored, notes = score_read(given)
    by_file: dict[str, list[Scored]] = {}
    for window in scored:
        by_file.setdefault(window.file, []).append(window)
    timing = timing_of(given.report, given.config)
    if isinstance(given.config.data, LabelsData):
        by_file, copies = without_copies(by_file, given.paths, {})
        notes = (*notes, *copies)
        return _labels(given, by_file, labeling, timing, own, notes)
    names = given.report.data.class_names
    if given.report.commissioning is not None:
        notes = (*notes, LEARNS)
    detects = given.report.threshold is not None or any(row.alarm is not None for row in scored)
    truth = truth_of(given, labeling, detects=not names)
    by_file, copies = without_copies(by_file, given.paths, truth.stretches)
    notes = (*notes, *copies)
    classifier, detector = None, None
    watched: tuple[Watched, ...] = ()
    words = normal_words(given.config, labeling)
    if names:
        classifier = classifier_figures(
            [_classified(name, rows, truth, timing, names, words) for name, rows in by_file.items()], names
        )
        _require_labels(classifier.windows, truth, names)
    if detects:
        watched = tuple(_watched(name, rows, truth, timing, words) for name, rows in by_file.items())
        detector = _detector_test(watched, truth, timing, words, classes=bool(names))
        notes = (
            *notes,
            *_on_detector(detector, {row.result for own in by_file.values() for row in own if row.alarm is None}),
        )
    return Examined(
        str(run_folder),
        given.report.task,
        tuple(by_file),
        truth.said,
        detector,
        classifier,
        None,
        given.report.common_threshold,
        timing,
        watched,
        _spans(truth, words) if detects else {},
        own,
        notes,
    )


def _detector_test(
    watched: Sequence[Watched], truth: Truth, timing: Timing, words: Sequence[str], *, classes: bool
) -> DetectorTest:
    """What a detector's alarms are worth; a classifier's score is its lead, whichever class wins, and has no AUC."""
    faults = {name: [each for each in its if _is_fault(each.label, words)] for name, its in truth.stretches.items()}
    found = detector_figures(watched, faults, timing)
    return replace(found, auc=None) if classes else found


def _require_task(run_folder: str | Path) -> None:
    if is_text(run_folder):
        raise RunError(
            f"{run_folder} is a run on text; keras-kd test is for recordings: keras-kd score gives the figures of text"
        )


def recorded_as(found: Examined, row: FileFigures) -> str:
    """What a detector's file is labeled: 'healthy', its faults, or both; a dash where no window of it is."""
    faults = dict.fromkeys(label for _, _, label in found.events.get(row.file, ()))
    return ", ".join([*(["healthy"] if row.healthy else []), *faults]) or "–"


def timing_of(report: RunReport, config: Config) -> Timing:
    """Seconds of a run's windows, and how many of them its detector counts over."""
    history = config.detect.history if report.detector is None else report.detector.history
    rate = report.data.sample_rate
    if rate is None or report.data.image_size is not None:
        return Timing(None, None, history)
    # Windows count the samples that are kept, and those come at their own rate.
    rate = report.features.rate or rate
    return Timing(report.features.window / rate, report.features.hop / rate, history)


def _is_fault(label: str, words: Sequence[str]) -> bool:
    return bool(label_text(label)) and not is_normal(label, words)


def _watched(name: str, rows: Sequence[Scored], truth: Truth, timing: Timing, words: Sequence[str]) -> Watched:
    """A file's windows as a detector sees them."""
    begins = begins_in(rows)
    labels = window_labels(
        truth.stretches.get(name, ()),
        begins,
        timing.window or 0.0,
        lambda label: HEALTHY if is_normal(label, words) else FAULTY,
        any_of=FAULTY,
    )
    return Watched(
        name,
        begins,
        ends_of(rows),
        np.array([np.nan if row.score is None else row.score for row in rows], float),
        np.array([bool(row.above_threshold) for row in rows]),
        np.array([bool(row.alarm) for row in rows]),
        labels,
    )


def _classified(
    name: str, rows: Sequence[Scored], truth: Truth, timing: Timing, names: Sequence[str], words: Sequence[str]
) -> Classified:
    """A file's windows as a classifier sees them."""
    places = {label_text(each): place for place, each in enumerate(names)}

    def value_of(label: str) -> int:
        place = places.get(label_text(label))
        if place is None:
            raise DataError(
                f"{name}: the run knows no class {label!r}; its classes are {listed(names, 12)} (labels are from {truth.said})"
            )
        return place

    labels = window_labels(truth.stretches.get(name, ()), begins_in(rows), timing.window or 0.0, value_of, any_of=None)
    likeliest = np.array([-1 if row.score is None else places.get(label_text(row.result), -1) for row in rows], int)
    reported = None
    if all(row.recognized is not None for row in rows):
        reported = np.array([places.get(label_text(row.recognized or ""), -1) for row in rows], int)
    return Classified(name, labels, likeliest, reported)


def _require_labels(windows: int, truth: Truth, names: Sequence[str]) -> None:
    if not windows:
        raise DataError(f"no window has a class: {truth.said} say {listed(names, 6)} of none of them")


def _labels(
    given: ToScore,
    by_file: dict[str, list[Scored]],
    labeling: Labeling,
    timing: Timing,
    own: OwnFiles,
    notes: tuple[str, ...],
) -> Examined:
    """The figures of several labels, which stand in columns of the files."""
    data = given.config.data
    assert isinstance(data, LabelsData)
    if labeling != Labeling():
        raise DataError(
            "of a run of several labels the columns of its config say which hold; leave the other settings out"
        )
    files = []
    for name, rows in by_file.items():
        path = given.paths[name]
        read = read_contents(path, data, given.report.data.channels)
        recorded = labels_of(read, data.label_columns)
        files.append(Labeled(name, _row_labels(rows, recorded, given), _likely(rows), _reported(rows)))
    found = labeler_figures(files, data.label_columns)
    said = f"columns {listed(data.label_columns, 6)}"
    return Examined(
        *(
            str(given.folder),
            given.report.task,
            tuple(by_file),
            said,
            None,
            None,
            found,
            None,
            timing,
            (),
            {},
            own,
            notes,
        )
    )


def _row_labels(rows: Sequence[Scored], recorded: np.ndarray, given: ToScore) -> np.ndarray:
    """What all rows of each window say of each label, -1 where they differ: (n, labels) int."""
    steps = {one.name: one.step for one in given.recordings}
    length = max(1, round(given.report.features.window * steps.get(rows[0].file, 1.0)))
    begins = np.array([row.row for row in rows])
    ends = np.minimum(begins + length, len(recorded)) - 1
    changes = np.concatenate([np.zeros((1, recorded.shape[1]), int), np.cumsum(recorded[1:] != recorded[:-1], axis=0)])
    same = changes[begins] == changes[ends]
    return np.where(same, recorded[begins], -1).astype(int)


def _likely(rows: Sequence[Scored]) -> np.ndarray:
    def value(label: Label) -> int:
        return -1 if label.probability is None else int(label.probability > 0.5)

    return np.array([[value(label) for label in row.labels] for row in rows], int)


def _reported(rows: Sequence[Scored]) -> np.ndarray | None:
    if any(row.reported is None for row in rows):
        return None
    said = [set((row.reported or "").split("+")) for row in rows]
    return np.array([[label.name in own for label in row.labels] for row, own in zip(rows, said)], int)


def _spans(truth: Truth, words: Sequence[str]) -> dict[str, tuple[tuple[float, float | None, str], ...]]:
    """The faults of each file: begin, end, None at the file's end, and label."""
    return {
        name: tuple(
            (each.start, each.end if np.isfinite(each.end) else None, each.label)
            for each in own
            if _is_fault(each.label, words)
        )
        for name, own in truth.stretches.items()
    }


def _on_detector(found: DetectorTest, unscored: set[str]) -> list[str]:
    """Sentences on what the figures of a detector do not show."""
    said = []
    healthy = sum(row.healthy for row in found.by_file)
    if not found.by_event and not any(row.faulty for row in found.by_file):
        said.append("No fault is among the files, so this test cannot tell whether the detector finds any.")
    if not healthy:
        said.append(
            "No healthy window is among the files, so this test cannot tell how often the detector raises a false alarm."
        )
    faults = sum(row.sensor_faults for row in found.by_file)
    if faults:
        said.append(f"{faults:,} windows have no score ({listed(sorted(unscored))}), and count as nothing.")
    unknown = sum(row.unknown for row in found.by_file)
    if unknown:
        said.append(f"{unknown:,} windows are partly or wholly without a label, and count as nothing.")
    before = sum(event.before for event in found.by_event)
    if before:
        said.append(
            f"{before:,} of the {len(found.by_event):,} faults began while the detector was in alarm already: they count as "
            "found, and have no delay."
        )
    return said
