"""Files of measurement systems, TDMS of LabVIEW and MDF of vehicles, each read by the library of an extra."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from micro.config import FilesData
from micro.datasets import store
from micro.datasets.arrays import Column, contents_of, one_line
from micro.datasets.clock import Moments, begun
from micro.datasets.contents import Contents, EmptyFile, choose, label_columns
from micro.datasets.mdf_process import MdfChannels, Worker
from micro.errors import DataError, RunError
from micro.support.extras import required
from micro.support.wording import counted, listed, was

# Channels that an error lists of each raster.
LISTED = 4
# Steps of a channel between two of its samples from which on there is a gap.
GAP_STEPS = 1.5
# Times that differ by less than this fraction of a step are the same.
ROUNDING = 1e-3
NO_TIMES, NO_ROWS = "without times (no master channel)", "without rows"


@dataclass(frozen=True)
class Raster:
    """When the rows of a channel were sampled: their number, the time between two in seconds, and when the first was, a moment
    and seconds from it on, where the file says so."""

    count: int
    step: float | None
    begin: np.datetime64 | None = None
    offset: float | None = None

    def __str__(self) -> str:
        rate = "" if self.step is None else f" at {1 / self.step:g} Hz"
        begin = "" if self.begin is None else f" from {self.begin}"
        offset = f" + {self.offset:g} s" if self.offset else ""
        return f"{self.count:,} rows{rate}{begin}{offset}"

    @property
    def since_1970(self) -> float | None:
        """Seconds since 1970 of the first row, None where the file does not say it."""
        if self.begin is None:
            return None
        begin = float((self.begin - np.datetime64(0, "s")) / np.timedelta64(1, "s"))
        return begun(begin + (self.offset or 0.0))

    def agrees(self, other: Raster) -> bool:
        """Whether rows of both are of the same time, as far as the file says it."""
        step, begin = self.step or other.step or 0.0, self.begin or other.begin
        apart = (self.offset or 0.0) - (other.offset or 0.0)
        if self.begin is not None and other.begin is not None:
            apart += float((self.begin - other.begin) / np.timedelta64(1, "s"))
        elif begin is not None or self.offset is None or other.offset is None:
            apart = 0.0  # of one of them it is not known when it began
        same = self.count == other.count and abs(apart) <= 1e-9 + ROUNDING * step
        return same and (self.step is None or other.step is None or abs(self.step / other.step - 1) < 1e-6)

    def joined(self, other: Raster) -> Raster:
        """What is known of both together, where they agree."""
        begun = self if self.begin is not None or (other.begin is None and self.offset is not None) else other
        return Raster(self.count, other.step if self.step is None else self.step, begun.begin, begun.offset)


def read_tdms(path: Path, config: FilesData, settled: Sequence[str] = ()) -> Contents:
    """A TDMS file's channels by their names, or group/channel where two have one name, with the rate of their waveforms.

    Raises:
        DataError: For channels of different lengths, rates or starts; or where npTDMS is not installed.
    """
    nptdms = _library("nptdms", "tdms", path, "a TDMS file of LabVIEW")
    try:
        with _unlogged(), nptdms.TdmsFile.open(path) as file:
            if file.file_status.incomplete_final_segment and config.on_missing == "error":
                raise DataError(f'{path} is cut off at its end; set on_missing = "drop" to read what is whole of it')
            channels = _named(
                path, {(group.name, one.name): one for group in file.groups() for one in group.channels()}
            )
            empty = [name for name, one in channels.items() if not len(one)]
            channels = {name: one for name, one in channels.items() if len(one)}
            if not channels:
                raise EmptyFile(f"{path} holds no samples")
            rasters = {name: _waveform(one) for name, one in channels.items()}
            used = choose(path, list(channels), config, settled)
            raster = _one_raster(path, {name: rasters[name] for name in _at(list(channels), used.places)})
            columns: dict[str, Column] = {name: (len(one), one.read_data) for name, one in channels.items()}
            rate = None if raster.step is None else float(f"{1 / raster.step:.9g}")
            contents = replace(contents_of(path, columns, config, settled, rate=rate), begin=raster.since_1970)
            return _noted(contents, _unread(empty, NO_ROWS), config)
    except DataError:
        raise
    except Exception as error:
        # npTDMS raises ValueError, KeyError, struct.error and others for a damaged file.
        raise DataError(f"{path} cannot be read as TDMS: {one_line(error)}") from None


def read_mdf(path: Path, config: FilesData, settled: Sequence[str] = ()) -> Contents:
    """An MDF file's channels by their names, or group/channel where two have one name, at the times of their master channel.

    Where the config has `resample`, channels of other times are brought to those of the channel with the most rows: floating
    point by straight lines between its values, missing before the first and after the last; integers, flags, text and labels,
    which are states, keep each value until the next, and are missing before the first. Labels, and numbers to learn, are not
    known after the last of their own channel.

    Raises:
        DataError: For channels of different times without `resample`, for a `time_column` of other times with it; or where
            asammdf is not installed.
    """
    _library("asammdf", "mdf", path, "a measurement data file (MDF)")
    with tempfile.TemporaryDirectory(dir=store.folder()) as folder, Worker(path, Path(folder)) as worker:
        found = worker.channels()
        places = _named(path, found.places)
        unread = _require_times(path, found)
        aside = partial("; ".join, ["", *unread] if unread else [])
        chosen = _at(list(places), choose(path, list(places), config, settled, aside).places)
        worker.read([places[name] for name in chosen])
        times = {group: worker.array(f"times{group}") for group in dict.fromkeys(places[name][0] for name in chosen)}
        first = max(times, key=lambda group: len(times[group]))
        if config.resample is None:
            _one_raster(path, {name: _raster(times[places[name][0]]) for name in chosen})
            _require_same(path, {name: times[places[name][0]] for name in chosen})

        ended: dict[str, int] = {}

        def column(name: str) -> np.ndarray:
            own = times[places[name][0]]
            values = _values(path, name, worker, places[name], len(own))
            if own is times[first]:
                return values
            if name in _learned(config) and (late := int(_after(own, times[first]).sum())):
                ended[name] = late
            return _brought(path, name, values, own, times[first], config)

        # Of columns that are not chosen nothing but the name counts.
        columns: dict[str, Column] = {name: (len(times[first]), partial(column, name)) for name in places}
        contents = _timed(contents_of(path, columns, config, settled), times[first], found.start, config)
        contents = _noted(contents, () if settled else unread, config)
        return contents if settled else replace(contents, unread=(*contents.unread, *_ended(ended)))


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """Without what a library logs of a damaged file, which is said in an error."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _library(module: str, extra: str, path: Path, what: str) -> ModuleType:
    try:
        return required(module, extra)
    except RunError as error:
        raise DataError(f"{path} is {what}: {error}") from None


def _require_times(path: Path, found: MdfChannels) -> tuple[str, ...]:
    """Sentences on channels that cannot be read; an error where there are no others."""
    unread = (*_unread(found.without_times, NO_TIMES), *_unread(found.without_rows, NO_ROWS))
    if not found.places and found.without_times:
        raise DataError(f"{path}: {unread[0]}")
    if not found.places:
        raise EmptyFile(f"{path} holds no samples")
    return unread


def _unread(names: Sequence[str], kind: str) -> tuple[str, ...]:
    """A sentence on channels that cannot be read, if there are any."""
    if not names:
        return ()
    return (f"{counted(len(names), 'channel')} {kind} {was(len(names))} left out: {listed(names, LISTED)}",)


def _noted(contents: Contents, unread: Sequence[str], config: FilesData) -> Contents:
    """Contents with sentences on channels that were not read although the config names no columns."""
    return contents if config.columns else replace(contents, unread=tuple(unread))


def _at(names: Sequence[str], places: Sequence[int]) -> list[str]:
    return [names[place] for place in places]


def _named(path: Path, channels: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
    """Channels by their names; by group and name where a name occurs twice, also as the group and name of others.

    Raises:
        DataError: For two that have one group and name, written as one.
    """
    names = {key: key[1] for key in channels}
    while twice := {name for name, count in Counter(names.values()).items() if count > 1}:
        longer = {key: "/".join(key) if name in twice else name for key, name in names.items()}
        if longer == names:
            one, other = [key for key, name in names.items() if name in twice and name == min(twice)][:2]
            raise DataError(
                f"{path}: channel {one[1]!r} of group {one[0]!r} and channel {other[1]!r} of group {other[0]!r} are both "
                f"{min(twice)!r}; rename one of them"
            )
        names = longer
    return {names[key]: one for key, one in channels.items()}


def _waveform(channel: Any) -> Raster:
    """What the waveform properties of a TDMS channel say: begin and time between two samples."""
    step = channel.properties.get("wf_increment")
    known = isinstance(step, int | float | np.number) and 0 < float(step) < np.inf
    begin, offset = channel.properties.get("wf_start_time"), channel.properties.get("wf_start_offset")
    return Raster(
        len(channel),
        float(step) if known else None,
        begin if isinstance(begin, np.datetime64) and not np.isnat(begin) else None,
        float(offset) if isinstance(offset, int | float | np.number) and np.isfinite(offset) else None,
    )


def _one_raster(path: Path, rasters: Mapping[str, Raster]) -> Raster:
    """What all channels have in common; DataError that names channels of each raster where they differ."""
    kinds: list[tuple[Raster, list[str]]] = []
    for name, raster in rasters.items():
        place = next((place for place, (kind, _) in enumerate(kinds) if kind.agrees(raster)), None)
        if place is None:
            kinds.append((raster, [name]))
        else:
            # A channel that says neither rate nor begin must not hide that those of two others differ.
            kinds[place] = (kinds[place][0].joined(raster), [*kinds[place][1], name])
    if len(kinds) > 1:
        said = "; ".join(f"{listed(names, LISTED)}: {kind}" for kind, names in kinds[:LISTED])
        raise DataError(
            f"{path}: channels were not sampled at the same times ({said}); name those of one kind in columns"
        )
    return kinds[0][0]


def _raster(times: np.ndarray) -> Raster:
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    return Raster(len(times), step if step > 0 else None)


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether times are the same but for rounding."""
    return len(one) == len(other) and bool(np.abs(one - other).max() <= 1e-9 + ROUNDING * (_raster(one).step or 0.0))


def _require_same(path: Path, times: Mapping[str, np.ndarray]) -> None:
    """DataError where channels of as many rows have other times."""
    (first, own), *others = times.items()
    for name, other in others:
        if own is not other and not _alike(own, other):
            raise DataError(
                f"{path}: channels {first!r} and {name!r} have different times; name those of one kind in columns"
            )


def _values(path: Path, name: str, worker: Worker, at: tuple[int, int], count: int) -> np.ndarray:
    """A channel's own values, (count,); NaN, or no text, where the file calls them invalid."""
    values = worker.array(f"values{at[0]}_{at[1]}")
    if values.ndim != 1 or values.dtype.names:
        raise DataError(f"{path}: channel {name!r} holds arrays; name the channels to use in columns")
    if len(values) != count:
        raise DataError(f"{path} is damaged: channel {name!r} has {len(values):,} values for {count:,} times")
    if not worker.has(f"invalid{at[0]}_{at[1]}"):
        return values
    gone = worker.array(f"invalid{at[0]}_{at[1]}")
    return np.where(gone, np.nan if values.dtype.kind in "biuf" else values.dtype.type(), values)


def _brought(
    path: Path, name: str, values: np.ndarray, own: np.ndarray, wanted: np.ndarray, config: FilesData
) -> np.ndarray:
    """A channel's values at other times than its own, (n,) as `wanted`; see `read_mdf`."""
    if _alike(own, wanted):
        return values
    if name == config.time_column:
        raise DataError(
            f"{path}: time_column {name!r} has other times than the channel with the most rows; leave time_column out, as an "
            "MDF file has times of its own"
        )
    if not (np.diff(own) >= 0).all():
        raise DataError(
            f"{path}: times of channel {name!r} go back or are missing; name the channels to use in columns"
        )
    close = _close(own, wanted)
    if values.dtype.kind == "f" and name not in (config.label_column, *label_columns(config)):
        within = (wanted >= own[0] - close) & (wanted <= own[-1] + close)
        return np.where(
            within & ~_in_gaps(own, wanted, close), np.interp(wanted, own, values.astype(np.float64)), np.nan
        )
    before = np.searchsorted(own, wanted + close, side="right") - 1
    held = values[np.maximum(before, 0)]
    unknown = before < 0
    if name in _learned(config):
        unknown |= _after(own, wanted)
    if not unknown.any():
        return held
    return np.where(unknown, np.nan if values.dtype.kind in "biuf" else values.dtype.type(), held)


def _learned(config: FilesData) -> set[str | None]:
    """Channels that say what is to be learned: what a recorder no longer wrote of them is not known."""
    said = {config.label_column, *label_columns(config), *getattr(config, "targets", ())}
    return said - {None, getattr(config, "run_column", None)}


def _after(own: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Which times come after the last of a channel's own, (n,) bool."""
    return np.asarray(wanted > own[-1] + _close(own, wanted))


def _close(own: np.ndarray, wanted: np.ndarray) -> float:
    """Seconds within which times are the same."""
    # Sums and products of one step differ in their last digits: 3 * 0.1 is later than 30 / 100.
    steps = [step for step in (_raster(own).step, _raster(wanted).step) if step is not None]
    return ROUNDING * min(steps, default=0.0)


def _ended(rows: Mapping[str, int]) -> list[str]:
    """Sentences on rows after the last of a channel that says what is to be learned."""
    return [
        f"{counted(count, 'row')} after the last time of {name!r} {'has' if count == 1 else 'have'} none of its values"
        for name, count in rows.items()
    ]


def _in_gaps(own: np.ndarray, wanted: np.ndarray, close: float) -> np.ndarray:
    """Which times lie between two of a channel's own that are further apart than its samples are, (n,) bool."""
    step = _raster(own).step
    if step is None or len(own) < 2:
        return np.zeros(len(wanted), bool)
    after = np.clip(np.searchsorted(own, wanted - close), 1, len(own) - 1)
    between = (wanted > own[after - 1] + close) & (wanted < own[after] - close)
    return np.asarray(between & (own[after] - own[after - 1] > GAP_STEPS * step))


def _timed(contents: Contents, times: np.ndarray, start: float | None, config: FilesData) -> Contents:
    """Contents with the master's times, which begin at `start`; with its rate, to be compared, and its times, which may have
    gaps, where the config says the rate."""
    if config.time_column is not None:
        return contents
    gone, start = ~np.isfinite(times), begun(start)
    if config.sample_rate is not None or config.sample_rates:
        step = _raster(times).step
        begin = None if start is None or gone[0] else start + float(times[0])
        return replace(contents, rate=None if step is None else 1 / step, begin=begin, times=times)
    moments = Moments(np.where(gone, 0.0, times), gone, unit="s", column="its master channel", start=start)
    return replace(contents, moments=moments)
