"""Lines under a header as columns of numbers, a block at a time; and why a line is no row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from micro.monitoring import values
from micro.monitoring.csv_header import Header, split

# Stands for a separator within quotes while a line is split.
_KEPT = "\x1f"


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
    texts = _texts(lines)
    if header.stamp is not None:
        texts = pc.replace_substring_regex(texts, header.stamp, "", max_replacements=1)
    plain, whole, empty = _plain(texts, header)
    places = np.flatnonzero(whole)
    fields = pc.split_pattern(plain.filter(_mask(whole)), header.separator).flatten()
    columns = [fields.take(_places(k, len(fields), len(header.names))) for k in range(len(header.names))]
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
        texts.to_pylist(),
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


# Between Arrow and NumPy by their buffers: Arrow's own ways import pandas first, which takes a second.
def _texts(lines: Sequence[str]) -> pa.Array:
    encoded = [line.encode() for line in lines]
    ends = np.zeros(len(encoded) + 1, np.int32)
    np.cumsum([len(line) for line in encoded], out=ends[1:])
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded)))


def _numbers_of(array: pa.Array, dtype: str) -> np.ndarray:
    if not len(array):
        return np.zeros(0, dtype)
    return np.frombuffer(array.buffers()[1], dtype, array.offset + len(array))[array.offset :]


def _flags_of(array: pa.Array) -> np.ndarray:
    if not len(array):
        return np.zeros(0, bool)
    bits = np.frombuffer(array.buffers()[1], np.uint8)
    return np.unpackbits(bits, count=array.offset + len(array), bitorder="little")[array.offset :].astype(bool)


def _texts_of(array: pa.Array) -> np.ndarray:
    return np.array([*array.to_pylist(), None], object)[:-1]


def _mask(which: np.ndarray) -> pa.Array:
    bits = np.packbits(which, bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), len(which), [None, pa.py_buffer(bits)])


def _places(start: int, end: int, step: int) -> pa.Array:
    places = np.arange(start, end, step, dtype=np.int64)
    return pa.Array.from_buffers(pa.int64(), len(places), [None, pa.py_buffer(places)])


def _plain(texts: pa.Array, header: Header) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """The lines without quotes, those that have as many fields as their header, and those that are empty."""
    separator, wanted = header.separator, len(header.names) - 1
    empty = _numbers_of(pc.utf8_length(pc.utf8_trim(texts, characters=f"{separator} ")), "i4") == 0
    counts = _numbers_of(pc.count_substring(texts, separator), "i4")
    quoted = _flags_of(pc.match_substring(texts, '"'))
    closer = np.flatnonzero(((counts != wanted) | quoted) & ~empty)
    whole = (counts == wanted) & ~quoted & ~empty
    if len(closer):
        lines = texts.to_pylist()
        for place in closer.tolist():
            line = _unquoted(lines[place], header)
            whole[place] = line is not None
            lines[place] = line or ""
        texts = _texts(lines)
    headers = _flags_of(pc.ends_with(texts, header.text))
    return texts, whole & ~headers, empty


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
    columns: Sequence[pa.Array], header: Header, unit: float | None, decimals: set[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Real scores, NaN where there is none, and which of them need no closer look."""
    count = len(columns[0])
    read_as, good = {}, np.ones(count, bool)
    for name, place in header.scores.items():
        texts = columns[place]
        if header.separator != ",":
            decimals |= {mark for mark in ".," if pc.any(pc.match_substring(texts, mark)).as_py()}
        read = _numbers(texts, header.separator)
        given = np.abs(read) <= values.LARGEST
        for row in np.flatnonzero(~given).tolist():
            good[row] &= _no_score(texts[row].as_py())
        if name == "raw_score" and unit is None:
            good &= ~given
        read_as[name] = np.where(given, read * (1.0 if name == "score" else unit or 1.0), np.nan)
    missing = np.full(count, np.nan)
    real, raw = read_as.get("score", missing), read_as.get("raw_score", missing)
    good &= ~values.disagree(real, raw, unit)
    return np.where(np.isnan(real), raw, real), good


def _no_score(text: str) -> bool:
    return text.strip().lstrip("+-").lower() in values.NO_SCORE


def _numbers(texts: pa.Array, separator: str) -> np.ndarray:
    """Numbers of a column, NaN for all else."""
    texts = pc.ascii_trim_whitespace(texts)
    if separator != ",":
        texts = pc.replace_substring(texts, ",", ".", max_replacements=1)
    try:
        read = pc.cast(texts, pa.float64())
    except pa.ArrowInvalid:
        numbers = pc.match_substring_regex(texts, f"^({values.NUMBER})$")
        read = pc.cast(pc.if_else(numbers, texts, pa.scalar(None, pa.string())), pa.float64())
    return np.where(_flags_of(read.is_valid()), _numbers_of(read, "f8"), np.nan)


def _names(columns: Sequence[pa.Array], header: Header, count: int) -> np.ndarray:
    """Names of rows by one column, or by several together."""
    if not columns:
        return np.full(count, "", object)
    trimmed = [
        _texts_of(pc.replace_substring(pc.utf8_trim(column, characters=" \t"), _KEPT, header.separator))
        for column in columns
    ]
    if len(trimmed) == 1:
        return trimmed[0]
    names = np.empty(count, object)
    names[:] = [" / ".join(filter(None, parts)) for parts in zip(*trimmed)]
    return names
