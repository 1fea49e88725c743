"""The values of one row of a log: a number, a score, a feature, and what they cannot be. Both formats use these."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TypeAlias, overload

import numpy as np

# Columns that name the start of the machine that a window belongs to, and the device that logged it.
SESSIONS = ("session", "file", "recording")
DEVICES = re.compile(r"(device|machine|asset|node|sensor|host)(_?(id|name))?|serial(_?number)?|mac")
# What the detector said of a window, as a device prints it and as scored files have it; and its operating mode.
STATUSES, MODE = ("status", "result"), "mode"
# Input features of the model, int8.
FEATURE = re.compile(r"f(0|[1-9][0-9]{0,4})")
SCORES = ("score", "raw_score")
# Decimal digits only: float() would also accept underscores and digits of other scripts.
NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_NUMBER = re.compile(NUMBER)
# What programs write for a missing score.
NO_SCORE = ("", "nan", "inf", "infinity")
# A detector's sums are int64 and its real scores float32.
LARGEST = 3.4e38


# A row by the names of its columns.
Row: TypeAlias = Mapping[str, object]


class BadRow(Exception):
    """Why a line is no row of its log."""


def number(value: object, column: str) -> float:
    """A number of a row, NaN included; BadRow names the column of anything else."""
    given = value
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadRow(f"{column} {_short(given)} is not a number")
    if abs(value) > LARGEST:
        raise BadRow(f"{column} {_short(given)} is larger than any that a detector gives")
    return float(value)


def score(row: Row, unit: float | None) -> float:
    """A row's score in real units, NaN where the sensor was at fault.

    Raises:
        BadRow: For what is not a number, raw scores without a `unit`, or two scores that disagree.
    """
    read = [math.nan, math.nan]
    for place, column in enumerate(SCORES):
        value = row.get(column)
        if value is None or (isinstance(value, str) and value.strip().lstrip("+-").lower() in NO_SCORE):
            continue
        read[place] = number(value, column)
        if place == 1:
            if unit is None:
                raise BadRow("raw scores need a run whose student is int8")
            read[place] *= unit
    real, raw = read
    if disagree(real, raw, unit):
        raise BadRow(
            f"score {_short(row['score'])} and raw_score {_short(row['raw_score'])}, which is {raw:.6g} in real units, "
            "disagree; keep the column of this run"
        )
    return raw if math.isnan(real) else real


@overload
def disagree(real: float, raw: float, unit: float | None) -> bool: ...
@overload
def disagree(real: np.ndarray, raw: np.ndarray, unit: float | None) -> np.ndarray: ...
def disagree(real: float | np.ndarray, raw: float | np.ndarray, unit: float | None) -> bool | np.ndarray:
    """Whether two scores of a window, in real units, differ by more than rounding; never where one is NaN."""
    apart: bool | np.ndarray = np.abs(real - raw) > 0.01 * np.abs(raw) + (unit or 0.0)
    return apart


def feature(value: object, column: str) -> float:
    """An input feature; BadRow for what int8 does not hold."""
    read = number(value, column)
    if not -128 <= read <= 127:
        raise BadRow(f"{column} is {_short(value)}, which int8 does not hold")
    return read


def _short(value: object) -> str:
    text = str(value)
    shown = text if len(text) <= 30 else f"{text[:27]}..."
    return repr(shown) if isinstance(value, str) and not _NUMBER.fullmatch(text.strip()) else shown
