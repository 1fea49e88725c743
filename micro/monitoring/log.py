"""Reading what devices log: scores of windows, session by session."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import overload

import numpy as np

from micro.errors import DataError
from micro.monitoring.csv_log import csv_rows
from micro.monitoring.gathered import Gathered, gather
from micro.monitoring.json_log import json_rows
from micro.monitoring.lines import Block, Rows, Skipped, blocks
from micro.monitoring.logged_modes import GatheredModes, LoggedModes
from micro.monitoring.sessions import Session, joined_starts, kept_sessions
from micro.monitoring.statuses import chosen, left_out_notes
from micro.support.wording import counted, excerpt, was

# Lines other than rows of which the text is kept, and how a device's self-test begins its own.
MOST_SKIPPED, SELF_TEST = 100, "self-test:"


@dataclass(frozen=True)
class Log:
    """Scores of windows, session by session, as a device logged them.

    Attributes:
        sessions: Scores in real units, an array a session, in time.
        faults: Rows without a score, as the sensor was at fault.
        columns: The features logged, by their places among the model's inputs.
        features: Their means over each session, (sessions, columns).
        names: The sessions'.
        dead: Names of sessions with more faults than scores, including those without any score.
        failed: Lines at which a self-test failed.
        notes: What was skipped or assumed, in words.
        first: Of a device that logged how it learned its machine, scores of its calibration, in stretches as long as a session.
        first_features: Means of the features over each of these.
        calibrated: All scores of that calibration, (n,).
        left_out: Windows without a score though the sensor was in order, by the status that the device gave.
    """

    sessions: tuple[np.ndarray, ...]
    faults: int
    columns: tuple[int, ...]
    features: np.ndarray
    names: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()
    failed: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    first: tuple[np.ndarray, ...] = ()
    first_features: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    calibrated: np.ndarray = field(default_factory=lambda: np.zeros(0))
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ModesLog:
    """A device's log by operating mode.

    Attributes:
        by_mode: Of each mode with scores its windows, or why these are none to compare.
        windows: With a score, of all modes.
        faults: Rows without a score, as the sensor was at fault.
        notes: What was skipped or assumed, in words.
    """

    by_mode: Mapping[int, Log | DataError]
    windows: int
    faults: int
    notes: tuple[str, ...]


AnyLog = Log | ModesLog


@dataclass(frozen=True)
class _File:
    """A file as it was read: gathered rows by device, in its order, the first row of each, and all lines that were no rows.

    `whole` are the rows of a log that names one device in some rows and none in others.
    """

    path: Path
    block: int
    modes: LoggedModes | None
    columns: tuple[int, ...]
    devices: dict[str, Gathered | GatheredModes]
    first_rows: dict[str, int]
    whole: Gathered | GatheredModes | None
    skipped: Sequence[Skipped]
    lines: int
    starts: int | None

    @property
    def named(self) -> list[str]:
        """Devices that are named."""
        return [name for name in self.devices if name]

    def only(self) -> Gathered | GatheredModes:
        """Of a log of one device its rows."""
        return self.whole or next(iter(self.devices.values()), Gathered())


@overload
def read_log(
    path: str | Path, unit: float | None, block: int, *, device: str | None = None, starts: int | None = None
) -> Log: ...
@overload
def read_log(
    path: str | Path,
    unit: float | None,
    block: int,
    *,
    device: str | None = None,
    modes: LoggedModes | None,
    starts: int | None = None,
) -> AnyLog: ...
def read_log(
    path: str | Path,
    unit: float | None,
    block: int,
    *,
    device: str | None = None,
    modes: LoggedModes | None = None,
    starts: int | None = None,
) -> AnyLog:
    """A log's scores, session by session, and the means of the features logged.

    Args:
        unit: What a raw score is multiplied by; None where there are none.
        block: Windows a session where the log names none.
        device: The one whose rows are read, where the log is of several.
        modes: Of a run with operating modes, each of whose windows is in one of them or in none.
        starts: How many starts of the device are enough to be the sessions of a log that names none, where a header tells them;
            of fewer, and with None, each is cut into stretches of `block` windows.

    Raises:
        DataError: Naming file and row of what cannot be read, or of what makes it more than one device's log.
    """
    file = _file(Path(path), unit, block, modes, starts)
    named = file.named
    if device is None and len(named) > 1:
        one, other = named[:2]
        raise DataError(
            f"{path}, row {file.first_rows[other]}: the log is of several devices, {excerpt(one)} and {excerpt(other)}; "
            "choose with --device"
        )
    if device is not None and device not in named:
        raise DataError(
            f"{path} has no row of device {excerpt(device)}, but of {', '.join(named) or 'none that is named'}"
        )
    return _log(file, file.only()) if device is None else _noted(_log(file, file.devices[device]), file)


def read_each(
    path: str | Path, unit: float | None, block: int, modes: LoggedModes | None = None, starts: int | None = None
) -> dict[str, AnyLog | DataError]:
    """The logs of all devices that a file names, read once, in its order, or why one is none; '' of a log that names none, or
    one alone.

    Raises:
        DataError: As `read_log`, of what is wrong with the file, and with the log of a single device.
    """
    file = _file(Path(path), unit, block, modes, starts)
    if len(file.named) < 2:
        return {"": _log(file, file.only())}
    found: dict[str, AnyLog | DataError] = {}
    for name in file.named:
        try:
            found[name] = _noted(_log(file, file.devices[name]), file)
        except DataError as error:
            found[name] = error
    return found


def _file(path: Path, unit: float | None, block: int, modes: LoggedModes | None, starts: int | None) -> _File:
    """Read a file once, its rows gathered by device."""
    devices: dict[str, Gathered | GatheredModes] = {}
    first_rows: dict[str, int] = {}
    skipped: list[Skipped] = []
    whole: Gathered | GatheredModes | None = None
    kind = Gathered if modes is None else GatheredModes

    def add(gathered: Gathered | GatheredModes, part: Rows) -> None:
        if isinstance(gathered, Gathered):
            gather(gathered, part, block)
        else:
            assert modes is not None
            gathered.add(path, part, modes)

    columns: tuple[int, ...] = ()
    lines = 0
    for rows in _rows(path, unit):
        if isinstance(rows, Skipped):
            lines += 1
            if len(skipped) < MOST_SKIPPED or rows.text.startswith(SELF_TEST):
                skipped.append(rows)
            continue
        parts, before = _by_device(rows), len(devices)
        for name, part in parts.items():
            first_rows.setdefault(name, int(part.numbers[0]))
        if "" in first_rows and len(first_rows) == 2 and before < 2:
            whole = copy.deepcopy(next(iter(devices.values()), kind()))
        whole = None if len(first_rows) > 2 else whole
        if whole is not None:
            add(whole, rows)
        for name, part in parts.items():
            add(devices.setdefault(name, kind()), part)
        columns = rows.columns or columns
    return _File(path, block, modes, columns, devices, first_rows, whole, skipped, lines, starts)


def _by_device(rows: Rows) -> dict[str, Rows]:
    """The rows of each device, in the order in which devices occur."""
    names, places, devices = np.unique(rows.devices, return_index=True, return_inverse=True)
    if len(names) == 1:
        return {str(names[0]): rows}
    own = np.split(np.argsort(devices, kind="stable"), np.cumsum(np.bincount(devices))[:-1])
    return {str(names[n]): chosen(rows, own[n]) for n in np.argsort(places)}


def _rows_of(gathered: Gathered | GatheredModes) -> int:
    """How many rows were gathered."""
    parts = [gathered] if isinstance(gathered, Gathered) else list(gathered.by_mode.values())
    return sum(one.windows + one.faults for part in parts for one in (*part.sessions, *part.first))


def _rows(path: Path, unit: float | None) -> Iterator[Rows | Skipped]:
    """Rows in the format of the first line."""
    read = blocks(path)
    before: list[Block] = []
    for block in read:
        before.append(block)
        first = next((line for line in block.lines if line), "")
        if first:
            rows = json_rows if first.startswith("{") else csv_rows
            return rows(path, chain(before, read), unit)
    return csv_rows(path, iter(before), unit)


def _log(file: _File, gathered: Gathered | GatheredModes) -> AnyLog:
    """The rows of a device, put together."""
    if isinstance(gathered, Gathered):
        return _of_one(file, gathered, file.block)
    by_mode: dict[int, Log | DataError] = {}
    assert file.modes is not None
    for mode, own in sorted(gathered.by_mode.items()):
        if mode in file.modes.blocks:
            try:
                by_mode[mode] = _of_one(file, own, file.modes.blocks[mode])
            except DataError as error:
                by_mode[mode] = error
    sessions = [session for own in gathered.by_mode.values() for session in own.sessions]
    windows, faults = sum(session.windows for session in sessions), sum(session.faults for session in sessions)
    without = sum(
        s.windows for mode, own in gathered.by_mode.items() if mode not in file.modes.blocks for s in own.sessions
    )
    notes = left_out_notes(gathered.left_out)
    if without:
        notes.append(f"{counted(without, 'window')} of modes without a threshold {was(without)} left out")
    return ModesLog(by_mode, windows, faults, tuple(notes))


def _noted(log: AnyLog, file: _File) -> AnyLog:
    """The log of a named device, with a note on rows that name none."""
    rows = _rows_of(file.devices.get("", Gathered()))
    if not rows:
        return log
    return replace(log, notes=(*log.notes, f"{counted(rows, 'row')} without a device {was(rows)} left out"))


def _of_one(file: _File, gathered: Gathered, block: int) -> Log:
    """The rows of a device in one mode, or of one without modes."""
    path, sessions = file.path, gathered.sessions
    if file.starts is not None and not any(session.named for session in sessions):
        sessions = joined_starts(sessions, block, file.starts)
    kept, more = kept_sessions(path, sessions, block)
    notes = [*_skipped_notes(file.skipped, file.lines), *more]
    boots = 1 + max((session.boot for session in sessions), default=0)
    if boots > 1:
        cut = not any(session.named for session in sessions) and len(sessions) > boots
        of = f", and cut into stretches of {block}" if cut else ""
        notes.append(f"the header occurs {boots:,} times: each is taken for a start of the machine{of}")
    faults = sum(session.faults for session in sessions)
    if not kept:
        scores = counted(sum(session.windows for session in sessions), "score")
        at_fault = f"; in {counted(faults, 'row')} the sensor was at fault" if faults else ""
        others = "".join(f"; {note}" for note in left_out_notes(gathered.left_out))
        raise DataError(f"{path} holds {scores}, too few for a session of {block}{at_fault}{others}")
    if gathered.forgotten:
        before = f"{counted(gathered.forgotten, 'window')} from before the device learned its machine for the last time"
        notes.append(f"{before} {was(gathered.forgotten)} skipped")
    columns = file.columns
    first = [session for session in gathered.first if session.windows >= block]
    return Log(
        sessions=_scores_of(kept),
        faults=faults,
        columns=columns,
        features=_means_of(kept, columns),
        names=_unique_names(kept),
        dead=tuple(
            _name(session)
            for session in sessions
            if session.faults > session.windows and (session.named or 2 * session.faults > block)
        ),
        failed=tuple(line.number for line in file.skipped if line.text.startswith(SELF_TEST) and "FAIL" in line.text),
        notes=(*notes, *left_out_notes(gathered.left_out)),
        first=_scores_of(first),
        first_features=_means_of(first, columns),
        calibrated=np.concatenate(_scores_of(gathered.first)) if gathered.first else np.zeros(0),
        left_out=gathered.left_out,
    )


def _scores_of(sessions: Sequence[Session]) -> tuple[np.ndarray, ...]:
    return tuple(np.concatenate(session.scores) for session in sessions)


def _means_of(sessions: Sequence[Session], columns: tuple[int, ...]) -> np.ndarray:
    """Means of the features over each session, (sessions, columns)."""
    means = [np.broadcast_to(session.features / session.windows, len(columns)) for session in sessions]
    return np.array(means).reshape(len(sessions), len(columns))


def _name(session: Session) -> str:
    return session.name if session.named else f"row {session.row}"


def _unique_names(sessions: Sequence[Session]) -> tuple[str, ...]:
    names = [_name(session) for session in sessions]
    counts = Counter(names)
    return tuple(name if counts[name] == 1 else f"{name} (row {session.row})" for name, session in zip(names, sessions))


def _skipped_notes(skipped: Sequence[Skipped], count: int) -> list[str]:
    """A note on lines that are no rows; a self-test that passed needs none."""
    others = [line for line in skipped if not line.text.startswith(SELF_TEST)]
    count -= len(skipped) - len(others)
    if not others:
        return []
    lines = "1 line that is no row was" if count == 1 else f"{count:,} lines that are no rows were"
    return [f"{lines} skipped, the first in row {others[0].number}: {excerpt(others[0].text)}"]
