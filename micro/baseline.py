"""What a run keeps of its calibration, for a device's log to be compared with: scores, and what the model heard."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from micro.errors import RunError
from micro.graph import TfliteLike, read
from micro.prepare import Prepared
from micro.tflm import quantize_inputs

SCORES, HEARD = "calibration.csv", "calibration_features.csv"


def baseline_files(data: Prepared, scores: np.ndarray, tflite: TfliteLike) -> dict[str, bytes]:
    """The files' contents by name: a row of session and score for each window of the calibration, and a row for each session
    with the means of the model's int8 inputs; the latter where inputs are features, not samples, and int8."""
    origins = data.calibration.origins
    rows = ((origin, repr(float(score))) for origin, score in zip(origins, scores))
    files = {SCORES: _table(("session", "score"), rows)}
    graph = read(tflite)
    if data.features.kinds != ("raw",) and graph.tensors[graph.inputs[0]].dtype == "int8":
        inputs = quantize_inputs(graph, data.calibration.x)[0].reshape(len(origins), -1)
        means = ((origin, inputs[np.array(origins) == origin].mean(axis=0)) for origin in dict.fromkeys(origins))
        header = ("session", *(f"f{place}" for place in range(inputs.shape[1])))
        files[HEARD] = _table(header, ((origin, *(f"{mean:.6g}" for mean in found)) for origin, found in means))
    return files


def calibration_sessions(folder: Path) -> list[np.ndarray]:
    """Scores of a run's calibration, an array a session.

    Raises:
        RunError: For a run without: a classifier's, or one from before they were kept.
    """
    sessions: dict[str, list[float]] = {}
    for name, score in _rows(
        folder / SCORES, "keeps no scores of its calibration: it is a classifier's run, or an older one"
    ):
        sessions.setdefault(name, []).append(float(score))
    return [np.array(scores) for scores in sessions.values()]


def calibration_heard(folder: Path) -> np.ndarray:
    """Mean int8 inputs of a run's calibration sessions, (sessions, inputs).

    Raises:
        RunError: For a run without.
    """
    rows = _rows(folder / HEARD, "keeps no features of its calibration: it hears raw samples, or is an older run")
    return np.array([row[1:] for row in rows], float)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue().encode()


def _rows(path: Path, missing: str) -> list[list[str]]:
    if not path.is_file():
        raise RunError(f"{path.parent} {missing}; run it anew")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]
