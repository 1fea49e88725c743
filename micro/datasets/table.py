"""A user's own recordings: tables in files, as stretches of samples that are healthy, faulty or unknown."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from micro.config import TableData
from micro.datasets import clock
from micro.datasets.columns import leave_constant, refuse_ramps
from micro.datasets.contents import Contents, EmptyFile, without_nameless
from micro.datasets.find import find_files, matches
from micro.datasets.formats import read_contents
from micro.datasets.missing import filled
from micro.datasets.recording import Recording
from micro.datasets.states import States, require_labels, states_of, told_healthy
from micro.errors import DataError

# Names that a note or an error lists.
LISTED = 5


class Loaded(NamedTuple):
    """Recordings, the channels that all of them have, and sentences on what was left out."""

    recordings: list[Recording]
    channels: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class File:
    """One file: what it is called, and whether the config calls it healthy or faulty from end to end."""

    path: Path
    name: str
    healthy: bool
    faulty: bool


def load(
    config: TableData, window: int, channels: Sequence[str] = (), files: Mapping[Path, str] | None = None
) -> Loaded:
    """All files of a config as recordings, split where time has gaps, and the channels they share.

    Args:
        window: Samples a recording must have to be of use.
        channels: Channels to read, where an earlier run settled them; empty to settle them by the config.
        files: Files to read instead of the config's, with the names of their recordings.

    Raises:
        DataError: Names file and row for what the config does not allow: no files, text, missing values, gaps,
            constant channels, files too short; and the setting that helps.
    """
    notes: dict[str, None] = {}
    told = [] if files is None else [File(path, name, *_called(path, config)) for path, name in files.items()]
    if files is None:
        told = _classed(config, notes)
    contents, skipped = _read(told, config, channels, notes)
    names = contents[0][1].channels
    told_of = [(found, told_healthy(found, config, file.healthy)) for file, found in contents]
    if files is None:
        require_labels(told_of, config)
    recordings: list[Recording] = []
    for (file, found), (_, healthy) in zip(contents, told_of):
        states = states_of(found, healthy, config, file.healthy, file.faulty)
        parts = _recordings(file.name, found, states, config, window)
        long_enough = [part for part in parts if len(part.samples) >= window]
        if not long_enough:
            problem = _too_short(file.path, parts, window)
            if config.on_short == "error":
                raise DataError(f'{problem}; set on_short = "skip" to leave such files out, or take a shorter window')
            skipped.append(problem)
        recordings += long_enough
    if not recordings:
        raise DataError(f"none of {len(told)} files holds a whole window of {window} samples: {skipped[0]}")
    if skipped:
        said = "; ".join(skipped[:LISTED]) + ("; ..." if len(skipped) > LISTED else "")
        notes[f"{len(skipped)} of {len(told)} files were left out: {said}."] = None
    if not channels and files is None:
        if not config.columns:
            refuse_ramps(recordings, names)
        recordings, names, constant = leave_constant(recordings, names, config.on_constant)
        notes.update(dict.fromkeys(constant))
    return Loaded(recordings, names, tuple(notes))


def _called(path: Path, config: TableData) -> tuple[bool, bool]:
    """Whether patterns of the config call a file healthy, and faulty."""
    healthy = any(matches(path, pattern, config.folder) for pattern in config.healthy_files)
    return healthy, any(matches(path, pattern, config.folder) for pattern in config.faulty_files)


def _classed(config: TableData, notes: dict[str, None]) -> list[File]:
    """The config's files, with what its patterns call them."""
    files = [File(path, name, *_called(path, config)) for path, name in find_files(config.files, config.folder).items()]
    both = next((file for file in files if file.healthy and file.faulty), None)
    if both is not None:
        raise DataError(f"{both.name} matches both healthy_files and faulty_files; a file can be one of them only")
    if config.healthy_files and not config.healthy_rows and not any(file.healthy for file in files):
        raise DataError(_unmatched("healthy_files", config.healthy_files, files, config.folder))
    if config.faulty_files and not any(file.faulty for file in files):
        notes[_unmatched("faulty_files", config.faulty_files, files, config.folder) + "."] = None
    return files


def _unmatched(what: str, patterns: Sequence[str], files: Sequence[File], folder: str) -> str:
    names = [file.name for file in files]
    said = f"{what} ({', '.join(patterns)}) match none of {len(files)} files ({_listed(names)})"
    better = next((one for pattern in patterns for one in _nearer(pattern, files, folder)), None)
    return said if better is None else f"{said}; patterns begin in the config's own folder: write {better!r}"


def _nearer(pattern: str, files: Sequence[File], folder: str) -> Iterator[str]:
    """Patterns that mean what this one seems to and match some file: with folders above, or the files in a folder."""
    for tail in (pattern, f"{pattern.rstrip('/')}/*"):
        ends = [file for file in files if matches(file.path, f"**/{tail.removeprefix('**/')}", "/")]
        for file in ends[:1]:
            depth = len(Path(tail.removeprefix("**/")).parts)
            above = Path(os.path.relpath(file.path, folder)).parts[:-depth]
            yield from (
                found
                for found in (f"**/{tail}", "/".join((*above, tail.removeprefix("**/"))))
                if any(matches(each.path, found, folder) for each in files)
            )


def _read(
    files: Sequence[File], config: TableData, channels: Sequence[str], notes: dict[str, None]
) -> tuple[list[tuple[File, Contents]], list[str]]:
    """Every file's contents, and why some were left out. The first that has rows settles the channels of all."""
    contents: list[tuple[File, Contents]] = []
    skipped: list[str] = []
    names, header = tuple(channels), frozenset[str]()
    elsewhere: dict[str, None] = {}
    for file in files:
        try:
            found = read_contents(file.path, config, names)
        except EmptyFile as error:
            if config.on_short == "error":
                raise DataError(f'{error}; set on_short = "skip" to leave such files out') from None
            skipped.append(str(error))
            continue
        if not names:
            found, left = without_nameless(found, config)
            notes.update((f"{file.path}: {note}.", None) for note in left)
            names, header = found.channels, frozenset(found.header)
        elif header and not config.columns:
            elsewhere.update(dict.fromkeys(name for name in found.header if name and name not in header))
        contents.append((file, found))
    if not contents:
        raise DataError(f"none of {len(files)} files holds a row: {skipped[0]}")
    if elsewhere:
        notes[f"columns that stand in some files only were left out: {_listed(list(elsewhere))}."] = None
    return contents, skipped


def _recordings(name: str, contents: Contents, states: States, config: TableData, window: int) -> list[Recording]:
    """One file as recordings, one for each stretch without a gap."""
    rate, breaks, since = _rate(contents, config)
    edges = [0, *breaks, len(contents.samples)]
    samples, valid = filled(contents, edges, config.on_missing, window)
    found = []
    for start, stop in pairwise(edges):
        part = slice(start, stop)
        healthy, faulty, unknown = states.cut(part)
        begins = start / rate if since is None else float(since[start] - since[0])
        found.append(
            Recording(name, samples[part], rate, states.label, healthy, faulty, valid[part], start, unknown, begins)
        )
    return found


def _rate(contents: Contents, config: TableData) -> tuple[float, list[int], np.ndarray | None]:
    """Sample rate in Hz, the rows at which a new stretch begins, and each row's seconds where the file has a clock."""
    if contents.moments is not None:
        since = clock.seconds(contents.moments, config, contents.path)
        return *clock.rate_and_breaks(since, config, contents.path, contents.rows.where), since
    if config.sample_rate is None and contents.rate is None:
        raise DataError(f"{contents.path} tells no sample rate; give sample_rate or time_column")
    if config.sample_rate is None or contents.rate is None:
        return float(config.sample_rate or contents.rate or 0.0), [], None
    if abs(contents.rate / config.sample_rate - 1) > 0.01:
        raise DataError(
            f"{contents.path} was sampled at {contents.rate:g} Hz, as it says itself; sample_rate is {config.sample_rate:g} Hz"
        )
    return config.sample_rate, [], None


def _too_short(path: Path, parts: Sequence[Recording], window: int) -> str:
    lengths = [len(part.samples) for part in parts]
    if len(lengths) > 1:
        return (
            f"{path}: {len(lengths) - 1} gaps in time cut it into stretches of at most {max(lengths)} samples, fewer than a "
            f"window of {window}"
        )
    return f"{path}: {max(lengths, default=0)} samples in a row are fewer than a window of {window}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")
