"""Windows of a user's own recordings, as section [data] of job 'table' describes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from micro.config import AugmentConfig, FeaturesConfig, TableData
from micro.datasets import table
from micro.datasets.augmented import with_copies
from micro.datasets.find import find_files
from micro.datasets.known_faults import fault_windows, learned_names
from micro.datasets.missing import missing_notes
from micro.datasets.pieces import Parts, Pieces, piece
from micro.datasets.recording import Recording, all_within, any_within, cut, features_of, one_rate, one_size
from micro.datasets.split import (
    Stretch,
    file_scalings,
    nothing_healthy,
    split_healthy,
    split_pictures,
    too_few,
    window_labels,
)
from micro.datasets.twins import twins_note, twins_of
from micro.errors import DataError
from micro.signal import FrontEnd, Scaling
from micro.support.wording import listed


def table_parts(data: TableData, settings: FeaturesConfig, augment: AugmentConfig, seed: int) -> Parts:
    """Read the files and divide their healthy windows into the four parts; all others are for the test, but for known faults.

    `seed` is that of augmented copies.

    Raises:
        DataError: Names what is missing, damaged or too little.
    """
    recordings, channels, notes = table.load(data, 1 if data.pictures else settings.window)
    rate, size = one_rate(recordings), one_size(recordings)
    features = settings.front_end(len(channels), rate, size)
    scalings = file_scalings(recordings, features) if data.scaling == "per_file" else {}
    named = find_files(data.files, data.folder) if data.known_faults or data.pictures else {}
    known = learned_names(recordings, named, data)
    stretches, test, faults = _stretches(recordings, features, scalings, known)
    if not stretches:
        raise DataError(nothing_healthy(recordings, features))
    more: list[str] = []
    if data.pictures:
        twins = twins_of({name: path for path, name in named.items()})
        more = twins_note(twins)
        runs, note = split_pictures([one.name for one in stretches], twins)
    else:
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
    all_notes = (*notes, *missing_notes(recordings, features), *([note] if note else []), *more)
    return Parts(
        features,
        train,
        validation,
        calibration,
        test,
        (),
        channels,
        rate,
        all_notes,
        image_size=size,
        faults=faults,
    )


def _stretches(
    recordings: Sequence[Recording], features: FrontEnd, scalings: dict[str, Scaling], known: frozenset[str]
) -> tuple[list[Stretch], Pieces, Pieces]:
    """Stretches with healthy windows to learn from, the windows that share no sample with them, for the test, and known faults.

    `known` are recordings whose faults are learned from: none of their other windows is tested on.
    """
    stretches: list[Stretch] = []
    test: Pieces = []
    faults: Pieces = []
    for recording in recordings:
        frames, starts = cut(recording, features)
        values = features_of(frames, features)
        if recording.name in scalings:
            values = scalings[recording.name](values)
        labels = window_labels(recording, starts, features.window)
        learnable = np.flatnonzero(all_within(recording.healthy, starts, features.window) & (labels != 1))
        if len(learnable):
            stretches.append(Stretch(recording.name, frames, values, learnable))
        if recording.name in known:
            rows = fault_windows(recording, starts, features.window)
            faults += [piece(frames, values, 1, recording.name, rows)] if len(rows) else []
            continue
        # A window that shares samples with a training window says nothing about new data.
        apart = ~any_within(recording.healthy, starts, features.window)
        for label in (0, 1, -1):
            rows = np.flatnonzero(apart & (labels == label))
            if len(rows):
                test.append(piece(frames, values, label, recording.name, rows))
    if known and not faults:
        raise DataError(
            f"known_faults: {listed(sorted(known))}: no window of {features.window} is faulty for half its rows"
        )
    return stretches, test, faults
