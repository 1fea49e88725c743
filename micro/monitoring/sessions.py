"""Rows of a log gathered into sessions: starts of the machine, as the log names them or as it restarts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from micro.errors import DataError
from micro.monitoring.lines import Rows
from micro.support.wording import excerpt

_WHOLE = re.compile(r"[0-9]{1,15}(\.0+)?")


@dataclass
class Session:
    """Rows that follow each other within one start of the device, under one name; grows while the log is read.

    Without names a start is cut into stretches, named by their numbers from '0'. `features` are sums over the windows.
    """

    boot: int
    name: str
    named: bool
    row: int
    scores: list[np.ndarray] = field(default_factory=list)
    windows: int = 0
    faults: int = 0
    features: np.ndarray | float = 0.0


def extend(sessions: list[Session], rows: Rows, block: int) -> None:
    """Add rows to the sessions, of which the last goes on while boot and name stay; unnamed ones end after `block` windows."""
    if not len(rows.numbers):
        return
    scored = np.isfinite(rows.scores)
    last = sessions[-1] if sessions and sessions[-1].boot == rows.boot else None
    names, named = _names(rows, scored, last, block)
    ends = np.flatnonzero((names[1:] != names[:-1]) | (named[1:] != named[:-1])) + 1
    for start, end in zip([0, *ends.tolist()], [*ends.tolist(), len(names)]):
        name, is_named = str(names[start]), bool(named[start])
        if last is None or (last.name, last.named) != (name, is_named):
            last = Session(rows.boot, name, is_named, int(rows.numbers[start]))
            sessions.append(last)
        chosen = scored[start:end]
        count = int(chosen.sum())
        last.windows += count
        last.faults += end - start - count
        if count:
            last.scores.append(rows.scores[start:end][chosen])
            last.features = last.features + rows.features[start:end][chosen].sum(axis=0)


def _names(rows: Rows, scored: np.ndarray, last: Session | None, block: int) -> tuple[np.ndarray, np.ndarray]:
    """The session of each row, and whether the log names it. Faults without a name belong to the session before them."""
    names = rows.sessions.copy()
    named = names != ""
    if named.any() or (last is not None and last.named):
        for place in np.flatnonzero(~named & ~scored).tolist():
            before = (names[place - 1], named[place - 1]) if place else (last.name, last.named) if last else ("", False)
            if before[1]:
                names[place], named[place] = before
    if not named.all():
        done = int(last.name) * block + last.windows if last is not None and not last.named else 0
        unnamed = scored & ~named
        stretch = (done + np.cumsum(unnamed) - unnamed) // block
        names[~named] = stretch[~named].astype(str)
    return names, named


def joined_starts(sessions: Sequence[Session], block: int, starts: int) -> list[Session]:
    """Unnamed sessions: a start of the device each where `starts` or more are long enough; else stretches, as they are.

    A start is long enough from half of `block` windows on, as its first stretch is.
    """
    by_boot: dict[int, list[Session]] = {}
    for session in sessions:
        by_boot.setdefault(session.boot, []).append(session)
    joined = [
        replace(
            own[0],
            scores=[scores for each in own for scores in each.scores],
            windows=sum(each.windows for each in own),
            faults=sum(each.faults for each in own),
            features=sum((each.features for each in own), start=np.zeros(())),
        )
        for own in by_boot.values()
    ]
    enough = [each for each in joined if each.windows >= (block + 1) / 2]
    return joined if len(enough) >= max(2, starts) else list(sessions)


def kept_sessions(path: Path, sessions: Sequence[Session], block: int) -> tuple[list[Session], list[str]]:
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


def check_order(path: Path, sessions: Sequence[Session], block: int) -> list[str]:
    """Notes on the order of named sessions: a counter that starts again is one device's, names that return are not.

    Raises:
        DataError: Where sessions alternate, as those of two devices in one log do, or the newest comes first.
    """
    notes = []
    for boot in dict.fromkeys(session.boot for session in sessions):
        own = [session for session in sessions if session.boot == boot]
        if all(_WHOLE.fullmatch(session.name) for session in own):
            notes += _check_counter(path, own, block)
            continue
        seen: set[str] = set()
        for before, session in zip([own[0], *own], own):
            if session.name in seen:
                raise _again(path, session, before)
            seen.add(session.name)
    return notes


def _check_counter(path: Path, sessions: Sequence[Session], block: int) -> list[str]:
    counts = [int(float(session.name)) for session in sessions]
    falls = [place for place in range(1, len(counts)) if counts[place] <= counts[place - 1]]
    if not falls:
        return []
    for place in range(2, len(counts)):
        if counts[place] == counts[place - 2] and abs(counts[place] - counts[place - 1]) > 1:
            raise _again(path, sessions[place], sessions[place - 1])
    if len(falls) > 1 and np.median([session.windows + session.faults for session in sessions]) < max(2, block / 4):
        raise _again(path, sessions[falls[0]], sessions[falls[0] - 1])
    if len(falls) > 1 and len(falls) == len(counts) - 1:
        raise DataError(
            f"{path}: the sessions' numbers go down, from {counts[0]} to {counts[-1]}; sort the log by time"
        )
    often = "once" if len(falls) == 1 else f"{len(falls)} times"
    return [
        f"the sessions' numbers start again {often}, first in row {sessions[falls[0]].row}: taken for restarts of one device; "
        "if the rows are of several devices, write a log for each"
    ]


def _again(path: Path, session: Session, before: Session) -> DataError:
    return DataError(
        f"{path}, row {session.row}: session {excerpt(session.name)} occurs again after session {excerpt(before.name)}: "
        "rows of two devices, or out of order; write a log for each device, or name devices in a column 'device' and choose "
        "one with --device"
    )
