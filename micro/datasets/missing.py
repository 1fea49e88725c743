"""Rows without a value: refused, left out of every window, or filled from their neighbors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from micro.datasets import store
from micro.datasets.cells import hint
from micro.datasets.contents import Contents
from micro.datasets.recording import Framing, Recording, whole_windows
from micro.errors import DataError
from micro.signal.stretches import stretches
from micro.support.wording import listed, percent

# Of a column's rows, what has a value at most where it is that of a slower sensor.
SELDOM = 0.2


def filled(
    contents: Contents, edges: Sequence[int], on_missing: str, window: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples without NaN or infinity, (n, channels) float32; rows that windows may use, and interpolated ones, (n,) bool.

    Values are filled within each stretch between `edges`, never across a gap in time. A run of missing values longer than a
    window is left out even where values are interpolated.

    Raises:
        DataError: Names the first row without a value, or a column without any.
    """
    samples = contents.samples
    incomplete = [place for place in range(samples.shape[1]) if not store.all_finite(samples[:, place])]
    if not incomplete:
        return samples, store.constant(True, len(samples)), store.constant(False, len(samples))
    valid = np.ones(len(samples), bool)
    missing = ~np.isfinite(samples[:, incomplete])
    if on_missing == "error":
        row, place = np.argwhere(missing)[0]
        held = 1 - float(missing[:, place].mean())
        if 0 < held <= SELDOM:
            raise DataError(
                f"{contents.rows.where(int(row))}: no value in column {contents.channels[incomplete[place]]!r}, which has one "
                f"in {percent(held)} of the rows, as a slow sensor in a fast file; leave it out of columns, or make it one "
                'of [[sources]] with rows = "filled"'
            )
        raise DataError(
            f"{contents.rows.where(int(row))}: no finite value in column {contents.channels[incomplete[place]]!r} "
            f'({int(missing.sum())} in the file); set on_missing = "drop" to leave out the windows with such rows, or '
            '"interpolate" for slow signals: it distorts vibration and sound'
        )
    for place, channel in enumerate(incomplete):
        if missing[:, place].all():
            raise DataError(_no_number(contents, channel))
        for start, stop in pairwise(edges):
            part = slice(start, stop)
            _fill(samples[part, channel], missing[part, place])
            if on_missing == "interpolate":
                valid[part] &= ~_long(missing[part, place], window)
    if on_missing == "drop":
        valid = ~missing.any(axis=1)
    return samples, valid, missing.any(axis=1) & valid


def most_lacking(contents: Contents) -> tuple[str, float] | None:
    """The column of which the fewest rows have a value, and the share of its rows that lack one; None where all have."""
    lacks = {
        name: float(np.mean(~np.isfinite(contents.samples[:, place])))
        for place, name in enumerate(contents.channels)
        if not store.all_finite(contents.samples[:, place])
    }
    return max(lacks.items(), key=lambda each: each[1]) if lacks else None


def missing_notes(recordings: Iterable[Recording], features: Framing) -> Iterator[str]:
    """Sentences on what missing values cost: windows that were left out, and rows that were filled in, by recording."""
    left: dict[str, tuple[int, int]] = {}
    rows: dict[str, tuple[int, int]] = {}
    for one in recordings:
        whole = whole_windows(one, features)
        for counts, count, of in (
            (left, int((~whole).sum()), len(whole)),
            (rows, one.interpolated, len(one.sensed.samples)),
        ):
            before = counts.get(one.name, (0, 0))
            counts[one.name] = before[0] + count, before[1] + of
    lost = [f"{name} {count:,} of {of:,}" for name, (count, of) in left.items() if count]
    if lost:
        yield f"windows with rows that lack a value were left out: {listed(lost)}."
    filled_in = [f"{name} {percent(count / of)}" for name, (count, of) in rows.items() if count]
    if filled_in:
        yield f"rows were filled by interpolation, which distorts vibration and sound: {listed(filled_in)}."


def _fill(column: np.ndarray, missing: np.ndarray) -> None:
    """Interpolate a column between its known values, in place; zero where it has none."""
    rows = np.flatnonzero(missing)
    known = np.flatnonzero(~missing)
    if len(rows):
        column[rows] = np.interp(rows, known, column[known]) if len(known) else 0.0


def _long(missing: np.ndarray, window: int) -> np.ndarray:
    """The rows of runs longer than a window, or of a run that is the whole stretch."""
    long = np.zeros(len(missing), bool)
    for start, stop in stretches(missing):
        if stop - start > window or stop - start == len(missing):
            long[start:stop] = True
    return long


def _no_number(contents: Contents, channel: int) -> str:
    said = f"{contents.path}: column {contents.channels[channel]!r} holds no number"
    text = contents.texts.get(channel)
    if text is None:
        return f"{said}; leave it out: name the channels to use in columns"
    advice = hint(text, ".")
    return f"{said} but text such as {text[:60]!r}" + ("" if advice.startswith("set on_text") else f"; {advice}")
