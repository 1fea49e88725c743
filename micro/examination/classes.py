"""A classifier's classes and a labeler's labels against what files say, class by class and file by file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from micro.runs.assessment.alarms import rates

# Resampled sets of files that an interval is from, and the fewest files that give one.
RESAMPLED, FEWEST_FILES = 2000, 5
NONE = "none"


@dataclass(frozen=True)
class Classified:
    """A file's windows in their order: the recorded class, -1 where there is none, the likeliest one, -1 where the sensor is at
    fault, and the one that the firmware reports, -1 where it reports none; (n,) int each."""

    name: str
    labels: np.ndarray
    likeliest: np.ndarray
    reported: np.ndarray | None


@dataclass(frozen=True)
class ClassFigures:
    """A class: windows of it, precision, recall and F1 of the likeliest class."""

    name: str
    windows: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class FileAccuracy:
    """A file: its windows with a class, the fraction that is right, and the class that wrong ones are most often taken for."""

    file: str
    windows: int
    accuracy: float | None
    taken_for: str


@dataclass(frozen=True)
class ClassifierTest:
    """What a classifier is worth on labeled files.

    Attributes:
        interval: The ends of the interval of the accuracy at 95 %, by resampling files; None of too few files.
        confusion: Windows by recorded class and likeliest one, (classes, classes).
        reported: Windows by recorded class and by what the firmware reports after them, `NONE` last; None without a
            recognizer.
        right, wrong, none: Fractions of windows after which the firmware reports their class, another one, and none.
    """

    class_names: tuple[str, ...]
    windows: int
    unknown: int
    sensor_faults: int
    accuracy: float | None
    interval: tuple[float, float] | None
    macro_f1: float | None
    by_class: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    reported: tuple[tuple[int, ...], ...] | None
    right: float | None
    wrong: float | None
    none: float | None
    by_file: tuple[FileAccuracy, ...]


def classifier_figures(files: Sequence[Classified], class_names: Sequence[str]) -> ClassifierTest:
    """Figures of a classifier's windows, file by file."""
    known = [(one.labels >= 0) & (one.likeliest >= 0) for one in files]
    labels = np.concatenate([one.labels[mine] for one, mine in zip(files, known)])
    likeliest = np.concatenate([one.likeliest[mine] for one, mine in zip(files, known)])
    count = len(class_names)
    confusion = _table(labels, likeliest, count, count)
    rows = tuple(_class(name, place, confusion) for place, name in enumerate(class_names))
    present = [row.f1 for row in rows if row.windows and row.f1 is not None]
    reported = None
    if all(one.reported is not None for one in files):
        said = np.concatenate([one.reported[mine] for one, mine in zip(files, known) if one.reported is not None])
        reported = _table(labels, np.where(said < 0, count, said), count, count + 1)
    of_files = [
        (int((one.likeliest[mine] == one.labels[mine]).sum()), int(mine.sum())) for one, mine in zip(files, known)
    ]
    return ClassifierTest(
        tuple(class_names),
        len(labels),
        sum(int((one.labels < 0).sum()) for one in files),
        sum(int((one.likeliest < 0).sum()) for one in files),
        float((labels == likeliest).mean()) if len(labels) else None,
        resampled_interval(of_files),
        float(np.mean(present)) if present else None,
        rows,
        tuple(map(tuple, confusion.tolist())),
        None if reported is None else tuple(map(tuple, reported.tolist())),
        *_as_reported(reported),
        tuple(_file(one, mine, class_names) for one, mine in zip(files, known)),
    )


def resampled_interval(of_files: Sequence[tuple[int, int]], seed: int = 0) -> tuple[float, float] | None:
    """The ends of the interval of a fraction at 95 %: windows of one file are alike, so files are drawn, not windows.

    Args:
        of_files: For each file how many of its windows are right, and how many there are.

    Source: Efron 1979, the bootstrap's percentiles, with the file as the unit.
    """
    counts = np.array([each for each in of_files if each[1]], int)
    if len(counts) < FEWEST_FILES:
        return None
    drawn = counts[np.random.default_rng(seed).integers(0, len(counts), (RESAMPLED, len(counts)))].sum(axis=1)
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    return float(low), float(high)


def _table(labels: np.ndarray, found: np.ndarray, rows: int, columns: int) -> np.ndarray:
    table = np.zeros((rows, columns), int)
    np.add.at(table, (labels, found), 1)
    return table


def _class(name: str, place: int, confusion: np.ndarray) -> ClassFigures:
    right = int(confusion[place, place])
    windows, taken = int(confusion[place].sum()), int(confusion[:, place].sum())
    return ClassFigures(name, windows, *rates(right, taken - right, windows - right))


def _as_reported(reported: np.ndarray | None) -> tuple[float | None, float | None, float | None]:
    if reported is None or not reported.sum():
        return None, None, None
    total, right, none = int(reported.sum()), int(np.trace(reported)), int(reported[:, -1].sum())
    return right / total, (total - right - none) / total, none / total


def _file(one: Classified, known: np.ndarray, names: Sequence[str]) -> FileAccuracy:
    labels, likeliest = one.labels[known], one.likeliest[known]
    wrong = likeliest[labels != likeliest]
    taken = names[int(np.bincount(wrong).argmax())] if len(wrong) else ""
    return FileAccuracy(one.name, len(labels), float((labels == likeliest).mean()) if len(labels) else None, taken)


@dataclass(frozen=True)
class LabelFigures:
    """A label: windows with it and without; precision, recall and F1 of windows in which it is likelier than not, and of those
    after which the firmware reports it, None without a labeler."""

    name: str
    windows: int
    without: int
    precision: float | None
    recall: float | None
    f1: float | None
    reported_precision: float | None
    reported_recall: float | None
    reported_f1: float | None


@dataclass(frozen=True)
class LabelerTest:
    """What a model of several labels is worth on labeled files; `exact` is the fraction of windows with all labels right,
    of those of which all are known, by file as well."""

    windows: int
    unknown: int
    sensor_faults: int
    exact: float | None
    interval: tuple[float, float] | None
    macro_f1: float | None
    by_label: tuple[LabelFigures, ...]
    by_file: tuple[FileAccuracy, ...]


@dataclass(frozen=True)
class Labeled:
    """A file's windows in their order, (n, labels) int each: what is recorded, -1 where that is not known; whether a label is
    likelier than not, -1 where the sensor is at fault; and whether the firmware reports it, None without a labeler."""

    name: str
    labels: np.ndarray
    likely: np.ndarray
    reported: np.ndarray | None


def labeler_figures(files: Sequence[Labeled], names: Sequence[str]) -> LabelerTest:
    """Figures of several labels, file by file."""
    labels = np.concatenate([one.labels for one in files])
    likely = np.concatenate([one.likely for one in files])
    has_reports = all(one.reported is not None for one in files)
    reported = np.concatenate([one.reported for one in files if one.reported is not None]) if has_reports else None
    rows = tuple(
        _label(name, labels[:, place], likely[:, place], None if reported is None else reported[:, place])
        for place, name in enumerate(names)
    )
    whole = [((one.labels >= 0) & (one.likely >= 0)).all(axis=1) for one in files]
    right = [int((one.labels[mine] == one.likely[mine]).all(axis=1).sum()) for one, mine in zip(files, whole)]
    counts = [int(mine.sum()) for mine in whole]
    f1s = [row.f1 for row in rows if row.f1 is not None]
    return LabelerTest(
        len(labels),
        int((labels < 0).any(axis=1).sum()),
        int((likely < 0).any(axis=1).sum()),
        sum(right) / sum(counts) if sum(counts) else None,
        resampled_interval(list(zip(right, counts))),
        float(np.mean(f1s)) if f1s else None,
        rows,
        tuple(FileAccuracy(one.name, n, k / n if n else None, "") for one, k, n in zip(files, right, counts)),
    )


def _label(name: str, labels: np.ndarray, likely: np.ndarray, reported: np.ndarray | None) -> LabelFigures:
    known = (labels >= 0) & (likely >= 0)
    holds = labels[known] == 1
    figures = _counted(holds, likely[known] == 1)
    said = (None, None, None) if reported is None else _counted(holds, reported[known] == 1)
    return LabelFigures(name, int(holds.sum()), int((~holds).sum()), *figures, *said)


def _counted(holds: np.ndarray, found: np.ndarray) -> tuple[float | None, float | None, float | None]:
    return rates(int((holds & found).sum()), int((~holds & found).sum()), int((holds & ~found).sum()))
