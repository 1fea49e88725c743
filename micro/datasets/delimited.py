"""Text files of cells: CSV in its dialects, read in blocks so that memory stays close to that of the values."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from micro.config import FilesData
from micro.datasets import cells as cell
from micro.datasets import clock, precision, store
from micro.datasets.channel_units import units_below, units_beside
from micro.datasets.contents import Chosen, Contents, EmptyFile, Rows, choose, narrowed
from micro.datasets.cut_row import CutRow
from micro.datasets.delimited_advice import (
    Above,
    advice_on_cells,
    advice_on_names,
    advice_on_numbers,
    advice_on_text,
    advice_on_units,
    no_units,
)
from micro.datasets.lines import COMMENTED, Block, records, text_blocks
from micro.datasets.precision import Precision
from micro.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

# Rows below a header that are examined where something is wrong with it.
NEAR = 50


@dataclass(frozen=True)
class Part:
    """The chosen columns of a block; `lines` as in `Rows`, `flags` the cells of each column of several labels."""

    samples: np.ndarray
    times: Sequence[str]
    labels: Sequence[str]
    lines: int | np.ndarray
    flags: Sequence[Sequence[str]] = ()


def read_delimited(path: Path, config: FilesData, settled: Sequence[str] = ()) -> Contents:
    """A CSV file's channels, times and labels.

    Args:
        settled: Channels that an earlier run determined; empty to determine them by the config.

    Raises:
        DataError: Names file and line of what cannot be read, and the setting that helps.
        EmptyFile: Without a row.
    """
    blocks = text_blocks(path, config)
    names, units, rest, above = _head(path, blocks, config)

    def aside() -> str:
        near = list(islice(records(rest.text, rest.line, config), NEAR))
        return advice_on_names(names, near, above, config)

    chosen = choose(path, names, config, settled, aside)
    gathered = _Gathered(Rows(path))
    end = CutRow(names, config)
    for block in map(end.whole, _after(rest, blocks, config)):
        part = _fast(block, len(names), chosen, config) or _careful(path, block, names, chosen, config, gathered.texts)
        gathered.add(part, block, chosen, config)
    if not gathered.count:
        raise EmptyFile(f"{path} has a header and no rows" if config.header else f"{path} is empty")
    named = units_below(chosen.names, chosen.channels, units) or units_beside(path, chosen.names)
    return replace(gathered.contents(chosen, names), units=named, unread=(end.said,) if end.said else ())


@dataclass
class _Gathered:
    """What the blocks read so far hold; `texts` and `words` as in `Contents`."""

    rows: Rows
    texts: dict[int, str] = field(default_factory=dict)
    words: dict[str, int] = field(default_factory=dict)
    samples: store.Growing = field(default_factory=store.Growing)
    moments: list[clock.Moments] = field(default_factory=list)
    labels: list[np.ndarray] = field(default_factory=list)
    precision: dict[str, Precision] = field(default_factory=dict)
    flags: list[np.ndarray] = field(default_factory=list)
    count: int = 0

    def add(self, part: Part, block: Block, chosen: Chosen, config: FilesData) -> None:
        """One block more."""
        if not len(part.samples):
            return
        self.rows.runs.append((self.count, part.lines))
        narrow = _narrowed(part.samples, chosen, self.count, self.rows)
        for name, wide, column in zip(chosen.names, part.samples.T, narrow.T):
            precision.note(self.precision, name, wide, column)
        self.samples.add(narrow)
        if chosen.time is not None:
            self.moments.append(_times(part.times, chosen.time, block, self.count, config, self.rows))
        if chosen.label is not None:
            self.labels.append(cell.encoded(part.labels, self.words))
        if chosen.flags:
            self.flags.append(np.stack([cell.encoded(column, self.words) for column in part.flags], axis=1))
        self.count += len(part.samples)

    def contents(self, chosen: Chosen, header: Sequence[str]) -> Contents:
        """All blocks as one file."""
        return Contents(
            self.rows.path,
            chosen.names,
            self.samples.array(),
            self.rows,
            clock.join(self.moments, self.rows.where) if self.moments else None,
            np.concatenate(self.labels) if self.labels else None,
            self.words,
            texts=self.texts,
            header=tuple(header),
            precision=self.precision,
            flags=np.concatenate(self.flags) if self.flags else None,
        )


def _head(path: Path, blocks: Iterator[Block], config: FilesData) -> tuple[list[str], list[str], Block, list[Above]]:
    """Names of the columns, the units below them, the rest of the block that they end in, and the lines that skip_rows leaves
    out above them."""
    wanted = int(config.header) + int(config.units_row)
    rows: list[list[str]] = []
    above: list[Above] = []
    for block in blocks:
        try:
            for start, _, cells in records(block.text, block.line, config):
                if start <= config.skip_rows:
                    above.append((start, cells))
                    continue
                rows.append([text.strip() for text in cells])
                if config.units_row and len(rows) == wanted and (data := no_units(cells)):
                    raise DataError(f"{path}, line {start}: {data}")
                if len(rows) == wanted + 1:
                    units = rows[wanted - 1] if config.units_row else []
                    return _names(path, rows, above, config), units, _cut(block, start), above
        except csv.Error as error:
            raise DataError(f"{path} cannot be read as CSV: {error}") from None
    if not rows:
        raise EmptyFile(f"{path} is empty" if not config.skip_rows else f"{path} has no line after skip_rows")
    raise EmptyFile(f"{path} has a header and no rows")


def _cut(block: Block, line: int) -> Block:
    """A block from a line on."""
    place = 0
    for _ in range(line - block.line):
        place = block.text.index("\n", place) + 1
    return replace(block, line=line, text=block.text[place:])


def _names(path: Path, rows: list[list[str]], above: Sequence[Above], config: FilesData) -> list[str]:
    """Names of the columns, from the header and as many cells as the first row has."""
    width = len(rows[-1])
    if not config.header:
        # A separator at the end of every row is not the beginning of another column.
        ends = [""] if width > 1 and not rows[-1][-1] else []
        return [f"c{place}" for place in range(width - len(ends))] + ends
    names = rows[0]
    if any(names) and all(cell.number(name, config.decimal) is not None for name in names):
        raise DataError(f"{path}: {advice_on_numbers(names, above, config)}")
    # A separator at the end of every row, but not of the header.
    return [*names, ""] if width == len(names) + 1 and not rows[-1][-1] else names


def _after(rest: Block, blocks: Iterator[Block], config: FilesData) -> Iterator[Block]:
    yield rest
    yield from blocks


def _fast(block: Block, width: int, chosen: Chosen, config: FilesData) -> Part | None:
    """A block by pyarrow's reader; None where a cell is not plainly a number, or a row has another number of cells."""
    if set(chosen.channels) & {chosen.time, chosen.label, *chosen.flags}:
        return None
    content = block.text.replace(f"{COMMENTED}\n", "").encode()
    if not content.strip():
        return Part(np.empty((0, len(chosen.channels))), [], [], block.line)
    table = _arrow_table(content, '"' in block.text, width, chosen, config)
    if table is None:
        return None
    samples = np.empty((table.num_rows, len(chosen.channels)))
    for place, column in enumerate(chosen.channels):
        samples[:, place] = _plain(table.column(str(column)))
    if np.isinf(samples).any():
        return None  # the word, or a number too large
    times = [] if chosen.time is None else table.column(str(chosen.time)).to_pylist()
    labels = [] if chosen.label is None else table.column(str(chosen.label)).to_pylist()
    lines: int | np.ndarray = block.line
    if table.num_rows != block.text.count("\n"):
        lines = np.array([line for line, _, _ in records(block.text, block.line, config, width)])
        if len(lines) != table.num_rows:
            return None
    return Part(samples, times, labels, lines, [table.column(str(place)).to_pylist() for place in chosen.flags])


def _arrow_table(content: bytes, quoted: bool, width: int, chosen: Chosen, config: FilesData) -> pa.Table | None:
    """The chosen columns, by the places that are their names: channels as float64, the others as text."""
    import pyarrow as pa
    from pyarrow import csv as reader

    kinds = {str(place): pa.string() for place in chosen.places}
    kinds |= {str(place): pa.float64() for place in chosen.channels}
    try:
        return reader.read_csv(
            pa.BufferReader(content),
            reader.ReadOptions(
                column_names=[str(place) for place in range(width)], use_threads=False, block_size=len(content) + 1
            ),
            reader.ParseOptions(delimiter=config.separator, newlines_in_values=quoted, ignore_empty_lines=width > 1),
            reader.ConvertOptions(
                column_types=kinds,
                include_columns=[str(place) for place in chosen.places],
                decimal_point=config.decimal,
                null_values=["", "nan", "NaN"],
                strings_can_be_null=False,
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeEncodeError):
        return None


def _plain(column: pa.ChunkedArray) -> np.ndarray:
    """A column of pyarrow's as float64 with NaN for nulls. Its own `to_numpy` would import pandas, which takes a second."""
    parts = [np.empty(0)]
    for chunk in column.chunks:
        present, values = chunk.buffers()
        rows = slice(chunk.offset, chunk.offset + len(chunk))
        part = np.frombuffer(values, np.float64)[rows]
        if chunk.null_count:
            known = np.unpackbits(np.frombuffer(present, np.uint8), bitorder="little")[rows]
            part = np.where(known, part, np.nan)
        parts.append(part)
    return np.concatenate(parts)


def _careful(
    path: Path, block: Block, names: Sequence[str], chosen: Chosen, config: FilesData, texts: dict[int, str]
) -> Part:
    """A block cell by cell: what is not a number is an error, or a missing value where the config says so."""
    lines, rows = _rows_of(path, block, names, config)
    samples = np.full((len(rows), len(chosen.channels)), np.nan)
    for row, cells in enumerate(rows):
        for place, column in enumerate(chosen.channels):
            text = cells[column]
            value = cell.number(text, config.decimal)
            if value is not None:
                samples[row, place] = value
                if np.isinf(value):
                    raise DataError(
                        f"{path}, line {lines[row]}: {text.strip()!r} in column {names[column]!r} is beyond what float32 holds"
                    )
            elif config.on_text == "error":
                first = row == 0 and lines[0] <= config.skip_rows + 2
                raise DataError(
                    f"{path}, line {lines[row]}: {advice_on_text(column, rows[row : row + NEAR], names, first, config)}"
                )
            else:
                texts.setdefault(place, text.strip())
    times = [] if chosen.time is None else [cells[chosen.time] for cells in rows]
    labels = [] if chosen.label is None else [cells[chosen.label] for cells in rows]
    flags = [[cells[place] for cells in rows] for place in chosen.flags]
    return Part(samples, times, labels, np.array(lines, np.int64), flags)


def _rows_of(path: Path, block: Block, names: Sequence[str], config: FilesData) -> tuple[list[int], list[list[str]]]:
    """A block's rows as cells, as many as there are columns, and the line of each."""
    lines: list[int] = []
    rows: list[list[str]] = []
    width = len(names)
    try:
        for line, after, cells in records(block.text, block.line, config, width):
            if len(cells) == width + 1 and not cells[-1].strip():
                cells = cells[:width]
            elif len(cells) > width or (len(cells) < width and config.on_missing == "error"):
                is_last = block.last and after == block.line + block.text.count("\n")
                near = list(islice(records(block.text, block.line, config), NEAR))
                advice = advice_on_cells(cells, names, near, len(rows) < NEAR, is_last, config, after - line)
                raise DataError(f"{path}, line {line}: {advice}")
            lines.append(line)
            rows.append(cells + [""] * (width - len(cells)))
    except csv.Error as error:
        raise DataError(f"{path} cannot be read as CSV: {error}") from None
    return lines, rows


def _times(texts: Sequence[str], place: int, block: Block, first: int, config: FilesData, rows: Rows) -> clock.Moments:
    try:
        return clock.parse(texts, config, partial(_where, rows, first))
    except DataError:
        near = [cells for _, _, cells in islice(records(block.text, block.line, config), 2)]
        if first == 0 and len(near) == 2 and (advice := advice_on_units(near[0], near[1], place, config)):
            raise DataError(f"{rows.where(0)}: {advice}") from None
        raise


def _where(rows: Rows, first: int, row: int) -> str:
    return rows.where(first + row)


def _narrowed(samples: np.ndarray, chosen: Chosen, first: int, rows: Rows) -> np.ndarray:
    far = cell.beyond(samples)
    if far.any():
        place = int(np.flatnonzero(far.any(axis=0))[0])
        narrowed(samples[:, place], chosen.names[place], first, rows)
    return samples.astype(np.float32)
