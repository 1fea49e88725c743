"""What is probably wrong where a text file is not read as a table, and which setting helps."""

from __future__ import annotations

from collections.abc import Sequence

from micro.config import FilesData
from micro.datasets import cells as cell
from micro.datasets import time_formats
from micro.support.wording import counted

SEPARATORS = {",": ",", ";": ";", "\t": "\\t", "|": "|"}
COMMENTS = ("#", "%", "//", ";", "!", "*")
# A line above the header that skip_rows leaves out: its number and its cells.
Above = tuple[int, list[str]]


def advice_on_names(
    names: Sequence[str], near: Sequence[tuple[int, int, list[str]]], above: Sequence[Above], config: FilesData
) -> str:
    """What may be wrong where a header lacks a column; `near` are the lines and cells of rows below it."""
    skipped = _skipped_header(names, above, config)
    if skipped is not None:
        return f"; {_another_number(skipped, config)}"
    other = _other_separator(names, config)
    if other:
        return f"; {other}"
    if names and names[0].startswith(COMMENTS):
        return "; " + _comment(names[0])
    begins = _table_begins(near, config)
    if begins is not None and len(near[-1][2]) != len(names):
        if config.skip_rows:
            return f"; {_another_number(begins, config)}"
        return f"; are there lines above the header? set skip_rows = {begins - 1}"
    return ""


def advice_on_numbers(names: Sequence[str], above: Sequence[Above], config: FilesData) -> str:
    """That a header holds numbers only, and what to do."""
    if not config.skip_rows:
        return "the first line holds numbers only; set header = false if it is data"
    said = f"the first line after skip_rows = {config.skip_rows} holds numbers only"
    skipped = _skipped_header(names, above, config)
    if skipped is not None:
        return f"{said}; {_another_number(skipped, config)}"
    return f"{said}; set header = false if there is no header, or skip_rows to the number of lines above it"


def _skipped_header(names: Sequence[str], above: Sequence[Above], config: FilesData) -> int | None:
    """The line of what looks like a header among the lines that skip_rows leaves out: as many cells as columns, no number."""
    for line, cells in reversed(above):
        named = all(text.strip() and cell.number(text, config.decimal) is None for text in cells)
        if named and len(cells) == len(names) and (len(cells) > 1 or cells[0].strip() in config.columns):
            return line
    return None


def _another_number(header: int, config: FilesData) -> str:
    """That a file has fewer or more lines above its header than the config says."""
    return (
        f"line {header} looks like its header, so it has {counted(header - 1, 'line')} above it, and skip_rows is "
        f"{config.skip_rows}: all files of a run, and those that it scores, need as many lines above the header"
    )


def advice_on_cells(
    cells: Sequence[str],
    names: Sequence[str],
    near: Sequence[tuple[int, int, list[str]]],
    is_early: bool,
    is_last: bool,
    config: FilesData,
    lines: int = 1,
) -> str:
    """Why a row has another number of cells than the header, and what to do.

    `near` are lines and cells of rows around it, `lines` how many lines of the file it goes over.
    """
    said = f"{counted(len(cells), 'cell')} where {len(names)} are expected"
    if lines > 1:
        below = counted(lines - 1, "line")
        return f'{said}: a quote (") opens a cell that is closed {below} below; is one missing or too many?'
    if is_last and len(cells) < len(names):
        return f'{said}: the last line is cut off; set on_missing = "drop" to leave it out'
    if cells and cells[0].strip().startswith(COMMENTS) and config.comment is None:
        return f"{said}; {_comment(cells[0].strip())}"
    other = _other_separator(names, config) or _other_separator(cells, config)
    if other:
        return f"{said}; {other}"
    if is_early and (begins := _table_begins(near, config)) is not None:
        if config.skip_rows:
            return f"{said}; {_another_number(begins, config)}"
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
    column: int, rows: Sequence[Sequence[str]], names: Sequence[str], is_first: bool, config: FilesData
) -> str:
    """Why a cell of a column of numbers is text, and what to do; `rows` are its own and those below it."""
    name, cells = names[column], rows[0]
    text = cells[column].strip()
    said = f"{text!r} in column {name!r} is not a number"
    if name == "":
        said = f"{text!r} in column {column + 1}, which has no name, is not a number"
    if cells[0].strip().startswith(COMMENTS) and config.comment is None:
        return f"{said}; {_comment(cells[0].strip())}"
    advice = cell.hint(text, config.decimal)
    other = _other_separator(cells, config)
    if other and advice.startswith("set on_text"):
        return f"{said}; {other}"
    if is_first and len(rows) > 1 and (units := advice_on_units(cells, rows[1], column, config)):
        return f"{said}; {units}"
    below = [row[column] for row in rows]
    if time_formats.is_time(text) and config.time_column is None:
        known = time_formats.reading(below)
        return f"{said}; {_as_time(name, known, config)}"
    if advice.startswith("set on_text") and len(names) > 1:
        return f"{said}; {_as_words(name, below, config)}"
    return f"{said}; {advice}"


def _as_time(name: str, known: str, config: FilesData) -> str:
    """What makes a column the time; `known` are the formats that read it."""
    named = f'set time_column = "{name}"' if name == "" else f"set time_column = {name!r}"
    with_format = f"{named} and time_format = {known}" if known else named
    return f"if it is the time, {with_format}" + (" in place of sample_rate" if config.sample_rate is not None else "")


def _as_words(name: str, below: Sequence[str], config: FilesData) -> str:
    """What to do about a word in a column: it is a mistake among numbers, or the column holds words."""
    if any(_is_number(text) for text in below):
        return 'set on_text = "missing" to treat text as missing, or name the channels to use in columns'
    labels = config.label_column is None and not time_formats.is_time(below[0]) and len(set(below)) <= len(below) / 2
    leave = "the column holds text; name the channels to use in columns"
    return f"{leave}, or set label_column = {name!r} if it says which rows are faulty" if labels else leave


def advice_on_units(cells: Sequence[str], under: Sequence[str], column: int, config: FilesData) -> str:
    """What to do about a row of units below the header, above a column of numbers or times; '' for any other row."""
    if not config.header or config.units_row or any(_is_value(text) for text in cells):
        return ""
    if not _is_value("".join(under[column : column + 1])):
        return ""
    return f"a row of units ({', '.join(text.strip() for text in cells[:4])})? set units_row = true"


def no_units(cells: Sequence[str]) -> str:
    """Why a row that the config calls one of units is data; '' if it may be one, in which a 1 is no unit at all."""
    filled = [text.strip() for text in cells if text.strip().lower() not in cell.EMPTY]
    values = [text for text in filled if _is_value(text)]
    if not values or (len(values) < len(filled) and set(values) == {"1"}):
        return ""
    return (
        f"units_row = true, but the row below the header holds numbers or times ({', '.join(values[:4])}) and is data; "
        "leave units_row out"
    )


def _is_value(text: str) -> bool:
    """Whether a cell is a number or a time, with any decimal mark, as no unit is."""
    return _is_number(text) or time_formats.is_time(text)


def _is_number(text: str) -> bool:
    return cell.NUMBER.fullmatch(text.strip().replace(",", ".", 1)) is not None


def _other_separator(cells: Sequence[str], config: FilesData) -> str | None:
    """The separator that a row of one cell was probably written with."""
    if len(cells) != 1:
        return None
    counts = {sign: cells[0].count(sign) for sign in SEPARATORS if sign != config.separator}
    best = max(counts, key=lambda sign: (sign != ",", counts[sign]) if counts[sign] else (False, 0))
    if counts[best]:
        return f'{cells[0][:40]!r} is one cell; set separator = "{SEPARATORS[best]}"'
    return None


def _table_begins(near: Sequence[tuple[int, int, list[str]]], config: FilesData) -> int | None:
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
