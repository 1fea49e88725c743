"""Columns that hold no signal: those that never change, and those that only count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from micro.config import FilesData
from micro.datasets import precision, store
from micro.datasets.recording import Recording
from micro.errors import DataError

# Fewer rows than this may rise evenly by chance.
FEWEST = 16


def usable(
    recordings: list[Recording], names: tuple[str, ...], config: FilesData, where: str = "in the healthy rows"
) -> tuple[list[Recording], tuple[str, ...], list[str]]:
    """The recordings without channels that hold no signal, the names of the others, and a sentence on each that was left out.

    Raises:
        DataError: As `refuse_ramps`, where the config does not name the channels, and as `leave_constant`; for pictures all of
            which have one color throughout.
    """
    if config.pictures:
        if len(_constant(recordings, len(names))) == len(names):
            raise DataError(f"every pixel of every picture is the same {where}; nothing is left to learn from")
        return recordings, names, []
    if not config.columns:
        refuse_ramps(recordings, names)
    return leave_constant(recordings, names, config.on_constant, where)


def refuse_ramps(recordings: Sequence[Recording], names: Sequence[str]) -> None:
    """DataError for a channel that in every recording only counts up evenly, as an index or a clock does."""
    for channel, name in enumerate(names):
        if any(_falls(recording, channel) for recording in recordings):
            continue
        columns = [r.samples[r.valid, channel] for r in recordings]
        if all(is_ramp(column) for column in columns):
            raise DataError(
                f"column {name!r} only counts up evenly in every file (from {columns[0][0]:g} to {columns[0][-1]:g} in "
                f"{recordings[0].name}), as an index or a clock does: to a model every later recording would be anomalous; set "
                f"time_column = {name!r}, or name the channels to use in columns"
            )


def _falls(recording: Recording, channel: int) -> bool:
    """Whether a channel falls somewhere within a block of rows, as no ramp does."""
    for part in store.blocks(recording.samples):
        column = recording.samples[part, channel][recording.valid[part]]
        if (column[1:] < column[:-1]).any():
            return True
    return False


def is_ramp(column: np.ndarray) -> bool:
    """Whether a column never falls and nearly always rises by the same step, or lies on a straight line, within float32."""
    if len(column) < FEWEST or not column[-1] > column[0]:
        return False
    steps = np.diff(column)
    if (steps < 0).any():
        return False
    grain = 2 * float(np.spacing(np.abs(column).max()))
    usual = float(np.median(steps))
    if usual > 0:
        # A clock's steps are rounded, and some rows may be missing.
        return bool(np.mean(np.abs(steps - usual) <= 0.25 * usual + grain) > 0.9)
    # Seconds since 1970 stay the same in float32, and then jump.
    return bool((np.abs(column - np.linspace(float(column[0]), float(column[-1]), len(column))) <= grain).all())


def leave_constant(
    recordings: list[Recording], names: tuple[str, ...], on_constant: str, where: str = "in the healthy rows"
) -> tuple[list[Recording], tuple[str, ...], list[str]]:
    """The recordings without channels that are constant in all healthy rows together, their names, and a sentence on each.

    `where` says which rows those are in messages.

    A channel that is constant in one recording and changes in another is kept: that may be the very fault.

    Raises:
        DataError: For such a channel where the config does not say what to do, or where none is left.
    """
    constant = [] if on_constant == "keep" else _constant(recordings, len(names))
    if not constant:
        return recordings, names, []
    if on_constant == "error":
        name = names[constant[0]]
        lost = _lost(recordings, name)
        if lost:
            raise DataError(f"column {name!r} {lost}")
        raise DataError(
            f'column {name!r} never changes {where}; set on_constant = "keep" or "drop", or name the channels to use in columns'
        )
    kept = [channel for channel in range(len(names)) if channel not in constant]
    if not kept:
        lost = next((f"; column {name!r} {lost}" for name in names if (lost := _lost(recordings, name))), "")
        raise DataError(
            f"no column changes {where}{' in float32' if lost else ''}; nothing is left to learn from{lost}"
        )
    left = [_left_out(names[channel], where, _lost(recordings, names[channel])) for channel in constant]
    fewer = [replace(r, samples=store.taken(r.samples, kept)) for r in recordings]
    return fewer, tuple(names[channel] for channel in kept), left


def _left_out(name: str, where: str, lost: str) -> str:
    """That a channel was left out, and why."""
    return (
        f"column {name!r} was left out: it {lost}."
        if lost
        else f"column {name!r} never changes {where} and was left out."
    )


def _lost(recordings: Sequence[Recording], name: str) -> str:
    """How a channel changes in a file with healthy rows, where it is one number in float32; '' where it does not change."""
    each = (one.precision for one in recordings if one.healthy.any() and name in one.precision)
    found = precision.joined({name: own[name]} for own in each).get(name)
    return str(found) if found is not None and found.lost_all else ""


def _constant(recordings: Sequence[Recording], count: int) -> list[int]:
    """Channels whose healthy values are all the same; none where no row is healthy."""
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    for recording in recordings:
        for part in store.blocks(recording.samples):
            rows = recording.healthy[part] & recording.valid[part]
            if rows.any():
                used = recording.samples[part] if rows.all() else recording.samples[part][rows]
                low, high = np.minimum(low, used.min(axis=0)), np.maximum(high, used.max(axis=0))
    return np.flatnonzero(low == high).tolist()
