"""Recordings filtered and at a lower rate, as the target filters the stream of its sensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from micro.datasets import store
from micro.datasets.recording import Recording
from micro.signal import AnyFrontEnd, FrontEnd
from micro.signal.stretches import stretches


def filtered(recordings: Sequence[Recording], front_end: AnyFrontEnd) -> list[Recording]:
    """Recordings as windows of a front end are cut from them; as they are where it does not filter.

    Each is one stream: filters begin with its first sample, as they do on the target after a restart, and again behind rows
    that lack a value. Of `decimate` samples the last one is kept, and counts as healthy and complete where all of them are,
    as faulty or unknown where one is. What it was made of stays in `unfiltered`.

    Raises:
        ValueError: Where a 'fixed' front end has no full_scale.
    """
    if not isinstance(front_end, FrontEnd) or not front_end.conditioning.changes:
        return list(recordings)
    return [_filtered(recording, front_end) for recording in recordings]


def _filtered(recording: Recording, front_end: FrontEnd) -> Recording:
    every, rate = front_end.decimate, recording.sample_rate
    made = _fixed(recording, front_end) if front_end.arithmetic == "fixed" else _float32(recording, front_end)
    faulty, unknown = (
        None if flags is None else _grouped(flags, every, whole=False)
        for flags in (recording.faulty, recording.unknown)
    )
    return replace(
        recording,
        samples=made,
        sample_rate=None if rate is None else rate / every,
        healthy=_grouped(recording.healthy, every, whole=True),
        faulty=faulty,
        valid=_grouped(recording.valid, every, whole=True),
        unknown=unknown,
        step=recording.step * every,
        every=every,
        unfiltered=recording,
    )


def _float32(recording: Recording, front_end: FrontEnd) -> np.ndarray:
    """A sample without a value restarts the filters, as on the target one that is not finite does."""
    out = store.room(len(recording.samples) // front_end.decimate, recording.samples.shape[1])
    whole = bool(recording.valid.all())
    for place in range(out.shape[1]):
        channel = recording.samples[:, place]
        channel = channel if whole else np.where(recording.valid, channel, np.float32(np.nan))
        out[:, place] = front_end.conditioning(channel)
        store.release(out)
        store.release(recording.samples)
    return out


def _fixed(recording: Recording, front_end: FrontEnd) -> np.ndarray:
    """Counts, 0 for rows that lack a value, behind which the filters begin with the next whole group of samples."""
    every = front_end.decimate
    count, channels = recording.samples.shape
    out = np.zeros((count // every, channels), np.int16)
    for start, stop in stretches(recording.valid).tolist():
        first = -(-start // every)
        part = front_end.conditioned(np.asarray(recording.samples[first * every : stop]))
        out[first : first + len(part)] = part
    return out


def _grouped(flags: np.ndarray, every: int, whole: bool) -> np.ndarray:
    """One flag for each group of `every`: whether all or any of theirs are set."""
    count = len(flags) // every
    if every == 1:
        return flags
    if len(flags) and flags.strides == (0,):
        return store.constant(bool(flags[0]), count)
    groups = flags[: count * every].reshape(-1, every)
    return np.asarray(groups.all(axis=1) if whole else groups.any(axis=1))
