"""A device's scores come home: does its threshold still hold, and if not, what is to be done."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from micro.baseline import calibration_heard, calibration_sessions
from micro.detect import Threshold, calibrate
from micro.detector import make_detector
from micro.drift import PSI_MUCH, PSI_SOME, Look, watch
from micro.emission import emit
from micro.errors import DataError, RunError
from micro.files import json_bytes, sha256, write_bytes
from micro.score import read_run
from micro.scoring import score_from_config
from micro.signal import FrontEnd

Advice = Literal["steady", "recalibrate", "renew"]
# A threshold may move by this factor and the student still tell faults from health; beyond, it hears something new.
FARTHEST = 1.5
SESSIONS = ("session", "file", "recording")
# What the model hears, int8.
FEATURE = re.compile(r"f(0|[1-9]\d{0,4})")
_Window = tuple[float, list[float]]


@dataclass(frozen=True)
class Monitoring:
    """What a log says of a run: the looks taken, the advice and why, and the threshold that a recalibration would set.

    `drifted_after` counts windows from the log's start to the look that found drift; `alarms` is the share of the recent
    windows above the run's threshold; `faults` counts rows without a score; `features` names those that were logged.
    """

    advice: Advice
    why: str
    looks: tuple[Look, ...]
    drifted_after: int | None
    alarms: float
    threshold: float
    recalibrated: Threshold | None
    windows: int
    sessions: int
    faults: int
    features: tuple[str, ...]


@dataclass(frozen=True)
class Log:
    """Scores of windows, an array a session in order of their first row; rows without a score, which are faults.

    `columns` are the features logged, by their places among the model's inputs; `heard` their means over each session,
    (sessions, columns).
    """

    sessions: tuple[np.ndarray, ...]
    faults: int
    columns: tuple[int, ...]
    heard: np.ndarray


def monitor(
    run_folder: str | Path,
    log: str | Path,
    *,
    false_alarm_rate: float = 0.01,
    every: int = 4,
    recent: int = 8,
    seed: int = 0,
) -> Monitoring:
    """Compare a device's log of scores with those that a run's threshold was calibrated on.

    The log is a CSV file with a header, or JSON lines, with a row a window: `score` in real units, or `raw_score` in the
    chip's whole numbers; `session`, the start of the machine that the window belongs to. Without sessions the log is cut into
    stretches as long as calibration's. Rows without a score are faults of the sensor, and counted. Columns `f0`, `f1`, ... are
    what the model heard, int8 as on the chip; any of them will do, and drift that leaves the scores alone is seen by them.

    Args:
        false_alarm_rate: Chance that a log like calibration's is ever said to drift, over all looks.
        every, recent: Sessions between looks, and sessions that a look takes in.

    Raises:
        RunError: If the folder is no finished run of a detector.
        DataError: Names file and row of what cannot be read, or where the log is too short for one look.
    """
    folder = Path(run_folder)
    report, config = read_run(folder)
    reference = calibration_sessions(folder)
    unit = report["detector"]["score"]["unit"] if report["detector"] else None
    told = read_log(log, unit, int(np.median([len(scores) for scores in reference])))
    if len(told.sessions) < every:
        raise DataError(
            f"{log}: {len(told.sessions)} sessions are too few for a look, which takes {every}; log more, or look oftener"
        )
    heard = (_calibration_heard(folder, told.columns, log), told.heard) if told.columns else None
    looks = watch(
        reference,
        told.sessions,
        heard=heard,
        false_alarm_rate=false_alarm_rate,
        every=every,
        recent=recent,
        seed=seed,
    )
    names = FrontEnd(**report["features"]).names if told.columns else ()
    features = tuple(names[column] for column in told.columns)
    seen = len(looks) * every
    latest = np.concatenate(told.sessions[max(0, seen - recent) : seen])
    threshold = float(report["threshold"])
    rate = config.detect.false_alarm_rate
    renewed = _recalibrated(latest, rate)
    advice, why = _advise(looks[-1], latest, threshold, rate, renewed, np.concatenate(reference), features)
    return Monitoring(
        advice,
        why,
        looks,
        looks[-1].windows if looks[-1].drifted else None,
        float(np.mean(latest > threshold)),
        threshold,
        renewed,
        sum(map(len, told.sessions)),
        len(told.sessions),
        told.faults,
        features,
    )


def recalibrate(run_folder: str | Path, threshold: Threshold, out: str | Path) -> Path:
    """A copy of a run with another threshold in report, detector and header; its firmware is made anew from there.

    Raises:
        RunError: If the folder is no finished run with a detector, or `out` exists.
    """
    folder, out = Path(run_folder), Path(out)
    report, config = read_run(folder)
    if report["detector"] is None:
        raise RunError(f"{folder} has no detector whose threshold could change")
    if out.exists():
        raise RunError(f"{out} exists; choose another folder for the recalibrated run")
    told = config.detect.model_dump(exclude={"false_alarm_rate", "method"})
    told["saturation"] = report["detector"]["saturation"]
    detector = make_detector(score_from_config(report["detector"]["score"]), threshold, **told)
    report["threshold"] = threshold.value
    report["detector"] = {**dataclasses.asdict(detector), "real_threshold": threshold.value}
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".recalibrated-") as staged_name:
        staged = Path(staged_name) / "run"
        shutil.copytree(folder, staged)
        emit(
            staged / "student_int8.tflite",
            staged / "firmware",
            config.firmware.name,
            constants={"threshold": threshold.value},
        )
        write_bytes(staged / "report.json", json_bytes(report))
        (staged / "report.html").unlink(missing_ok=True)  # its charts are of the threshold that was
        manifest = json.loads((staged / "manifest.json").read_text())
        files = [path for path in sorted(staged.rglob("*")) if path.is_file() and path.name != "manifest.json"]
        manifest["sha256"] = {str(path.relative_to(staged)): sha256(path.read_bytes()) for path in files}
        write_bytes(staged / "manifest.json", json_bytes(manifest))
        staged.rename(out)
    return out


def _calibration_heard(folder: Path, columns: Sequence[int], log: str | Path) -> np.ndarray:
    """Mean features of a run's calibration sessions, those logged; DataError where the log names others."""
    known = calibration_heard(folder)
    beyond = [column for column in columns if column >= known.shape[1]]
    if beyond:
        raise DataError(f"{log}: column 'f{beyond[0]}' is of another model; this one's end at 'f{known.shape[1] - 1}'")
    return np.asarray(known[:, list(columns)])


def read_log(path: str | Path, unit: float | None, block: int) -> Log:
    """A log's scores, session by session, and what was heard.

    Args:
        unit: What a raw score is multiplied by; None where there are none.
        block: Windows a session where the log names none.

    Raises:
        DataError: Names file and row of what cannot be read.
    """
    path = Path(path)
    sessions: dict[str, list[_Window]] = {}
    unnamed: list[_Window] = []
    columns: tuple[int, ...] | None = None
    faults = 0
    for row, told in _rows(path):
        score = _score(told, unit, path, row)
        if score is None:
            faults += 1
            continue
        if columns is None:
            columns = tuple(sorted(int(name[1:]) for name in told if name and FEATURE.fullmatch(name)))
        name = next((str(told[column]) for column in SESSIONS if told.get(column) not in (None, "")), None)
        window = score, [_feature(told, f"f{column}", path, row) for column in columns]
        (unnamed if name is None else sessions.setdefault(name, [])).append(window)
    if unnamed and sessions:
        raise DataError(f"{path}: some rows name a session and some do not")
    named = list(sessions.values())
    found = named or [unnamed[start : start + block] for start in range(0, len(unnamed) - block + 1, block)]
    if not found:
        raise DataError(f"{path} holds {len(unnamed)} scores, too few for a session of {block}")
    scores = tuple(np.array([score for score, _ in session]) for session in found)
    heard = np.array([np.mean([values for _, values in session], axis=0) for session in found])
    return Log(scores, faults, columns or (), heard)


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not text: {error.reason} at byte {error.start}") from None
    lines = text.splitlines()
    if next((line.lstrip()[:1] for line in lines if line.strip()), "") == "{":
        yield from _json_rows(path, lines)
        return
    reader = csv.DictReader(lines)
    columns = reader.fieldnames or []
    if not {"score", "raw_score"} & set(columns):
        raise DataError(f"{path}: no column 'score' or 'raw_score' among {', '.join(columns) or 'no columns'}")
    yield from enumerate(reader, start=2)


def _json_rows(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for row, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            told = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, row {row} is not JSON: {error}") from None
        if not isinstance(told, dict):
            raise DataError(f"{path}, row {row} is not an object with a score")
        yield row, told


def _score(told: Mapping[str, Any], unit: float | None, path: Path, row: int) -> float | None:
    """A row's score in real units; None where the sensor was at fault."""
    for column, factor in (("score", 1.0), ("raw_score", unit)):
        value = told.get(column)
        if value is None or value == "":
            continue
        score = _number(value, column, path, row)
        if factor is None:
            raise DataError(f"{path}, row {row}: raw scores need a run whose student is int8")
        return score * factor if math.isfinite(score) else None
    return None


def _feature(told: Mapping[str, Any], column: str, path: Path, row: int) -> float:
    value = _number(told.get(column), column, path, row)
    if not math.isfinite(value):
        raise DataError(f"{path}, row {row}: {column} is {value}, which no model hears")
    return value


def _number(value: Any, column: str, path: Path, row: int) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise DataError(f"{path}, row {row}: {column} {value!r} is not a number") from None


def _recalibrated(latest: np.ndarray, rate: float) -> Threshold | None:
    """A threshold from the recent windows, by the run's promise; None where they are too few for it."""
    try:
        return calibrate(latest, rate, "conformal")
    except ValueError:
        return None


def _advise(
    look: Look,
    latest: np.ndarray,
    threshold: float,
    rate: float,
    renewed: Threshold | None,
    reference: np.ndarray,
    features: Sequence[str],
) -> tuple[Advice, str]:
    alarms = float(np.mean(latest > threshold))
    distance = f"KS distance {look.ks:.2f}, wander {look.wander:.1f}, p {look.p:.2g} at look {look.number}"
    if not look.drifted:
        return "steady", (
            f"no look found drift: {distance}, where {look.level:.2g} would tell; {alarms:.1%} of the recent windows are above "
            f"the threshold, {rate:.1%} were promised"
        )
    if look.shift is not None and not look.scores_drifted:
        return "renew", (
            f"the scores hold ({distance}), but what the student hears does not: {features[look.shift.feature]} moved by "
            f"{look.shift.spreads:+.1f} of the spreads between sessions (p {look.shift.p:.2g}). Its promise to find faults was "
            "tested on other sounds. Look at machine, speed and sensor first; if all are as they will stay, record and train a "
            "new student"
        )
    moved = (
        f"the median score went from {np.median(reference):.4g} to {np.median(latest):.4g} ({distance}; stability index "
        f"{look.psi:.2f}, {_words(look.psi)})"
    )
    if renewed is None:
        return "renew", (
            f"{moved}, and the recent windows are too few for a threshold at {rate:.1%}: log more, or record and train anew"
        )
    ratio = renewed.value / threshold
    told = (
        f"to keep {rate:.1%} of false alarms the threshold would go from {threshold:.4g} to {renewed.value:.4g}, "
        f"a factor of {ratio:.2f}"
    )
    if 1 / FARTHEST <= ratio <= FARTHEST:
        return "recalibrate", (
            f"{moved}; {told}: near enough for the student to tell faults as before. If the machine was sound while this was "
            "logged, recalibrate"
        )
    side = "above" if ratio > 1 else "below"
    return "renew", (
        f"{moved}; {told}, {side} what a threshold can make up for: the student hears what it has not learnt. Look at machine "
        "and sensor first; if both are sound, record and train a new student"
    )


def _words(psi: float) -> str:
    return "hardly moved" if psi < PSI_SOME else "moved" if psi < PSI_MUCH else "moved far"
