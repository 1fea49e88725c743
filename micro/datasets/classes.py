"""A user's own recordings in which every row belongs to a class: by its file's folder or name, or by a column of labels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micro.config import ClassesData
from micro.datasets import table
from micro.datasets.cells import NUMBER
from micro.datasets.cells import label as label_text
from micro.datasets.columns import usable
from micro.datasets.contents import Contents
from micro.datasets.find import find_files, matches, without
from micro.datasets.intervals import Interval, labels_of, read_intervals
from micro.datasets.recording import Recording
from micro.datasets.unmatched import unmatched
from micro.errors import DataError
from micro.support.wording import counted, listed


@dataclass(frozen=True)
class ClassRecording:
    """A stretch of samples, and the class of each: (n,) its place among the names, -1 where a row has no label."""

    recording: Recording
    classes: np.ndarray


@dataclass(frozen=True)
class Loaded:
    """Recordings with the names of their classes, the channels that all of them have, and sentences on what was left out.

    `paths` are the files by the names of their recordings.
    """

    recordings: list[ClassRecording]
    class_names: tuple[str, ...]
    channels: tuple[str, ...]
    paths: dict[str, Path]
    notes: tuple[str, ...]


def load_classes(config: ClassesData, window: int) -> Loaded:
    """All files of a config as recordings, split where time has gaps, with the class of each row.

    Args:
        config: Which files, how they are read, and what says their classes.
        window: Fewest samples of a recording.

    Raises:
        DataError: Names file and row for what the config does not allow, and for files without a class.
    """
    named = without(
        find_files(config.files, config.folder), [config.intervals] if config.intervals else [], config.folder
    )
    of_rows = config.label_column is not None or config.intervals is not None
    by_file = {} if of_rows else _of_files(named, config)
    marked = (
        {} if config.intervals is None else read_intervals(Path(config.folder) / config.intervals, list(named.values()))
    )
    notes: dict[str, None] = {}
    left_out = table.LeftOut(config, scoring=False)
    files = [table.File(path, name, healthy=False, faulty=False) for path, name in named.items()]
    contents = table.read_files(files, config, (), notes, left_out)
    names = _names(config, by_file, marked, [read for _, read in contents])
    recordings: list[ClassRecording] = []
    for file, read in contents:
        if config.intervals is None:
            classes = _of_rows(read, names, by_file.get(file.name), config)
        else:
            places = {name: place for place, name in enumerate(names)}
            classes = labels_of(marked.get(file.name, []), table.seconds_of(read, config), places)
        found = table.whole_stretches(file.name, file.path, read, config, window, left_out)
        recordings += [ClassRecording(part, classes[rows]) for part, rows in found]
    if not recordings:
        raise DataError(
            f"none of {counted(len(files), 'file')} holds a window of {window} samples: {left_out.problems[0]}"
        )
    notes.update(dict.fromkeys(left_out.note(len(files))))
    plain, channels, constant = usable(
        [one.recording for one in recordings], contents[0][1].channels, config, "in any file"
    )
    notes.update(dict.fromkeys(constant))
    recordings = [ClassRecording(recording, one.classes) for recording, one in zip(plain, recordings)]
    return Loaded(recordings, names, channels, {name: path for path, name in named.items()}, tuple(notes))


def _of_files(named: dict[Path, str], config: ClassesData) -> dict[str, str]:
    """The class of each file by its name, from patterns or from its folder.

    Raises:
        DataError: For a file of no class or of several, or a pattern without a file.
    """
    if not config.classes:
        outside = next((name for name in named.values() if "/" not in name), None)
        if outside is not None:
            raise DataError(
                f"{outside} lies in no folder below {config.folder}, and a file's class is the name of its folder; or give "
                'each class its files in [data.classes], such as walking = "walk*.csv", or name a label_column'
            )
        return {name: name.split("/")[-2] for name in named.values()}
    found: dict[str, str] = {}
    for label, patterns in config.classes.items():
        for pattern in patterns:
            chosen = [name for path, name in named.items() if matches(path, pattern, config.folder)]
            if not chosen:
                raise DataError(f"classes.{label}: {unmatched(pattern, named, config.folder)}")
            for name in chosen:
                if found.setdefault(name, label) != label:
                    raise DataError(f"{name} is of two classes by its patterns, {found[name]!r} and {label!r}")
    without = [name for name in named.values() if name not in found]
    if without:
        raise DataError(
            f"{counted(len(without), 'file')} {'matches' if len(without) == 1 else 'match'} no pattern of classes: "
            f"{listed(without)}; add a pattern, or let files name only those of a class"
        )
    return found


def _names(
    config: ClassesData,
    by_file: dict[str, str],
    marked: dict[str, list[Interval]],
    contents: Sequence[Contents],
) -> tuple[str, ...]:
    """The classes in order: as in the config, else numbers by size and words by the alphabet."""
    if config.classes:
        names = tuple(config.classes)
    elif config.intervals is not None:
        names = _sorted({each.label for found in marked.values() for each in found})
    elif config.label_column is None:
        names = _sorted(set(by_file.values()))
    else:
        names = _of_column(config.label_column, contents)
    source, holds = "the files' folders", "hold"
    if config.label_column is not None or config.intervals is not None:
        source, holds = config.intervals or f"column {config.label_column!r}", "holds"
    if len(names) < 2:
        only = f"one class, {names[0]!r}" if names else "no label"
        raise DataError(f"{source} {holds} {only}; a classification needs two or more")
    missing = [label for label in config.healthy_classes if label not in names]
    if missing:
        raise DataError(f"healthy_classes names {missing[0]!r}; the classes are {listed(names)}")
    if set(config.healthy_classes) == set(names):
        raise DataError("healthy_classes names every class; the alarm is for the others")
    return names


def _of_column(column: str, contents: Sequence[Contents]) -> tuple[str, ...]:
    """The labels of a column over all files, as they are first spelled."""
    spelled: dict[str, str] = {}
    for read in contents:
        if read.labels is None:
            raise DataError(f"{read.path} has no column {column!r}; it has {', '.join(read.header[:12])}")
        for word in read.words:
            if label_text(word):
                spelled.setdefault(label_text(word), word)
    return _sorted(spelled.values())


def _sorted(words: Iterable[str]) -> tuple[str, ...]:
    def key(word: str) -> tuple[float, str]:
        return (float(word) if NUMBER.fullmatch(word) else math.inf, word)

    return tuple(sorted(words, key=key))


def _of_rows(read: Contents, names: Sequence[str], label: str | None, config: ClassesData) -> np.ndarray:
    """The class of each row of a file, (n,) int64."""
    if config.label_column is None:
        assert label is not None
        return np.full(len(read.samples), names.index(label))
    assert read.labels is not None
    places = {label_text(name): place for place, name in enumerate(names)}
    of_words = np.array([places.get(label_text(word), -1) for word in read.words], int)
    return of_words[read.labels]
