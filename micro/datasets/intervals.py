"""A file of intervals: which stretches of which files have which label, as annotation tools write them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micro.datasets.cells import label as label_text
from micro.errors import DataError
from micro.support.wording import listed

COLUMNS = ("file", "start", "end", "label")


@dataclass(frozen=True)
class Interval:
    """Seconds since a file's first row, from `start` to before `end`, that have a label; `line` is where that stands."""

    start: float
    end: float
    label: str
    line: int


def read_intervals(path: Path, names: Sequence[str]) -> dict[str, list[Interval]]:
    """The intervals of each file, in order.

    The file is a CSV with the columns file, start, end and label, in any order, others being ignored. `file` is a name as
    recordings have it, or as much of its end as no other has.

    Args:
        path: The file of intervals.
        names: The names of the recordings.

    Raises:
        DataError: Names the line of what cannot be read, of a file that is none of `names`, of an interval that ends before
            it begins, and of two that overlap with different labels.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                found = ", ".join(reader.fieldnames or ()) or "nothing"
                raise DataError(f"{path} has no column {missing[0]!r}; it needs {', '.join(COLUMNS)}, and has {found}")
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"intervals: {path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    made: dict[str, list[Interval]] = {}
    spelled: dict[str, str] = {}
    for line, row in rows:
        where = f"{path}, line {line}"
        name = _name(row["file"], names, where)
        given = (row["label"] or "").strip()
        # As in a column of labels: 1 and 1.0, Walk and walk are one, as first spelled.
        label = spelled.setdefault(label_text(given), given)
        if not label_text(given):
            raise DataError(f"{where}: no label")
        start, end = (_seconds(row[side], side, where) for side in ("start", "end"))
        if not start < end:
            raise DataError(f"{where}: the interval ends at {end:g} s, and begins at {start:g} s")
        made.setdefault(name, []).append(Interval(start, end, label, line))
    if not made:
        raise DataError(f"{path} has no interval")
    return {name: _apart(sorted(found, key=lambda each: each.start), path) for name, found in made.items()}


def labels_of(intervals: Sequence[Interval], seconds: np.ndarray, places: Mapping[str, int]) -> np.ndarray:
    """The place of each row's label, -1 outside all intervals: (n,) seconds -> (n,) int."""
    found = np.full(len(seconds), -1)
    for each in intervals:
        found[(seconds >= each.start) & (seconds < each.end)] = places[each.label]
    return found


def _name(given: str | None, names: Sequence[str], where: str) -> str:
    """The recording that a cell means."""
    text = (given or "").strip().replace("\\", "/")
    meant = [name for name in names if name == text]
    # As annotation tools write them: a part of the path, or more of it than the recording's name has.
    meant = meant or [name for name in names if text and (name.endswith(f"/{text}") or text.endswith(f"/{name}"))]
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise DataError(f"{where}: {text!r} may be {listed(meant)}; write more of its path")
    raise DataError(f"{where}: {text!r} is none of the files; they are {listed(names)}")


def _seconds(given: str | None, side: str, where: str) -> float:
    try:
        value = float((given or "").strip())
    except ValueError:
        value = -1.0
    if not 0 <= value < np.inf:
        raise DataError(f"{where}: {side} {(given or '')[:40]!r} is no number of seconds since the file's first row")
    return value


def _apart(ordered: list[Interval], path: Path) -> list[Interval]:
    """The intervals of a file; DataError for two that overlap with different labels."""
    for n, one in enumerate(ordered):
        for other in ordered[n + 1 :]:
            if other.start >= one.end:
                break
            if other.label != one.label:
                raise DataError(
                    f"{path}, line {other.line}: {other.label!r} begins at {other.start:g} s, before {one.label!r} of line "
                    f"{one.line} ends at {one.end:g} s"
                )
    return ordered
