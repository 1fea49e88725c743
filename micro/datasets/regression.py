"""A user's own recordings in which every row has a number: a column's, or what is left of the row's run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from micro.config import RegressionData
from micro.datasets import precision, store, table
from micro.datasets.cells import label as label_text
from micro.datasets.columns import usable
from micro.datasets.contents import Contents, rows_of
from micro.datasets.find import find_files, matches, without
from micro.datasets.recording import Recording
from micro.datasets.states import States
from micro.datasets.unmatched import unmatched
from micro.errors import DataError
from micro.support.wording import counted, listed

# Runs that a note names with what is left at their end.
PAIRS = 6
UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class NumberedRecording:
    """A stretch of samples and the number of each, (n,) float64, of several targets (n, targets); NaN where there is none."""

    recording: Recording
    numbers: np.ndarray


@dataclass(frozen=True)
class Run:
    """A run: the rows of a file from one start of the machine to its end, with their numbers."""

    name: str
    file: str
    path: Path
    contents: Contents
    numbers: np.ndarray


@dataclass(frozen=True)
class LoadedRuns:
    """Recordings with the channels that all of them have, and sentences on what was left out.

    `files` are the names of the files that runs lie in, by the runs' names, `paths` their paths.
    """

    recordings: list[NumberedRecording]
    channels: tuple[str, ...]
    files: dict[str, str]
    paths: dict[str, Path]
    notes: tuple[str, ...]


def load_to_score(
    config: RegressionData, window: int, channels: Sequence[str], files: Mapping[Path, str]
) -> table.Loaded:
    """Files without numbers, run by run, as recordings to score; runs shorter than a window are noted.

    Args:
        config: How the run that scores them read its own.
        window: Fewest samples of a recording.
        channels: Those of that run.
        files: The files, with the names of their recordings.

    Raises:
        DataError: Names file and row for what the config does not allow.
    """
    plain = config.model_copy(update={"label_column": config.run_column, "on_short": "skip"})
    notes: dict[str, None] = {}
    left_out = table.LeftOut(plain, scoring=True)
    listed_files = [table.File(path, name, healthy=False, faulty=False) for path, name in files.items()]
    recordings = []
    read_ones = table.read_files(listed_files, plain, channels, notes, left_out)
    count = len(left_out.problems)
    for file, read in read_ones:
        seconds = table.seconds_of(read, plain)
        for word, start, stop in _blocks(read, None if read.labels is None else config.run_column):
            count += 1
            name = _named(file.name, word)
            part = rows_of(read, start, stop)
            states = States(np.ones(stop - start, bool), None)
            parts = table.stretches_of(name, part, states, plain, window)
            whole = [
                replace(one, start=one.start + start, start_seconds=one.start_seconds + float(seconds[start]))
                for one in parts
                if len(one.samples) >= window
            ]
            if not whole:
                left_out.add(table.too_short(Path(name), parts, window))
            recordings += whole
    if not recordings:
        raise DataError(f"no window can be scored: {left_out.problems[0]}")
    notes.update(dict.fromkeys(left_out.note(count, "file" if config.run_column is None else "run")))
    return table.Loaded(recordings, tuple(channels), tuple(notes))


def load_runs(config: RegressionData, window: int) -> LoadedRuns:
    """All runs of a config's files as recordings, split where time has gaps, with the number of each row.

    Args:
        config: Which files, how they are read, and what their numbers are.
        window: Fewest samples of a recording.

    Raises:
        DataError: Names file and row for what the config does not allow, and for rows of no run.
    """
    named = without(find_files(config.files, config.folder), config.remaining_at_end.values(), config.folder)
    notes: dict[str, None] = {}
    left_out = table.LeftOut(config, scoring=False)
    files = [table.File(path, name, healthy=False, faulty=False) for path, name in named.items()]
    contents = table.read_files(files, _reading(config), (), notes, left_out)
    _require_steps(contents, config)
    empty = len(left_out.problems)
    runs = [run for file, read in contents for run in _runs(file, read, config)]
    if config.remaining_life is not None:
        at_end = _at_end(runs, config)
        runs = _remaining(runs, at_end, config)
        if at_end:
            pairs = [f"{name}: {left:g}" for name, left in at_end.items()]
            notes[f"left at the end of runs that were cut off: {listed(pairs, PAIRS)}."] = None
    recordings: list[NumberedRecording] = []
    for run in runs:
        found = table.whole_stretches(run.name, Path(run.name), run.contents, config, window, left_out)
        recordings += [NumberedRecording(part, run.numbers[rows]) for part, rows in found]
    what = "file" if config.run_column is None else "run"
    if not recordings:
        raise DataError(
            f"none of {counted(len(runs), what)} holds a window of {window} samples: {left_out.problems[0]}"
        )
    notes.update(dict.fromkeys(left_out.note(len(runs) + empty, what)))
    plain, channels, constant = usable(
        [one.recording for one in recordings], runs[0].contents.channels, config, "in any file"
    )
    notes.update(dict.fromkeys(constant))
    recordings = [NumberedRecording(recording, one.numbers) for recording, one in zip(plain, recordings)]
    places = {run.name: run.file for run in runs}
    return LoadedRuns(recordings, channels, places, {run.name: run.path for run in runs}, tuple(notes))


def _reading(config: RegressionData) -> RegressionData:
    """The config with the target read as a channel, and the column of runs as that of labels."""
    columns = (*config.columns, *config.targets) if config.columns else ()
    return config.model_copy(update={"columns": columns, "label_column": config.run_column})


def _require_steps(contents: Sequence[tuple[table.File, Contents]], config: RegressionData) -> None:
    """DataError for a target that changes in the files and is one number in float32."""
    found = precision.joined(read.precision for _, read in contents)
    for target in config.targets:
        if target in found and found[target].lost_all:
            raise DataError(f"target column {target!r} {found[target]}")


def _runs(file: table.File, read: Contents, config: RegressionData) -> Iterator[Run]:
    """The runs of a file; their numbers are those of the target columns, else not yet known."""
    numbers = np.full(len(read.samples), np.nan)
    if config.targets:
        read, numbers = _without_targets(read, config.targets)
    for word, start, stop in _blocks(read, config.run_column):
        yield Run(_named(file.name, word), file.name, file.path, rows_of(read, start, stop), numbers[start:stop])


def _named(file: str, word: str | None) -> str:
    return file if word is None else f"{file}, run {word}"


def _without_targets(read: Contents, targets: Sequence[str]) -> tuple[Contents, np.ndarray]:
    """The file without its target columns, and these, (rows,) of one or (rows, targets); DataError where one is missing or they
    are all that there is."""
    missing = next((target for target in targets if target not in read.channels), None)
    if missing is not None:
        raise DataError(f"{read.path} has no column {missing!r}; it has {', '.join(read.header[:12])}")
    places = [read.channels.index(target) for target in targets]
    kept = [channel for channel in range(len(read.channels)) if channel not in places]
    if not kept:
        names = " and ".join(map(repr, targets))
        raise DataError(f"{read.path} has no channel except {names}, the target{'s' if len(targets) > 1 else ''}")
    numbers = read.samples[:, places].astype(np.float64)
    for target, column in zip(targets, numbers.T):
        if not np.isfinite(column).any():
            raise DataError(f"{read.path}: column {target!r} holds no number")
    texts = {kept.index(old): text for old, text in read.texts.items() if old not in places}
    channels = tuple(read.channels[channel] for channel in kept)
    fewer = replace(read, channels=channels, samples=store.taken(read.samples, kept), texts=texts)
    numbers = np.where(np.isfinite(numbers), numbers, np.nan)
    return fewer, numbers[:, 0] if len(targets) == 1 else numbers


def _blocks(read: Contents, column: str | None) -> Iterator[tuple[str | None, int, int]]:
    """Name, first row and row past the last of each run of a file.

    Raises:
        DataError: For a row of no run, and for a run whose rows do not lie together.
    """
    if column is None:
        yield None, 0, len(read.samples)
        return
    if read.labels is None:
        raise DataError(f"{read.path} has no column {column!r}; it has {', '.join(read.header[:12])}")
    words = [label_text(word) for word in read.words]
    spelled = list(read.words)
    without = np.flatnonzero(np.array([not word for word in words], bool)[read.labels])
    if len(without):
        raise DataError(f"{read.rows.where(int(without[0]))}: no run in column {column!r}; every row belongs to one")
    # 1 and 1.0 are one run.
    codes = np.array([words.index(word) for word in words], int)[read.labels]
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    seen: dict[str, int] = {}
    for start, stop in pairwise(edges):
        word = words[read.labels[start]]
        if word in seen:
            raise DataError(
                f"{read.rows.where(start)}: run {spelled[read.labels[start]]!r} goes on after another, its first rows end at "
                f"{read.rows.where(seen[word] - 1)}; sort the file by run, or number runs so that each has its own"
            )
        seen[word] = stop
        yield spelled[read.labels[start]].strip(), start, stop


def _remaining(runs: Sequence[Run], at_end: Mapping[str, float], config: RegressionData) -> list[Run]:
    """Runs with what is left of each at every row, at most the config's cap."""
    made = []
    for run in runs:
        numbers = _to_the_end(run.contents, config) + at_end.get(run.name, 0.0)
        made.append(replace(run, numbers=numbers if config.cap is None else np.minimum(numbers, config.cap)))
    return made


def _to_the_end(contents: Contents, config: RegressionData) -> np.ndarray:
    """What is left until a run's last row, (n,), in the config's unit."""
    if config.remaining_life == "rows":
        return np.arange(len(contents.samples) - 1, -1, -1, dtype=np.float64)
    assert config.remaining_life is not None
    since = table.seconds_of(contents, config)
    return np.asarray((np.nanmax(since) - since) / UNITS[config.remaining_life])


def _at_end(runs: Sequence[Run], config: RegressionData) -> dict[str, float]:
    """What is left at the end of runs that were cut off, by name.

    Raises:
        DataError: For a pattern without a file, a file that cannot be read, or one of another number of lines than runs.
    """
    found: dict[str, float] = {}
    paths = {run.path: run.file for run in runs}
    for pattern, file in config.remaining_at_end.items():
        # Files in the order in which people count them: p2 before p10; runs as they lie in a file.
        chosen = [run.name for run in sorted(runs, key=_counted) if matches(run.path, pattern, config.folder)]
        if not chosen:
            raise DataError(f"remaining_at_end: {unmatched(pattern, paths, config.folder)}")
        path = Path(config.folder) / file
        numbers = _numbers(path)
        if len(numbers) != len(chosen):
            raise DataError(
                f"{path} holds {counted(len(numbers), 'number')}, and {pattern!r} {counted(len(chosen), 'run')}: it must have "
                "a line a run, in their order"
            )
        found.update(zip(chosen, numbers))
    return found


def _counted(run: Run) -> list[tuple[int, str]]:
    """A key that sorts names of files with their numbers by size."""
    parts = re.split(r"(\d+)", run.file)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _numbers(path: Path) -> list[float]:
    """The numbers of a file, one a line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"remaining_at_end: {path} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    numbers = []
    for place, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            number = float(line)
        except ValueError:
            number = -1.0
        if not 0 <= number < np.inf:
            raise DataError(f"{path}, line {place}: {line.strip()[:40]!r} is no number of at least 0")
        numbers.append(number)
    return numbers
