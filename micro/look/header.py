"""Where the values of a table of cells begin, and what stands above them: names of columns, and their units."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from micro.datasets import cells, time_formats
from micro.errors import DataError

LONGEST_DATE = 40


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


def first_values(rows: Sequence[Sequence[str]], decimal: str) -> int:
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


def settled_above(
    path: Path,
    kept: Sequence[tuple[int, str]],
    rows: Sequence[Sequence[str]],
    first: int,
    decimal: str,
    given: Mapping[str, Any],
) -> tuple[int, bool, bool]:
    """The first row of values, whether there is a header above it, and whether there is a row of units between the two.

    Args:
        kept: Number and text of the line of each row.
        first: The first row of values as `first_values` finds it.
        given: Settings that are not to be found out.

    Raises:
        DataError: Where header or units that are given do not fit the rows.
    """
    header, units = above(rows, first, decimal)
    if given.get("header") is False and header:
        line, text = kept[first - 1 - units]
        raise DataError(f"{path}, line {line + 1}: {text[:40]!r} names columns, and --no-header says that no row does")
    if given.get("header") and not header:
        line, text = kept[max(0, first - 1)]
        raise DataError(f"{path}, line {line + 1}: {text[:40]!r} names no columns, and --header says that a row does")
    if given.get("units_row") is False and units:
        line, text = kept[first - 1]
        raise DataError(
            f"{path}, line {line + 1}: {text[:40]!r} are units, and --no-units-row says that there are none"
        )
    if given.get("units_row") and not units:
        if not header or len(rows) <= first + 1:
            raise DataError(f"{path}: --units-row is the row below the names of columns, and there are none")
        return (first, True, True) if _two(rows, first, decimal) else (first + 1, True, True)
    return first, header, units


def above(rows: Sequence[Sequence[str]], first: int, decimal: str) -> tuple[bool, bool]:
    """Whether there is a header above the first row of values, and a row of units between the two."""
    if first == 0 or not _names(rows[first - 1], len(rows[first]), decimal):
        return False, False
    return True, _two(rows, first, decimal) and _are_units(rows[first - 1])


def _names(row: Sequence[str], width: int, decimal: str) -> bool:
    filled = [cell for cell in row if cell.strip()]
    return abs(len(row) - width) <= 1 and bool(filled) and not all(is_value(cell, decimal) for cell in filled)


def _two(rows: Sequence[Sequence[str]], first: int, decimal: str) -> bool:
    """Whether two rows as long as each other lead to the values, the upper one of words."""
    alike = first > 1 and len(rows[first - 2]) == len(rows[first - 1])
    return alike and _names(rows[first - 2], len(rows[first]), decimal)


def _are_units(row: Sequence[str]) -> bool:
    """Whether a row below the names reads as units: short words, no numbers, some letter or sign of a unit."""
    filled = [cell.strip() for cell in row if cell.strip()]
    short = all(len(cell) <= 12 and cells.number(cell) is None for cell in filled)
    return short and any(re.search(r"[^\W\d_]|[%°]", cell) for cell in filled)
