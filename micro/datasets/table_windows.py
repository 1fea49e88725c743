"""Windows of a user's own recordings, as section [data] of job 'table' describes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from micro.config import AugmentConfig, FeaturesConfig, TableData
from micro.datasets import table
from micro.datasets.augmented import with_copies
from micro.datasets.missing import missing_notes
from micro.datasets.pieces import Parts, Pieces, piece
from micro.datasets.recording import Recording, all_within, any_within, cut, one_rate, one_size
from micro.datasets.split import (
    Stretch,
    file_scalings,
    nothing_healthy,
    split_healthy,
    too_few,
    window_labels,
)
from micro.errors import DataError
from micro.signal import FrontEnd, Scaling


def table_parts(data: TableData, settings: FeaturesConfig, augment: AugmentConfig, seed: int) -> Parts:
    """Read the files and divide their healthy windows into the four parts; all others are for the test.

    `seed` is that of augmented copies.

    Raises:
        DataError: Names what is missing, damaged or too little.
    """
    recordings, channels, notes = table.load(data, 1 if data.pictures else settings.window)
    rate, size = one_rate(recordings), one_size(recordings)
    features = settings.front_end(len(channels), rate, size)
    scalings = file_scalings(recordings, features) if data.scaling == "per_file" else {}
    stretches, test = _stretches(recordings, features, scalings)
    if not stretches:
        raise DataError(nothing_healthy(recordings, features))
    runs, note = split_healthy([len(one.learnable) for one in stretches], features)
    if runs is None:
        raise DataError(too_few(stretches, note))
    train: Pieces = []
    validation: Pieces = []
    calibration: Pieces = []
    for one, places in zip(stretches, runs):
        for target, place in zip((train, validation, calibration, test), places):
            rows = one.learnable[place]
            if not len(rows):
                continue
            made = piece(one.frames, one.values, 0, one.name, rows)
            if target is train:
                own = scalings.get(one.name)
                target.extend(with_copies(made, one.frames, rows, features, augment, seed, own, size))
            else:
                target.append(made)
    all_notes = (*notes, *missing_notes(recordings, features), *([note] if note else []))
    return Parts(features, train, validation, calibration, test, (), channels, rate, all_notes, image_size=size)


def _stretches(
    recordings: Sequence[Recording], features: FrontEnd, scalings: dict[str, Scaling]
) -> tuple[list[Stretch], Pieces]:
    """Stretches with healthy windows to learn from, and the windows that share no sample with them, for the test."""
    stretches: list[Stretch] = []
    test: Pieces = []
    for recording in recordings:
        frames, starts = cut(recording, features)
        values = features(frames)
        if recording.name in scalings:
            values = scalings[recording.name](values)
        labels = window_labels(recording, starts, features.window)
        learnable = np.flatnonzero(all_within(recording.healthy, starts, features.window) & (labels != 1))
        if len(learnable):
            stretches.append(Stretch(recording.name, frames, values, learnable))
        # A window that shares samples with a training window says nothing about new data.
        apart = ~any_within(recording.healthy, starts, features.window)
        for label in (0, 1, -1):
            rows = np.flatnonzero(apart & (labels == label))
            if len(rows):
                test.append(piece(frames, values, label, recording.name, rows))
    return stretches, test
