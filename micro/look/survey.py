"""What files hold: columns, rates, gaps, ranges, channels that never change or hit a limit, labels, copies of each other."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from micro.config import TableData
from micro.datasets import cells as cell
from micro.datasets import clock, time_formats
from micro.datasets.class_split import twins_of
from micro.datasets.columns import is_ramp
from micro.datasets.contents import Contents
from micro.datasets.find import short_names
from micro.datasets.formats import is_text, read_contents
from micro.errors import DataError, MicroError
from micro.look.dialect import Dialect, alike, dialect_of

TIME_WORDS = re.compile(
    r"(?i)^(t|ts|time|times|timestamp|zeit|datum|date|datetime|uhrzeit|epoch)($|[\s_.\-/(\[])|time$|stamp$"
)
LABEL_WORDS = re.compile(
    r"(?i)^(label|class|state|status|condition|activity|target|fault|anomaly|failure|event|y)$|_label$"
)
# More words than this in a column are no labels.
MOST_LABELS = 30
# A channel hits a limit if this fraction of its values, and three in a row, are its largest or smallest.
AT_LIMIT, IN_A_ROW = 0.01, 3
# What is said of odd channels.
ODD = {"constant": "never changes", "at_limit": "stays at its limit (clipped?)", "counts": "only counts up"}
# What reading must not stop at: it is what the survey reports.
PERMISSIVE: dict[str, Any] = {
    "on_gap": "split",
    "on_missing": "drop",
    "on_text": "missing",
    "on_constant": "keep",
    "on_short": "skip",
}


@dataclass(frozen=True)
class Channel:
    """One channel of one file: range, mean, missing values, and what is odd about it."""

    name: str
    low: float
    high: float
    mean: float
    missing: int
    constant: bool
    at_limit: bool
    counts: bool

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is odd about it, in words."""
        return tuple(says for what, says in ODD.items() if getattr(self, what))


@dataclass(frozen=True)
class Surveyed:
    """One file: rows, sample rate in Hz where it is known, gaps in time, channels, and rows of each label."""

    name: str
    path: Path
    rows: int
    rate: float | None
    gaps: int
    channels: tuple[Channel, ...]
    labels: Mapping[str, int]


@dataclass(frozen=True)
class Survey:
    """Files that could be read, why others could not, and the settings of [data] that read them.

    Attributes:
        settings: As a config has them, without `files` and what says which are healthy.
        time_column, label_column: Names of these columns, None where there are none.
        twins: Names of files that hold the same bytes.
        remarks: Sentences on what differs between files.
    """

    files: tuple[Surveyed, ...]
    unread: tuple[str, ...]
    settings: Mapping[str, Any]
    time_column: str | None
    label_column: str | None
    twins: tuple[tuple[str, ...], ...]
    remarks: tuple[str, ...]

    @property
    def rate(self) -> float | None:
        """The usual sample rate in Hz, None where no file has one."""
        rates = [file.rate for file in self.files if file.rate is not None]
        return float(np.median(rates)) if rates else None


def survey(files: Sequence[str | Path], sample_rate: float | None = None) -> Survey:
    """Look at files, or patterns of files, whatever they hold; `sample_rate` in Hz is theirs if they do not say it.

    Raises:
        DataError: If none of them can be read, with the reason of the first.
    """
    named = _below_one_folder(list(short_names(files)))
    dialects, reasons = _dialects(list(named))
    settings, time_column, label_column, remarks = _settings(dialects)
    found: list[Surveyed] = []
    unread = list(reasons.values())
    config = reading(settings, time_column)
    for path, name in named.items():
        if path in reasons:
            continue
        try:
            found.append(_surveyed(name, path, read_contents(path, config), config))
        except (MicroError, ValueError) as error:
            unread.append(str(error))
    if not found:
        raise DataError(f"none of the files can be read: {unread[0]}")
    if sample_rate is not None and all(file.rate is None for file in found):
        found = [replace(file, rate=sample_rate) for file in found]
        settings["sample_rate"] = sample_rate
    twins = tuple(twins_of({file.name: file.path for file in found}))
    return Survey(
        tuple(found), tuple(unread), settings, time_column, label_column, twins, (*remarks, *_differences(found))
    )


def reading(settings: Mapping[str, Any], time_column: str | None) -> TableData:
    """How files are read to be looked at: with these settings, and without stopping at what is incomplete."""
    rate = {} if time_column is not None or "sample_rate" in settings else {"sample_rate": 1.0}
    return TableData.model_validate({"files": "*", "healthy_files": "*", **PERMISSIVE, **settings, **rate})


def _below_one_folder(paths: Sequence[Path]) -> dict[Path, str]:
    """Files with their paths below the deepest folder that contains all of them."""
    top = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths])
    return {path: Path(os.path.relpath(path, top)).as_posix() for path in paths}


def _dialects(paths: Sequence[Path]) -> tuple[dict[Path, Dialect], dict[Path, str]]:
    """The dialects of those files that are text, and why others are no tables."""
    dialects: dict[Path, Dialect] = {}
    reasons: dict[Path, str] = {}
    for path in paths:
        try:
            if is_text(path):
                dialects[path] = dialect_of(path)
        except (MicroError, OSError) as error:
            reasons[path] = str(error)
    return dialects, reasons


def _settings(found: Mapping[Path, Dialect]) -> tuple[dict[str, Any], str | None, str | None, list[str]]:
    """Settings that read the files, the columns of time and labels, and remarks; by the first text file."""
    if not found:
        return {}, None, None, []
    names, dialects = [str(path) for path in found], list(found.values())
    first = dialects[0]
    settings = dict(first.settings)
    time, form, remarks = _time(first)
    if time is not None:
        settings["time_column"] = time
    if form is not None:
        settings["time_format"] = form
    label = _label(first, time)
    if label is not None:
        settings["label_column"] = label
    channels = _numbers(first, time, label)
    if len(channels) < len(first.names) - (time is not None) - (label is not None):
        settings["columns"] = channels
    others = [names[place] for place in alike(dialects)]
    if others:
        remarks.append(
            f"{len(others)} of {len(dialects)} files are written otherwise than {names[0]}, such as {others[0]}"
        )
    return settings, time, label, remarks


def _time(dialect: Dialect) -> tuple[str | None, str | None, list[str]]:
    """The column of times, the format that its dates need, and what is to be said of it."""
    decimal = dialect.settings.get("decimal", ".")
    for place, name in enumerate(dialect.names):
        column = [each for each in dialect.column(place) if each]
        if column and sum(map(time_formats.is_time, column)) > len(column) / 2:
            known = time_formats.reading(column)
            forms = known.split(" or ") if known else []
            remarks = (
                [] if len(forms) < 2 else [f"dates of column {name!r} are read by {known}; which of them is right?"]
            )
            return name, forms[0].strip('"') if forms else None, remarks
    for place, name in enumerate(dialect.names):
        values = [cell.number(each, decimal) for each in dialect.column(place)]
        numbers = np.array([value for value in values if value is not None and np.isfinite(value)])
        if TIME_WORDS.search(name) and len(numbers) > 1 and (np.diff(numbers) >= 0).all() and numbers[-1] > numbers[0]:
            return name, None, []
    return None, None, []


def _label(dialect: Dialect, time: str | None) -> str | None:
    """The column of labels: a few words again and again, or a few whole numbers under a telling name."""
    decimal = dialect.settings.get("decimal", ".")
    for place, name in enumerate(dialect.names):
        column = [each for each in dialect.column(place) if each]
        words = Counter(cell.label(each) for each in column)
        if name == time or not column or not 1 <= len(words) <= MOST_LABELS:
            continue
        numbers = [cell.number(each, decimal) for each in column]
        are_text = sum(number is None for number in numbers) > len(column) / 2
        whole = all(number is not None and number == round(number) for number in numbers if number is not None)
        if (are_text and len(words) <= max(2, len(column) // 4)) or (LABEL_WORDS.search(name) and (are_text or whole)):
            return name
    return None


def _numbers(dialect: Dialect, time: str | None, label: str | None) -> list[str]:
    """Columns of numbers that are neither times nor labels, and do not only count the rows."""
    decimal = dialect.settings.get("decimal", ".")
    kept = []
    for place, name in enumerate(dialect.names):
        values = [cell.number(each, decimal) for each in dialect.column(place)]
        if name in (time, label) or not name or sum(value is None for value in values) > len(values) / 2:
            continue
        numbers = np.array([value for value in values if value is not None], np.float64)
        if not is_ramp(numbers[np.isfinite(numbers)]):
            kept.append(name)
    return kept


def _surveyed(name: str, path: Path, read: Contents, config: TableData) -> Surveyed:
    rate, gaps = read.rate, 0
    if read.moments is not None:
        since = clock.seconds(read.moments, config, path)
        rate, breaks = clock.rate_and_breaks(since, config, path, read.rows.where)
        gaps = len(breaks)
    labels: dict[str, int] = {}
    if read.labels is not None:
        counts = np.bincount(read.labels, minlength=len(read.words))
        labels = {word: int(count) for word, count in zip(read.words, counts) if word}
    channels = tuple(_channel(each, read.samples[:, place]) for place, each in enumerate(read.channels))
    return Surveyed(name, path, len(read.samples), rate, gaps, channels, labels)


def _channel(name: str, column: np.ndarray) -> Channel:
    finite = column[np.isfinite(column)]
    missing = len(column) - len(finite)
    if not len(finite):
        return Channel(name, np.nan, np.nan, np.nan, missing, False, False, False)
    low, high = float(finite.min()), float(finite.max())
    limited = low < high and any(_stuck(finite, limit) for limit in (low, high))
    return Channel(
        name, low, high, float(finite.mean(dtype=np.float64)), missing, low == high, limited, is_ramp(finite)
    )


def _stuck(values: np.ndarray, limit: float) -> bool:
    """Whether a signal of many values stays at its limit again and again, as one that is clipped does."""
    at = values == limit
    if at.mean() < AT_LIMIT or len(np.unique(values[:4096])) < 20:
        return False
    runs = np.convolve(at, np.ones(IN_A_ROW), "valid")
    return bool((runs == IN_A_ROW).any())


def _differences(files: Sequence[Surveyed]) -> list[str]:
    """Sentences on rates and channels that are not the same in all files."""
    remarks = []
    rates = sorted({file.rate for file in files if file.rate is not None})
    if rates and rates[-1] > 1.01 * rates[0]:
        remarks.append(f"sample rates differ, from {rates[0]:g} to {rates[-1]:g} Hz; a run needs files of one rate")
    first = [channel.name for channel in files[0].channels]
    other = next((file for file in files if [channel.name for channel in file.channels] != first), None)
    if other is not None:
        names = [channel.name for channel in other.channels]
        lacks = [name for name in first if name not in names]
        has = f"lacks {', '.join(lacks[:5])}" if lacks else "has other columns"
        remarks.append(f"columns differ: {other.name} {has}; a run reads the columns of its first file from all")
    return remarks
