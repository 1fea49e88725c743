"""A finished run's int8 student over new recordings: score and alarm by window."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micro.config import PICTURES, Config, FilesData, GroupedData, RegressionData, RigData, TableData
from micro.datasets import table
from micro.datasets.find import short_names
from micro.datasets.missing import missing_notes
from micro.datasets.pieces import Target
from micro.datasets.recording import Recording, cut
from micro.datasets.regression import load_to_score
from micro.datasets.sources import join
from micro.datasets.split import file_scalings
from micro.datasets.views import Views, release
from micro.detection.detector import Detector, Status, decide, stand_in
from micro.detection.estimator import Estimator
from micro.detection.outcome import Decider
from micro.detection.recognizer import NO_CLASS, Recognizer, recognize
from micro.detection.threshold import Threshold, reconstruction_error
from micro.errors import DataError, RunError
from micro.runs.device import faults_of
from micro.runs.evaluate import run_inputs
from micro.runs.finished import read_run
from micro.runs.run_report import RunReport
from micro.signal import AnyFrontEnd, Frames, Scaling
from micro.signal.joined import counts_of, features_of, int8_of
from micro.tflite.graph import read
from micro.tflite.integers import dequantize, quantize_inputs

FAULT = "sensor fault"
# Samples of windows, overlaps included, that are scored at a time.
SAMPLES_AT_ONCE = 1 << 24
# Significant digits of estimates in a table: an offset may be large beside what changes.
NUMBER_DIGITS = 10


@dataclass(frozen=True)
class Scored:
    """One window: `row` and `seconds` say where it begins in its file; a picture is a window of its own, without a time.

    Attributes:
        score: In real units, a regression's number; None where the sensor is at fault, as the firmware sees it.
        above_threshold: Whether this window alone is above the threshold, a recognizer's the one of its class; None without a
            score or a threshold.
        alarm: Whether the detector is in alarm after it, as the firmware is: k of the last n windows of its file.
        result: 'alarm' or 'ok', a classifier's likeliest class, 'estimate', or 'sensor fault'.
        recognized: The class that the firmware's recognizer reports after it, '' where it reports none; None where the
            firmware has no recognizer.
        low, high: Ends of the interval around a regression's number.
    """

    file: str
    row: int
    seconds: float | None
    score: float | None
    above_threshold: bool | None
    alarm: bool | None
    result: str
    recognized: str | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Scores:
    """Scored windows in their order, and sentences on what of the files was left out or filled in."""

    windows: tuple[Scored, ...]
    notes: tuple[str, ...]


def score(run_folder: str | Path, files: Sequence[str | Path], *, channel: str | None = None) -> list[Scored]:
    """As `score_noted`, without the notes."""
    return list(score_noted(run_folder, files, channel=channel).windows)


def score_noted(run_folder: str | Path, files: Sequence[str | Path], *, channel: str | None = None) -> Scores:
    """Score recordings with the int8 student of a run, in TFLite Micro, and count alarms as its firmware does, file by file.

    Files are read as the run's config says, a regression's run by run; runs of the built-in jobs take CSV or .npz files with
    one channel, or the one named by `channel`, at the run's sample rate. For a classifier the score is the winning logit's
    lead. Files are called by their names, or by as much of their paths as makes them unique.

    Raises:
        RunError: If the folder is no finished run.
        DataError: Names file and row of what cannot be scored, or says that no window is whole.
    """
    folder = Path(run_folder)
    report, config = read_run(folder)
    names = short_names(files)
    _require_kind(list(names), config)
    tables = _table_config(config, report, files, channel)
    channels = report.data.channels if config.job == "table" else ()
    size = report.data.image_size
    window = config.features.window if size is None else 1
    if isinstance(config.data, RegressionData):
        recordings, found, notes = load_to_score(config.data, window, channels, names)
    else:
        recordings, found, notes = table.load(tables, window, channels, names)
    if not channels and len(found) != 1:
        raise RunError(
            f"the run has one channel, the files have {len(found)}: {', '.join(found)}; name one with --channel"
        )
    expected = report.data.sample_rate
    joined = join(
        recordings,
        config.features.front_end(len(found), expected, size),
        {name: path for path, name in names.items()},
        tables,
        config.sources,
        report.data.sources,
    )
    recordings, features = joined.recordings, joined.features
    scalings = file_scalings(recordings, features, Views(features)) if tables.scaling == "per_file" else {}
    student = _student(folder, report, config)
    by_file: dict[str, list[tuple[np.ndarray, ...]]] = {}
    for recording in recordings:
        rate = recording.sample_rate
        _require_alike(recording, expected, size)
        frames, starts = cut(recording, features)
        if len(frames):
            rows = recording.rows[starts]
            stretch = (
                rows,
                np.full(len(starts), np.nan) if rate is None else recording.start_seconds + starts / rate,
                *_in_parts(student, features, frames, scalings.get(recording.name)),
            )
            by_file.setdefault(recording.name, []).append(stretch)
    notes = (*notes, *joined.notes, *missing_notes(recordings, features))
    if not by_file:
        raise DataError(f"no window can be scored: {notes[-1]}")
    made = (window for name, stretches in by_file.items() for window in _windows(name, stretches, student))
    return Scores(tuple(made), notes)


def _require_kind(paths: Sequence[Path], config: Config) -> None:
    """RunError for a picture where the run learned from something else, and the other way round."""
    pictures = isinstance(config.data, FilesData) and config.data.pictures
    if isinstance(config.data, FilesData) and config.data.image_size is not None:
        return  # Whatever they are called: what is no picture is refused where it is read.
    other = next((path for path in paths if (path.suffix.lower() in PICTURES) != pictures), None)
    if other is not None:
        kinds = (
            ("pictures", f"files that end in {', '.join(PICTURES)}") if pictures else ("tables or sound", "such files")
        )
        raise RunError(
            f"{other} is {'not called as ' if pictures else ''}a picture; the run learned from {kinds[0]}, score {kinds[1]}"
        )


def _require_alike(recording: Recording, rate: float | None, size: tuple[int, int] | None) -> None:
    """RunError for a recording at another rate than the run's, or a picture of another size."""
    own = recording.sample_rate
    if own is not None and rate is not None and abs(own / rate - 1) > 0.01:
        raise RunError(f"{recording.name} is sampled at {own:g} Hz, the run at {rate:g} Hz")
    if recording.image_size != size and recording.image_size is not None and size is not None:
        (height, width), (wanted, wide) = recording.image_size, size
        raise RunError(
            f"{recording.name} has {height} x {width} pixels, the run's pictures {wanted} x {wide}; resize it, or run again "
            f"with image_size = {list(size)}, which resizes all"
        )


def _windows(name: str, stretches: Sequence[tuple[np.ndarray, ...]], student: _Student) -> Iterator[Scored]:
    """A file's windows in their order, with what a detector or recognizer reports that is reset for it."""
    rows, seconds, scores, raw, faulty, likeliest, candidates = (np.concatenate(parts) for parts in zip(*stretches))
    decider = student.decider
    alarms: list[bool | None] = [None] * len(rows)
    above: list[bool | None] = [None] * len(rows)
    recognized: list[str | None] = [None] * len(rows)
    if isinstance(decider, Detector):
        alarms = [status == Status.ALARM for status in decide(decider, raw, faulty)]
        above = (raw > decider.threshold).tolist()
    elif isinstance(decider, Recognizer):
        reported = recognize(decider, candidates, faulty)[1]
        recognized = ["" if number == NO_CLASS else decider.class_names[number] for number in reported]
        above = (candidates != NO_CLASS).tolist()
    for place, fault in enumerate(faulty):
        where = (name, int(rows[place]), None if np.isnan(seconds[place]) else float(seconds[place]))
        if fault:
            yield Scored(*where, None, None, None, FAULT, recognized[place])
            continue
        if student.target is not None:
            number = float(scores[place])
            ends = decider.interval(number) if isinstance(decider, Estimator) else (None, None)
            yield Scored(*where, number, None, None, "estimate", None, *ends)
            continue
        result = student.names[likeliest[place]] if student.names else "alarm" if alarms[place] else "ok"
        yield Scored(*where, float(scores[place]), above[place], alarms[place], result, recognized[place])


def to_csv(scored: Sequence[Scored]) -> bytes:
    """Rows of file, row, seconds, score, above_threshold, alarm and result, with a header.

    Those of a recognizer have `recognized` as well, those of an estimator `low` and `high`.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    last = [name for name in ("recognized", "low", "high") if any(getattr(s, name) is not None for s in scored)]
    writer.writerow(("file", "row", "seconds", "score", "above_threshold", "alarm", "result", *last))
    for s in scored:
        digits = 6 if s.low is None else NUMBER_DIGITS
        value = "" if s.score is None else f"{s.score:.{digits}g}"
        flags = ("" if flag is None else int(flag) for flag in (s.above_threshold, s.alarm))
        more = (f"{cell:.{digits}g}" if isinstance(cell := getattr(s, name), float) else cell for name in last)
        seconds = "" if s.seconds is None else f"{s.seconds:.6f}"
        writer.writerow((s.file, s.row, seconds, value, *flags, s.result, *more))
    return out.getvalue().encode()


def _table_config(config: Config, report: RunReport, files: Sequence[str | Path], channel: str | None) -> TableData:
    """How to read the files: as the run read its own, without what only training needs."""
    names = tuple(str(file) for file in files)
    if isinstance(config.data, GroupedData):
        reading = config.data.model_dump(include=set(FilesData.model_fields) - {"on_short"})
        return TableData(
            **{**reading, "files": names, "label_column": None, "on_constant": "keep"}, healthy_files=("*",)
        )
    if isinstance(config.data, TableData):
        unlabeled = {"files": names, "label_column": None, "on_constant": "keep"}
        unlabeled |= {"faulty_files": (), "known_faults": ()}
        if config.data.scaling == "all":
            # Which rows are healthy says nothing about files of another length.
            unlabeled["healthy_rows"] = ()
        return config.data.model_copy(update=unlabeled)
    assert config.job == "cwru" or isinstance(config.data, RigData)
    return TableData(
        files=names,
        columns=(channel,) if channel else (),
        sample_rate=report.data.sample_rate,
        healthy_files=("*",),
        on_constant="keep",
    )


@dataclass(frozen=True)
class _Student:
    """A run's student with what is before and behind it: scaling, and what decides, which is the firmware's if `on_chip`."""

    model: Path
    scaling: Scaling
    names: tuple[str, ...]
    target: Target | None
    decider: Decider | None
    on_chip: bool


def _student(folder: Path, report: RunReport, config: Config) -> _Student:
    """What decides is the firmware's; a detector that counts alike where the student is not int8; none of such a classifier."""
    decider: Decider | None = report.detector or report.recognizer or report.estimator
    on_chip = decider is not None
    if decider is None and report.threshold is not None:
        settings = config.detect.model_dump(exclude={"false_alarm_rate", "method"})
        decider = stand_in(Threshold(report.threshold, ""), **settings)
    return _Student(
        folder / "student_int8.tflite", report.scaling, report.data.class_names, report.data.target, decider, on_chip
    )


def _in_parts(student: _Student, features: AnyFrontEnd, frames: Frames, own: Scaling | None) -> tuple[np.ndarray, ...]:
    """As `_scores`, for so few windows at a time that copies of their samples do not fill the memory."""
    step = max(1, SAMPLES_AT_ONCE // (features.window * features.channels))
    parts = []
    for start in range(0, len(frames), step):
        parts.append(_scores(student, features, frames[start : start + step], own))
        release(frames)
    return tuple(np.concatenate(column) for column in zip(*parts))


def _scores(student: _Student, features: AnyFrontEnd, frames: Frames, own: Scaling | None) -> tuple[np.ndarray, ...]:
    """Scores in real units and in the detector's, faults, likeliest classes by number, and those that a recognizer counts:
    (n, window, channels) -> (n,) each."""
    decider = student.decider
    sensed = counts_of(features, frames) if student.on_chip else frames
    faulty = faults_of(decider, sensed) if decider is not None else np.zeros(len(frames), int)
    good = faulty == 0
    scores, classes, candidates = np.zeros(len(frames)), np.zeros(len(frames), int), np.full(len(frames), NO_CLASS)
    raw = np.zeros(len(frames), np.int64 if student.on_chip else float)
    if not good.any():
        return scores, raw, faulty, classes, candidates
    graph = read(student.model)
    quantization = graph.tensors[graph.inputs[0]].quantization
    values = features_of(features, frames[good])
    x = student.scaling(values if own is None else own(values))
    inputs = quantize_inputs(graph, x)[0]
    if student.on_chip and own is None and quantization is not None:
        grid = (quantization.scale[0], quantization.zero_point[0])
        inputs = int8_of(features, sensed[good], student.scaling, *grid)
    outputs = run_inputs(student.model, inputs)
    real = dequantize(outputs.reshape(len(outputs), -1), graph.tensors[graph.outputs[0]].quantization)
    if isinstance(decider, Recognizer):
        candidates[good] = decider.candidates(outputs)
    elif student.target is not None:
        scores[good] = student.target.real(real)
    elif student.on_chip and isinstance(decider, Detector):
        raw[good] = decider.score(inputs, outputs)
    elif isinstance(decider, Detector):
        raw[good] = reconstruction_error(x.reshape(len(x), -1), real) / decider.score.unit
    if student.names:
        ordered = np.sort(real, axis=1)
        scores[good], classes[good] = ordered[:, -1] - ordered[:, -2], real.argmax(axis=1)
    elif isinstance(decider, Detector):
        scores = raw * decider.score.unit
    return scores, raw, faulty, classes, candidates
