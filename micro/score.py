"""A finished run's int8 student over new recordings: score and alarm by window."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from micro.config import Config, RigData, TableData
from micro.datasets import table
from micro.datasets.find import short_names
from micro.errors import RunError
from micro.evaluate import chip_judge
from micro.prepare import cut, file_scalings
from micro.runs.told import config_kept
from micro.signal import Scaling
from micro.tflm import run


@dataclass(frozen=True)
class Scored:
    """One window: `row` and `seconds` tell where it begins in its file; `result` is 'alarm', 'ok' or a class name."""

    file: str
    row: int
    seconds: float
    score: float
    result: str


def score(run_folder: str | Path, files: Sequence[str | Path], *, channel: str | None = None) -> list[Scored]:
    """Score recordings with the int8 student of a run, in TFLite Micro.

    Files are read as the run's config says; runs of the built-in jobs take CSV or .npz files with one channel, or the
    one named by `channel`, at the run's sample rate. For a classifier the score is the winning logit's lead. Files are
    called by their names, or by as much of their paths as tells them apart.

    Raises:
        RunError: If the folder is no finished run.
        DataError: Names file and row of what cannot be scored.
    """
    folder = Path(run_folder)
    report, config = read_run(folder)
    shared = Scaling(tuple(report["scaling"]["centre"]), tuple(report["scaling"]["spread"]))
    tables = _table_config(config, report, files, channel)
    channels = tuple(report["data"]["channels"]) if config.job == "table" else ()
    model = folder / "student_int8.tflite"
    scored: list[Scored] = []
    recordings, found, _ = table.load(tables, config.features.window, channels, short_names(files))
    if not channels and len(found) != 1:
        raise RunError(
            f"the run has one channel, the files have {len(found)}: {', '.join(found)}; name one with --channel"
        )
    expected = float(report["data"]["sample_rate"])
    features = config.features.front_end(len(found), expected)
    own = file_scalings(recordings, features) if tables.scaling == "per_file" else {}
    for recording in recordings:
        if abs(recording.sample_rate / expected - 1) > 0.01:
            raise RunError(f"{recording.name} is sampled at {recording.sample_rate:g} Hz, the run at {expected:g} Hz")
        frames, starts = cut(recording, features)
        if not len(frames):
            continue
        values = features(frames)
        if recording.name in own:
            values = own[recording.name](values)
        x = shared(values)
        for start, (value, result) in zip(starts, _judge(model, x, report)):
            row = int(start) + recording.start
            scored.append(Scored(recording.name, row, row / recording.sample_rate, value, result))
    return scored


def to_csv(scored: Sequence[Scored]) -> bytes:
    """Rows of file, row, seconds, score and result, with a header."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("file", "row", "seconds", "score", "result"))
    writer.writerows((s.file, s.row, f"{s.seconds:.6f}", f"{s.score:.6g}", s.result) for s in scored)
    return out.getvalue().encode()


def read_run(folder: Path) -> tuple[dict[str, Any], Config]:
    """Report and config of a finished run; RunError if the folder is not one."""
    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        return report, config_kept(manifest["config"], folder)
    except OSError as error:
        raise RunError(f"{folder} is not a finished run: {error.filename}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{folder} is damaged: {error}") from None


def _table_config(
    config: Config, report: dict[str, Any], files: Sequence[str | Path], channel: str | None
) -> TableData:
    """How to read the files: as the run read its own, without what only training needs."""
    names = tuple(str(file) for file in files)
    if isinstance(config.data, TableData):
        unlabelled = {"files": names, "label_column": None, "faulty_files": (), "on_constant": "keep"}
        if config.data.scaling == "all":
            # Which rows are healthy says nothing about files of another length.
            unlabelled["healthy_rows"] = ()
        return config.data.model_copy(update=unlabelled)
    assert config.job == "cwru" or isinstance(config.data, RigData)
    return TableData(
        files=names,
        columns=(channel,) if channel else (),
        sample_rate=report["data"]["sample_rate"],
        healthy_files=("*",),
        on_constant="keep",
    )


def _judge(model: Path, x: np.ndarray, report: dict[str, Any]) -> Iterator[tuple[float, str]]:
    names = report["data"]["class_names"]
    if names:
        outputs = run(model, x)
        ordered = np.sort(outputs, axis=1)
        for value, winner in zip(ordered[:, -1] - ordered[:, -2], outputs.argmax(axis=1)):
            yield float(value), names[winner]
    else:
        threshold = report["threshold"]
        for value in chip_judge(model, names)(x):
            yield float(value), "alarm" if value > threshold else "ok"
