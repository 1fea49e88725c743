"""What a run keeps of its test: the int8 student's score of every window, and digests of the files that data are from."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from micro.config import Config, CwruData
from micro.errors import DataError, RunError
from micro.support.files import file_sha256, json_bytes, sha256

if TYPE_CHECKING:
    from micro.datasets.prepared import Prepared
    from micro.runs.evaluate import Evaluation

NAME = "test_scores.csv"
# What simulated data are called among digests.
SIMULATED = "simulated"


@dataclass(frozen=True)
class KeptScores:
    """A run's test, window by window.

    Attributes:
        recordings: The recording of each, (n,) str.
        places: Its place among the windows of its recording, (n,) int.
        recorded: What is recorded of it, (n, columns): 0 healthy, 1 faulty, -1 not known; a class by its number; numbers; of
            several labels 0 or 1 each.
        given: What the int8 student gives, (n, columns): the anomaly score, the likeliest class, numbers, or logits.
    """

    recordings: np.ndarray
    places: np.ndarray
    recorded: np.ndarray
    given: np.ndarray


def scores_file(evaluation: Evaluation, data: Prepared) -> bytes | None:
    """The file's content: a row for each test window with its recording, place, what is recorded and what the student gives;
    None of text."""
    if data.text is not None:
        return None
    windows = data.test
    places = np.arange(len(windows)) if windows.places is None else windows.places
    names = _columns(data)
    recorded, given = (
        np.asarray(side).reshape(len(windows), len(names)) for side in (windows.labels, evaluation.scores)
    )
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    kinds = [f"{side}{': ' if name else ''}{name}" for side in ("recorded", "given") for name in names]
    writer.writerow(("recording", "place", *kinds))
    for row in zip(windows.origins, places.tolist(), recorded.tolist(), given.tolist()):
        cells = [f"{value:.9g}" for side in row[2:] for value in side]
        writer.writerow((row[0], row[1], *cells))
    return out.getvalue().encode()


def _columns(data: Prepared) -> Sequence[str]:
    """What is recorded and given of a window: one number, or one for each label or target."""
    if data.label_names:
        return data.label_names
    if data.target is not None and len(data.target.each) > 1:
        return [target.name for target in data.target.each]
    return [""]


def read_scores(folder: Path) -> KeptScores | None:
    """The scores that a run has kept; None of one that has none: on text, or of an earlier version.

    Raises:
        RunError: For a damaged file.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        with path.open(encoding="utf-8", newline="") as file:
            _, *rows = list(csv.reader(file))
        numbers = np.array([row[2:] for row in rows], float)
        places = np.array([int(row[1]) for row in rows])
        recorded, given = np.split(numbers, 2, axis=1)
    except (OSError, ValueError, IndexError, csv.Error) as error:
        raise RunError(f"{path} is damaged: {error}") from None
    return KeptScores(np.array([row[0] for row in rows]), places, recorded, given)


def data_digests(config: Config) -> dict[str, str]:
    """The SHA-256 of every file that a config's data are read from, by the name of its recording; of simulated ones that of
    their settings. Files that are not there any more are left out."""
    from micro.datasets.find import find_files

    data = config.data
    patterns = getattr(data, "files", ("*.mat",) if isinstance(data, CwruData) else ())
    if not patterns:
        return {SIMULATED: sha256(json_bytes([data.model_dump(mode="json"), config.seed]))}
    found: dict[str, str] = {}
    folder = getattr(data, "folder", ".")
    intervals = getattr(data, "intervals", None)
    if intervals is not None and (digest := _digest(Path(folder, intervals))) is not None:
        found[f"intervals: {intervals}"] = digest
    for each in (patterns, getattr(data, "unlabeled_files", ()), *(source.files for source in config.sources)):
        try:
            named = find_files(each, folder) if each else {}
        except DataError:
            continue
        for path, name in named.items():
            digest = _digest(path)
            if digest is not None:
                found[name] = digest
    return found


def _digest(path: Path) -> str | None:
    try:
        return file_sha256(path)
    except OSError:
        return None
