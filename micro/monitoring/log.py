"""Reading what devices log: scores of windows, session by session."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from micro.errors import DataError
from micro.monitoring.csv_log import csv_rows
from micro.monitoring.json_log import json_rows
from micro.monitoring.lines import Block, Rows, Skipped, blocks, excerpt
from micro.monitoring.sessions import Session, check_order, extend
from micro.support.wording import counted

# Lines other than rows of which the text is kept, and how a device's self-test begins its own.
MOST_SKIPPED, SELF_TEST = 100, "self-test:"
# A row of a window in which the machine was off, which has no score and is no fault.
MACHINE_OFF = re.compile(r"(?<![\w ])machine off(?![\w ])")


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
    """

    sessions: tuple[np.ndarray, ...]
    faults: int
    columns: tuple[int, ...]
    features: np.ndarray
    names: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()
    failed: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def read_log(path: str | Path, unit: float | None, block: int, *, device: str | None = None) -> Log:
    """A log's scores, session by session, and the means of the features logged.

    Args:
        unit: What a raw score is multiplied by; None where there are none.
        block: Windows a session where the log names none.
        device: The one whose rows are read, where the log is of several.

    Raises:
        DataError: Naming file and row of what cannot be read, or of what makes it more than one device's log.
    """
    path = Path(path)
    sessions: list[Session] = []
    skipped: list[Skipped] = []
    devices: dict[str, int] = {}
    columns: tuple[int, ...] = ()
    lines = 0
    off: list[int] = []
    for rows in _rows(path, unit, off):
        if isinstance(rows, Skipped):
            lines += 1
            if len(skipped) < MOST_SKIPPED or rows.text.startswith(SELF_TEST):
                skipped.append(rows)
            continue
        for name, row in zip(*np.unique(rows.devices, return_index=True)):
            if name:
                devices.setdefault(name, int(rows.numbers[row]))
        if device is None and len(devices) > 1:
            one, other = list(devices)[:2]
            raise DataError(
                f"{path}, row {devices[other]}: the log is of several devices, {excerpt(one)} and {excerpt(other)}; "
                "choose with --device"
            )
        extend(sessions, rows if device is None else _chosen(rows, rows.devices == device), block)
        columns = rows.columns or columns
    if device is not None and device not in devices:
        raise DataError(
            f"{path} has no row of device {excerpt(device)}, but of {', '.join(devices) or 'none that is named'}"
        )
    notes = [*_skipped_notes(skipped, lines), *_off_note(len(off))]
    return _log(path, sessions, block, columns, notes, skipped)


def devices_of(path: str | Path) -> list[str]:
    """The devices that a log names, in its order; none of a log that cannot be read, whose reading says why."""
    names: dict[str, None] = {}
    try:
        for rows in _rows(Path(path), 1.0, []):
            if not isinstance(rows, Skipped):
                _, first = np.unique(rows.devices, return_index=True)
                names |= dict.fromkeys(str(rows.devices[place]) for place in np.sort(first))
    except DataError:
        return []
    return [name for name in names if name]


def _rows(path: Path, unit: float | None, off: list[int]) -> Iterator[Rows | Skipped]:
    """Rows in the format of the first line, without those of a machine that was off, whose numbers are put into `off`."""
    read = _without_off(blocks(path), off)
    before: list[Block] = []
    for block in read:
        before.append(block)
        first = next((line for line in block.lines if line), "")
        if first:
            rows = json_rows if first.startswith("{") else csv_rows
            return rows(path, chain(before, read), unit)
    return csv_rows(path, iter(before), unit)


def _without_off(read: Iterator[Block], off: list[int]) -> Iterator[Block]:
    """The blocks with empty lines in place of rows of a machine that was off."""
    for block in read:
        places = {place for place, line in enumerate(block.lines) if MACHINE_OFF.search(line)}
        off.extend(block.first + place for place in sorted(places))
        yield (
            replace(block, lines=["" if n in places else line for n, line in enumerate(block.lines)])
            if places
            else block
        )


def _chosen(rows: Rows, which: np.ndarray) -> Rows:
    sides = ("numbers", "scores", "sessions", "devices", "features")
    return replace(rows, **{side: getattr(rows, side)[which] for side in sides})


def _log(
    path: Path,
    sessions: Sequence[Session],
    block: int,
    columns: tuple[int, ...],
    notes: list[str],
    skipped: Sequence[Skipped],
) -> Log:
    """The sessions read, put together."""
    kept, more = _kept(path, sessions, block)
    notes = [*notes, *more]
    boots = 1 + max((session.boot for session in sessions), default=0)
    if boots > 1:
        notes.append(f"the header occurs {boots:,} times: each is taken for a start of the machine")
    faults = sum(session.faults for session in sessions)
    if not kept:
        scores = counted(sum(session.windows for session in sessions), "score")
        at_fault = f"; in {counted(faults, 'row')} the sensor was at fault" if faults else ""
        raise DataError(f"{path} holds {scores}, too few for a session of {block}{at_fault}")
    return Log(
        sessions=tuple(np.concatenate(session.scores) for session in kept),
        faults=faults,
        columns=columns,
        features=np.array([np.broadcast_to(session.features / session.windows, len(columns)) for session in kept]),
        names=_unique_names(kept),
        dead=tuple(
            _name(session)
            for session in sessions
            if session.faults > session.windows and (session.named or 2 * session.faults > block)
        ),
        failed=tuple(line.number for line in skipped if line.text.startswith(SELF_TEST) and "FAIL" in line.text),
        notes=tuple(notes),
    )


def _kept(path: Path, sessions: Sequence[Session], block: int) -> tuple[list[Session], list[str]]:
    """Named sessions with scores as they are, unnamed ones where they are as long as calibration's; and notes on them."""
    scored = [session for session in sessions if session.windows]
    if len({session.named for session in scored}) > 1:
        raise DataError(f"{path}: some rows name a session and some do not")
    if scored and scored[0].named:
        return scored, check_order(path, [session for session in sessions if session.named], block)
    kept = [session for session in scored if session.windows >= (block if session.name != "0" else (block + 1) / 2)]
    left_out = sum(session.windows for session in scored) - sum(session.windows for session in kept)
    if not left_out or not kept:
        return kept, []
    return kept, [
        f"windows at the end and before restarts that are too few for a stretch of {block} are left out: {left_out:,}"
    ]


def _name(session: Session) -> str:
    return session.name if session.named else f"row {session.row}"


def _unique_names(sessions: Sequence[Session]) -> tuple[str, ...]:
    names = [_name(session) for session in sessions]
    counts = Counter(names)
    return tuple(name if counts[name] == 1 else f"{name} (row {session.row})" for name, session in zip(names, sessions))


def _off_note(count: int) -> list[str]:
    """A note on rows of windows in which the machine was off."""
    return [f"in {counted(count, 'row')} the machine was off; they are left out"] if count else []


def _skipped_notes(skipped: Sequence[Skipped], count: int) -> list[str]:
    """A note on lines that are no rows; a self-test that passed needs none."""
    others = [line for line in skipped if not line.text.startswith(SELF_TEST)]
    count -= len(skipped) - len(others)
    if not others:
        return []
    lines = "1 line that is no row was" if count == 1 else f"{count:,} lines that are no rows were"
    return [f"{lines} skipped, the first in row {others[0].number}: {excerpt(others[0].text)}"]
