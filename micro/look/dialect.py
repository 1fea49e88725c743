"""How a text file of numbers is written: encoding, separator, decimal sign, header, units, comments."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from micro.config import FilesData
from micro.datasets import cells
from micro.datasets.lines import GZIP, bare_utf16
from micro.errors import DataError
from micro.look.given import ContradictionError, typed_as
from micro.look.header import first_values, is_value, settled_above

# Bytes and lines from a file's beginning that tell.
HEAD, LINES = 1 << 16, 400
SEPARATORS = (",", ";", "\t", "|", " ")
COMMENTS = ("#", "%", "//")
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
        ascii: Whether the first rows are ASCII alone, which most encodings read alike.
    """

    settings: dict[str, Any]
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    units: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    ascii: bool = False

    def column(self, place: int) -> list[str]:
        """The first cells of a column; empty ones where a row is short."""
        return [row[place] if place < len(row) else "" for row in self.rows]


def dialect_of(path: Path, given: Mapping[str, Any] | None = None) -> Dialect:
    """The dialect of a text file by its first lines, and by the settings that are `given` in place of what they show.

    Raises:
        ContradictionError: Where these do not read a file that others read, with those that do.
        DataError: For a file that is no table of numbers.
    """
    given = given or {}
    try:
        return _dialect_of(path, given)
    except DataError as error:
        if not given:
            raise
        right = _dialect_of(path, {})
        others = {key: setting(right, key) for key in given}
        others = {key: value for key, value in others.items() if value != given[key]}
        reads = f"; right would be {typed_as(others)}" if others else ""
        raise ContradictionError(f"{error}{reads}") from None


def setting(dialect: Dialect, key: str) -> Any:
    """A setting of section [data], the default where the dialect does not have it."""
    return dialect.settings.get(key, FilesData.model_fields[key].default)


def _dialect_of(path: Path, given: Mapping[str, Any]) -> Dialect:
    text, encoding = _text(path, given.get("encoding"))
    lines = text.split("\n")[:LINES]
    skipped = given.get("skip_rows", 0)
    lines = [""] * min(skipped, len(lines)) + lines[skipped:]
    comment = given.get("comment", _comment(lines))
    kept = [(number, line) for number, line in enumerate(lines) if line.strip() and not _is_comment(line, comment)]
    if not kept:
        raise DataError(f"{path} has no line that is not empty or a comment{_after(skipped)}")
    separator, decimal = _separator([line for _, line in kept], path, given)
    rows = [_split(line, separator) for _, line in kept]
    first = first_values(rows, decimal)
    if first > 1 and len(rows[first - 2]) == len(rows[first - 1]) and not re.search(r"\w", "".join(rows[first - 1])):
        first -= 1  # a row of dashes or nothing below the names is a row without values
    first, header, units = settled_above(path, kept, rows, first, decimal, given)
    if (
        "skip_rows" in given
        and not header
        and "header" not in given
        and _dialect_of(path, {}).settings.get("header", True)
    ):
        raise DataError(f"{path}: --skip-rows {skipped} skips the row that names the columns")
    top = kept[first - header - units][0] if first - header - units >= 0 else 0
    settings: dict[str, Any] = {}
    if encoding not in ("utf-8", "utf-8-sig", "utf-16"):
        settings["encoding"] = encoding
    if separator != ",":
        settings["separator"] = separator
    if decimal != ".":
        settings["decimal"] = decimal
    if not header:
        settings["header"] = False
    junk = [n for n, line in enumerate(lines[:top]) if line.strip() and not _is_comment(line, comment)]
    if junk and "skip_rows" in given:
        raise DataError(f"{path}, line {junk[0] + 1}: {lines[junk[0]][:40]!r} is above the table{_after(skipped)}")
    if junk:
        settings["skip_rows"] = top
    if units:
        settings["units_row"] = True
    if comment is not None:
        settings["comment"] = comment
    body = tuple(tuple(cell.strip() for cell in row) for row in rows[first:])
    above_row = rows[first - units - 1] if header else [f"c{place}" for place in range(len(body[0]))]
    return Dialect(
        {**settings, **given},
        tuple(cell.strip() for cell in above_row),
        body,
        tuple(cell.strip() for cell in rows[first - 1]) if units else (),
        tuple(_remarks(body, separator, decimal)),
        encoding == "utf-8" and text.isascii(),
    )


def _after(skipped: int) -> str:
    return f" after --skip-rows {skipped}" if skipped else ""


def _remarks(rows: Sequence[Sequence[str]], separator: str, decimal: str) -> Iterator[str]:
    """Sentences on signs that may mean something else."""
    filled = [cell for row in rows for cell in row if cells.number(cell, decimal) is not None and cell]
    grouped = re.compile(rf"[+-]?[1-9][0-9]{{0,2}}{re.escape(decimal)}[0-9]{{3}}")
    if len(filled) > 8 and all(grouped.fullmatch(cell) for cell in filled):
        said = f"every number has three digits behind its {decimal!r}, such as {filled[0]}"
        yield f"{said}: is it a decimal sign, or does it group thousands?"
    if separator == ";" and decimal == "," and all(len(row) == 1 for row in rows):
        yield f"{filled[0]!r} is taken for one number with a decimal comma, not for two columns"


def _text(path: Path, given: str | None = None) -> tuple[str, str]:
    """The beginning of a file in whole lines, and its encoding, which a byte order mark says before what is given does.

    Raises:
        DataError: For a file that cannot be opened, or is not in the encoding that is given.
    """
    try:
        with path.open("rb") as raw:
            start = raw.read(2)
            raw.seek(0)
            content = (gzip.GzipFile(fileobj=raw) if start == GZIP else raw).read(HEAD + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    whole = len(content) <= HEAD
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = _encoding(content) if given is None or marked else given
    try:
        text = codecs.getincrementaldecoder(encoding)("replace" if given is None else "strict").decode(content, whole)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: byte 0x{content[error.start]:02x} is not {given}") from None
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
    return "utf-8-sig" if content.startswith(codecs.BOM_UTF8) else "utf-8"


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


def _separator(lines: Sequence[str], path: Path, given: Mapping[str, Any]) -> tuple[str, str]:
    """The separator and the decimal sign that make most of the later lines rows of values, all as long as each other.

    Of those that are given there is no choice.
    """
    separators = (given["separator"],) if "separator" in given else SEPARATORS
    decimals = (given["decimal"],) if "decimal" in given else (".", ",")
    later = lines[len(lines) // 2 :] if len(lines) > 4 else lines[-1:]
    best, found = 0.0, (separators[0], decimals[0])
    for separator, decimal in product(separators, decimals):
        if separator == decimal:
            continue
        rows = [_split(line, separator) for line in later]
        width, count = Counter(map(len, rows)).most_common(1)[0]
        alike = [row for row in rows if len(row) == width]
        values = sum(is_value(cell, decimal) and bool(cell.strip()) for row in alike for cell in row)
        fraction = values / (width * len(alike))
        # Of readings that make values of everything, the one with more columns; a decimal comma must occur to be one.
        if decimal == "," and "decimal" not in given and not any("," in cell for row in alike for cell in row):
            continue
        if given.keys() & {"separator", "decimal"} and _divided(alike, separator):
            continue
        # Blanks also stand within dates and after other separators: they separate where nothing else does.
        score = count / len(rows) * fraction + (1e-3 * min(width, 100) if separator != " " else -0.05)
        if score > best:
            best, found = score, (separator, decimal)
    if best < LEAST:
        if len(lines) == 1:
            raise DataError(f"{path} has one line, {lines[0][:40]!r}, and no rows below it")
        typed = typed_as({key: given[key] for key in ("separator", "decimal") if key in given})
        how = f"with {typed} they do not" if typed else "with no separator do they"
        raise DataError(f"{path} is no table of numbers by its first lines: {how} hold mostly numbers")
    if found == (",", ".") and not given.keys() & {"separator", "decimal"} and _one_comma_column(lines, later):
        return ";", ","
    return found


def _divided(rows: Sequence[Sequence[str]], separator: str) -> bool:
    """Whether another separator stands between numbers within cells of most rows."""
    between = re.compile(rf"[0-9][{re.escape(';|'.replace(separator, ''))}\t]\s*[-+0-9.,]")
    return separator != "\t" and sum(any(between.search(cell) for cell in row) for row in rows) > len(rows) / 2


def _one_comma_column(lines: Sequence[str], later: Sequence[str]) -> bool:
    """Whether every line is one number with a decimal comma: an integer and digits behind it, under one name or none."""
    alone = all(re.fullmatch(r"\s*[+-]?[0-9]+,[0-9]+\s*", line) for line in later)
    return alone and (re.fullmatch(r"\s*[+-]?[0-9]+,[0-9]+\s*", lines[0]) is not None or "," not in lines[0])
