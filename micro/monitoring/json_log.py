"""Logs in JSON lines: an object a window."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np

from micro.errors import DataError
from micro.monitoring import values
from micro.monitoring.lines import Block, Rows, Skipped

# Most digits of an integer that are converted to one; longer ones are too large whatever they are.
MOST_DIGITS = 400


# Number of the line, score, names of session, device, mode and status, features.
_Row: TypeAlias = tuple[int, float, tuple[str, ...], list[float]]


class _NoObject(values.BadRow):
    """A line that is not a JSON object."""


def json_rows(path: Path, blocks: Iterator[Block], unit: float | None) -> Iterator[Rows | Skipped]:
    """A log's rows.

    Raises:
        DataError: Naming file and row of what cannot be read.
    """
    known: tuple[str, ...] | None = None
    columns: tuple[int, ...] = ()
    for block in blocks:
        rows: list[_Row] = []
        for number, line in enumerate(block.lines, start=block.first):
            if not line:
                continue
            try:
                row = _object(line)
                score = values.score(row, unit)
                if not math.isnan(score):
                    read = _columns(row)
                    if known is None:
                        known, columns = read, tuple(sorted(int(name[1:]) for name in read if name[0] == "f"))
                    elif read != known:
                        raise values.BadRow(
                            f"the columns change from {', '.join(known)} to {', '.join(read)}; "
                            "write a log for each firmware"
                        )
                features = [] if math.isnan(score) else [values.feature(row[f"f{k}"], f"f{k}") for k in columns]
                mode, status = _name(row, (values.MODE,)), _status(row)
                rows.append((number, score, (_name(row, values.SESSIONS), _device(row), mode, status), features))
            except values.BadRow as error:
                if block.cut and number > 1:  # where a file ends within a row, that row is lost and no more
                    yield Skipped(number, line)
                    break
                mark = "" if isinstance(error, _NoObject) else ":"
                raise DataError(f"{path}, row {number}{mark} {error}") from None
        if rows:
            yield _rows(rows, columns)


def _object(line: str) -> dict[str, object]:
    try:
        row = json.loads(line, parse_int=_int, parse_constant=lambda name: math.nan, object_pairs_hook=_unique)
    except RecursionError:
        raise _NoObject("is not JSON of a log: it is nested too deeply") from None
    except ValueError as error:
        raise _NoObject(f"is not JSON: {error}") from None
    if not isinstance(row, dict):
        raise _NoObject("is not an object with a score")
    return row


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise values.BadRow(f"{twice!r} occurs {names.count(twice)} times; keep the one of this run")
    return row


def _int(digits: str) -> float:
    return int(digits) if len(digits) <= MOST_DIGITS else float("inf")


def _columns(row: values.Row) -> tuple[str, ...]:
    """Names of the scores and features in a row with a score."""
    scores = [name for name in values.SCORES if row.get(name) not in (None, "")]
    return (*scores, *sorted(name for name in row if values.FEATURE.fullmatch(name)))


def _name(row: values.Row, columns: tuple[str, ...]) -> str:
    names = [row[column] for column in columns if row.get(column) not in (None, "")]
    for value in names:
        if not isinstance(value, (str, int, float)):
            raise values.BadRow(f"a {columns[0]} is named {str(value)[:30]!r}; a name is a word or a number")
    return " / ".join(str(value) for value in names)


def _status(row: values.Row) -> str:
    return next((str(row[name]) for name in values.STATUSES if isinstance(row.get(name), str)), "")


def _device(row: values.Row) -> str:
    return next(
        (str(row[name]) for name in row if values.DEVICES.fullmatch(name.casefold()) and row[name] is not None), ""
    )


def _rows(rows: list[_Row], columns: tuple[int, ...]) -> Rows:
    numbers, scores, named, logged = zip(*rows)
    sides = (np.array([str(name) for name in side], object) for side in zip(*named))
    missing = [math.nan] * len(columns)  # of a fault, whose features are not read
    features = np.array([part or missing for part in logged], float).reshape(len(rows), len(columns))
    sessions, devices, modes, statuses = sides
    return Rows(0, np.array(numbers), np.array(scores), sessions, devices, modes, statuses, columns, features)
