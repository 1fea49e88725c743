"""How a text file of numbers is written: encoding, separator, decimal sign, header, units, comments."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from micro.datasets import cells, time_formats
from micro.datasets.lines import GZIP, bare_utf16
from micro.errors import DataError

# Bytes and lines from a file's beginning that tell.
HEAD, LINES = 1 << 16, 400
SEPARATORS = (",", ";", "\t", "|", " ")
COMMENTS = ("#", "%", "//")
LONGEST_DATE = 40
# A dialect must read this fraction of the cells as numbers, dates or nothing in some columns.
LEAST = 0.5


@dataclass(frozen=True)
class Dialect:
    """Settings of section [data] that read a file, and its first rows.

    Attributes:
        settings: Those that are not the default.
        names: Of the columns.
        rows: Cells of the first rows, below header and units.
        units: Cells of the row of units, empty where there is none.
        remarks: Sentences on what may be read otherwise.
    """

    settings: dict[str, Any]
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    units: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def column(self, place: int) -> list[str]:
        """The first cells of a column; empty ones where a row is short."""
        return [row[place] if place < len(row) else "" for row in self.rows]


def dialect_of(path: Path) -> Dialect:
    """The dialect of a text file by its first lines.

    Raises:
        DataError: For a file that is no table of numbers.
    """
    text, encoding = _text(path)
    lines = text.split("\n")[:LINES]
    comment = _comment(lines)
    kept = [(number, line) for number, line in enumerate(lines) if line.strip() and not _is_comment(line, comment)]
    if not kept:
        raise DataError(f"{path} has no line that is not empty or a comment")
    separator, decimal = _separator([line for _, line in kept], path)
    rows = [_split(line, separator) for _, line in kept]
    first = _first(rows, decimal)
    if first > 1 and len(rows[first - 2]) == len(rows[first - 1]) and not re.search(r"\w", "".join(rows[first - 1])):
        first -= 1  # a row of dashes or nothing below the names is a row without values
    header, units = _header(rows, first, decimal)
    above = kept[first - header - units][0] if first - header - units >= 0 else 0
    settings: dict[str, Any] = {}
    if encoding not in ("utf-8", "utf-8-sig", "utf-16"):
        settings["encoding"] = encoding
    if separator != ",":
        settings["separator"] = separator
    if decimal != ".":
        settings["decimal"] = decimal
    if not header:
        settings["header"] = False
    if above and any(line.strip() and not _is_comment(line, comment) for line in lines[:above]):
        settings["skip_rows"] = above
    if units:
        settings["units_row"] = True
    if comment is not None:
        settings["comment"] = comment
    body = tuple(tuple(cell.strip() for cell in row) for row in rows[first:])
    above_row = rows[first - units - 1] if header else [f"c{place}" for place in range(len(body[0]))]
    return Dialect(
        settings,
        tuple(cell.strip() for cell in above_row),
        body,
        tuple(cell.strip() for cell in rows[first - 1]) if units else (),
        tuple(_remarks(body, separator, decimal)),
    )


def _remarks(rows: Sequence[Sequence[str]], separator: str, decimal: str) -> Iterator[str]:
    """Sentences on signs that may mean something else."""
    filled = [cell for row in rows for cell in row if cells.number(cell, decimal) is not None and cell]
    grouped = re.compile(rf"[+-]?[1-9][0-9]{{0,2}}{re.escape(decimal)}[0-9]{{3}}")
    if len(filled) > 8 and all(grouped.fullmatch(cell) for cell in filled):
        said = f"every number has three digits behind its {decimal!r}, such as {filled[0]}"
        yield f"{said}: is it a decimal sign, or does it group thousands?"
    if separator == ";" and decimal == "," and all(len(row) == 1 for row in rows):
        yield f"{filled[0]!r} is taken for one number with a decimal comma, not for two columns"


def is_value(cell: str, decimal: str) -> bool:
    """Whether a cell is a number, a date or empty."""
    return cells.number(cell, decimal) is not None or is_date(cell)


def is_date(cell: str) -> bool:
    """Whether a cell is a date or a time of day, and nothing else."""
    cell = cell.strip()
    return len(cell) <= LONGEST_DATE and time_formats.is_time(cell) and _is_date(re.sub(r"[0-9]", "1", cell), cell)


_SHAPES: dict[str, bool] = {}


def _is_date(shape: str, cell: str) -> bool:
    """As `is_date`; what cells of one shape are is found out once, as there are very many formats."""
    if shape not in _SHAPES:
        _SHAPES[shape] = time_formats.is_iso(cell) or bool(time_formats.reading([cell]))
    return _SHAPES[shape]


def _text(path: Path) -> tuple[str, str]:
    """The beginning of a file in whole lines, and its encoding."""
    try:
        with path.open("rb") as raw:
            start = raw.read(2)
            raw.seek(0)
            content = (gzip.GzipFile(fileobj=raw) if start == GZIP else raw).read(HEAD + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    whole = len(content) <= HEAD
    encoding = _encoding(content)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(content, final=whole)
    text = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    return text if whole or "\n" not in text else text[: text.rindex("\n")], encoding


def _encoding(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if (bare := bare_utf16(content)) is not None:
        return bare
    try:
        codecs.getincrementaldecoder("utf-8-sig")().decode(content)
    except UnicodeDecodeError:
        # Bytes that Windows uses for letters and signs and that are control characters in Latin-1.
        return "cp1252" if re.search(rb"[\x80-\x9f]", content) else "latin-1"
    return "utf-8"


def _comment(lines: Sequence[str]) -> str | None:
    """What the first line begins with, where that marks comments and not every line begins so."""
    present = [line.strip() for line in lines if line.strip()]
    for mark in COMMENTS:
        count = sum(line.startswith(mark) for line in present)
        if present and present[0].startswith(mark) and count < len(present):
            return mark
    return None


def _is_comment(line: str, comment: str | None) -> bool:
    return comment is not None and line.lstrip().startswith(comment)


def _split(line: str, separator: str) -> list[str]:
    text = re.sub(r"[ \t]+", " ", line.strip()) if separator == " " else line
    try:
        return next(csv.reader(io.StringIO(text), delimiter=separator), [])
    except csv.Error:
        return [line]


def _separator(lines: Sequence[str], path: Path) -> tuple[str, str]:
    """The separator and the decimal sign that make most of the later lines rows of values, all as long as each other."""
    later = lines[len(lines) // 2 :] if len(lines) > 4 else lines[-1:]
    best, found = 0.0, (",", ".")
    for separator, decimal in product(SEPARATORS, (".", ",")):
        if separator == decimal:
            continue
        rows = [_split(line, separator) for line in later]
        width, count = Counter(map(len, rows)).most_common(1)[0]
        alike = [row for row in rows if len(row) == width]
        values = sum(is_value(cell, decimal) and bool(cell.strip()) for row in alike for cell in row)
        fraction = values / (width * len(alike))
        # Of readings that make values of everything, the one with more columns; a decimal comma must occur to be one.
        if decimal == "," and not any("," in cell for row in alike for cell in row):
            continue
        # Blanks also stand within dates and after other separators: they separate where nothing else does.
        score = count / len(rows) * fraction + (1e-3 * min(width, 100) if separator != " " else -0.05)
        if score > best:
            best, found = score, (separator, decimal)
    if best < LEAST:
        raise DataError(
            f"{path} is no table of numbers that can be told by its first lines: with no separator do they hold mostly numbers"
        )
    if found == (",", ".") and _one_comma_column(lines, later):
        return ";", ","
    return found


def _one_comma_column(lines: Sequence[str], later: Sequence[str]) -> bool:
    """Whether every line is one number with a decimal comma: whole numbers and unsigned digits, under one name or none."""
    alone = all(re.fullmatch(r"\s*[+-]?[0-9]+,[0-9]+\s*", line) for line in later)
    return alone and (re.fullmatch(r"\s*[+-]?[0-9]+,[0-9]+\s*", lines[0]) is not None or "," not in lines[0])


def _first(rows: Sequence[Sequence[str]], decimal: str) -> int:
    """The first row of values: as wide as most, and with a number or date where most rows have one."""
    width = Counter(len(row) for row in rows[len(rows) // 2 :]).most_common(1)[0][0]
    later = [row for row in rows[len(rows) // 2 :] if len(row) == width]
    valued = [
        place
        for place in range(width)
        if sum(is_value(row[place], decimal) and bool(row[place].strip()) for row in later) > len(later) / 2
    ]
    for number, row in enumerate(rows):
        read = sum(is_value(row[place], decimal) and bool(row[place].strip()) for place in valued if place < len(row))
        if len(row) == width and read and 2 * read >= len(valued):
            return number
    return max(0, len(rows) - 1)


def _header(rows: Sequence[Sequence[str]], first: int, decimal: str) -> tuple[bool, bool]:
    """Whether there is a header above the first row of values, and a row of units between the two."""
    width = len(rows[first])

    def names(row: Sequence[str]) -> bool:
        filled = [cell for cell in row if cell.strip()]
        return abs(len(row) - width) <= 1 and bool(filled) and not all(is_value(cell, decimal) for cell in filled)

    if first == 0 or not names(rows[first - 1]):
        return False, False
    units = first > 1 and names(rows[first - 2]) and len(rows[first - 2]) == len(rows[first - 1])
    return True, units and _are_units(rows[first - 1])


def _are_units(row: Sequence[str]) -> bool:
    """Whether a row below the names reads as units: short words, no numbers, some letter or sign of a unit."""
    filled = [cell.strip() for cell in row if cell.strip()]
    short = all(len(cell) <= 12 and cells.number(cell) is None for cell in filled)
    return short and any(re.search(r"[^\W\d_]|[%°]", cell) for cell in filled)
