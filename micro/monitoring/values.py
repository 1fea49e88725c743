"""What stands in one row of a log: one number, one score, and what no score can be. Both formats judge by these."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

# Columns that name the start of the machine that a window belongs to, and the device that logged it.
SESSIONS = ("session", "file", "recording")
DEVICES = re.compile(r"(device|machine|asset|node|sensor|host)(_?(id|name))?|serial(_?number)?|mac")
# Input features of the model, int8.
FEATURE = re.compile(r"f(0|[1-9][0-9]{0,4})")
SCORES = ("score", "raw_score")
# Decimal digits only: float() would also take underscores and digits of other scripts.
NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_NUMBER = re.compile(NUMBER)
# What programs write for a score that there is not.
NO_SCORE = ("", "nan", "inf", "infinity")
# A detector's sums are int64 and its real scores float32.
LARGEST = 3.4e38


class OddRow(Exception):
    """Why a line is no row of its log."""


def number(value: Any, column: str) -> float:
    """A number of a row, or the NaN that stands for one; OddRow names the column of what is none."""
    given = value
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise OddRow(f"{column} {_short(given)} is not a number")
    if abs(value) > LARGEST:
        raise OddRow(f"{column} {_short(given)} is larger than any that a detector gives")
    return float(value)


def score(row: Mapping[str, Any], unit: float | None) -> float:
    """A row's score in real units, NaN where the sensor was at fault.

    Raises:
        OddRow: For what is no number, raw scores without a `unit`, or two scores that disagree.
    """
    found = [math.nan, math.nan]
    for place, column in enumerate(SCORES):
        value = row.get(column)
        if value is None or (isinstance(value, str) and value.strip().lstrip("+-").lower() in NO_SCORE):
            continue
        found[place] = number(value, column)
        if place == 1:
            if unit is None:
                raise OddRow("raw scores need a run whose student is int8")
            found[place] *= unit
    real, raw = found
    if disagree(real, raw, unit):
        raise OddRow(
            f"score {_short(row['score'])} and raw_score {_short(row['raw_score'])}, which is {raw:.6g} in real units, "
            "disagree; keep the column that is of this run"
        )
    return raw if math.isnan(real) else real


def disagree(real: Any, raw: Any, unit: float | None) -> Any:
    """Whether two scores of a window, in real units, are further apart than rounding takes them; never where one is NaN."""
    return abs(real - raw) > 0.01 * abs(raw) + (unit or 0.0)


def feature(value: Any, column: str) -> float:
    """An input feature; OddRow for what int8 does not hold."""
    found = number(value, column)
    if not -128 <= found <= 127:
        raise OddRow(f"{column} is {_short(value)}, which int8 does not hold")
    return found


def _short(value: Any) -> str:
    text = str(value)
    shown = text if len(text) <= 30 else f"{text[:27]}..."
    return repr(shown) if isinstance(value, str) and not _NUMBER.fullmatch(text.strip()) else shown
