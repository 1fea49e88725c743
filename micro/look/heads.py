"""The first rows of tables that are no text: Parquet, Excel and NumPy archives, as text to be looked at like a CSV's."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from micro.look.dialect import LINES, Dialect

if TYPE_CHECKING:
    import pandas as pd


def head_of(path: Path) -> Dialect | None:
    """Names and first rows of a file's columns; None for formats whose columns have no names of their own, as sound.

    Damaged files give None too: reading them says what is wrong.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            frame = _frame(path)
    except Exception:  # Each library has exceptions of its own; the reader names what is wrong.
        return None
    if frame is None or not len(frame.columns):
        return None
    names = tuple("" if str(name).startswith("Unnamed: ") else str(name).strip() for name in frame.columns)
    rows = tuple(
        tuple("" if cell is None or cell != cell else str(cell) for cell in row) for row in frame.to_numpy(object)
    )
    return Dialect({}, names, rows)


def _frame(path: Path) -> pd.DataFrame | None:
    import pandas as pd

    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PAR1":
        from pyarrow import parquet

        with parquet.ParquetFile(path) as table:
            batch = next(table.iter_batches(LINES), None)
        return None if batch is None else batch.to_pandas().head(LINES)
    if start == b"PK\x03\x04" and path.suffix.lower() == ".xlsx":
        return pd.read_excel(path, sheet_name=0, nrows=LINES, engine="openpyxl")
    if start == b"PK\x03\x04":
        with np.load(path, allow_pickle=False) as loaded:
            columns = {name: loaded[name] for name in loaded.files}
        return pd.DataFrame(
            {name: column[:LINES] for name, column in columns.items() if column.ndim == 1 and len(column) > 1}
        )
    return None
