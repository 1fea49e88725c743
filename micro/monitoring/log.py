"""Reading what devices send home: scores of windows, session by session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from micro.errors import DataError
from micro.monitoring.csv_log import csv_rows
from micro.monitoring.json_log import json_rows
from micro.monitoring.lines import Block, Passed, Rows, blocks, excerpt
from micro.monitoring.sessions import Session, check_order, extend

# Lines that are no rows of which the text is kept, and how a device's self-test begins its own.
MOST_PASSED, SELF_TEST = 100, "self-test:"


@dataclass(frozen=True)
class Log:
    """Scores of windows, an array a session, in time; rows without a score, which are faults of the sensor.

    `columns` are the features logged, by their places among the model's inputs; `heard` their means over each session,
    (sessions, columns). `names` are the sessions'. `dead` names sessions with more faults than scores, those without any score
    among them; `failed` are the lines at which a self-test failed. `notes` say in words what was passed over or assumed.
    """

    sessions: tuple[np.ndarray, ...]
    faults: int
    columns: tuple[int, ...]
    heard: np.ndarray
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
    passed: list[Passed] = []
    devices: dict[str, int] = {}
    columns: tuple[int, ...] = ()
    lines = 0
    for found in _rows(path, unit):
        if isinstance(found, Passed):
            lines += 1
            if len(passed) < MOST_PASSED or found.text.startswith(SELF_TEST):
                passed.append(found)
            continue
        for name, row in zip(*np.unique(found.devices, return_index=True)):
            if name:
                devices.setdefault(name, int(found.numbers[row]))
        if device is None and len(devices) > 1:
            one, other = list(devices)[:2]
            raise DataError(
                f"{path}, row {devices[other]}: the log is of several devices, {excerpt(one)} and {excerpt(other)}; "
                "choose with --device"
            )
        extend(sessions, found if device is None else _chosen(found, found.devices == device), block)
        columns = found.columns or columns
    if device is not None and device not in devices:
        raise DataError(
            f"{path} has no row of device {excerpt(device)}, but of {', '.join(devices) or 'none that is named'}"
        )
    return _log(path, sessions, block, columns, _passed_notes(passed, lines), passed)


def _rows(path: Path, unit: float | None) -> Iterator[Rows | Passed]:
    """Rows in the format that the first line tells."""
    read = blocks(path)
    before: list[Block] = []
    for block in read:
        before.append(block)
        first = next((line for line in block.lines if line), "")
        if first:
            rows = json_rows if first.startswith("{") else csv_rows
            return rows(path, chain(before, read), unit)
    return csv_rows(path, iter(before), unit)


def _chosen(rows: Rows, which: np.ndarray) -> Rows:
    sides = ("numbers", "scores", "sessions", "devices", "features")
    return replace(rows, **{side: getattr(rows, side)[which] for side in sides})


def _log(
    path: Path,
    sessions: Sequence[Session],
    block: int,
    columns: tuple[int, ...],
    notes: list[str],
    passed: Sequence[Passed],
) -> Log:
    """Sessions as they were read, put together: named ones as they are, others where they are as long as calibration's."""
    scored = [session for session in sessions if session.windows]
    if len({session.named for session in scored}) > 1:
        raise DataError(f"{path}: some rows name a session and some do not")
    if scored and scored[0].named:
        notes += check_order(path, [session for session in sessions if session.named], block)
        kept = scored
    else:
        kept = [session for session in scored if session.windows >= (block if session.name != "0" else (block + 1) / 2)]
        left_out = sum(session.windows for session in scored) - sum(session.windows for session in kept)
        if left_out and kept:
            notes.append(
                f"windows at the end and before restarts that are too few for a stretch of {block} are left out: {left_out}"
            )
    boots = 1 + max((session.boot for session in sessions), default=0)
    if boots > 1:
        notes.append(f"the header stands {boots} times: each is taken for a start of the machine")
    faults = sum(session.faults for session in sessions)
    if not kept:
        told = f"; in {faults} rows the sensor was at fault" if faults else ""
        count = sum(session.windows for session in scored)
        raise DataError(f"{path} holds {count} scores, too few for a session of {block}{told}")
    names = [session.name if session.named else f"row {session.row}" for session in kept]
    counts = Counter(names)
    return Log(
        tuple(np.concatenate(session.scores) for session in kept),
        faults,
        columns,
        np.array([np.broadcast_to(session.heard / session.windows, len(columns)) for session in kept]),
        tuple(name if counts[name] == 1 else f"{name} (row {session.row})" for name, session in zip(names, kept)),
        tuple(
            session.name if session.named else f"row {session.row}"
            for session in sessions
            if session.faults > session.windows and (session.named or 2 * session.faults > block)
        ),
        tuple(line.number for line in passed if line.text.startswith(SELF_TEST) and "FAIL" in line.text),
        tuple(notes),
    )


def _passed_notes(passed: Sequence[Passed], count: int) -> list[str]:
    """What is said of lines that are no rows; a self-test that passed needs no word."""
    odd = [line for line in passed if not line.text.startswith(SELF_TEST)]
    count -= len(passed) - len(odd)
    if not odd:
        return []
    lines = "1 line is no row and was" if count == 1 else f"{count:,} lines are no rows and were"
    return [f"{lines} passed over, the first in row {odd[0].number}: {excerpt(odd[0].text)}"]
