"""Files of measurement systems, TDMS of LabVIEW and MDF of vehicles, each read by the library of an extra."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from micro.config import FilesData
from micro.datasets import store
from micro.datasets.arrays import Column, contents_of, one_line
from micro.datasets.channel_units import units_below
from micro.datasets.clock import Moments, begun
from micro.datasets.contents import Contents, EmptyFile, choose
from micro.datasets.mdf_process import MdfChannels, Worker
from micro.datasets.rasters import Raster, after_end, brought, ended, learned, raster_of, same_times
from micro.errors import DataError, RunError
from micro.support.extras import required
from micro.support.wording import counted, listed, was

# Channels that an error lists of each raster.
LISTED = 4
NO_TIMES, NO_ROWS = "without times (no master channel)", "without rows"


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
            units = [
                channels[name].properties.get("unit_string") if name in channels else "" for name in contents.channels
            ]
            contents = replace(contents, units=units_below(contents.channels, range(len(units)), units))
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
            _one_raster(path, {name: raster_of(times[places[name][0]]) for name in chosen})
            _require_same(path, {name: times[places[name][0]] for name in chosen})

        late: dict[str, int] = {}

        def column(name: str) -> np.ndarray:
            own = times[places[name][0]]
            values = _values(path, name, worker, places[name], len(own))
            if own is times[first]:
                return values
            if name in learned(config) and (count := int(after_end(own, times[first]).sum())):
                late[name] = count
            return brought(path, name, values, own, times[first], config)

        # Of columns that are not chosen nothing but the name counts.
        columns: dict[str, Column] = {name: (len(times[first]), partial(column, name)) for name in places}
        contents = _timed(contents_of(path, columns, config, settled), times[first], found.start, config)
        contents = _noted(contents, () if settled else unread, config)
        return contents if settled else replace(contents, unread=(*contents.unread, *ended(late)))


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


def _require_same(path: Path, times: Mapping[str, np.ndarray]) -> None:
    """DataError where channels of as many rows have other times."""
    (first, own), *others = times.items()
    for name, other in others:
        if own is not other and not same_times(own, other):
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


def _timed(contents: Contents, times: np.ndarray, start: float | None, config: FilesData) -> Contents:
    """Contents with the master's times, which begin at `start`; with its rate, to be compared, and its times, which may have
    gaps, where the config says the rate."""
    if config.time_column is not None:
        return contents
    gone, start = ~np.isfinite(times), begun(start)
    if config.sample_rate is not None or config.sample_rates:
        step = raster_of(times).step
        begin = None if start is None or gone[0] else start + float(times[0])
        return replace(contents, rate=None if step is None else 1 / step, begin=begin, times=times)
    moments = Moments(np.where(gone, 0.0, times), gone, unit="s", column="its master channel", start=start)
    return replace(contents, moments=moments)
