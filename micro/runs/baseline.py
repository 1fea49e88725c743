"""What a run keeps of its calibration, for a device's log to be compared with: scores, and the model's inputs."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from micro.errors import DataError, RunError

if TYPE_CHECKING:
    from micro.datasets.prepared import Prepared
    from micro.datasets.window_parts import Windows
    from micro.tflite.graph import TfliteLike

SCORES, FEATURES, OCTAVES = "calibration.csv", "calibration_features.csv", "calibration_octaves.csv"
# Windows before which the machine was off, at which a device forgets earlier ones.
STOPS = "calibration_stops.csv"
NO_SCORES = "keeps no scores of its calibration: it is no anomaly detector's run, or an older one"


@dataclass(frozen=True)
class Calibration:
    """Sessions of healthy windows: their names, each one's scores, and the means of its features, (sessions, columns).

    Where there are operating modes a session stands once for each of its modes, which `modes` has by their numbers.
    """

    names: tuple[str, ...]
    scores: tuple[np.ndarray, ...]
    columns: tuple[int, ...]
    features: np.ndarray
    modes: tuple[int, ...] = ()


def baseline_files(data: Prepared, scores: np.ndarray, tflite: TfliteLike) -> dict[str, bytes]:
    """The files' contents by name: a row of session and score for each window of the calibration, and a row for each session
    with the means of the windows' int8 features, predicted ones too; the latter where these are features, not samples.
    Where the machine was off in between, a row of session and window for each first window after that."""
    from micro.signal.octaves import octaves_of
    from micro.tflite.graph import read
    from micro.tflite.integers import quantized

    groups = _groups(data.calibration)
    keys, modes = [key for key, _ in groups], data.calibration.modes is not None
    files = {}
    octaves = octaves_of(data.features)
    if data.calibration.octaves is not None and octaves is not None:
        each = data.calibration.octaves
        rows = (octaves.means(each[rows].sum(axis=0), rows.sum()) for _, rows in groups)
        header = (*(f"level{k}" for k in range(octaves.count)), *(f"crossings{k}" for k in range(octaves.count)))
        files[OCTAVES] = _means_table(header, keys, rows, modes)
    graph = read(tflite)
    columns: tuple[int, ...] = ()
    means = np.zeros((len(groups), 0))
    if data.features.kinds != ("raw",) and graph.tensors[graph.inputs[0]].dtype == "int8":
        inputs = quantized(data.calibration.x, graph.tensors[graph.inputs[0]]).reshape(len(data.calibration), -1)
        columns, means = tuple(range(inputs.shape[1])), np.stack([inputs[rows].mean(axis=0) for _, rows in groups])
    off = data.calibration.off_before
    stops = [] if off is None or modes else [(key[0], n) for key, rows in groups for n in _after_stops(off[rows])]
    if stops:
        files[STOPS] = _table(("session", "window"), stops)
    sessions = tuple(np.asarray(scores)[rows] for _, rows in groups)
    names, of_modes = tuple(key[0] for key in keys), tuple(int(key[1]) for key in keys if modes)
    return files | calibration_files(Calibration(names, sessions, columns, means, of_modes))


def _groups(calibration: Windows) -> list[tuple[tuple[str, ...], np.ndarray]]:
    """Sessions in their order, and which windows are theirs, (n,) bool; where there are operating modes each by its modes."""
    origins = np.array(calibration.origins)
    groups: list[tuple[tuple[str, ...], np.ndarray]] = []
    for name in dict.fromkeys(calibration.origins):
        own = origins == name
        if calibration.modes is None:
            groups.append(((name,), own))
            continue
        of = np.asarray(calibration.modes)
        groups += [((name, str(mode)), own & (of == mode)) for mode in np.unique(of[own]).tolist()]
    return groups


def calibration_files(calibration: Calibration) -> dict[str, bytes]:
    """What a run keeps of a calibration, by file name; that of features only where there are any."""
    modes = calibration.modes or ("",) * len(calibration.names)
    sides = zip(calibration.names, calibration.scores, modes)
    last = 3 if calibration.modes else 2
    rows = ((name, repr(float(score)), str(mode))[:last] for name, scores, mode in sides for score in scores)
    files = {SCORES: _table(("session", "score", "mode")[:last], rows)}
    if calibration.columns:
        header = [f"f{column}" for column in calibration.columns]
        keys = [(name, str(mode))[: last - 1] for name, mode in zip(calibration.names, modes)]
        files[FEATURES] = _means_table(header, keys, calibration.features, bool(calibration.modes))
    return files


def calibration_octaves(folder: Path, mode: int | None = None) -> np.ndarray | None:
    """Levels and crossings of the samples of a run's calibration sessions, (sessions, 2 * octaves); None of a run without.

    With `mode` of the sessions with windows of that operating mode, and of these windows; None of one that was recalibrated.
    """
    if not (folder / OCTAVES).is_file():
        return None
    rows = _of_mode(_rows(folder / OCTAVES, "keeps no levels"), mode)
    return np.array([row[1:] if mode is None else row[2:] for row in rows], float) if rows else None


def octaves_without(folder: Path, modes: Container[int]) -> bytes | None:
    """The file of levels and crossings of a run with operating modes, without some of these; None where nothing is left."""
    if not (folder / OCTAVES).is_file():
        return None
    header, *rows = _rows(folder / OCTAVES, "keeps no levels", header=True)
    kept = [row for row in rows if int(row[1]) not in modes] if header[1] == "mode" else []
    return _table(header, kept) if kept else None


def _of_mode(rows: list[list[str]], mode: int | None) -> list[list[str]]:
    """Rows of sessions with an operating mode behind their names, those of one mode alone."""
    return rows if mode is None else [row for row in rows if row[1] == str(mode)]


def calibration_sessions(folder: Path) -> list[np.ndarray]:
    """Scores of a run's calibration, an array a session.

    Raises:
        RunError: For a run without: a classifier's, or one from before they were kept.
    """
    sessions: dict[str, list[float]] = {}
    for name, score, *_ in _rows(folder / SCORES, NO_SCORES):
        sessions.setdefault(name, []).append(float(score))
    return [np.array(scores) for scores in sessions.values()]


def calibration_stops(folder: Path) -> list[np.ndarray]:
    """How often the machine was off before each window of a run's calibration, an array (n,) for each of its sessions.

    Raises:
        RunError: For a run that keeps no scores of its calibration.
    """
    stops: dict[str, list[int]] = {}
    if (folder / STOPS).is_file():
        for name, window in _rows(folder / STOPS, "keeps no stops"):
            stops.setdefault(name, []).append(int(window))
    windows = Counter(row[0] for row in _rows(folder / SCORES, NO_SCORES))
    return [
        np.searchsorted(np.sort(stops.get(name, [])), np.arange(count), side="right") for name, count in windows.items()
    ]


def _after_stops(off_before: np.ndarray) -> list[int]:
    """The windows of a session that are the first after the machine was off, (n,) -> places."""
    return (np.flatnonzero(np.diff(off_before)) + 1).tolist()


def calibration_by_mode(folder: Path) -> dict[int, list[np.ndarray]]:
    """Scores of a run's calibration by operating mode, an array for each session that has windows of it; raises as
    `named_by_mode`."""
    return {mode: list(sessions.values()) for mode, sessions in named_by_mode(folder).items()}


def named_by_mode(folder: Path) -> dict[int, dict[str, np.ndarray]]:
    """Scores of a run's calibration by operating mode and session.

    Raises:
        RunError: For a run without, or one from before modes were kept.
    """
    rows = _rows(folder / SCORES, NO_SCORES)
    if rows and len(rows[0]) < 3:
        raise RunError(f"{folder} keeps scores of its calibration without their operating modes: run it again")
    sessions: dict[tuple[str, str], list[float]] = {}
    for name, score, mode in rows:
        sessions.setdefault((mode, name), []).append(float(score))
    found: dict[int, dict[str, np.ndarray]] = {}
    for (mode, name), scores in sessions.items():
        found.setdefault(int(mode), {})[name] = np.array(scores)
    return found


def calibration_features(
    folder: Path, columns: Sequence[int] | None = None, log: str | Path = "the log", mode: int | None = None
) -> np.ndarray:
    """Mean int8 inputs of a run's calibration sessions, (sessions, inputs), or those of some `columns` that a log has.

    With `mode` of the sessions with windows of that operating mode, and of these windows.

    Raises:
        RunError: For a run without.
        DataError: For columns that its calibration does not have.
    """
    header, *rows = _rows(
        folder / FEATURES,
        "keeps no features of its calibration: it takes raw samples, was recalibrated on a log without, or is an older run",
        header=True,
    )
    first = 1 if mode is None else 2
    names, rows = header[first:], _of_mode(rows, mode)
    if columns is None:
        return np.array([row[first:] for row in rows], float)
    missing = [column for column in columns if f"f{column}" not in names]
    if missing:
        if names == [f"f{place}" for place in range(len(names))]:
            raise DataError(f"{log}: column 'f{missing[0]}' is of another model; this one's end at {names[-1]!r}")
        raise DataError(
            f"{log}: column 'f{missing[0]}' was not in the log that {folder} was recalibrated on: {', '.join(names)}"
        )
    return np.array([[row[first + names.index(f"f{column}")] for column in columns] for row in rows], float)


def _means_table(
    header: Sequence[str], keys: Sequence[Sequence[str]], means: Iterable[np.ndarray], modes: bool
) -> bytes:
    """Means by session, and behind it by operating mode where there are `modes`."""
    rows = ((*key, *(f"{mean:.6g}" for mean in each)) for key, each in zip(keys, means))
    return _table(("session", *(("mode",) if modes else ()), *header), rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str | int]]) -> bytes:
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
