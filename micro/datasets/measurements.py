"""Files of measurement systems, TDMS of LabVIEW and MDF of vehicles, each read by the library of an extra."""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from micro.config import FilesData
from micro.datasets.arrays import Column, contents_of, one_line
from micro.datasets.clock import Moments
from micro.datasets.contents import Contents, EmptyFile, choose
from micro.errors import DataError, RunError
from micro.support.extras import required
from micro.support.wording import listed

# Channels that an error lists of each raster.
LISTED = 4
# Of the process that reads an MDF file: how long it may take, and its exit code where the library refuses the file.
SECONDS_ALLOWED, REFUSED = 3600, 3


@dataclass(frozen=True)
class Raster:
    """When the rows of a channel were sampled: their number, the time between two in seconds, and when the first was, where the
    file says so."""

    count: int
    step: float | None
    begin: Any = None

    def __str__(self) -> str:
        rate = "" if self.step is None else f" at {1 / self.step:g} Hz"
        begin = "" if self.begin is None else f" from {self.begin}"
        return f"{self.count:,} rows{rate}{begin}"

    def agrees(self, other: Raster) -> bool:
        """Whether rows of both are of the same time, as far as the file says it."""
        same = self.count == other.count and (self.begin == other.begin or None in (self.begin, other.begin))
        return same and (self.step is None or other.step is None or abs(self.step / other.step - 1) < 1e-6)


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
            channels = _named({(group.name, one.name): one for group in file.groups() for one in group.channels()})
            channels = {name: one for name, one in channels.items() if len(one)}
            if not channels:
                raise EmptyFile(f"{path} holds no samples")
            rasters = {name: _waveform(one) for name, one in channels.items()}
            used = choose(path, list(channels), config, settled)
            raster = _one_raster(path, {name: rasters[name] for name in _at(list(channels), used.places)})
            columns: dict[str, Column] = {name: (len(one), one.read_data) for name, one in channels.items()}
            rate = None if raster.step is None else float(f"{1 / raster.step:.9g}")
            return contents_of(path, columns, config, settled, rate=rate)
    except DataError:
        raise
    except Exception as error:
        # npTDMS raises ValueError, KeyError, struct.error and others for a damaged file.
        raise DataError(f"{path} cannot be read as TDMS: {one_line(error)}") from None


def read_mdf(path: Path, config: FilesData, settled: Sequence[str] = ()) -> Contents:
    """An MDF file's channels by their names, or group/channel where two have one name, at the times of their master channel.

    Where the config has `resample`, channels of other times are brought to those of the channel with the most rows, by straight
    lines between their values; they are missing before the first and after the last.

    Raises:
        DataError: For channels of different times without `resample`; or where asammdf is not installed.
    """
    _library("asammdf", "mdf", path, "a measurement data file (MDF)")
    with tempfile.TemporaryDirectory() as folder, _Worker(path, Path(folder)) as worker:
        places = _named(worker.channels())
        if not places:
            raise EmptyFile(f"{path} holds no samples")
        chosen = _at(list(places), choose(path, list(places), config, settled).places)
        worker.read([places[name] for name in chosen])
        times = {group: worker.array(f"times{group}") for group in dict.fromkeys(places[name][0] for name in chosen)}
        first = max(times, key=lambda group: len(times[group]))
        if config.resample is None:
            _one_raster(path, {name: _raster(times[places[name][0]]) for name in chosen})
            _require_same(path, {name: times[places[name][0]] for name in chosen})

        def column(name: str) -> np.ndarray:
            return _values(path, name, worker, places[name], times[places[name][0]], times[first])

        # Of columns that are not chosen nothing but the name counts.
        columns: dict[str, Column] = {name: (len(times[first]), partial(column, name)) for name in places}
        return _timed(contents_of(path, columns, config, settled), times[first], config)


class _Worker:
    """A process that reads an MDF file, and what it answers; see `_mdf_worker`."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path, self.folder = path, folder
        script = Path(__file__).with_name("_mdf_worker.py")
        with (folder / "stderr").open("w") as said:
            self.process = subprocess.Popen(
                [sys.executable, str(script), str(path.resolve()), str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        self.timer = threading.Timer(SECONDS_ALLOWED, self.process.kill)

    def __enter__(self) -> _Worker:
        self.timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.timer.cancel()
        self.process.kill()
        self.process.communicate()

    def channels(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Group and place of every channel, by the names of its group and its own."""
        assert self.process.stdout is not None
        answer = self.process.stdout.readline()
        if not answer:
            self._finish()
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for called, name, group, place in json.loads(answer):
            key = (called, name)
            found[key if key not in found else (f"{called}.{group}.{place}", name)] = (group, place)
        return found

    def read(self, wanted: Sequence[tuple[int, int]]) -> None:
        """Have the arrays of channels read."""
        with contextlib.suppress(BrokenPipeError):
            self.process.communicate(json.dumps(list(wanted)) + "\n")
        self._finish()

    def array(self, name: str) -> np.ndarray:
        """An array that was read."""
        return np.asarray(np.load(self.folder / f"{name}.npy", allow_pickle=False))

    def has(self, name: str) -> bool:
        """Whether there is such an array."""
        return (self.folder / f"{name}.npy").exists()

    def _finish(self) -> None:
        code = self.process.wait()
        if code:
            said = (self.folder / "stderr").read_text(errors="replace").strip().splitlines() if code == REFUSED else []
            why = said[-1][:200] if said else f"the library that reads it ended with {code}; it is damaged"
            raise DataError(f"{self.path} cannot be read as MDF: {why}")


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


def _at(names: Sequence[str], places: Sequence[int]) -> list[str]:
    return [names[place] for place in places]


def _named(channels: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
    """Channels by their names; by group and name where a name occurs twice."""
    counts = Counter(name for _, name in channels)
    return {name if counts[name] == 1 else f"{group}/{name}": one for (group, name), one in channels.items()}


def _waveform(channel: Any) -> Raster:
    """What the waveform properties of a TDMS channel say: begin and time between two samples."""
    step = channel.properties.get("wf_increment")
    known = isinstance(step, int | float | np.number) and 0 < float(step) < np.inf
    return Raster(len(channel), float(step) if known else None, channel.properties.get("wf_start_time"))


def _one_raster(path: Path, rasters: Mapping[str, Raster]) -> Raster:
    """What all channels have in common; DataError that names channels of each raster where they differ."""
    kinds: list[tuple[Raster, list[str]]] = []
    for name, raster in rasters.items():
        alike = next((names for kind, names in kinds if kind.agrees(raster)), None)
        if alike is None:
            kinds.append((raster, [name]))
        else:
            alike.append(name)
    if len(kinds) > 1:
        said = "; ".join(f"{listed(names, LISTED)}: {kind}" for kind, names in kinds[:LISTED])
        raise DataError(
            f"{path}: channels were not sampled at the same times ({said}); name those of one kind in columns"
        )
    step = next((raster.step for raster in rasters.values() if raster.step is not None), None)
    return Raster(kinds[0][0].count, step)


def _raster(times: np.ndarray) -> Raster:
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    return Raster(len(times), step if step > 0 else None)


def _require_same(path: Path, times: Mapping[str, np.ndarray]) -> None:
    """DataError where channels of as many rows have other times."""
    (first, own), *others = times.items()
    for name, other in others:
        if own is not other and np.abs(own - other).max() > 1e-9 + 1e-3 * float(np.median(np.diff(own))):
            raise DataError(
                f"{path}: channels {first!r} and {name!r} have different times; name those of one kind in columns"
            )


def _values(
    path: Path, name: str, worker: _Worker, at: tuple[int, int], own: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """A channel's values at the wanted times: its own, or by straight lines; NaN where the file calls them invalid."""
    values = worker.array(f"values{at[0]}_{at[1]}")
    if values.ndim != 1 or values.dtype.names or len(values) != len(own):
        raise DataError(f"{path}: channel {name!r} holds arrays; name the channels to use in columns")
    if values.dtype.kind not in "biuf":
        return values
    if worker.has(f"invalid{at[0]}_{at[1]}"):
        values = np.where(worker.array(f"invalid{at[0]}_{at[1]}"), np.nan, values)
    return values if own is wanted else np.interp(wanted, own, values.astype(np.float64), left=np.nan, right=np.nan)


def _timed(contents: Contents, times: np.ndarray, config: FilesData) -> Contents:
    """Contents with the master's times; with its rate alone, to be compared, where the config says the rate."""
    if config.time_column is not None:
        return contents
    if config.sample_rate is not None or config.sample_rates:
        step = _raster(times).step
        return Contents(**{**vars(contents), "rate": None if step is None else 1 / step})
    gone = ~np.isfinite(times)
    moments = Moments(np.where(gone, 0.0, times), gone, unit="s", column="its master channel")
    return Contents(**{**vars(contents), "moments": moments})
