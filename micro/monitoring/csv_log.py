"""Logs in CSV: as a program writes them, or as a serial terminal captured them over restarts."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from micro.errors import DataError
from micro.monitoring import values
from micro.monitoring.csv_header import SEPARATORS, Header, check_same, header_of, split
from micro.monitoring.csv_table import Table, row_of, table_of
from micro.monitoring.lines import Block, Rows, Skipped
from micro.support.wording import excerpt

# Lines that are no rows and wait for the next one: if that is a header, they are what a restart prints.
MOST_WAITING = 1000


@dataclass
class _State:
    """What has been read so far: header, restarts, waiting lines.

    Each waiting line comes with the reason why it is a faulty row, or None where it is not a row at all.
    """

    path: Path
    unit: float | None
    header: Header | None = None
    boot: int = 0
    waiting: list[tuple[Skipped, str | None]] = field(default_factory=list)
    decimals: set[str] = field(default_factory=set)


Places = Generator[Rows | Skipped, None, int]


def csv_rows(path: Path, blocks: Iterator[Block], unit: float | None) -> Iterator[Rows | Skipped]:
    """A CSV log's rows, and the lines that are not rows.

    The header may be repeated, at each restart of the device. Lines before a header and lines shorter than a row are skipped;
    rows that do not fit their header are refused, except those that a restart has cut short.

    Raises:
        DataError: Naming file and row of what cannot be read.
    """
    state = _State(path, unit)
    first, cut, binary = "", False, False
    for block in blocks:
        first = first or next((line for line in block.lines if line), "")
        binary = binary or (state.header is None and any("\0" in line for line in block.lines))
        cut = block.cut
        start = 0
        while start < len(block.lines):
            read = _to_header if state.header is None else _under_header
            start = yield from read(state, block.first, block.lines, start)
    if state.header is None:
        raise DataError(_no_header(path, first, binary))
    if state.waiting and not (cut and len(state.waiting) == 1):
        _refuse(state, state.waiting[:1])
    yield from _skipped(state)


def _no_header(path: Path, first: str, binary: bool) -> str:
    """Why a file without a header is no log; `binary` where lines hold NUL bytes."""
    if not first:
        return f"{path} is empty: a log has a header, and a row a window"
    if len(first) > 3 and set(first[1::2]) == {"\0"}:
        return f"{path} is UTF-16 without a byte order mark; save it as UTF-8"
    if binary:
        return f"{path} is not text, as it holds NUL bytes: {excerpt(first)}; a log is CSV or JSON lines"
    names = split(first, next((mark for mark in SEPARATORS if mark in first), ","))
    said = f"no column 'score' or 'raw_score' among {', '.join(names)[:200]}"
    if "\ufffd" in first:
        return f"{path} is not UTF-8, and there is {said}; is it a log? save it as UTF-8"
    return f"{path}: {said}"


def _to_header(state: _State, first: int, lines: Sequence[str], start: int) -> Places:
    """Skip lines up to the first header; the place after it is returned."""
    for place in range(start, len(lines)):
        state.header = header_of(lines[place], state.path, first + place)
        if state.header is not None:
            return place + 1
        if lines[place]:
            yield Skipped(first + place, lines[place])
    return len(lines)


def _under_header(state: _State, first: int, lines: Sequence[str], start: int) -> Places:
    """Rows and other lines up to the end of the block or to another header, and the place after it."""
    header = state.header
    assert header is not None
    table = table_of(lines[start:], header, state.unit)
    state.decimals |= table.decimals
    if len(state.decimals) > 1:
        raise DataError(f"{state.path}: decimal commas in some rows and decimal points in others; use points in all")
    at = 0
    for place in (*np.flatnonzero(table.no_row).tolist(), len(table.texts)):
        if (rows := _rows(state, table, first + start, at, place)) is not None:
            _refuse(state, state.waiting)
            yield from _skipped(state)
            yield rows
        if place == len(table.texts):
            break
        at = place + 1
        number = first + start + place
        again = header if header.repeated(table.texts[place]) else header_of(lines[start + place], state.path, number)
        if again is not None:
            check_same(header, again, state.path, number)
            yield from _skipped(state)
            if len(table.texts[place]) > len(again.text):
                yield Skipped(number, table.texts[place])
            state.header, state.boot = again, state.boot + 1
            if again is not header:
                return start + at
        else:
            yield from _wait(state, header, number, table.texts[place])
    return len(lines)


def _rows(state: _State, table: Table, first: int, start: int, end: int) -> Rows | None:
    """The rows among a table's lines from `start` to `end`; None if there are none."""
    low, high = np.searchsorted(table.places, (start, end))
    if low == high:
        return None
    part = slice(low, high)
    return Rows(
        state.boot,
        first + table.places[part],
        table.scores[part],
        table.sessions[part],
        table.devices[part],
        table.modes[part],
        table.statuses[part],
        table.columns,
        table.features[part],
    )


def _wait(state: _State, header: Header, number: int, text: str) -> Iterator[Skipped]:
    """A line that is no row waits for the next one; DataError for one that is too long, whatever comes."""
    try:
        row_of(text, header, state.unit)
        why = None
    except values.BadRow as error:
        why = str(error)
        if len(split(text, header.separator)) > len(header.names) and not state.waiting:
            raise DataError(f"{state.path}, row {number}: {why}") from None
    state.waiting.append((Skipped(number, text), why))
    if len(state.waiting) >= MOST_WAITING:
        _refuse(state, state.waiting[:1])
        yield from _skipped(state)


def _refuse(state: _State, waiting: Sequence[tuple[Skipped, str | None]]) -> None:
    for line, why in waiting:
        if why is not None:
            raise DataError(f"{state.path}, row {line.number}: {why}")


def _skipped(state: _State) -> Iterator[Skipped]:
    waiting, state.waiting = state.waiting, []
    return (line for line, _ in waiting)
