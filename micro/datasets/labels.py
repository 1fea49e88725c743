"""A user's own recordings in which several labels may hold at every row, each of which has a column of yes or no."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micro.config import NO_LABEL, LabelsData
from micro.datasets import table
from micro.datasets.cells import NO, UNKNOWN, YES, yes_or_no
from micro.datasets.classes import ClassRecording
from micro.datasets.columns import usable
from micro.datasets.contents import Contents
from micro.datasets.division import Wanted
from micro.datasets.find import find_files
from micro.errors import DataError
from micro.support.wording import counted


@dataclass(frozen=True)
class LoadedLabels:
    """Recordings whose classes are combinations of labels: each row's place in `combinations`, -1 where a label is not known.

    Attributes:
        recordings: In their order, by file.
        combinations: The labels of each combination that occurs, (combinations, labels) int, 1 for those it has, else 0.
        label_names: In the order of their columns.
        channels: Those that all recordings have.
        paths: The files by the names of their recordings.
        notes: Sentences on what was left out.
    """

    recordings: list[ClassRecording]
    combinations: np.ndarray
    label_names: tuple[str, ...]
    channels: tuple[str, ...]
    paths: dict[str, Path]
    notes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What the combinations are called."""
        return tuple(combination_name(row, self.label_names) for row in self.combinations)

    @property
    def wanted(self) -> Wanted:
        """What every part must hold: windows with each label, and windows without it."""
        names = [f" with{out} label {name!r}" for name in self.label_names for out in ("", "out")]
        of = np.stack([self.combinations == 1, self.combinations == 0], axis=2).reshape(len(self.combinations), -1)
        return Wanted(tuple(names), of)


def combination_name(labels: Sequence[int] | np.ndarray, label_names: Sequence[str]) -> str:
    """The labels that hold, joined by '+'.

    Examples:
        >>> from micro.datasets.labels import combination_name
        >>> combination_name([1, 0, 1], ("unbalance", "looseness", "wear")), combination_name([0, 0, 0], ("a", "b", "c"))
        ('unbalance+wear', 'none')
    """
    return "+".join(name for name, holds in zip(label_names, labels, strict=True) if holds == 1) or NO_LABEL


def load_labels(config: LabelsData, window: int) -> LoadedLabels:
    """All files of a config as recordings, split where time has gaps, with the labels of each row.

    Args:
        config: Which files, how they are read, and the columns of their labels.
        window: Fewest samples of a recording.

    Raises:
        DataError: Names file and row for what the config does not allow, and for cells that say neither yes nor no.
    """
    named = find_files(config.files, config.folder)
    notes: dict[str, None] = {}
    left_out = table.LeftOut(config, scoring=False)
    files = [table.File(path, name, healthy=False, faulty=False) for path, name in named.items()]
    contents = table.read_files(files, config, (), notes, left_out)
    parts = []
    for file, read in contents:
        labels = labels_of(read, config.label_columns)
        found = table.whole_stretches(file.name, file.path, read, config, window, left_out)
        parts += [(part, labels[rows]) for part, rows in found]
    if not parts:
        raise DataError(
            f"none of {counted(len(files), 'file')} holds a window of {window} samples: {left_out.problems[0]}"
        )
    notes.update(dict.fromkeys(left_out.note(len(files))))
    plain, channels, constant = usable([part for part, _ in parts], contents[0][1].channels, config, "in any file")
    notes.update(dict.fromkeys(constant))
    combinations, classes = _combined([labels for _, labels in parts])
    recordings = [ClassRecording(recording, own) for recording, own in zip(plain, classes)]
    paths = {name: path for path, name in named.items()}
    return LoadedLabels(recordings, combinations, config.label_columns, channels, paths, tuple(notes))


def labels_of(read: Contents, names: Sequence[str]) -> np.ndarray:
    """What each row says of each label: 1, 0, or -1 where that is not known, (n, labels) int8.

    Raises:
        DataError: For a cell that says neither yes nor no, with its row.
    """
    assert read.flags is not None
    spelled = list(read.words)
    of_words = [yes_or_no(word) for word in spelled]
    odd = np.argwhere(np.array([each is None for each in of_words], bool)[read.flags])
    if len(odd):
        row, column = odd[0].tolist()
        raise DataError(
            f"{read.rows.where(row)}: {spelled[read.flags[row, column]][:40]!r} in label column {names[column]!r} says neither "
            f"yes nor no; write one of {', '.join(YES)} or {', '.join(NO)}, and leave the cell empty where it is not known"
        )
    return np.array([UNKNOWN if each is None else each for each in of_words], np.int8)[read.flags]


def _combined(labels: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """The combinations of labels that occur, (combinations, labels), and for each recording each row's, -1 for unknown ones.

    Raises:
        DataError: Where no row has all labels.
    """
    every = np.concatenate(labels)
    known = (every != UNKNOWN).all(axis=1)
    if not known.any():
        raise DataError("no row has all labels of label_columns: a window whose labels are not known teaches nothing")
    bits = 1 << np.arange(every.shape[1], dtype=np.int64)
    packed, places = np.unique(every[known] @ bits, return_inverse=True)
    combinations = (packed[:, None] & bits) != 0
    classes = np.full(len(every), -1)
    classes[known] = places
    return combinations.astype(int), np.split(classes, np.cumsum([len(each) for each in labels])[:-1])
