"""What files hold: columns, rates, gaps, ranges, channels that never change or hit a limit, labels, copies of each other."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from micro.config import TableData
from micro.config.complaints import first_complaint
from micro.datasets import clock
from micro.datasets.contents import Contents, rows_of
from micro.datasets.find import short_names
from micro.datasets.formats import is_text, read_contents
from micro.datasets.frozen import frozen_rows, movement_of
from micro.datasets.lines import text_blocks
from micro.datasets.spacing import evenly_spaced
from micro.datasets.twins import twins_of
from micro.errors import DataError, MicroError
from micro.look.channels import channel_of, envelope
from micro.look.dialect import Dialect, dialect_of
from micro.look.given import NOTHING, ContradictionError, Given, typed_as
from micro.look.heads import head_of
from micro.look.patterns import shortened
from micro.look.remarks import coarse, differences, never_changes, precision_of, seldom_filled, without_odd
from micro.look.settled import Columns, columns_of
from micro.look.speed import kept_of
from micro.look.still import still_of
from micro.look.surveyed import Surveyed
from micro.look.table_columns import usual
from micro.look.yes_no import conditions, flags_of, labels_among, of_whole_files

# Files and channels that are drawn.
MOST_DRAWN, MOST_CHANNELS = 12, 6
# What reading must not stop at: it is what the survey reports.
PERMISSIVE: dict[str, Any] = {
    "on_gap": "split",
    "on_missing": "drop",
    "on_text": "missing",
    "on_constant": "keep",
    "on_short": "skip",
}


class LookedAt(TableData):
    """How files are read of which it is not known yet whether they have one label, several or none."""

    label_columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Survey:
    """Files that could be read, why others could not, and the settings of [data] that read them.

    Attributes:
        settings: As a config has them, without `files` and what says which are healthy.
        time_column, label_column, target_column, run_column: Names of these columns, None where there are none.
        label_columns: Those of labels that may hold at once.
        twins: Names of files that hold the same bytes.
        remarks: Sentences on what differs between files.
        left_out: Names of files that were not read; `unread` says why.
    """

    files: tuple[Surveyed, ...]
    unread: tuple[str, ...]
    settings: Mapping[str, Any]
    time_column: str | None
    label_column: str | None
    twins: tuple[tuple[str, ...], ...]
    remarks: tuple[str, ...]
    target_column: str | None = None
    run_column: str | None = None
    label_columns: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def pictures(self) -> bool:
        """Whether the files are pictures."""
        return self.files[0].image_size is not None

    @property
    def rate(self) -> float | None:
        """The usual sample rate in Hz, None where no file has one."""
        rates = [file.rate for file in self.files if file.rate is not None]
        return float(np.median(rates)) if rates else None


def survey(
    files: Sequence[str | Path], sample_rate: float | None = None, given: Given = NOTHING, *, curves: bool = False
) -> Survey:
    """Look at files, or patterns of files, whatever they hold.

    Args:
        files: Each is read once, but where what looked like a clock is none.
        sample_rate: In Hz, theirs if they do not say it.
        given: What is not to be found out.
        curves: Whether to keep curves of some files, to be drawn.

    Raises:
        ContradictionError: For a file that does not hold what is given.
        DataError: If none of them can be read, with the reason of the first.
    """
    named = below_one_folder(list(short_names(files)))
    dialects, reasons = _dialects(list(named), given)
    kept, others = usual(dialects) if dialects else ([], {})
    reasons |= {path: _damage(path, dialects[path]) or why for path, why in others.items()}
    dialects = {path: dialects[path] for path in kept}
    # Chosen before files are read, so that no second reading is for the page alone.
    paths = [path for path in named if path not in reasons]
    drawn = (
        frozenset(paths[place] for place in evenly_spaced(len(paths), MOST_DRAWN)) if curves and paths else frozenset()
    )
    columns = columns_of(dialects, given, with_time=True)
    made = _read(named, dialects, reasons, sample_rate, columns, given, drawn)
    if not made.files and made.time_column is not None and not _is_given(given, made.time_column):
        # What looked like a clock is none: the files are read once more, without it.
        columns = columns_of(dialects, given, with_time=False)
        without = _read(named, dialects, reasons, sample_rate, columns, given, drawn)
        said = f"column {made.time_column!r} is no clock: {made.unread[-1]}"
        made = replace(without, remarks=(said, *without.remarks))
    if not made.files:
        raise DataError(f"none of the files can be read: {made.unread[0]}")
    return made


def _damage(path: Path, dialect: Dialect) -> str | None:
    """What is wrong with text that seems to be written otherwise than others, as one with a quote that is not closed does."""
    try:
        for _ in text_blocks(path, reading(dialect.settings)) if is_text(path) else ():
            pass
    except (MicroError, ValueError) as error:
        return _in_one_line(error)
    return None


def others_of(named: Mapping[Path, str], found: Sequence[Surveyed]) -> tuple[str, ...]:
    """Names of files that are none of those found."""
    read = {file.name for file in found}
    return tuple(name for name in named.values() if name not in read)


def _in_one_line(error: Exception) -> str:
    return first_complaint(error, "", TableData) if isinstance(error, ValidationError) else str(error)


def _is_given(given: Given, time: str) -> bool:
    return given.settings.get("time_column") == time or bool(given.settings.keys() & {"time_unit", "time_format"})


def _read(
    named: Mapping[Path, str],
    dialects: Mapping[Path, Dialect],
    reasons: Mapping[Path, str],
    sample_rate: float | None,
    columns: Columns,
    given: Given,
    drawn: frozenset[Path],
) -> Survey:
    """All files but those that have a reason not to be read; `files` is empty where none can be."""
    settings, remarks = dict(columns.settings), list(columns.remarks)
    found: list[Surveyed] = []
    unread = list(reasons.values())
    for path, name in named.items():
        if path in reasons:
            continue
        try:
            config = _reading_of(columns, dialects.get(path))
            read = read_contents(path, config)
            each = _surveyed(name, path, read, config, columns, path in drawn)
            hertz = sample_rate if each.rate is None else each.rate
            moves = movement_of(read.samples, rate=hertz)
            still = still_of(read.samples, read.channels, hertz, frozen_rows(moves))
            flags, some = flags_of(read, config.label_columns, given), kept_of(read.samples, read.channels)
            found.append(replace(each, flags=flags, still=still, speeds=some, moves=moves))
            remarks += [f"{name}: {said}" for said in read.unread]
        except (MicroError, ValueError) as error:
            if given.reading and _reads_otherwise(path):
                raise ContradictionError(f"{error}; without {typed_as(given.reading)} it can be read") from None
            unread.append(_in_one_line(error))
    if found and sample_rate is not None:
        found, more = _at_rate(found, settings, sample_rate, columns.time)
        remarks += more
    twins = tuple(twins_of({file.name: file.path for file in found}))
    labels = labels_among(found, given, columns.label)
    found, label = labels.files, labels.one or columns.label
    settings = labels.settled(settings)
    left = {name: why for name, why in columns.left.items() if name not in labels.names}
    used = list(dict.fromkeys(channel.name for file in found for channel in file.channels))
    remarks += [f"column {name!r} is left out, as it {why}" for name, why in left.items()]
    if found and "columns" not in given.settings:
        kept = without_odd(found, settings.get("columns"), remarks)
        used = kept or used
        remarks += coarse(precision_of(found), used)
        if kept is not None:
            special = (*columns.special, *labels.names)
            settings["columns"] = shortened(kept, [each.names for each in dialects.values()], special)
    remarks += differences(found) if found else []
    remarks += seldom_filled(found, used) + conditions(found, labels, given) + of_whole_files(labels)
    if label is not None and "label_column" not in given.settings and never_changes(found):
        remarks.append(f"column {label!r} is left out, as it holds the same in every row of every file")
        settings = {"columns": [channel.name for channel in found[0].channels], **settings}
        del settings["label_column"]
        label = None
    return Survey(
        tuple(replace(file, flags=None, moves=None) for file in found),
        tuple(unread),
        settings,
        columns.time,
        label,
        twins,
        tuple(remarks),
        columns.target,
        columns.run,
        labels.several,
        others_of(named, found),
    )


def _reading_of(columns: Columns, dialect: Dialect | None) -> LookedAt:
    """How a file is read: the target of a regression as a channel, its runs as labels."""
    settings, label = dict(columns.settings), columns.run or columns.label
    flags = () if dialect is None else columns.flags
    if columns.target is not None and dialect is not None:
        own = settings.get("columns") or [name for name in dialect.names if name not in columns.special]
        settings["columns"] = [*own, columns.target]
    return reading(settings, label if dialect is None or label in dialect.names else None, flags)


def _reads_otherwise(path: Path) -> bool:
    """Whether a file can be read by what it shows alone: what its user says of it contradicts it then."""
    try:
        survey([path])
    except (MicroError, ValueError):
        return False
    return True


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


def reading(settings: Mapping[str, Any], label_column: str | None = None, flags: Sequence[str] = ()) -> LookedAt:
    """How files are read to be looked at: with these settings, and without stopping at what is incomplete.

    Args:
        label_column: The column of one label, None where there is none.
        flags: Columns of yes or no that are no channels.
    """
    settings = {**settings, "label_column": label_column, "label_columns": tuple(flags)}
    rate = {} if "time_column" in settings or "sample_rate" in settings else {"sample_rate": 1.0}
    return LookedAt.model_validate({"files": "*", "healthy_files": "*", **PERMISSIVE, **settings, **rate})


def below_one_folder(paths: Sequence[Path]) -> dict[Path, str]:
    """Files with their paths below the deepest folder that contains all of them."""
    top = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths])
    return {path: Path(os.path.relpath(path, top)).as_posix() for path in paths}


def _dialects(paths: Sequence[Path], given: Given) -> tuple[dict[Path, Dialect], dict[Path, str]]:
    """The dialects and first rows of those files that are tables with names, and why others cannot be read."""
    dialects: dict[Path, Dialect] = {}
    reasons: dict[Path, str] = {}
    for path in paths:
        try:
            head = dialect_of(path, given.written) if is_text(path) else head_of(path, given.written)
            if head is not None:
                dialects[path] = head
        except ContradictionError:
            raise
        except (MicroError, OSError) as error:
            reasons[path] = str(error)
    return dialects, reasons


def _surveyed(name: str, path: Path, read: Contents, config: TableData, columns: Columns, drawn: bool) -> Surveyed:
    labels: dict[str, int] = {}
    stretches: dict[str, int] = {}
    if read.labels is not None:
        counts = np.bincount(read.labels, minlength=len(read.words))
        labels = {word: int(count) for word, count in zip(read.words, counts) if word}
        stretches = _stretches(read.labels, list(read.words))
    rate, gaps = _rate_and_gaps(path, read, config, runs=columns.run is not None)
    channels = [
        replace(
            channel_of(each, read.samples[:, place], read.precision.get(each)),
            text=place in read.texts,
            unit=read.units.get(each, ""),
        )
        for place, each in enumerate(read.channels)
    ]
    target = next((each for each in channels if each.name == columns.target), None)
    kept = [place for place, each in enumerate(channels) if each is not target]
    curves = tuple(envelope(read.samples[:, place]) for place in kept[:MOST_CHANNELS]) if drawn else ()
    own = tuple(channels[place] for place in kept)
    return Surveyed(
        name, path, len(read.samples), rate, gaps, own, labels, target=target, stretches=stretches, curves=curves
    )


def _stretches(labels: np.ndarray, words: Sequence[str]) -> dict[str, int]:
    """The rows of the longest stretch of each label, from places in `words`, (n,)."""
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    longest: dict[str, int] = {}
    for start, stop in pairwise(edges):
        if stop > start and (word := words[labels[start]]):
            longest[word] = max(longest.get(word, 0), stop - start)
    return longest


def _rate_and_gaps(path: Path, read: Contents, config: TableData, *, runs: bool) -> tuple[float | None, int]:
    """A file's rate in Hz and its gaps in time; where it holds `runs`, whose clock may start again, the median of theirs."""
    if read.moments is None:
        return read.rate, 0
    edges = [0, len(read.samples)]
    if runs and read.labels is not None:
        edges[1:1] = (np.flatnonzero(np.diff(read.labels)) + 1).tolist()
    found = []
    for start, stop in pairwise(edges):
        part = rows_of(read, start, stop)
        if part.moments is not None and (stop - start > 1 or len(edges) == 2):
            named = clock.called(part.moments, config)
            since = clock.seconds(part.moments, named, path)
            rate, breaks = clock.rate_and_breaks(since, named, path, part.rows.where)
            found.append((rate, len(breaks)))
    return float(np.median([rate for rate, _ in found])), sum(gaps for _, gaps in found)
