"""What a run keeps of its calibration, for a device's log to be compared with: scores, and the model's inputs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micro.datasets.prepared import Prepared
from micro.errors import DataError, RunError
from micro.signal.octaves import octaves_of
from micro.tflite.graph import TfliteLike, read
from micro.tflite.integers import quantized

SCORES, FEATURES, OCTAVES = "calibration.csv", "calibration_features.csv", "calibration_octaves.csv"


@dataclass(frozen=True)
class Calibration:
    """Sessions of healthy windows: their names, each one's scores, and the means of its features, (sessions, columns)."""

    names: tuple[str, ...]
    scores: tuple[np.ndarray, ...]
    columns: tuple[int, ...]
    features: np.ndarray


def baseline_files(data: Prepared, scores: np.ndarray, tflite: TfliteLike) -> dict[str, bytes]:
    """The files' contents by name: a row of session and score for each window of the calibration, and a row for each session
    with the means of the windows' int8 features, predicted ones too; the latter where these are features, not samples."""
    origins = np.array(data.calibration.origins)
    names = tuple(dict.fromkeys(data.calibration.origins))
    sessions = tuple(np.asarray(scores)[origins == name] for name in names)
    files = {}
    octaves = octaves_of(data.features)
    if data.calibration.octaves is not None and octaves is not None:
        each = data.calibration.octaves
        rows = (octaves.means(each[origins == name].sum(axis=0), (origins == name).sum()) for name in names)
        header = (*(f"level{k}" for k in range(octaves.count)), *(f"crossings{k}" for k in range(octaves.count)))
        files[OCTAVES] = _means_table(header, names, rows)
    graph = read(tflite)
    if data.features.kinds == ("raw",) or graph.tensors[graph.inputs[0]].dtype != "int8":
        return files | calibration_files(Calibration(names, sessions, (), np.zeros((len(names), 0))))
    inputs = quantized(data.calibration.x, graph.tensors[graph.inputs[0]]).reshape(len(origins), -1)
    means = np.stack([inputs[origins == name].mean(axis=0) for name in names])
    return files | calibration_files(Calibration(names, sessions, tuple(range(inputs.shape[1])), means))


def calibration_files(calibration: Calibration) -> dict[str, bytes]:
    """What a run keeps of a calibration, by file name; that of features only where there are any."""
    sides = zip(calibration.names, calibration.scores)
    rows = ((name, repr(float(score))) for name, scores in sides for score in scores)
    files = {SCORES: _table(("session", "score"), rows)}
    if calibration.columns:
        header = [f"f{column}" for column in calibration.columns]
        files[FEATURES] = _means_table(header, calibration.names, calibration.features)
    return files


def calibration_octaves(folder: Path) -> np.ndarray | None:
    """Levels and crossings of the samples of a run's calibration sessions, (sessions, 2 * octaves); None of a run without."""
    if not (folder / OCTAVES).is_file():
        return None
    return np.array([row[1:] for row in _rows(folder / OCTAVES, "keeps no levels")], float)


def calibration_sessions(folder: Path) -> list[np.ndarray]:
    """Scores of a run's calibration, an array a session.

    Raises:
        RunError: For a run without: a classifier's, or one from before they were kept.
    """
    sessions: dict[str, list[float]] = {}
    for name, score in _rows(
        folder / SCORES, "keeps no scores of its calibration: it is no anomaly detector's run, or an older one"
    ):
        sessions.setdefault(name, []).append(float(score))
    return [np.array(scores) for scores in sessions.values()]


def calibration_features(folder: Path, columns: Sequence[int] | None = None, log: str | Path = "the log") -> np.ndarray:
    """Mean int8 inputs of a run's calibration sessions, (sessions, inputs), or those of some `columns` that a log has.

    Raises:
        RunError: For a run without.
        DataError: For columns that its calibration does not have.
    """
    header, *rows = _rows(
        folder / FEATURES,
        "keeps no features of its calibration: it takes raw samples, was recalibrated on a log without, or is an older run",
        header=True,
    )
    names = header[1:]
    if columns is None:
        return np.array([row[1:] for row in rows], float)
    missing = [column for column in columns if f"f{column}" not in names]
    if missing:
        if names == [f"f{place}" for place in range(len(names))]:
            raise DataError(f"{log}: column 'f{missing[0]}' is of another model; this one's end at {names[-1]!r}")
        raise DataError(
            f"{log}: column 'f{missing[0]}' was not in the log that {folder} was recalibrated on: {', '.join(names)}"
        )
    return np.array([[row[1 + names.index(f"f{column}")] for column in columns] for row in rows], float)


def _means_table(header: Sequence[str], names: Sequence[str], means: Iterable[np.ndarray]) -> bytes:
    rows = ((name, *(f"{mean:.6g}" for mean in each)) for name, each in zip(names, means))
    return _table(("session", *header), rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue().encode()


def _rows(path: Path, missing: str, *, header: bool = False) -> list[list[str]]:
    if not path.is_file():
        raise RunError(f"{path.parent} {missing}; run it again")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[0 if header else 1 :]
