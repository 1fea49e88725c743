"""Time columns: what their values mean in seconds, the sample rate that follows, and where rows are missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from micro.config import TableData
from micro.datasets import cells as cell
from micro.errors import DataError

# A step in time this much longer than the usual one is a gap.
GAP_FACTOR = 1.5
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0, "h": 3600.0, "d": 86_400.0}
NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
# Seconds since 1970 from 2001 to 2100; the same moments are a thousand times as many in each finer unit.
EPOCH = (9.8e8, 4.2e9)
FINER = ("s", "ms", "us", "ns")
# A unit at the end of a column's name: t_ms, time [us], Timestamp (ns), elapsed.ms.
IN_NAME = re.compile(
    r"(?:^|[\s_.\-/(\[])(s|sec|secs|seconds?|ms|msec|millis|milliseconds?|us|µs|μs|usec|micros|microseconds?|ns|nsec|nanos"
    r"|nanoseconds?|min|minutes?|hours?)[)\]]?$",
    re.IGNORECASE,
)
UNIT_WORDS = (
    ("ns", "ns|nsec|nano"),
    ("us", "us|µs|μs|usec|micro"),
    ("ms", "ms|msec|milli"),
    ("min", "min"),
    ("h", "hour"),
)
# Where moments are counted from, so that they fit an int64 of microseconds.
ZERO = datetime(1970, 1, 1)
Where = Callable[[int], str]


@dataclass(frozen=True)
class Moments:
    """Times of the rows of one file, or of a block of it, before their unit is settled.

    `values` is (n,): int64 or float64 in the file's own unit, or int64 in a `unit` that is known (dates count microseconds).
    Rows in `missing` have none. `zoned` tells dates with a time zone from dates without.
    """

    values: np.ndarray
    missing: np.ndarray
    unit: str | None = None
    zoned: bool | None = None


def parse(texts: Sequence[str], config: TableData, where: Where) -> Moments:
    """Cells of a time column as they stand in a text file."""
    missing = np.array([text.strip().lower() in cell.EMPTY for text in texts], bool)
    present = [text for text, gone in zip(texts, missing) if not gone]
    if config.time_format is None:
        numbers = _numbers(present, config.decimal)
        if numbers is not None:
            return Moments(_spread(numbers, missing), missing)
    return _dates(texts, missing, config, where)


def _numbers(texts: Sequence[str], decimal: str) -> np.ndarray | None:
    """Whole numbers exactly, others as float64; None where some are neither."""
    try:
        if all(text.strip().lstrip("+-").isdecimal() and text.isascii() for text in texts):
            return np.array([int(text) for text in texts], np.int64)
    except (OverflowError, ValueError):
        pass  # longer than an int64, or than Python reads
    found = [cell.number(text, decimal) for text in texts]
    if any(value is None or not np.isfinite(value) for value in found):
        return None
    return np.array(found, np.float64)


def _spread(values: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Values in the rows that have one, 0 in the others."""
    whole = np.zeros(len(missing), values.dtype)
    whole[~missing] = values
    return whole


def _dates(texts: Sequence[str], missing: np.ndarray, config: TableData, where: Where) -> Moments:
    """Dates as microseconds; those with a zone since 1970 in UTC, others since 1970 by their own clock."""
    counts = np.zeros(len(texts), np.int64)
    zoned: bool | None = None
    for row in np.flatnonzero(~missing):
        text = texts[int(row)].strip()
        try:
            form = config.time_format
            moment = datetime.strptime(text, form) if form is not None else datetime.fromisoformat(text)
            # Whole microseconds: a float of seconds has none left to give in dates of this century.
            naive = moment.replace(tzinfo=None) if moment.tzinfo is None else _utc(moment)
        except (ValueError, OverflowError):
            raise DataError(_not_a_time(where(int(row)), text, config)) from None
        aware = moment.tzinfo is not None
        if zoned is not None and zoned != aware:
            raise DataError(f"{where(int(row))}: some times have a zone, some have none")
        zoned = aware
        counts[row] = (naive - ZERO) // timedelta(microseconds=1)
    return Moments(counts, missing, "us", zoned)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _not_a_time(place: str, text: str, config: TableData) -> str:
    column = f"in column {config.time_column!r}"
    if config.time_format is not None:
        return f"{place}: {text!r} {column} is not a time as time_format {config.time_format!r} writes it"
    if config.decimal == "." and re.fullmatch(r"[+-]?[0-9]+,[0-9]+", text):
        return f'{place}: {text!r} {column} is neither seconds nor an ISO 8601 date; a decimal comma is read with decimal = ","'
    return (
        f"{place}: {text!r} {column} is neither seconds nor an ISO 8601 date; give time_format, such as "
        '"%d.%m.%Y %H:%M:%S", for dates written otherwise'
    )


def from_array(values: np.ndarray, config: TableData, where: Where) -> Moments:
    """A time column that is an array: numbers, datetime64, timedelta64 or text."""
    if values.dtype.kind in "mM":
        missing = np.isnat(values)
        unit = np.datetime_data(values.dtype)[0]
        if unit not in ("ns", "us", "ms", "s"):
            values = values.astype(f"{values.dtype.kind}8[us]")
            unit = "us"
        step = np.datetime_data(values.dtype)[1]
        return Moments(np.where(missing, 0, values.astype(np.int64) * step), missing, unit)
    if values.dtype.kind in "iu":
        fits = not len(values) or int(values.max()) < 2**63
        return Moments(values.astype(np.int64 if fits else np.float64), np.zeros(len(values), bool))
    if values.dtype.kind == "f":
        missing = ~np.isfinite(values)
        return Moments(np.where(missing, 0.0, values).astype(np.float64), missing)
    if values.dtype.kind in "USO":
        texts = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values]
        return parse(texts, config, where)
    raise DataError(f"column {config.time_column!r} holds {values.dtype}, which is no time")


def join(parts: Sequence[Moments], where: Where) -> Moments:
    """The moments of a file from those of its blocks."""
    rows = np.cumsum([0, *(len(part.values) for part in parts)])
    # A block in which every time is missing has no say.
    said = [(part, int(row)) for part, row in zip(parts, rows) if not part.missing.all()] or [(parts[0], 0)]
    first = said[0][0]
    for part, row in said:
        if (part.unit is None) != (first.unit is None):
            raise DataError(f"{where(row)}: dates and numbers are mixed in the time column")
        if part.zoned != first.zoned:
            raise DataError(f"{where(row)}: some times have a zone, some have none")
    values = np.concatenate([part.values for part in parts])
    return Moments(values, np.concatenate([part.missing for part in parts]), first.unit, first.zoned)


def unit_of(moments: Moments, config: TableData, path: object) -> str:
    """The unit of a file's times: as told, as their magnitude or the column's name says, or else seconds.

    Raises:
        DataError: Where name and magnitude contradict each other.
    """
    if moments.unit is not None:
        return moments.unit
    if config.time_unit != "auto":
        return config.time_unit
    named = _unit_in_name(config.time_column or "")
    present = moments.values[~moments.missing]
    first, last = (abs(float(present[0])), abs(float(present[-1]))) if len(present) else (0.0, 0.0)
    sized = next(
        (
            unit
            for n, unit in enumerate(FINER)
            if all(EPOCH[0] <= value / 1e3**n <= EPOCH[1] for value in (first, last))
        ),
        None,
    )
    # From ms on no other reading makes sense of such numbers; some 1e9 of them may be anything.
    if sized not in (None, "s") and named not in (None, sized):
        raise DataError(
            f"{path}: times such as {present[0]:.0f} look like {NAMES[str(sized)]} since 1970, the name of column "
            f'{config.time_column!r} says {named}; set time_unit = "{sized}" or "{named}"'
        )
    if sized not in (None, "s"):
        return str(sized)
    return named or "s"


def _unit_in_name(name: str) -> str | None:
    found = IN_NAME.search(name.strip())
    if found is None:
        return None
    word = found.group(1).lower()
    return next((unit for unit, pattern in UNIT_WORDS if re.match(rf"(?:{pattern})", word)), "s")


def seconds(moments: Moments, config: TableData, path: object) -> np.ndarray:
    """Seconds since the first row, NaN where a row has no time: (n,) float64."""
    unit = unit_of(moments, config, path)
    present = np.flatnonzero(~moments.missing)
    if not len(present):
        raise DataError(f"{path}: no time in column {config.time_column!r}")
    # Differences of whole numbers are exact, however far from zero, as long as they fit.
    values = moments.values
    if values.dtype == np.int64 and max(abs(int(values.min())), abs(int(values.max()))) >= 2**62:
        values = values.astype(np.float64)
    since = (values - values[present[0]]).astype(np.float64) * SECONDS[unit]
    since[moments.missing] = np.nan
    return since


def rate_and_breaks(since: np.ndarray, config: TableData, path: object, where: Where) -> tuple[float, list[int]]:
    """Sample rate in Hz, and the rows at which a new stretch begins.

    The rate is that of all steps which are no gaps together: clocks are read in steps of their own, and the usual step of
    one in milliseconds is 3 ms at 300 Hz.

    Raises:
        DataError: Names a row where time is missing, stands still, goes back or leaves a gap that the config does
            not allow.
    """
    column = config.time_column
    gone = np.flatnonzero(np.isnan(since))
    if len(gone) and config.on_missing == "error":
        raise DataError(
            f'{where(int(gone[0]))}: no time in column {column!r}; set on_missing = "drop" or "interpolate" to place such rows '
            "between their neighbors"
        )
    if len(since) - len(gone) < 2:
        raise DataError(f"{path}: one row gives no sample rate")
    if len(gone):
        since = _between(since)
    steps = np.diff(since)
    usual = float(np.median(steps))
    stopped = np.flatnonzero(steps <= 0)
    if len(stopped) or not usual > 0:
        row = int(stopped[0]) + 1 if len(stopped) else 1
        raise DataError(f"{where(row)}: {_stopped(float(steps[row - 1]), column)}")
    is_gap = steps > GAP_FACTOR * usual
    gaps = (np.flatnonzero(is_gap) + 1).tolist()
    if gaps and config.on_gap == "error":
        raise DataError(
            f"{where(gaps[0])}: {steps[gaps[0] - 1]:g} s after the row before, where {usual:g} s are usual "
            f'({len(gaps)} such gaps); set on_gap = "split"'
        )
    rate = 1.0 / float(steps[~is_gap].mean())
    if not np.isfinite(rate):
        raise DataError(f"{path}: steps of {usual:g} s in column {column!r} give no sample rate; set time_unit")
    # Nine digits are more than any clock has, and 100 Hz stay 100 Hz.
    return float(f"{rate:.9g}"), gaps


def _stopped(step: float, column: str | None) -> str:
    what = "the same time as the row before" if step == 0 else f"{-step:g} s before the row above it"
    return (
        f"time does not move forward in column {column!r}: {what}; mend the file, or give sample_rate instead of time_column "
        "if rows are evenly spaced"
    )


def _between(since: np.ndarray) -> np.ndarray:
    """Times with those of rows without one placed between their neighbors', or a usual step on at either end."""
    rows = np.arange(len(since))
    known = np.flatnonzero(~np.isnan(since))
    filled = np.interp(rows, known, since[known])
    usual = float(np.median(np.diff(since[known]) / np.diff(known)))
    filled[: known[0]] -= usual * (known[0] - rows[: known[0]])
    filled[known[-1] + 1 :] += usual * (rows[known[-1] + 1 :] - known[-1])
    return filled
