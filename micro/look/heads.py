"""The first rows of tables that are no text: Parquet, Excel and NumPy archives, as text to be looked at like a CSV's."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from micro.errors import DataError
from micro.look.dialect import LINES, Dialect
from micro.look.header import first_values, settled_above

if TYPE_CHECKING:
    import pandas as pd


def head_of(path: Path, given: Mapping[str, Any] | None = None) -> Dialect | None:
    """Names and first rows of a file's columns; None for formats whose columns have no names of their own, as sound.

    Damaged files give None too: reading them says what is wrong. Of a workbook also how many rows stand above the names of
    columns and whether units stand below, where that is not `given`.

    Raises:
        DataError: Where what is given of header or units does not fit the rows of a workbook.
    """
    settings: dict[str, Any] = {}
    try:
        with warnings.catch_warnings(action="ignore"):
            if _is_workbook(path):
                settings = _settings_of(path, given or {})
            frame = _frame(path, settings)
    except DataError:
        raise
    except Exception:  # Each library has exceptions of its own; the reader names what is wrong.
        return None
    if frame is None or not len(frame.columns):
        return None
    named = settings.get("header", True)
    names = (
        ("" if str(name).startswith("Unnamed: ") else str(name).strip() for name in frame.columns)
        if named
        else (f"c{place}" for place in range(len(frame.columns)))
    )
    rows = _texts(frame)
    units = rows[0] if settings.get("units_row") and rows else ()
    return Dialect(settings, tuple(names), rows[1:] if units else rows, units)


def _is_workbook(path: Path) -> bool:
    with path.open("rb") as file:
        return path.suffix.lower() == ".xlsx" and file.read(4) == b"PK\x03\x04"


def _texts(frame: pd.DataFrame) -> tuple[tuple[str, ...], ...]:
    """Its cells as text, of empty ones nothing."""
    return tuple(
        tuple("" if cell is None or cell != cell else str(cell).strip() for cell in row)
        for row in frame.to_numpy(object)
    )


def _settings_of(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """What stands above the values of a workbook's first sheet, as settings; those that are given among them."""
    import pandas as pd

    skipped = given.get("skip_rows", 0)
    sheet = pd.read_excel(path, sheet_name=0, header=None, nrows=LINES, skiprows=skipped, engine="openpyxl")
    rows = [list(row) for row in _texts(sheet)]
    known = {key: given[key] for key in ("skip_rows", "header", "units_row") if key in given}
    if not rows:
        return known
    first = first_values(rows, ".")
    # A title or a line of a log's head fills a few cells of a row, which has as many cells as the table here.
    rows[:first] = [_filled(row) if 2 * len(_filled(row)) <= len(row) or not any(row) else row for row in rows[:first]]
    kept = [(skipped + number, ", ".join(row)) for number, row in enumerate(rows)]
    first, header, units = settled_above(path, kept, rows, first, ".", known)
    top = skipped + max(0, first - header - units)
    found = {"skip_rows": top} if top else {}
    found |= {} if header else {"header": False}
    return {**found, **({"units_row": True} if units else {}), **known}


def _filled(row: Sequence[str]) -> list[str]:
    """A row up to its last cell with anything in it."""
    last = max((place for place, cell in enumerate(row) if cell), default=-1)
    return list(row[: last + 1])


def _frame(path: Path, settings: Mapping[str, Any]) -> pd.DataFrame | None:
    import pandas as pd

    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PAR1":
        from pyarrow import parquet

        with parquet.ParquetFile(path) as table:
            batch = next(table.iter_batches(LINES), None)
        return None if batch is None else batch.to_pandas().head(LINES)
    if start == b"PK\x03\x04" and path.suffix.lower() == ".xlsx":
        header, skipped = 0 if settings.get("header", True) else None, settings.get("skip_rows", 0)
        return pd.read_excel(path, sheet_name=0, header=header, skiprows=skipped, nrows=LINES, engine="openpyxl")
    if start == b"PK\x03\x04":
        with np.load(path, allow_pickle=False) as loaded:
            columns = {name: loaded[name] for name in loaded.files}
        return pd.DataFrame(
            {name: column[:LINES] for name, column in columns.items() if column.ndim == 1 and len(column) > 1}
        )
    return None
