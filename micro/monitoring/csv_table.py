"""Lines under a header as columns of numbers, a block at a time; and why a line is no row."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from micro.monitoring import values
from micro.monitoring.csv_header import Header, split

# Stands for a separator within quotes while a line is split.
_KEPT = "\x1f"
_SPACE = " \t\n\r\v\f"
_NUMBER = re.compile(values.NUMBER)
# Of texts of these characters float() takes those that are numbers, and no others.
_OF_NUMBERS = re.compile(r"[0-9+\-.eE \t]*")


@dataclass(frozen=True)
class Table:
    """Lines of a block under one header.

    Attributes:
        texts: The lines, without a terminal's times.
        no_row: (lines,), True for lines that are neither rows nor empty.
        places: Of the n rows among the lines; the other arrays are of the rows.
        decimals: The decimal marks in scores, '.' and ','.
    """

    texts: list[str]
    no_row: np.ndarray
    places: np.ndarray
    scores: np.ndarray
    sessions: np.ndarray
    devices: np.ndarray
    modes: np.ndarray
    statuses: np.ndarray
    columns: tuple[int, ...]
    features: np.ndarray
    decimals: set[str]


def table_of(lines: Sequence[str], header: Header, unit: float | None) -> Table:
    """Split lines into columns and read their numbers; all lines at once, except those that need a closer look."""
    texts = list(lines) if header.stamp is None else _unstamped(lines, header.stamp)
    plain, whole, empty = _plain(texts, header)
    places = np.flatnonzero(whole)
    rows = itertools.compress(plain, whole.tolist())
    fields = header.separator.join(rows).split(header.separator) if len(places) else []
    columns = [fields[k :: len(header.names)] for k in range(len(header.names))]
    decimals: set[str] = set()
    scores, good = _scores(columns, header, unit, decimals)
    features = np.zeros((len(places), len(header.features)))
    for k, place in enumerate(header.features.values()):
        features[:, k] = _numbers(columns[place], header.separator)
        good &= np.isnan(scores) | ((features[:, k] >= -128) & (features[:, k] <= 127))
    no_row = ~empty
    no_row[places[good]] = False
    names = _names([columns[place] for place in header.sessions], header, len(places))
    devices, modes, statuses = (
        _names([] if place is None else [columns[place]], header, len(places))
        for place in (header.device, header.mode, header.status)
    )
    return Table(
        texts,
        no_row,
        places[good],
        scores[good],
        names[good],
        devices[good],
        modes[good],
        statuses[good],
        tuple(header.features),
        features[good],
        decimals,
    )


def row_of(text: str, header: Header, unit: float | None) -> None:
    """Check a line; one shorter than a row is no row at all, and passes.

    Raises:
        BadRow: Says what is wrong with a line that has all fields of a row, or more.
    """
    names = header.names
    fields = split(text, header.separator)
    if len(fields) > len(names):
        named = ", ".join(names)
        raise values.BadRow(
            f"{len(fields)} fields where the header has {len(names)} ({named if len(named) <= 80 else named[:77] + '...'}); "
            "if these are decimal commas, write points, or semicolons between the columns"
        )
    if len(fields) < len(names) or text.startswith("self-test:"):
        return
    if header.separator != ",":
        fields = [field.replace(",", ".", 1) for field in fields]
    row = dict(zip(names, fields))
    if not np.isnan(values.score(row, unit)):
        for column in header.features:
            values.feature(row[f"f{column}"], f"f{column}")


def _unstamped(lines: Sequence[str], stamp: str) -> list[str]:
    """The lines without a terminal's times."""
    time = re.compile(stamp)
    return [time.sub("", line, count=1) for line in lines]


def _plain(texts: list[str], header: Header) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The lines without quotes, those that have as many fields as their header, and those that are empty."""
    separator, wanted = header.separator, len(header.names) - 1
    blank = f"{separator} "
    empty = np.array([not line.strip(blank) for line in texts], bool)
    whole = np.array([line.count(separator) == wanted and '"' not in line for line in texts], bool) & ~empty
    closer = np.flatnonzero(~whole & ~empty).tolist()
    plain = list(texts) if closer else texts
    for place in closer:
        line = _unquoted(texts[place], header)
        whole[place] = line is not None
        plain[place] = line or ""
    headers = np.array([line.endswith(header.text) for line in plain], bool)
    return plain, whole & ~headers, empty


def _unquoted(line: str, header: Header) -> str | None:
    """A line with as many fields as its header and no quotes; None where that cannot be.

    Empty fields at the end are removed, and added to a row without a score, which ends there.
    """
    fields = split(line, header.separator)
    while len(fields) > len(header.names) and not fields[-1].strip():
        fields.pop()
    if max(header.scores.values()) < len(fields) < len(header.names):
        if not all(_no_score(fields[place]) for place in header.scores.values()):
            return None
        fields += [""] * (len(header.names) - len(fields))
    if len(fields) != len(header.names):
        return None
    return header.separator.join(field.replace(header.separator, _KEPT) for field in fields)


def _scores(
    columns: Sequence[Sequence[str]], header: Header, unit: float | None, decimals: set[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Real scores, NaN where there is none, and which of them need no closer look."""
    count = len(columns[0])
    read_as, good = {}, np.ones(count, bool)
    for name, place in header.scores.items():
        texts = columns[place]
        if header.separator != ",":
            decimals |= {mark for mark in ".," if any(mark in text for text in texts)}
        read = _numbers(texts, header.separator)
        given = np.abs(read) <= values.LARGEST
        for row in np.flatnonzero(~given).tolist():
            good[row] &= _no_score(texts[row])
        if name == "raw_score" and unit is None:
            good &= ~given
        read_as[name] = np.where(given, read * (1.0 if name == "score" else unit or 1.0), np.nan)
    missing = np.full(count, np.nan)
    real, raw = read_as.get("score", missing), read_as.get("raw_score", missing)
    good &= ~values.disagree(real, raw, unit)
    return np.where(np.isnan(real), raw, real), good


def _no_score(text: str) -> bool:
    return text.strip().lstrip("+-").lower() in values.NO_SCORE


def _numbers(texts: Sequence[str], separator: str) -> np.ndarray:
    """Numbers of a column, NaN for all else."""
    if separator != ",":
        texts = [text.replace(",", ".", 1) for text in texts]
    if _OF_NUMBERS.fullmatch("".join(texts)):
        try:
            return np.fromiter(map(float, texts), float, len(texts))
        except ValueError:
            pass
    trimmed = (text.strip(_SPACE) for text in texts)
    return np.array([float(text) if _NUMBER.fullmatch(text) else math.nan for text in trimmed], float)


def _names(columns: Sequence[Sequence[str]], header: Header, count: int) -> np.ndarray:
    """Names of rows by one column, or by several together."""
    if not columns:
        return np.full(count, "", object)
    trimmed = [_texts_of([text.strip(" \t").replace(_KEPT, header.separator) for text in column]) for column in columns]
    if len(trimmed) == 1:
        return trimmed[0]
    return _texts_of([" / ".join(filter(None, parts)) for parts in zip(*trimmed)])


def _texts_of(texts: Sequence[str]) -> np.ndarray:
    names = np.empty(len(texts), object)
    names[:] = texts
    return names
