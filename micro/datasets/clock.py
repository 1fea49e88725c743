"""Time columns: their values in seconds, the sample rate that follows, and where rows are missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from micro.config import FilesData
from micro.datasets import cells as cell
from micro.datasets import time_formats
from micro.errors import DataError
from micro.support.wording import counted

# A step in time this much longer than the usual one is a gap.
GAP_FACTOR = 1.5
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0, "h": 3600.0, "d": 86_400.0}
NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
# Seconds since 1970 of the years 2001 to 2100; in each finer unit the numbers are a thousand times larger.
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
# Times from the first on that tell which format reads them.
NEAR = 200
# Where moments are counted from, so that they fit an int64 of microseconds.
ZERO = datetime(1970, 1, 1)
Where = Callable[[int], str]


@dataclass(frozen=True)
class Moments:
    """Times of the rows of one file, or of a block of it, before their unit is determined.

    Attributes:
        values: (n,) int64 or float64 in the file's own unit, or int64 in `unit`.
        missing: (n,) bool, rows without a time.
        unit: Where it is known: dates count microseconds.
        zoned: Of dates, whether they have a time zone.
        column: What errors call the column, where the config does not name it.
        start: Seconds from where a clock counts that other files share to a value of 0; None where that is unknown.
    """

    values: np.ndarray
    missing: np.ndarray
    unit: str | None = None
    zoned: bool | None = None
    column: str | None = None
    start: float | None = 0.0


def parse(texts: Sequence[str], config: FilesData, where: Where) -> Moments:
    """The cells of a time column of a text file."""
    missing = np.array([text.strip().lower() in cell.EMPTY for text in texts], bool)
    present = [text for text, gone in zip(texts, missing) if not gone]
    if config.time_format is None:
        numbers = _numbers(present, config.decimal)
        if numbers is not None:
            return Moments(_with_missing(numbers, missing), missing)
        values = [cell.number(text, config.decimal) for text in present]
        if values and values[0] is not None and np.isfinite(values[0]):
            wrong = next(place for place, value in enumerate(values) if value is None or not np.isfinite(value))
            raise DataError(
                f"{where(int(np.flatnonzero(~missing)[wrong]))}: {present[wrong].strip()[:60]!r} in column "
                f"{config.time_column!r} is not a number, as the times before it are; take this line out of the file"
            )
    return _dates(texts, missing, config, where)


def _numbers(texts: Sequence[str], decimal: str) -> np.ndarray | None:
    """Integers exactly, other numbers as float64; None where some cells are neither."""
    try:
        if all(text.strip().lstrip("+-").isdecimal() and text.isascii() for text in texts):
            return np.array([int(text) for text in texts], np.int64)
    except (OverflowError, ValueError):
        pass  # longer than an int64, or than Python converts
    read = [cell.number(text, decimal) for text in texts]
    if any(value is None or not np.isfinite(value) for value in read):
        return None
    return np.array(read, np.float64)


def _with_missing(values: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Values in the rows that have one, 0 in the others."""
    filled = np.zeros(len(missing), values.dtype)
    filled[~missing] = values
    return filled


def _dates(texts: Sequence[str], missing: np.ndarray, config: FilesData, where: Where) -> Moments:
    """Dates as microseconds since 1970; those with a zone in UTC, others by their own clock."""
    counts = np.zeros(len(texts), np.int64)
    zoned: bool | None = None
    present = np.flatnonzero(~missing)
    for row in present:
        text = texts[int(row)].strip()
        try:
            form = config.time_format
            moment = datetime.strptime(text, form) if form is not None else datetime.fromisoformat(text)
            # Integer microseconds: a float of seconds does not resolve them in dates of this century.
            naive = moment.replace(tzinfo=None) if moment.tzinfo is None else _utc(moment)
        except (ValueError, OverflowError):
            # Where the rows before it were read, another format is not what is wrong.
            near = [texts[int(other)] for other in present[:NEAR]] if row == present[0] else []
            raise DataError(f"{where(int(row))}: {_not_a_time(text, near, config)}") from None
        aware = moment.tzinfo is not None
        if zoned is not None and zoned != aware:
            raise DataError(f"{where(int(row))}: some times have a zone, some have none")
        zoned = aware
        counts[row] = (naive - ZERO) // timedelta(microseconds=1)
    return Moments(counts, missing, "us", zoned)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _not_a_time(text: str, near: Sequence[str], config: FilesData) -> str:
    """Why a cell is no time, and what reads it; `near` are the cells from it on, empty if those before it were read."""
    column = f"in column {config.time_column!r}"
    known = time_formats.reading(near)
    if config.time_format is not None:
        said = f"{text!r} {column} is not a time as time_format {config.time_format!r} writes it"
        if near and (time_formats.is_iso(text) or cell.NUMBER.fullmatch(text)):
            return f"{said}; leave time_format out, as ISO 8601 dates and numbers are read without"
        return f"{said}; set time_format = {known}" if known else said
    said = f"{text!r} {column} is neither seconds nor an ISO 8601 date"
    if config.decimal == "." and re.fullmatch(r"[+-]?[0-9]+,[0-9]+", text):
        return f'{said}; a decimal comma is read with decimal = ","'
    if known:
        return f"{said}; set time_format = {known}"
    return f'{said}; set time_format, such as "%d.%m.%Y %H:%M:%S", for other dates'


def from_array(values: np.ndarray, config: FilesData, where: Where) -> Moments:
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
    raise DataError(f"column {config.time_column!r} holds {values.dtype}, which is not a time")


def join(parts: Sequence[Moments], where: Where) -> Moments:
    """The moments of a file from those of its blocks."""
    rows = np.cumsum([0, *(len(part.values) for part in parts)])
    # A block in which every time is missing does not count.
    present = [(part, int(row)) for part, row in zip(parts, rows) if not part.missing.all()] or [(parts[0], 0)]
    first = present[0][0]
    for part, row in present:
        if (part.unit is None) != (first.unit is None):
            raise DataError(f"{where(row)}: dates and numbers are mixed in the time column")
        if part.zoned != first.zoned:
            raise DataError(f"{where(row)}: some times have a zone, some have none")
    values = np.concatenate([part.values for part in parts])
    return Moments(values, np.concatenate([part.missing for part in parts]), first.unit, first.zoned)


def unit_of(moments: Moments, config: FilesData, path: object) -> str:
    """The unit of a file's times: by the config, their magnitude or the column's name, or else seconds.

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
    # From ms on such numbers have no other meaning; numbers around 1e9 may be anything.
    if sized not in (None, "s") and named not in (None, sized):
        raise DataError(
            f"{path}: times such as {present[0]:.0f} look like {NAMES[str(sized)]} since 1970, the name of column "
            f'{config.time_column!r} says {named}; set time_unit = "{sized}" or "{named}"'
        )
    if sized not in (None, "s"):
        return str(sized)
    return named or "s"


def _unit_in_name(name: str) -> str | None:
    unit = IN_NAME.search(name.strip())
    if unit is None:
        return None
    word = unit.group(1).lower()
    return next((short for short, pattern in UNIT_WORDS if re.match(rf"(?:{pattern})", word)), "s")


def called(moments: Moments, config: FilesData) -> FilesData:
    """The config with the name of a clock that it does not name itself, for errors."""
    return config if moments.column is None else config.model_copy(update={"time_column": moments.column})


def seconds(moments: Moments, config: FilesData, path: object) -> np.ndarray:
    """Seconds since the first row, NaN where a row has no time: (n,) float64."""
    unit = unit_of(moments, config, path)
    present = np.flatnonzero(~moments.missing)
    if not len(present):
        raise DataError(f"{path}: no time in column {config.time_column!r}")
    # Differences of integers are exact, however far from zero, as long as they fit.
    values = moments.values
    if values.dtype == np.int64 and max(abs(int(values.min())), abs(int(values.max()))) >= 2**62:
        values = values.astype(np.float64)
    since = (values - values[present[0]]).astype(np.float64) * SECONDS[unit]
    since[moments.missing] = np.nan
    return since


def origin(moments: Moments, config: FilesData, path: object) -> float | None:
    """The first time in the file, in seconds from where its clock counts; None where other files share no such clock."""
    if moments.start is None:
        return None
    first = np.flatnonzero(~moments.missing)[0]
    return moments.start + float(moments.values[first]) * SECONDS[unit_of(moments, config, path)]


def begun(since_1970: float | None) -> float | None:
    """When a file begins as its header says, None where that is no time of this century: its recorder's clock was not set."""
    return since_1970 if since_1970 is not None and EPOCH[0] <= since_1970 <= EPOCH[1] else None


def rate_and_breaks(since: np.ndarray, config: FilesData, path: object, where: Where) -> tuple[float, list[int]]:
    """Sample rate in Hz, and the rows at which a new stretch begins.

    The rate is that of all steps except gaps together: a clock has a resolution of its own, and the usual step of one in
    milliseconds is 3 ms at 300 Hz.

    Raises:
        DataError: Names a row where time is missing, stands still, goes back or has a gap that the config does
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
    gaps = allowed(np.flatnonzero(is_gap) + 1, since, config, where)
    rate = 1.0 / float(steps[~is_gap].mean())
    if not np.isfinite(rate):
        raise DataError(f"{path}: steps of {usual:g} s in column {column!r} give no sample rate; set time_unit")
    # Nine digits are more than any clock has, and keep 100 Hz at 100 Hz.
    return float(f"{rate:.9g}"), gaps


def allowed(gaps: np.ndarray, since: np.ndarray, config: FilesData, where: Where) -> list[int]:
    """The rows after gaps in times, (n,) seconds, as a list; DataError for one that the config does not allow."""
    if len(gaps) and config.on_gap == "error":
        steps, row = np.diff(since), int(gaps[0])
        raise DataError(
            f"{where(row)}: {steps[row - 1]:g} s after the row before, where {np.nanmedian(steps):g} s are usual "
            f'({counted(len(gaps), "gap")}); set on_gap = "split"'
        )
    return [int(row) for row in gaps]


def lost(times: np.ndarray, config: FilesData, where: Where) -> list[int]:
    """The rows after gaps in times that may stand still or lack, (n,) seconds; a row that is late by itself makes no gap.

    Raises:
        DataError: For a gap that the config does not allow.
    """
    steps = np.diff(times)
    usual = float(np.nanmedian(steps)) if np.isfinite(steps).any() else 0.0
    if not usual > 0:
        return _lost_among_repeated(times, steps, config, where)
    late = steps - usual
    # With the step before and the one after: a time that is wrong by itself is made up for next to it.
    before, after = np.append(0.0, late[:-1]), np.append(late[1:], 0.0)
    excess = np.minimum(late + np.minimum(before, 0.0), late + np.minimum(after, 0.0))
    with np.errstate(invalid="ignore"):
        return allowed(np.flatnonzero(excess > (GAP_FACTOR - 1) * usual) + 1, times, config, where)


def _lost_among_repeated(times: np.ndarray, steps: np.ndarray, config: FilesData, where: Where) -> list[int]:
    """As `lost`, of a clock that gives most rows the time of the row before: its own steps are those that go forward."""
    forward = np.flatnonzero(steps > 0)
    if len(forward) < 3:
        return []
    usual = float(np.median(steps[forward]))
    return allowed(forward[steps[forward] > GAP_FACTOR * usual] + 1, times, config, where)


def _stopped(step: float, column: str | None) -> str:
    what = "the same time as the row before" if step == 0 else f"{-step:g} s before the row above it"
    return (
        f"time does not move forward in column {column!r}: {what}; repair the file, or set sample_rate instead of time_column "
        "if rows are evenly spaced"
    )


def _between(since: np.ndarray) -> np.ndarray:
    """Times where missing ones are interpolated between their neighbors, or extrapolated by the usual step at either end."""
    rows = np.arange(len(since))
    known = np.flatnonzero(~np.isnan(since))
    filled = np.interp(rows, known, since[known])
    usual = float(np.median(np.diff(since[known]) / np.diff(known)))
    filled[: known[0]] -= usual * (known[0] - rows[: known[0]])
    filled[known[-1] + 1 :] += usual * (rows[known[-1] + 1 :] - known[-1])
    return filled
