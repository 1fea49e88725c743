"""A finished run's int8 student over new recordings: score and alarm by window."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from micro.config import PICTURES, Config, FilesData, GroupedData, RegressionData, RigData, TableData
from micro.datasets import table
from micro.datasets.channel_units import other_units
from micro.datasets.filtered import filtered
from micro.datasets.find import short_names
from micro.datasets.missing import missing_notes
from micro.datasets.recorded_time import begins_of
from micro.datasets.recording import Recording, cut
from micro.datasets.regression import load_to_score
from micro.datasets.sources import join
from micro.datasets.speeds import modes_of, speed_column
from micro.datasets.split import file_scalings
from micro.datasets.standing import Standing, detector_limits
from micro.datasets.targets import Targets
from micro.datasets.views import Views
from micro.detection.detector import Detector, Status, decide
from micro.detection.estimator import Estimator, Estimators
from micro.detection.recognizer import NO_CLASS, Recognizer, recognize
from micro.errors import DataError, RunError
from micro.runs.alarm_times import alarm_times
from micro.runs.bearing_found import lines_of
from micro.runs.dead_speed import dead_speed_notes
from micro.runs.finished import read_run
from micro.runs.label_scores import window_labels
from micro.runs.run_report import RunReport
from micro.runs.scored import FAULT, NOT_JUDGED, Numbered, Scored, Scores
from micro.runs.scored_reading import by_the_settings_of_a_run
from micro.runs.student_scores import Student, load_student, scores_in_parts
from micro.signal import AnyFrontEnd, Scaling


def score(run_folder: str | Path, files: Sequence[str | Path], *, channel: str | None = None) -> list[Scored]:
    """As `score_noted`, without the notes."""
    return list(score_noted(run_folder, files, channel=channel).windows)


@by_the_settings_of_a_run()
def score_noted(run_folder: str | Path, files: Sequence[str | Path], *, channel: str | None = None) -> Scores:
    """Score recordings with the int8 student of a run, in TFLite Micro, and count alarms as its firmware does, file by file.

    Files are read as the run's config says, a regression's run by run; runs of the built-in jobs take CSV or .npz files with
    one channel, or the one named by `channel`, at the run's sample rate. For a classifier the score is the winning logit's
    lead. Files are called by their names, or by as much of their paths as makes them unique, also beside
    the run's own.

    Raises:
        RunError: If the folder is no finished run.
        DataError: Names file and row of what cannot be scored, or says that no window is whole.
    """
    given = read_to_score(run_folder, files, channel=channel)
    windows, notes = score_read(given)
    alarmed = tuple(dict.fromkeys(window.file for window in windows if window.alarm))
    about = (given.config.bearing, given.report.bearing, given.recordings, given.channels)
    detector = given.report.detector
    times = () if detector is None else alarm_times(windows, detector.history)
    return Scores(windows, notes, lines_of(*about, alarmed), given.report.common_threshold, times)


def score_read(given: ToScore) -> tuple[tuple[Scored, ...], tuple[str, ...]]:
    """The windows of files that were read, and the notes on these; DataError where no window is whole."""
    features, student = given.features, load_student(given.folder, given.report, given.config)
    by_file: dict[str, list[tuple[np.ndarray, ...]]] = {}
    for recording in given.recordings:
        frames, starts = cut(recording, features)
        if len(frames):
            stretch = (
                recording.rows[starts],
                begins_of(recording, starts),
                *scores_in_parts(student, features, recording, frames, given.scalings.get(recording.name)),
                _modes(student, recording, starts, features.window),
            )
            by_file.setdefault(recording.name, []).append(stretch)
    if not by_file:
        raise DataError(f"no window can be scored: {given.notes[-1]}")
    rate = given.recordings[0].sample_rate
    lasts = math.nan if rate is None else features.window / rate
    made = (window for name, stretches in by_file.items() for window in _windows(name, stretches, student, lasts))
    return tuple(made), given.notes


@dataclass(frozen=True)
class ToScore:
    """Files as a run reads them: `paths` by name, recordings of these channels with their front end, scalings of files that
    have their own, and sentences on what was left out."""

    folder: Path
    report: RunReport
    config: Config
    paths: dict[str, Path]
    tables: TableData
    channels: tuple[str, ...]
    recordings: list[Recording]
    features: AnyFrontEnd
    scalings: dict[str, Scaling]
    notes: tuple[str, ...]


@by_the_settings_of_a_run()
def read_to_score(run_folder: str | Path, files: Sequence[str | Path], *, channel: str | None = None) -> ToScore:
    """Files as `score_noted` reads them, of which it raises the errors."""
    folder = Path(run_folder)
    report, config = read_run(folder)
    names = short_names(files, (row.origin for row in report.data.divided))
    _require_kind(list(names), config)
    tables = _table_config(config, report, files, channel)
    channels = report.data.channels if config.job == "table" else ()
    size = report.data.image_size
    window = config.features.sensor_window if size is None else 1
    if isinstance(config.data, RegressionData):
        recordings, found, notes = load_to_score(config.data, window, channels, names)
    else:
        last = config.features.speed_column is not None
        speed = speed_column(config)
        if speed is not None and speed.name in channels and not last:
            speed = None  # a run of an earlier version, of which the speed of the bearing's shaft was a channel
        recordings, found, notes = table.load(tables, window, channels, names, speed, last=last)
    if not channels and len(found) != 1:
        raise RunError(
            f"the run has one channel, the files have {len(found)}: {', '.join(found)}; name one with --channel"
        )
    expected, paths = report.data.sample_rate, {name: path for path, name in names.items()}
    front_end = config.features.front_end(len(found), expected, size)
    joined = join(recordings, front_end, paths, tables, config.sources, found, report.data.sources)
    features = joined.features
    for recording in joined.recordings:
        _require_alike(recording, expected, size)
    recordings = filtered(joined.recordings, features)
    views = Views(features)
    off = Standing(views, detector_limits(config.detect.off_rms, tuple(found), config.features, features))
    scalings = file_scalings(recordings, features, views, off) if tables.scaling == "per_file" else {}
    notes = (*notes, *joined.notes, *missing_notes(recordings, features), *other_units(recordings, report.data.units))
    notes = (*notes, *dead_speed_notes(folder, report, recordings, views))
    return ToScore(folder, report, config, paths, tables, tuple(found), recordings, features, scalings, notes)


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


def _modes(student: Student, recording: Recording, starts: np.ndarray, window: int) -> np.ndarray:
    """The operating mode of each window; 0 where there are none."""
    modes = getattr(student.decider, "modes", None)
    found = modes_of(None if modes is None else modes.ranges, recording, starts, window)
    return np.zeros(len(starts), int) if found is None else found


def _windows(
    name: str, stretches: Sequence[tuple[np.ndarray, ...]], student: Student, lasts: float
) -> Iterator[Scored]:
    """A file's windows in their order, with what a detector or recognizer reports that is reset for it; each takes
    `lasts` seconds, NaN without a time."""
    rows, seconds, scores, raw, faulty, likeliest, candidates, modes = map(np.concatenate, zip(*stretches))
    decider = student.decider
    alarms: list[bool | None] = [None] * len(rows)
    above: list[bool | None] = [None] * len(rows)
    recognized: list[str | None] = [None] * len(rows)
    if isinstance(decider, Detector):
        of_modes, limits = decider.modes, np.array(decider.threshold)
        if of_modes is not None:
            faulty = np.where(faulty != 0, faulty, of_modes.faults(modes))
            limits = of_modes.limits(modes)[:, 0]
        statuses = decide(decider, raw, faulty, None if of_modes is None else modes)
        alarms = [status == Status.ALARM for status in statuses]
        above = (raw > limits).tolist()
    elif isinstance(decider, Recognizer):
        reported = recognize(decider, candidates, faulty)[1]
        recognized = ["" if number == NO_CLASS else decider.class_names[number] for number in reported]
        above = (candidates != NO_CLASS).tolist()
    labels = window_labels(student, scores, raw, faulty) if student.label_names else None
    names = () if (of := getattr(decider, "modes", None)) is None else of.ranges.names
    for place, fault in enumerate(faulty):
        begin, end = (None if math.isnan(at) else float(at) for at in (seconds[place], seconds[place] + lasts))
        made = partial(Scored, name, int(rows[place]), begin, end=end)
        if labels is not None:
            found = labels[place]
            result = FAULT if fault else found.likely
            yield made(None, None, None, result, labels=found.labels, reported=found.reported)
            continue
        if fault:
            why, mode = NOT_JUDGED.get(int(fault), FAULT), "" if names else None
            yield made(None, None, None, why, recognized[place], numbers=_numbers(student, None), mode=mode)
            continue
        if isinstance(student.target, Targets):
            yield made(None, None, None, "estimate", numbers=_numbers(student, scores[place].tolist()))
            continue
        if student.target is not None:
            number = float(scores[place])
            ends = decider.interval(number) if isinstance(decider, Estimator) else (None, None)
            yield made(number, None, None, "estimate", None, *ends)
            continue
        result = student.names[likeliest[place]] if student.names else "alarm" if alarms[place] else "ok"
        found_mode = None if not names else names[int(modes[place])] if modes[place] >= 0 else ""
        yield made(float(scores[place]), above[place], alarms[place], result, recognized[place], mode=found_mode)


def _numbers(student: Student, found: Sequence[float] | None) -> tuple[Numbered, ...]:
    """Several numbers of a window, None where the sensor is at fault; none of other students."""
    if not isinstance(student.target, Targets):
        return ()
    names = [target.name for target in student.target.each]
    if found is None:
        return tuple(Numbered(name, None) for name in names)
    if not isinstance(student.decider, Estimators):
        return tuple(Numbered(name, number) for name, number in zip(names, found, strict=True))
    ends = student.decider.intervals(found)
    return tuple(Numbered(name, number, *pair) for name, number, pair in zip(names, found, ends, strict=True))


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
