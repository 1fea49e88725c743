"""What files hold: columns, rates, gaps, ranges, channels that never change or hit a limit, labels, copies of each other."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from micro.config import TableData
from micro.datasets import clock
from micro.datasets.columns import is_ramp
from micro.datasets.contents import Contents
from micro.datasets.find import short_names
from micro.datasets.formats import is_text, read_contents
from micro.datasets.twins import twins_of
from micro.errors import DataError, MicroError
from micro.look.dialect import Dialect, dialect_of
from micro.look.heads import head_of
from micro.look.table_columns import channels_of, clock_of, label_of, usual

# A channel hits a limit if this fraction of its values, and three in a row, are its largest or smallest.
AT_LIMIT, IN_A_ROW = 0.01, 3
# What is said of odd channels.
ODD = {
    "text": "holds text among numbers",
    "constant": "never changes",
    "at_limit": "stays at its limit (clipped?)",
    "counts": "only counts up",
}
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
    text: bool = False

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is odd about it, in words."""
        return tuple(says for what, says in ODD.items() if getattr(self, what))


@dataclass(frozen=True)
class Surveyed:
    """One file: rows, sample rate in Hz where it is known, gaps in time, channels, and rows of each label; a picture's height
    and width."""

    name: str
    path: Path
    rows: int
    rate: float | None
    gaps: int
    channels: tuple[Channel, ...]
    labels: Mapping[str, int]
    image_size: tuple[int, int] | None = None


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
    def pictures(self) -> bool:
        """Whether the files are pictures."""
        return self.files[0].image_size is not None

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
    named = below_one_folder(list(short_names(files)))
    dialects, reasons = _dialects(list(named))
    kept, others = usual(dialects) if dialects else ([], {})
    reasons |= others
    dialects = {path: dialects[path] for path in kept}
    made = _read(named, dialects, reasons, sample_rate, with_time=True)
    if not made.files and made.time_column is not None:
        # What looked like a clock is none: the files are read without it.
        without = _read(named, dialects, reasons, sample_rate, with_time=False)
        said = f"column {made.time_column!r} is no clock: {made.unread[-1]}"
        made = replace(without, remarks=(said, *without.remarks))
    if not made.files:
        raise DataError(f"none of the files can be read: {made.unread[0]}")
    return made


def _read(
    named: Mapping[Path, str],
    dialects: Mapping[Path, Dialect],
    reasons: Mapping[Path, str],
    sample_rate: float | None,
    *,
    with_time: bool,
) -> Survey:
    """All files but those that have a reason not to be read; `files` is empty where none can be."""
    settings, time_column, label_column, remarks = _settings(dialects, with_time)
    found: list[Surveyed] = []
    unread = list(reasons.values())
    for path, name in named.items():
        if path in reasons:
            continue
        try:
            config = reading(settings, label_column if _has(dialects.get(path), label_column) else None)
            read = read_contents(path, config)
            found.append(_surveyed(name, path, read, config))
            remarks += [f"{name}: {said}" for said in read.unread]
        except (MicroError, ValueError) as error:
            unread.append(str(error))
    if found and sample_rate is not None:
        found, more = _at_rate(found, settings, sample_rate, time_column)
        remarks += more
    twins = tuple(twins_of({file.name: file.path for file in found}))
    columns = _without_odd(found, settings.get("columns"), remarks) if found else None
    if columns is not None:
        settings["columns"] = columns
    differences = _differences(found) if found else []
    return Survey(tuple(found), tuple(unread), settings, time_column, label_column, twins, (*remarks, *differences))


def _has(dialect: Dialect | None, column: str | None) -> bool:
    return dialect is None or column in dialect.names


def _at_rate(
    files: list[Surveyed], settings: dict[str, Any], rate: float, time_column: str | None
) -> tuple[list[Surveyed], list[str]]:
    """Files at the rate that their user says: where they have none, or where another unit of time makes it so."""
    own = [file.rate for file in files if file.rate is not None]
    if not own:
        settings["sample_rate"] = rate
        return [replace(file, rate=rate) for file in files], []
    factor = rate / float(np.median(own))
    if abs(factor - 1) <= 0.01:
        return files, []
    now = clock.SECONDS[settings.get("time_unit", "s")]
    unit = next((name for name, seconds in clock.SECONDS.items() if abs(now / seconds / factor - 1) < 0.01), None)
    if time_column is not None and "time_format" not in settings and unit is not None:
        settings["time_unit"] = unit
        return [replace(file, rate=None if file.rate is None else file.rate * factor) for file in files], []
    said = f"the files say {np.median(own):g} Hz, --sample-rate {rate:g} Hz: the files are believed"
    return files, [said]


def _without_odd(files: Sequence[Surveyed], columns: list[str] | None, remarks: list[str]) -> list[str] | None:
    """Channels without those that in every file only count up, or are one number in each file and another in others."""
    names = columns or [channel.name for channel in files[0].channels]
    left: dict[str, str] = {}
    for name in names:
        held = [channel for file in files for channel in file.channels if channel.name == name]
        if held and all(channel.counts for channel in held):
            left[name] = "only counts up in every file"
        elif len(held) > 1 and all(channel.constant for channel in held) and len({channel.low for channel in held}) > 1:
            left[name] = "is one number in each file, as the number of a machine or subject is"
    kept = [name for name in names if name not in left]
    if not left or not kept:
        return columns
    remarks += [f"column {name!r} is left out, as it {why}" for name, why in left.items()]
    return kept


def reading(settings: Mapping[str, Any], label_column: str | None = None) -> TableData:
    """How files are read to be looked at: with these settings, and without stopping at what is incomplete."""
    settings = {**settings, "label_column": label_column}
    rate = {} if "time_column" in settings or "sample_rate" in settings else {"sample_rate": 1.0}
    return TableData.model_validate({"files": "*", "healthy_files": "*", **PERMISSIVE, **settings, **rate})


def below_one_folder(paths: Sequence[Path]) -> dict[Path, str]:
    """Files with their paths below the deepest folder that contains all of them."""
    top = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths])
    return {path: Path(os.path.relpath(path, top)).as_posix() for path in paths}


def _dialects(paths: Sequence[Path]) -> tuple[dict[Path, Dialect], dict[Path, str]]:
    """The dialects and first rows of those files that are tables with names, and why others cannot be read."""
    dialects: dict[Path, Dialect] = {}
    reasons: dict[Path, str] = {}
    for path in paths:
        try:
            head = dialect_of(path) if is_text(path) else head_of(path)
            if head is not None:
                dialects[path] = head
        except (MicroError, OSError) as error:
            reasons[path] = str(error)
    return dialects, reasons


def _settings(
    found: Mapping[Path, Dialect], with_time: bool
) -> tuple[dict[str, Any], str | None, str | None, list[str]]:
    """Settings that read the files, the columns of time and labels, and remarks."""
    if not found:
        return {}, None, None, []
    dialects = list(found.values())
    settings = dict(dialects[0].settings)
    remarks = list(dialects[0].remarks)
    time = clock_of(dialects)
    if time is not None and with_time:
        settings |= {"time_column": time.name, **time.settings}
        remarks += time.remarks
    label = label_of(dialects, None if time is None else time.name)
    if label is not None:
        settings["label_column"] = label
    channels, left = channels_of(dialects[0], None if time is None else time.name, label)
    everywhere = [name for name in channels if all(name in each.names for each in dialects)]
    left |= {name: "is in some files only" for name in channels if name not in everywhere}
    others = sum(name not in (label, settings.get("time_column")) for name in dialects[0].names)
    if len(everywhere) < others and everywhere:
        settings["columns"] = everywhere
    remarks += [f"column {name!r} is left out, as it {why}" for name, why in left.items()]
    return settings, settings.get("time_column"), label, remarks


def _surveyed(name: str, path: Path, read: Contents, config: TableData) -> Surveyed:
    rate, gaps = read.rate, 0
    if read.moments is not None:
        named = clock.called(read.moments, config)
        since = clock.seconds(read.moments, named, path)
        rate, breaks = clock.rate_and_breaks(since, named, path, read.rows.where)
        gaps = len(breaks)
    labels: dict[str, int] = {}
    if read.labels is not None:
        counts = np.bincount(read.labels, minlength=len(read.words))
        labels = {word: int(count) for word, count in zip(read.words, counts) if word}
    channels = tuple(
        replace(channel_of(each, read.samples[:, place]), text=place in read.texts)
        for place, each in enumerate(read.channels)
    )
    return Surveyed(name, path, len(read.samples), rate, gaps, channels, labels)


def channel_of(name: str, column: np.ndarray) -> Channel:
    """What a channel of a file holds, (n,) float32."""
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
