"""Reading what devices send home: scores of windows, session by session."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from micro.errors import DataError

SESSIONS = ("session", "file", "recording")
# What the model hears, int8.
FEATURE = re.compile(r"f(0|[1-9]\d{0,4})")
_Window = tuple[float, list[float]]


@dataclass(frozen=True)
class Log:
    """Scores of windows, an array a session in order of their first row; rows without a score, which are faults.

    `columns` are the features logged, by their places among the model's inputs; `heard` their means over each session,
    (sessions, columns).
    """

    sessions: tuple[np.ndarray, ...]
    faults: int
    columns: tuple[int, ...]
    heard: np.ndarray


def read_log(path: str | Path, unit: float | None, block: int) -> Log:
    """A log's scores, session by session, and what was heard.

    Args:
        unit: What a raw score is multiplied by; None where there are none.
        block: Windows a session where the log names none.

    Raises:
        DataError: Naming file and row of what cannot be read.
    """
    path = Path(path)
    sessions: dict[str, list[_Window]] = {}
    unnamed: list[_Window] = []
    columns: tuple[int, ...] | None = None
    faults = 0
    for row, told in _rows(path):
        score = _score(told, unit, path, row)
        if score is None:
            faults += 1
            continue
        if columns is None:
            columns = tuple(sorted(int(name[1:]) for name in told if name and FEATURE.fullmatch(name)))
        name = next((str(told[column]) for column in SESSIONS if told.get(column) not in (None, "")), None)
        window = score, [_feature(told, f"f{column}", path, row) for column in columns]
        (unnamed if name is None else sessions.setdefault(name, [])).append(window)
    if unnamed and sessions:
        raise DataError(f"{path}: some rows name a session and some do not")
    named = list(sessions.values())
    found = named or [unnamed[start : start + block] for start in range(0, len(unnamed) - block + 1, block)]
    if not found:
        raise DataError(f"{path} holds {len(unnamed)} scores, too few for a session of {block}")
    scores = tuple(np.array([score for score, _ in session]) for session in found)
    heard = np.array([np.mean([values for _, values in session], axis=0) for session in found])
    return Log(scores, faults, columns or (), heard)


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not text: {error.reason} at byte {error.start}") from None
    lines = text.splitlines()
    if next((line.lstrip()[:1] for line in lines if line.strip()), "") == "{":
        yield from _json_rows(path, lines)
        return
    reader = csv.DictReader(lines)
    columns = reader.fieldnames or []
    if not {"score", "raw_score"} & set(columns):
        raise DataError(f"{path}: no column 'score' or 'raw_score' among {', '.join(columns) or 'no columns'}")
    yield from enumerate(reader, start=2)


def _json_rows(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for row, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            told = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, row {row} is not JSON: {error}") from None
        if not isinstance(told, dict):
            raise DataError(f"{path}, row {row} is not an object with a score")
        yield row, told


def _score(told: Mapping[str, Any], unit: float | None, path: Path, row: int) -> float | None:
    """A row's score in real units; None where the sensor was at fault."""
    for column, factor in (("score", 1.0), ("raw_score", unit)):
        value = told.get(column)
        if value is None or value == "":
            continue
        score = _number(value, column, path, row)
        if factor is None:
            raise DataError(f"{path}, row {row}: raw scores need a run whose student is int8")
        return score * factor if math.isfinite(score) else None
    return None


def _feature(told: Mapping[str, Any], column: str, path: Path, row: int) -> float:
    value = _number(told.get(column), column, path, row)
    if not math.isfinite(value):
        raise DataError(f"{path}, row {row}: {column} is {value}, which no model hears")
    return value


def _number(value: Any, column: str, path: Path, row: int) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise DataError(f"{path}, row {row}: {column} {value!r} is not a number") from None
