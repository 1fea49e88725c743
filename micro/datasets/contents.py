"""One file as read: channels as float32, times and labels before they are interpreted, and where each row is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from micro.config import FilesData
from micro.datasets import cells as cell
from micro.datasets import store
from micro.datasets.clock import Moments
from micro.datasets.precision import Precision
from micro.errors import DataError
from micro.support.patterns import matches_name

# Channels are sensors. For a file with more columns the config must name them.
MOST_CHANNELS = 1024


class EmptyFile(DataError):
    """A file without a row, which `on_short = "skip"` leaves out."""


@dataclass
class Rows:
    """Where the rows of a file are: runs of rows with the line of their first, or with a line each. Row 0 comes first.

    `skipped` are rows of the file before it.
    """

    path: Path
    runs: list[tuple[int, int | np.ndarray]] = field(default_factory=list)
    skipped: int = 0

    def where(self, row: int) -> str:
        """File and line of a row, as an editor counts them; its row in files that have no lines."""
        begin, lines = next(((first, lines) for first, lines in reversed(self.runs) if first <= row), (0, None))
        if lines is None:
            return f"{self.path}, row {row + self.skipped}"
        line = int(lines[row - begin]) if isinstance(lines, np.ndarray) else lines + row - begin
        return f"{self.path}, line {line}"


@dataclass(frozen=True)
class Contents:
    """The columns of a file that are read.

    Attributes:
        channels: Their names.
        samples: (n, channels) float32, NaN or infinite where a value is missing.
        moments: Times of the rows, where a time column is read.
        labels: (n,), places in `words`.
        flags: (n, label columns), places in `words` of what stands in each of the config's `label_columns`.
        rate: Sample rate in Hz, where the format has one.
        begin: Of a file without `moments`, seconds since 1970 of its first row, where its header says so.
        texts: By channel, the first cell that is text, where the config treats text as missing.
        header: Every column of the file.
        image_size: Height and width of a picture, whose samples are its pixels row by row.
        unread: Sentences on what of the file is not read: columns, or a row that is cut off.
        times: Seconds of the rows by the file's own clock, (n,), where the config gives its rate in place of them.
        precision: By channel, what float32 keeps of it; of channels with a value alone.
        units: By channel, its unit, where the file names one.
    """

    path: Path
    channels: tuple[str, ...]
    samples: np.ndarray
    rows: Rows
    moments: Moments | None = None
    labels: np.ndarray | None = None
    words: dict[str, int] = field(default_factory=dict)
    rate: float | None = None
    texts: dict[int, str] = field(default_factory=dict)
    header: tuple[str, ...] = ()
    image_size: tuple[int, int] | None = None
    unread: tuple[str, ...] = ()
    begin: float | None = None
    times: np.ndarray | None = None
    precision: Mapping[str, Precision] = field(default_factory=dict)
    flags: np.ndarray | None = None
    units: Mapping[str, str] = field(default_factory=dict)


def rows_of(contents: Contents, start: int, stop: int) -> Contents:
    """Consecutive rows of a file as a file of their own, whose rows are still found where they are."""
    moments, labels, flags, rows = contents.moments, contents.labels, contents.flags, contents.rows
    part = slice(start, stop)
    return replace(
        contents,
        samples=contents.samples[part],
        rows=Rows(rows.path, [(first - start, lines) for first, lines in rows.runs], rows.skipped + start),
        moments=moments and replace(moments, values=moments.values[part], missing=moments.missing[part]),
        labels=None if labels is None else labels[part],
        times=None if contents.times is None else contents.times[part],
        flags=None if flags is None else flags[part],
    )


def filled_rows(contents: Contents) -> tuple[Contents, np.ndarray]:
    """The rows of a file in which a channel has a value, as a file of their own, and which they are, (k,) int.

    Raises:
        DataError: Where there are none.
    """
    kept = np.flatnonzero(np.isfinite(contents.samples).any(axis=1))
    if not len(kept):
        raise DataError(f"{contents.path}: no row has a value in {', '.join(contents.channels)}")
    moments, rows = contents.moments, contents.rows
    lines = kept + rows.skipped
    for first, own in rows.runs:
        later = kept >= first
        lines[later] = own[kept[later] - first] if isinstance(own, np.ndarray) else own + kept[later] - first
    fewer = replace(
        contents,
        samples=contents.samples[kept],
        rows=Rows(rows.path, [(0, lines)]),
        moments=moments and replace(moments, values=moments.values[kept], missing=moments.missing[kept]),
        labels=None if contents.labels is None else contents.labels[kept],
        times=None if contents.times is None else contents.times[kept],
        flags=None if contents.flags is None else contents.flags[kept],
    )
    return fewer, kept


@dataclass(frozen=True)
class Chosen:
    """The columns of a file that are read, by place: the channels, the time, the label and those of several labels.

    `names` are those of the channels, a pattern where the config gives one.
    """

    channels: tuple[int, ...]
    names: tuple[str, ...]
    time: int | None
    label: int | None
    flags: tuple[int, ...] = ()

    @property
    def places(self) -> tuple[int, ...]:
        """All of them, each once."""
        extra = (place for place in (self.time, self.label) if place is not None)
        return tuple(dict.fromkeys((*self.channels, *extra, *self.flags)))


def choose(
    path: Path, names: Sequence[str], config: FilesData, settled: Sequence[str], aside: Callable[[], str] = str
) -> Chosen:
    """The columns of a file to read: the channels determined before or by the config, else all but time and label.

    A missing label column is left to the caller. `aside` says what else may be wrong where a name is missing.

    Raises:
        DataError: For a name that is missing or occurs twice, or for too many channels.
    """
    wanted = tuple(settled) or expanded(config.columns, names, config)
    if wanted:
        channels = tuple(_channel(path, name, names, config, aside) for name in wanted)
        if len(set(channels)) < len(channels):
            twice = next(names[place] for place in channels if channels.count(place) > 1)
            raise DataError(f"{path}: two patterns of columns match {twice!r}; a column is one channel")
    else:
        others = (config.time_column, config.label_column, *label_columns(config))
        channels = tuple(place for place, name in enumerate(names) if name not in others)
        if len(set(names)) < len(names):
            seen: set[str] = set()
            for name in names:
                if name and name in seen:
                    raise DataError(
                        f"{path}: column {name!r} appears twice; rename one, or name the channels in columns"
                    )
                seen.add(name)
        if not channels:
            raise DataError(f"{path} has no channel except time and label; it has {_listed(names)}{aside()}")
    if len(channels) > MOST_CHANNELS:
        raise DataError(
            f"{path}: {len(channels):,} columns are more than the {MOST_CHANNELS:,} channels that are supported; name "
            "those to use in columns"
        )
    time = None if config.time_column is None else _place(path, config.time_column, names, aside)
    label = None
    if config.label_column is not None and config.label_column in names:
        label = _place(path, config.label_column, names, aside)
    flags = tuple(_place(path, name, names, aside) for name in label_columns(config))
    called = tuple(wanted) or tuple(names[place] for place in channels)
    return Chosen(channels, called, time, label, flags)


def label_columns(config: FilesData) -> tuple[str, ...]:
    """The columns of several labels, which are no channels; none of other tasks."""
    return tuple(getattr(config, "label_columns", ()))


def expanded(columns: Sequence[str], names: Sequence[str], config: FilesData) -> tuple[str, ...]:
    """Channels of a config by a file's columns: in place of a pattern that matches several, all of them, each column once.

    A pattern that matches one column stays as it is, and is the channel's name in files that call the column otherwise.
    """
    found: list[str] = []
    for pattern in columns:
        matching = [] if pattern in names else _matching(pattern, names, config)
        if len(matching) == 1 and matching[0] in columns:
            continue  # named already
        found += matching if len(matching) > 1 else [pattern]
    return tuple(dict.fromkeys(found))


def _matching(pattern: str, names: Sequence[str], config: FilesData) -> list[str]:
    """The columns that a pattern matches, without those that are no channels."""
    special = {getattr(config, key, None) for key in ("time_column", "label_column", "run_column")}
    special |= {*getattr(config, "targets", ()), *label_columns(config)}
    return [name for name in names if name not in special and matches_name(name, pattern)]


def _channel(path: Path, name: str, names: Sequence[str], config: FilesData, aside: Callable[[], str]) -> int:
    """Where a channel is, by its name, or by the pattern that the config has in place of one: '*' and '?' match letters."""
    if name in names:
        return _place(path, name, names, aside)
    if name not in config.columns:
        pattern = next((each for each in config.columns if matches_name(name, each)), None)
        several = (
            ""
            if pattern is None
            else f", which {pattern!r} in columns matches with others in the first file; give each channel a pattern"
        )
        return _place(path, name, names, aside, several)
    matching = [place for place, other in enumerate(names) if other in _matching(name, names, config)]
    if len(matching) > 1:
        found = _listed([names[place] for place in matching])
        raise DataError(
            f"{path}: {name!r} in columns matches {found}; in other files it is one column, give each a pattern"
        )
    return matching[0] if matching else _place(path, name, names, aside)


def _place(path: Path, name: str, names: Sequence[str], aside: Callable[[], str], more: str = "") -> int:
    if name not in names:
        raise DataError(f"{path} has no column {name!r}{more}; it has {_listed(names)}{aside()}")
    place = names.index(name)
    if name in names[place + 1 :]:
        raise DataError(f"{path}: column {name!r} appears twice")
    return place


def _listed(names: Sequence[str], most: int = 12) -> str:
    listed = ", ".join(name or "one without a name" for name in names[:most])
    return f"{listed} and {len(names) - most:,} more" if len(names) > most else listed


def narrowed(values: np.ndarray, name: str, first: int, rows: Rows) -> np.ndarray:
    """A stretch of a column as float32.

    Raises:
        DataError: For a finite value that float32 cannot hold.
    """
    if values.dtype == np.float64 and (far := cell.beyond(values)).any():
        row = int(np.flatnonzero(far)[0])
        raise DataError(
            f"{rows.where(first + row)}: {values[row]:g} in column {name!r} is beyond what float32 holds, "
            f"{cell.FLOAT32_MAX:.4g}; features are computed in float32"
        )
    return values.astype(np.float32)


def without_nameless(contents: Contents, config: FilesData) -> tuple[Contents, list[str]]:
    """The file without nameless columns that are empty or count the rows, as trailing separators and pandas write them.

    Raises:
        DataError: For a column without a name that holds anything else.
    """
    if config.columns or "" not in contents.channels:
        return contents, []
    notes = []
    kept = [place for place, name in enumerate(contents.channels) if name]
    for place, name in enumerate(contents.channels):
        if name:
            continue
        column = contents.samples[:, place]
        if np.isnan(column).all():
            notes.append("a column without a name and without values was left out")
        elif counts_rows(column):
            notes.append("a column without a name, which counts the rows, was left out")
        else:
            raise DataError(
                f"{contents.path}: column {place + 1} has no name; name it, or name the channels to use in columns"
            )
    if not kept:
        raise DataError(f"{contents.path}: no column has a name; set header = false if there is no header")
    texts = {new: contents.texts[old] for new, old in enumerate(kept) if old in contents.texts}
    names = tuple(contents.channels[place] for place in kept)
    samples = store.taken(contents.samples, kept)
    return Contents(**{**vars(contents), "channels": names, "samples": samples, "texts": texts}), notes


def counts_rows(column: np.ndarray) -> bool:
    """Whether a column rises by one from row to row, as an index does; beyond 2**24 some float32 values stay or rise by two."""
    if not len(column) or not np.isfinite(column).all():
        return False
    return bool((np.abs(column - (column[0] + np.arange(len(column)))) <= 2e-7 * np.abs(column) + 1e-3).all())
