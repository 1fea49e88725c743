"""A user's own recordings: tables in files, as stretches of samples that are healthy, faulty or unlabeled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from micro.config import FilesData, GroupedData, TableData
from micro.datasets import clock, precision
from micro.datasets.columns import usable
from micro.datasets.contents import Contents, EmptyFile, expanded, without_nameless
from micro.datasets.find import find_files, matches
from micro.datasets.formats import read_contents
from micro.datasets.known_faults import is_known, require_apart
from micro.datasets.missing import filled, most_lacking
from micro.datasets.recording import Recording, padded
from micro.datasets.resampling import resampled
from micro.datasets.speeds import SpeedColumn, speed_last, with_speed
from micro.datasets.states import States, declared_healthy, require_a_fault, require_labels, states_of
from micro.datasets.unmatched import unmatched
from micro.errors import DataError
from micro.support.wording import counted, was

# Names that a note or an error lists.
LISTED = 5


class Loaded(NamedTuple):
    """Recordings, the channels that all of them have, and sentences on what was left out."""

    recordings: list[Recording]
    channels: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class File:
    """One file: its name, and whether the config declares it healthy or faulty from end to end."""

    path: Path
    name: str
    healthy: bool
    faulty: bool


@dataclass
class LeftOut:
    """Files without a whole window: the first is an error, or all are noted, as the config says; `extended` were padded."""

    config: FilesData
    scoring: bool
    problems: list[str] = field(default_factory=list)
    extended: int = 0

    def add(self, problem: str, otherwise: str = "") -> None:
        """One more file; DataError with what helps where the config does not skip them."""
        if self.config.on_short == "error":
            setting = f'set on_short = "skip" to leave such files out{otherwise}'
            raise DataError(f"{problem}; {'leave it out of the files to score' if self.scoring else setting}") from None
        self.problems.append(problem)

    def note(self, count: int, what: str = "file") -> list[str]:
        """Sentences on those of `count` files, or runs, that were left out, and on those that were padded, if any were."""
        notes, of = [], f"of {counted(count, what)}"
        if self.problems:
            listed = "; ".join(self.problems[:LISTED]) + ("; ..." if len(self.problems) > LISTED else "")
            notes.append(f"{len(self.problems)} {of} {was(len(self.problems))} left out: {listed}.")
        if self.extended:
            how = "shorter than a window and extended by repeating the last row"
            notes.append(f"{self.extended} {of} {was(self.extended)} {how}.")
        return notes


def load(
    config: TableData,
    window: int,
    channels: Sequence[str] = (),
    files: Mapping[Path, str] | None = None,
    speed: SpeedColumn | None = None,
    *,
    last: bool = False,
) -> Loaded:
    """All files of a config as recordings, split where time has gaps, and the channels they share.

    Args:
        config: Which files, and how they are read.
        window: Fewest samples of a recording.
        channels: Channels to read, where an earlier run determined them; empty to determine them by the config.
        files: Files to score instead of the config's own, with the names of their recordings.
        speed: A column that selects operating modes, or whose speed bands are in orders of; it is no channel.
        last: Whether it is the last channel all the same, for a front end with bands in orders.

    Raises:
        DataError: Names file and row for what the config does not allow: no files, text, missing values, gaps,
            constant channels, files too short; and the setting that helps.
    """
    notes: dict[str, None] = {}
    left_out = LeftOut(config, scoring=files is not None)
    listed = _classed(config) if files is None else _files(files, config)
    given = config
    if speed is not None:
        channels = (*(each for each in channels if each != speed.name), speed.name) if channels else ()
        config = config.model_copy(update={"columns": (*config.columns, speed.name)}) if config.columns else config
    contents = read_files(listed, config, channels, notes, left_out)
    recordings = _stretches(contents, config, window, left_out)
    if not recordings:
        whole = counted(window, "sample")
        raise DataError(f"none of {counted(len(listed), 'file')} holds a window of {whole}: {left_out.problems[0]}")
    notes.update(dict.fromkeys(left_out.note(len(listed))))
    names = contents[0][1].channels
    if speed is not None:
        every = recordings, names
        recordings, names = with_speed(recordings, names, speed)
    if not channels and files is None:
        recordings, names, constant = usable(recordings, names, given)
        notes.update(dict.fromkeys(constant))
    if speed is not None and last:
        recordings, names = speed_last(recordings, names, *every, speed.name)
    return Loaded(recordings, names, tuple(notes))


def _stretches(
    contents: Sequence[tuple[File, Contents]], config: TableData, window: int, left_out: LeftOut
) -> list[Recording]:
    """The files' stretches of at least a window, with their states."""
    declared = [(read, declared_healthy(read, config, file.healthy)) for file, read in contents]
    if not left_out.scoring:
        require_labels(declared, config)
    recordings: list[Recording] = []
    for (file, _), (read, healthy) in zip(contents, declared):
        if file.faulty and not left_out.scoring and not is_known(file.path, config):
            require_a_fault(read, config)
        states = states_of(read, healthy, config, file.healthy, file.faulty)
        parts = stretches_of(file.name, read, states, config, window)
        long_enough = [part for part in parts if len(part.samples) >= window]
        if not long_enough:
            left_out.add(too_short(file.path, parts, window), ", or take a shorter window")
        recordings += long_enough
    was_healthy = any(healthy.any() for _, healthy in declared)
    if was_healthy and left_out.problems and not left_out.scoring and not any(one.healthy.any() for one in recordings):
        raise DataError(f"no healthy recording is left to learn from: {left_out.note(len(contents))[0]}")
    return recordings


def _called(path: Path, config: TableData) -> tuple[bool, bool]:
    """Whether patterns of the config declare a file healthy, and faulty."""
    healthy = any(matches(path, pattern, config.folder) for pattern in config.healthy_files)
    faulty = any(matches(path, pattern, config.folder) for pattern in config.faulty_files)
    return healthy, faulty or is_known(path, config)


def _files(named: Mapping[Path, str], config: TableData) -> list[File]:
    """Files by their names, with what the config's patterns declare them."""
    return [File(path, name, *_called(path, config)) for path, name in named.items()]


def _classed(config: TableData) -> list[File]:
    """The config's files, with what its patterns declare them; DataError for a pattern that declares none."""
    named = find_files(config.files, config.folder)
    files = _files(named, config)
    require_apart(named, config)
    both = next((file for file in files if file.healthy and file.faulty and not is_known(file.path, config)), None)
    if both is not None:
        raise DataError(f"{both.name} matches both healthy_files and faulty_files; a file can be one of them only")
    for setting in ("healthy_files", "faulty_files", "known_faults"):
        for pattern in getattr(config, setting):
            if not any(matches(path, pattern, config.folder) for path in named):
                raise DataError(f"{setting}: {unmatched(pattern, named, config.folder)}")
    return files


def read_files(
    files: Sequence[File], config: FilesData, channels: Sequence[str], notes: dict[str, None], left_out: LeftOut
) -> list[tuple[File, Contents]]:
    """The contents of every file with rows. The first of them determines the channels of all."""
    contents: list[tuple[File, Contents]] = []
    _require_matched(files, config, left_out)
    names, header = tuple(channels), frozenset[str]()
    elsewhere: dict[str, None] = {}
    for file in files:
        try:
            read = read_contents(file.path, config, names)
        except EmptyFile as error:
            left_out.add(str(error))
            continue
        notes.update((f"{file.path}: {said}.", None) for said in read.unread)
        if not names:
            read, dropped = without_nameless(read, config)
            notes.update((f"{file.path}: {note}.", None) for note in dropped)
            names, header = read.channels, frozenset(read.header)
        elif header and not config.columns:
            elsewhere.update(dict.fromkeys(name for name in read.header if name and name not in header))
        elif header:
            more = expanded(config.columns, read.header, config)
            elsewhere.update(dict.fromkeys(name for name in more if name not in names))
        contents.append((file, read))
    if not contents:
        raise DataError(f"none of {counted(len(files), 'file')} holds a row: {left_out.problems[0]}")
    if elsewhere:
        notes[f"columns that only some files have were left out: {_listed(list(elsewhere))}."] = None
    if not config.pictures:
        notes.update(dict.fromkeys(precision.coarse_notes(precision.joined(read.precision for _, read in contents))))
    return contents


def _require_matched(files: Sequence[File], config: FilesData, left_out: LeftOut) -> None:
    """DataError for a pattern of sample_rates without a file, but where other files than the config's are scored."""
    if left_out.scoring or not config.sample_rates:
        return
    unlabeled = getattr(config, "unlabeled_files", ())
    paths = [*(file.path for file in files), *(find_files(unlabeled, config.folder) if unlabeled else ())]
    for pattern in config.sample_rates:
        if not any(matches(path, pattern, config.folder) for path in paths):
            raise DataError(
                f"sample_rates: {unmatched(pattern, {file.path: file.name for file in files}, config.folder)}"
            )


def stretches_of(name: str, contents: Contents, states: States, config: FilesData, window: int) -> list[Recording]:
    """One file as recordings, one for each stretch without a gap, at the rate that the config asks for; a picture as one."""
    if contents.image_size is not None:
        every = np.ones(len(contents.samples), bool)
        marks = (states.healthy, states.faulty, every)
        return [Recording(name, contents.samples, None, states.label, *marks, image_size=contents.image_size)]
    rate, breaks, since = rate_of(contents, config)
    origin = _origin(contents, config, rate)
    edges = [0, *breaks, len(contents.samples)]
    lacks = most_lacking(contents) if config.on_missing != "error" else None
    samples, valid, guessed = filled(contents, edges, config.on_missing, window)
    recordings = []
    for start, stop in pairwise(edges):
        part = slice(start, stop)
        healthy, faulty, unknown = states.cut(part)
        begins = start / rate if since is None else float(since[start] - since[0])
        recording = Recording(
            *(name, samples[part], rate, states.label, healthy, faulty, valid[part], start, unknown, begins),
            interpolated=int(guessed[part].sum()),
            clock=origin,
            precision=contents.precision,
            lacks=lacks,
            units=contents.units,
        )
        recordings.append(recording if config.resample is None else resampled(recording, config.resample))
    return recordings


def _origin(contents: Contents, config: FilesData, rate: float) -> float | None:
    """Seconds of the first row by a clock that other files share: that of its times, else that of its header."""
    if contents.moments is not None:
        return clock.origin(contents.moments, config, contents.path)
    return None if contents.begin is None else contents.begin + contents.rows.skipped / rate


def whole_stretches(
    name: str, path: Path, contents: Contents, config: GroupedData, window: int, left_out: LeftOut
) -> list[tuple[Recording, np.ndarray]]:
    """The stretches of a file, or of a run in it, that hold a window, each with the row of every sample, (n,) int.

    A shorter one is padded where the config says so and it is all that there is; if none holds a window, `left_out` has it.
    """
    states = States(np.ones(len(contents.samples), bool), None)
    parts = stretches_of(name, contents, states, config, window)
    if config.on_short == "pad" and len(parts) == 1 and 0 < len(parts[0].samples) < window:
        left_out.extended += 1
        rows = np.pad(parts[0].rows, (0, window - len(parts[0].samples)), mode="edge")
        return [(padded(parts[0], window), rows)]
    long_enough = [(part, part.rows) for part in parts if len(part.samples) >= window]
    if not long_enough:
        left_out.add(too_short(path, parts, window), ", or take a shorter window")
    return long_enough


def rate_of(contents: Contents, config: FilesData) -> tuple[float, list[int], np.ndarray | None]:
    """Sample rate in Hz, the rows at which a new stretch begins, and each row's seconds where the file has a clock."""
    if contents.moments is not None:
        config = clock.called(contents.moments, config)
        since = clock.seconds(contents.moments, config, contents.path)
        return *clock.rate_and_breaks(since, config, contents.path, contents.rows.where), since
    given = _given_rate(contents.path, config)
    if given is None and contents.rate is None:
        raise DataError(f"{contents.path} has no sample rate of its own; set sample_rate or time_column")
    if given is None or contents.rate is None:
        return float(given or contents.rate or 0.0), *_own_gaps(contents, config)
    if abs(contents.rate / given - 1) > 0.01:
        raise DataError(
            f"{contents.path} was sampled at {contents.rate:g} Hz by its own header; sample_rate is {given:g} Hz"
        )
    return given, *_own_gaps(contents, config)


def _own_gaps(contents: Contents, config: FilesData) -> tuple[list[int], np.ndarray | None]:
    """The rows after gaps in the times of a file whose rate the config gives, and its rows' seconds where it has gaps."""
    if contents.times is None:
        return [], None
    gaps = clock.lost(contents.times, config, contents.rows.where)
    return gaps, contents.times if gaps else None


def _given_rate(path: Path, config: FilesData) -> float | None:
    """The rate that a config gives a file: by the pattern of sample_rates that matches it, else sample_rate."""
    below = path.resolve().is_relative_to(Path(config.folder).resolve())
    own = {
        pattern: rate
        for pattern, rate in config.sample_rates.items()
        # A file from elsewhere, which is scored, is known by the last parts of its path.
        if (matches(path, pattern, config.folder) if below else path.match(pattern))
    }
    if len(set(own.values())) > 1:
        raise DataError(
            f"{path}: {' and '.join(map(repr, own))} in sample_rates both match it and give different rates"
        )
    return next(iter(own.values()), config.sample_rate)


def seconds_of(contents: Contents, config: FilesData) -> np.ndarray:
    """Seconds from a file's first row to each, (n,): by its clock, else by its rate."""
    if contents.moments is None:
        rate, _, times = rate_of(contents, config)
        return np.arange(len(contents.samples)) / rate if times is None else times - times[0]
    since = clock.seconds(contents.moments, clock.called(contents.moments, config), contents.path)
    return since - since[0]


def too_short(path: Path, parts: Sequence[Recording], window: int) -> str:
    """That a file has no stretch as long as a window, in words."""
    lengths = [len(part.samples) for part in parts]
    if len(lengths) > 1:
        return (
            f"{path}: {counted(len(lengths) - 1, 'gap')} in time split it into stretches of at most "
            f"{counted(max(lengths), 'sample')}, shorter than a window of {window}"
        )
    return f"{path}: {counted(max(lengths, default=0), 'sample')} in a row, shorter than a window of {window}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")
