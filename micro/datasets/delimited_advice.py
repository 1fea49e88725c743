"""What is probably wrong where a text file is not read as a table, and which setting helps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from micro.config import TableData
from micro.datasets import cells as cell
from micro.support.wording import counted

SEPARATORS = {",": ",", ";": ";", "\t": "\\t", "|": "|"}
COMMENTS = ("#", "%", "//", ";", "!", "*")


def advice_on_names(names: Sequence[str], near: Sequence[tuple[int, int, list[str]]], config: TableData) -> str:
    """What may be wrong where a header lacks a column; `near` are the lines and cells of rows below it."""
    other = _other_separator(names, config)
    if other:
        return f"; {other}"
    if names and names[0].startswith(COMMENTS):
        return "; " + _comment(names[0])
    begins = _table_begins(near, config)
    if begins is not None and len(near[-1][2]) != len(names):
        return f"; are there lines above the header? set skip_rows = {begins - 1}"
    return ""


def advice_on_cells(
    cells: Sequence[str],
    names: Sequence[str],
    near: Sequence[tuple[int, int, list[str]]],
    is_early: bool,
    is_last: bool,
    config: TableData,
) -> str:
    """Why a row has another number of cells than the header, and what to do; `near` are lines and cells of rows around it."""
    said = f"{counted(len(cells), 'cell')} where {len(names)} are expected"
    if is_last and len(cells) < len(names):
        return f'{said}: the last line is cut off; set on_missing = "drop" to leave it out'
    if cells and cells[0].strip().startswith(COMMENTS) and config.comment is None:
        return f"{said}; {_comment(cells[0].strip())}"
    other = _other_separator(names, config) or _other_separator(cells, config)
    if other:
        return f"{said}; {other}"
    if is_early and (begins := _table_begins(near, config)) is not None:
        return f"{said}; are there lines above the header? set skip_rows = {begins - 1}"
    if len(cells) == 2 * len(names) and config.separator == ",":
        return (
            f"{said}; twice as many are those of decimal commas, which look like the separator: export with another "
            "separator, or with decimal points"
        )
    if len(cells) < len(names):
        return f'{said}; set on_missing = "drop" or "interpolate" to treat the others as missing'
    return f"{said}; check separator, and skip_rows if there are lines above the header"


def advice_on_text(
    text: str,
    column: int,
    cells: Sequence[str],
    under: Sequence[str],
    names: Sequence[str],
    is_first: bool,
    config: TableData,
) -> str:
    """Why a cell of a column of numbers is text, and what to do; `under` is the row below, empty if there is none."""
    name = names[column]
    said = f"{text.strip()!r} in column {name!r} is not a number"
    if name == "":
        said = f"{text.strip()!r} in column {column + 1}, which has no name, is not a number"
        if _is_date(text):
            return f'{said}; if it is the time, set time_column = ""'
    if cells and cells[0].strip().startswith(COMMENTS) and config.comment is None:
        return f"{said}; {_comment(cells[0].strip())}"
    advice = cell.hint(text, config.decimal)
    other = _other_separator(cells, config)
    if other and advice.startswith("set on_text"):
        return f"{said}; {other}"
    if is_first and (units := advice_on_units(cells, under, config)):
        return f"{said}; {units}"
    if _is_date(text) and config.time_column is None:
        return f"{said}; if it is the time, set time_column = {name!r} in place of sample_rate"
    if advice.startswith("set on_text") and len(names) > 1:
        advice += ", or name the channels to use in columns"
    return f"{said}; {advice}"


def advice_on_units(cells: Sequence[str], under: Sequence[str], config: TableData) -> str:
    """What to do about a row of units below the header, which has no number where the row below it does; '' otherwise."""
    if not config.header or config.units_row or any(cell.NUMBER.fullmatch(text.strip()) for text in cells):
        return ""
    if not any(cell.number(text, config.decimal) is not None and text.strip() for text in under):
        return ""
    return f"a row of units ({', '.join(text.strip() for text in cells[:4])})? set units_row = true"


def _other_separator(cells: Sequence[str], config: TableData) -> str | None:
    """The separator that a row of one cell was probably written with."""
    if len(cells) != 1:
        return None
    counts = {sign: cells[0].count(sign) for sign in SEPARATORS if sign != config.separator}
    best = max(counts, key=lambda sign: (sign != ",", counts[sign]) if counts[sign] else (False, 0))
    if counts[best]:
        return f'{cells[0][:40]!r} is one cell; set separator = "{SEPARATORS[best]}"'
    return None


def _table_begins(near: Sequence[tuple[int, int, list[str]]], config: TableData) -> int | None:
    """Line of the row from which all near rows have the same number of cells, two at least, and which may be a header."""
    if len(near) < 3 or len(near[-1][2]) < 2:
        return None
    width, begins, first = len(near[-1][2]), None, near[-1][2]
    for line, _, cells in reversed(near):
        if len(cells) != width:
            break
        begins, first = line, cells
    numbers_only = all(cell.number(text, config.decimal) is not None for text in first)
    return None if config.header and numbers_only else begins


def _comment(text: str) -> str:
    sign = next(sign for sign in sorted(COMMENTS, key=len, reverse=True) if text.startswith(sign))
    return f'if lines that begin with "{sign}" are comments, set comment = "{sign}"'


def _is_date(text: str) -> bool:
    text = text.strip()
    if len(text) < 8 or text.isdecimal():
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
