"""A user's own recordings: CSV and .npz files."""

from __future__ import annotations

import csv
import fnmatch
import glob
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np

from micro.config import TableData
from micro.datasets.recording import Recording
from micro.errors import DataError

# What counts as an empty cell; anything else that is not a number is text.
EMPTY = ("", "nan", "na", "n/a", "null", "none")
# A step in time this much longer than the usual one is a gap.
GAP_FACTOR = 1.5


@dataclass(frozen=True)
class Columns:
    """One file as read: cells by column name, before anything is interpreted; `first_row` is the line of row 0."""

    path: Path
    cells: dict[str, Sequence[object]]
    first_row: int

    def where(self, row: int) -> str:
        """File and line of a row, as an editor counts them."""
        return f"{self.path}, line {row + self.first_row}" if self.first_row else f"{self.path}, row {row}"


def load(config: TableData, window: int, channels: Sequence[str] = ()) -> tuple[list[Recording], tuple[str, ...]]:
    """All files of a config as recordings, split where time has gaps, and the channels they share.

    Args:
        window: Samples a recording must have to be of use.
        channels: Channels to read, where an earlier run settled them; empty to settle them by the config.

    Raises:
        DataError: Names file and row for what the config does not allow: no files, text, missing values, gaps,
            constant channels, files too short.
    """
    paths = find_files(config.files)
    recordings: list[Recording] = []
    names: tuple[str, ...] = tuple(channels)
    for path in paths:
        columns = read_columns(path, config)
        if not names:
            names = _channel_names(columns, config)
        parts = _recordings(columns, config, names)
        long_enough = [part for part in parts if len(part.samples) >= window]
        if not long_enough and config.on_short == "error":
            longest = max((len(part.samples) for part in parts), default=0)
            raise DataError(
                f"{path}: {longest} samples in a row are fewer than a window of {window}; "
                'set on_short = "skip" or a shorter window'
            )
        recordings += long_enough
    if not recordings:
        raise DataError(f"none of {len(paths)} files holds a whole window of {window} samples")
    if channels or config.on_constant == "keep":
        return recordings, names
    return _without_constant(recordings, names, config.on_constant)


def find_files(patterns: Sequence[str]) -> list[Path]:
    """Files that match any pattern, in order of name; DataError for a pattern without a match."""
    found: dict[Path, None] = {}
    for pattern in patterns:
        matches = sorted(glob.glob(pattern, recursive=True))
        if not matches:
            raise DataError(f"no file matches {pattern!r}")
        found.update((Path(match), None) for match in matches)
    return list(found)


def read_columns(path: Path, config: TableData) -> Columns:
    """The cells of one CSV or .npz file by column."""
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.suffix.lower() == ".npz":
        return _read_npz(path)
    return _read_csv(path, config)


def _read_csv(path: Path, config: TableData) -> Columns:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file, delimiter=config.separator) if row]
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}") from None
    if not rows:
        raise DataError(f"{path} is empty")
    if config.header:
        names, rows = [name.strip() for name in rows[0]], rows[1:]
        if all(_number(name) is not None for name in names):
            raise DataError(f"{path}: the first line holds numbers only; set header = false if it is data")
        repeated = [name for name in names if names.count(name) > 1]
        if repeated:
            raise DataError(f"{path}: column {repeated[0]!r} appears twice")
    else:
        names = [f"c{i}" for i in range(len(rows[0]))]
    first_row = 2 if config.header else 1
    for row, cells in enumerate(rows):
        if len(cells) != len(names):
            raise DataError(f"{path}, line {row + first_row}: {len(cells)} cells where {len(names)} are expected")
    if not rows:
        raise DataError(f"{path} has a header and no rows")
    return Columns(path, dict(zip(names, zip(*rows))), first_row)


def _read_npz(path: Path) -> Columns:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:
        # numpy, zipfile and zlib each have their own words for a damaged archive.
        raise DataError(f"{path} cannot be read as .npz: {error}") from None
    cells: dict[str, Sequence[object]] = {}
    for name, array in arrays.items():
        if array.ndim == 1:
            cells[name] = array
        elif array.ndim == 2:
            cells.update((f"{name}{i}" if array.shape[1] > 1 else name, array[:, i]) for i in range(array.shape[1]))
    lengths = {len(column) for column in cells.values()}
    if len(lengths) != 1:
        raise DataError(f"{path}: needs arrays of one length, (n,) or (n, channels), got lengths {sorted(lengths)}")
    return Columns(path, cells, 0)


def _channel_names(columns: Columns, config: TableData) -> tuple[str, ...]:
    """The channels asked for, or every column that is neither time nor label."""
    if config.columns:
        return config.columns
    return tuple(name for name in columns.cells if name not in (config.time_column, config.label_column))


def _recordings(columns: Columns, config: TableData, names: Sequence[str]) -> list[Recording]:
    """One file as recordings, one for each stretch without a gap."""
    for name in (*names, config.time_column, config.label_column):
        if name is not None and name not in columns.cells:
            raise DataError(f"{columns.path} has no column {name!r}; it has {', '.join(columns.cells)}")
    samples = np.stack([_numbers(columns, name, config) for name in names], axis=1)
    samples, valid = _fill_missing(columns, names, samples, config)
    rate, breaks = _time(columns, config)
    healthy, faulty, label = _states(columns, config, len(samples))
    whole = Recording(columns.path.name, samples.astype(np.float32), rate, label, healthy, faulty, valid)
    edges = [0, *breaks, len(samples)]
    return [_cut(whole, start, stop) for start, stop in pairwise(edges)]


def _cut(recording: Recording, start: int, stop: int) -> Recording:
    cut = slice(start, stop)
    faulty = None if recording.faulty is None else recording.faulty[cut]
    return replace(
        recording,
        samples=recording.samples[cut],
        healthy=recording.healthy[cut],
        faulty=faulty,
        valid=recording.valid[cut],
        start=start,
    )


def _numbers(columns: Columns, name: str, config: TableData) -> np.ndarray:
    """A column as float64, NaN where a cell is empty (or is text, where that is allowed)."""
    cells = columns.cells[name]
    if isinstance(cells, np.ndarray) and np.issubdtype(cells.dtype, np.number):
        return cells.astype(np.float64)
    try:
        return np.array(cells, np.float64)
    except ValueError:
        pass
    values = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        text = str(cell).strip()
        number = _number(text)
        if number is not None:
            values[row] = number
        elif text.lower() not in EMPTY and config.on_text == "error":
            raise DataError(
                f"{columns.where(row)}: {text!r} in column {name!r} is not a number; "
                'set on_text = "missing" to treat text as missing'
            )
    return values


def _fill_missing(
    columns: Columns, names: Sequence[str], samples: np.ndarray, config: TableData
) -> tuple[np.ndarray, np.ndarray]:
    """Samples without NaN or infinity, and which of them windows may use."""
    missing = ~np.isfinite(samples)
    if not missing.any():
        return samples, np.ones(len(samples), bool)
    row, channel = np.argwhere(missing)[0]
    if config.on_missing == "error":
        raise DataError(
            f"{columns.where(int(row))}: no finite value in column {names[channel]!r} ({missing.sum()} in the file); set "
            'on_missing = "drop" or "interpolate"'
        )
    filled = samples.copy()
    rows = np.arange(len(samples))
    for i in range(samples.shape[1]):
        known = ~missing[:, i]
        if not known.any():
            raise DataError(f"{columns.path}: column {names[i]!r} holds no number")
        filled[:, i] = np.interp(rows, rows[known], samples[known, i])
    valid = ~missing.any(axis=1) if config.on_missing == "drop" else np.ones(len(samples), bool)
    return filled, valid


def _time(columns: Columns, config: TableData) -> tuple[float, list[int]]:
    """Sample rate in Hz, and the rows at which a new stretch begins."""
    if config.time_column is None:
        assert config.sample_rate is not None
        return config.sample_rate, []
    seconds = _seconds(columns, config.time_column)
    if len(seconds) < 2:
        raise DataError(f"{columns.path}: one row gives no sample rate")
    steps = np.diff(seconds)
    usual = float(np.median(steps))
    backwards = np.flatnonzero(steps <= 0)
    if len(backwards) or usual <= 0:
        row = int(backwards[0]) + 1 if len(backwards) else 1
        raise DataError(f"{columns.where(row)}: time does not move forward in column {config.time_column!r}")
    gaps = (np.flatnonzero(steps > GAP_FACTOR * usual) + 1).tolist()
    if gaps and config.on_gap == "error":
        raise DataError(
            f"{columns.where(gaps[0])}: {steps[gaps[0] - 1]:g} s after the row before, where {usual:g} s are usual "
            f'({len(gaps)} such gaps); set on_gap = "split"'
        )
    return 1.0 / usual, gaps


def _seconds(columns: Columns, name: str) -> np.ndarray:
    """A time column in seconds: numbers as they are, ISO 8601 dates since the first row's day."""
    cells = columns.cells[name]
    try:
        values = np.array(cells, np.float64)
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise DataError(f"{columns.where(int(bad[0]))}: no time in column {name!r}")
        return values
    except ValueError:
        pass
    seconds = np.empty(len(cells))
    for row, cell in enumerate(cells):
        try:
            moment = datetime.fromisoformat(str(cell).strip())
        except ValueError:
            raise DataError(
                f"{columns.where(row)}: {cell!r} in column {name!r} is neither seconds nor an ISO 8601 date"
            ) from None
        if row == 0:
            first = moment
        try:
            seconds[row] = (moment - first).total_seconds()
        except TypeError:
            raise DataError(f"{columns.where(row)}: some times have a zone, some have none") from None
    return seconds


def _states(columns: Columns, config: TableData, count: int) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Which rows are healthy, which are known to be faulty (None: nobody knows), and a name for the file's state."""
    name = columns.path.name
    healthy = np.zeros(count, bool)
    if _matches(name, config.healthy_files):
        healthy[:] = True
    for start, stop in config.healthy_rows:
        if start >= count:
            raise DataError(f"{columns.path}: healthy_rows start at {start}, the file has {count} rows")
        healthy[start:stop] = True
    label = "normal" if healthy.all() else columns.path.stem
    if config.label_column is not None:
        normal = {text.strip().lower() for text in config.normal_labels}
        cells = columns.cells[config.label_column]
        return healthy, np.array([_label(cell) not in normal for cell in cells]), label
    if _matches(name, config.faulty_files):
        return healthy, ~healthy, label
    return healthy, np.zeros(count, bool) if healthy.all() else None, label


def _label(cell: object) -> str:
    """A label as text; 0.0 and 0 are the same label."""
    text = str(cell).strip().lower()
    number = _number(text)
    return f"{number:g}" if number is not None else text


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatch(name, Path(pattern).name) for pattern in patterns)


def _without_constant(
    recordings: list[Recording], names: tuple[str, ...], on_constant: str
) -> tuple[list[Recording], tuple[str, ...]]:
    """Refuse or drop channels that never move within some recording."""
    constant: dict[int, str] = {}
    for recording in recordings:
        used = recording.samples[recording.valid]
        still = np.flatnonzero(np.ptp(used, axis=0) == 0) if len(used) else np.empty(0, int)
        for channel in still:
            constant.setdefault(int(channel), recording.name)
    if not constant:
        return recordings, names
    if on_constant == "error":
        channel, file = next(iter(constant.items()))
        raise DataError(f'{file}: column {names[channel]!r} never changes; set on_constant = "keep" or "drop"')
    kept = [i for i in range(len(names)) if i not in constant]
    if not kept:
        raise DataError("every column is constant in some file; nothing is left to learn from")
    return [replace(r, samples=r.samples[:, kept]) for r in recordings], tuple(names[i] for i in kept)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
