"""Which rows of a file are healthy, faulty or neither: by its name, by rows, by a column of labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from micro.config import TableData
from micro.datasets import store
from micro.datasets.cells import label as label_text
from micro.datasets.contents import Contents
from micro.errors import DataError
from micro.support.wording import counted

# Words of a label column that an error lists.
LISTED = 6


@dataclass(frozen=True)
class States:
    """The state of rows, (n,) bool: healthy ones, faulty ones (None where unknown), and those without a label of their own."""

    healthy: np.ndarray
    faulty: np.ndarray | None
    unknown: np.ndarray | None = None

    def cut(self, part: slice) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """The state of a stretch."""
        faulty = None if self.faulty is None else self.faulty[part]
        return self.healthy[part], faulty, None if self.unknown is None else self.unknown[part]

    @property
    def label(self) -> str:
        """The label of the whole file: 'normal', 'faulty' or 'mixed'."""
        if self.healthy.all():
            return "normal"
        return "faulty" if self.faulty is not None and self.faulty.all() else "mixed"


def declared_healthy(contents: Contents, config: TableData, whole: bool) -> np.ndarray:
    """Rows that the config declares healthy, (n,) bool; `whole` for a file that is healthy from end to end.

    Raises:
        DataError: Where healthy_rows begin past the file's end.
    """
    count = len(contents.samples)
    if not config.healthy_rows:
        return store.constant(whole, count)
    healthy = np.full(count, whole)
    for start, stop in config.healthy_rows:
        if start >= count:
            raise DataError(f"{contents.path}: healthy_rows start at {start}, the file has {counted(count, 'row')}")
        healthy[start:stop] = True
    return healthy


def states_of(contents: Contents, healthy: np.ndarray, config: TableData, whole: bool, faulty: bool) -> States:
    """A file's states; a row labeled as anything but normal is faulty, whatever the config declares.

    Args:
        healthy: Rows that the config declares healthy.
        whole: Whether it declares the file healthy from end to end; such a file needs no labels.
        faulty: Whether it declares the file faulty outside its healthy rows.

    Raises:
        DataError: Where the label column is missing from a file that needs it.
    """
    if config.label_column is None or (contents.labels is None and (whole or faulty)):
        known = store.inverted(healthy) if faulty else store.constant(False, len(healthy))
        return States(healthy, known if faulty or healthy.all() else None)
    if contents.labels is None:
        raise DataError(
            f"{contents.path} has no column {config.label_column!r}; it has {', '.join(contents.header[:12])}; only files "
            "named by healthy_files, faulty_files or known_faults may lack it"
        )
    normal = _normal(config)
    of_words = np.array([label_text(word) in normal for word in contents.words], bool)
    empty = np.array([not label_text(word) for word in contents.words], bool)
    abnormal = ~of_words[contents.labels] & ~empty[contents.labels]
    unknown = empty[contents.labels] & ~healthy
    return States(healthy & ~abnormal, abnormal, unknown if unknown.any() else None)


def require_a_fault(contents: Contents, config: TableData) -> None:
    """DataError for a file that faulty_files name, and of which the label column says normal throughout."""
    if config.label_column is None or contents.labels is None:
        return
    words = [word for word in _words(contents, np.ones(len(contents.labels), bool)) if label_text(word)]
    if words and all(label_text(word) in _normal(config) for word in words):
        raise DataError(
            f"{contents.path} is named by faulty_files, and its column {config.label_column!r} says normal wherever it says "
            "anything: correct its labels, take it out of faulty_files, or leave out label_column"
        )


def require_labels(files: Sequence[tuple[Contents, np.ndarray]], config: TableData) -> None:
    """Check that some file has the label column, and that some labels of healthy rows are normal.

    Raises:
        DataError: Otherwise, with the words in the column.
    """
    if config.label_column is None:
        return
    labeled = [(read, healthy) for read, healthy in files if read.labels is not None]
    if not labeled:
        first = files[0][0]
        raise DataError(f"{first.path} has no column {config.label_column!r}; it has {', '.join(first.header[:12])}")
    words = dict.fromkeys(word for read, _ in labeled for word in read.words if label_text(word))
    in_healthy = dict.fromkeys(word for read, healthy in labeled for word in _words(read, healthy) if label_text(word))
    normal = _normal(config)
    if in_healthy and not any(label_text(word) in normal for word in in_healthy):
        raise DataError(
            f"column {config.label_column!r} holds {_listed(words)}; none of normal_labels ({', '.join(config.normal_labels)}) "
            f"occurs in the healthy rows, which are labeled {_listed(in_healthy)}: set normal_labels to the words for normal"
        )


def _words(contents: Contents, rows: np.ndarray) -> list[str]:
    """The labels of some rows of a file."""
    assert contents.labels is not None
    spelled = list(contents.words)
    return [spelled[code] for code in np.unique(contents.labels[rows])]


def _normal(config: TableData) -> frozenset[str]:
    return frozenset(label_text(word) for word in config.normal_labels)


def _listed(words: Iterable[str]) -> str:
    names = list(words)
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
