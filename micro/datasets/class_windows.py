"""Windows of a user's own recordings by class, as section [data] of job 'table' and task 'classification' describes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from micro.config import AugmentConfig, ClassesData, FeaturesConfig
from micro.datasets.augmented import with_copies
from micro.datasets.class_split import PARTS, TRAINING, Labeled, groups_of, split_classes
from micro.datasets.classes import ClassRecording, Loaded, load_classes
from micro.datasets.missing import missing_notes
from micro.datasets.pieces import Parts, Pieces, piece
from micro.datasets.recording import cut, features_of, one_rate, one_size
from micro.datasets.twins import twins_note, twins_of
from micro.errors import DataError
from micro.signal import FrontEnd
from micro.support.wording import counted, was


def class_parts(data: ClassesData, settings: FeaturesConfig, augment: AugmentConfig, seed: int) -> Parts:
    """Read the files, and divide their windows into training, validation, which also calibrates, and test.

    Raises:
        DataError: Names what is missing, damaged, contradictory or too little.
    """
    loaded = load_classes(data, 1 if data.pictures else settings.window)
    recordings = [one.recording for one in loaded.recordings]
    rate, size = one_rate(recordings), one_size(recordings)
    features = settings.front_end(len(loaded.channels), rate, size)
    framed = [cut(recording, features) for recording in recordings]
    labeled = [
        Labeled(one.recording.name, window_classes(one.classes, starts, features.window))
        for one, (_, starts) in zip(loaded.recordings, framed)
    ]
    _require_windows(labeled, loaded, features)
    twins = twins_of(loaded.paths)
    groups = groups_of(loaded.paths, data)
    # A picture is one window, which cannot be divided.
    whole = data.model_copy(update={"split": "files"}) if data.pictures else data
    parts, said = split_classes(labeled, whole, loaded.class_names, loaded.paths, groups, twins, features, seed)
    divided: tuple[Pieces, ...] = ([], [], [])
    offset = 0
    for (frames, _), one, part in zip(framed, labeled, parts):
        values = features_of(frames, features)
        for number in range(len(PARTS)):
            for label in np.unique(one.classes[part == number]).tolist():
                rows = np.flatnonzero((part == number) & (one.classes == label))
                made = replace(piece(frames, values, label, one.name, rows), places=offset + rows)
                if number == TRAINING:
                    divided[number].extend(with_copies(made, frames, rows, features, augment, seed, image_size=size))
                else:
                    divided[number].append(made)
        # A gap stands between stretches.
        offset += len(frames) + 1
    notes = (
        *loaded.notes,
        *missing_notes(recordings, features),
        *_left_out(loaded.recordings, framed, labeled, features),
    )
    train, validation, test = divided
    return Parts(
        features,
        train=train,
        validation=validation,
        calibration=validation,
        test=test,
        class_names=loaded.class_names,
        channels=loaded.channels,
        sample_rate=rate,
        notes=(*notes, *twins_note(twins), said),
        healthy_classes=data.healthy_classes,
        class_weights=balanced(train, len(loaded.class_names)) if data.class_weights == "balanced" else (),
        image_size=size,
    )


def window_classes(classes: np.ndarray, starts: np.ndarray, window: int) -> np.ndarray:
    """The class that all rows of a window share, -1 where they do not or have none: (n,), (k,) -> (k,)."""
    changes = np.concatenate(([0], np.cumsum(classes[1:] != classes[:-1])))
    whole = changes[starts] == changes[starts + window - 1]
    return np.where(whole, classes[starts], -1)


def balanced(train: Pieces, classes: int) -> tuple[float, ...]:
    """A weight for each class that makes all count the same: windows / (classes * windows of the class)."""
    counts = np.zeros(classes)
    for each in train:
        counts[each.label] += len(each.values)
    return tuple((counts.sum() / (classes * counts)).tolist())


def _require_windows(labeled: Sequence[Labeled], loaded: Loaded, features: FrontEnd) -> None:
    """DataError for a class without a window of its own."""
    present = {int(label) for one in labeled for label in np.unique(one.classes)}
    for place, name in enumerate(loaded.class_names):
        if place in present:
            continue
        rows = sum(int((one.classes == place).sum()) for one in loaded.recordings)
        raise DataError(
            f"class {name!r} has {counted(rows, 'row')}, and no window of {features.window} lies among them without another "
            "class or missing values; take shorter windows, or leave the class out"
        )


def _left_out(
    recordings: Sequence[ClassRecording],
    framed: Sequence[tuple[np.ndarray, np.ndarray]],
    labeled: Sequence[Labeled],
    features: FrontEnd,
) -> list[str]:
    """Sentences on windows without a class: those with rows of several classes, and those with rows without a label."""
    mixed = unlabeled = total = 0
    for one, (_, starts), found in zip(recordings, framed, labeled):
        none = np.concatenate(([0], np.cumsum(one.classes < 0)))
        lacks = none[starts + features.window] > none[starts]
        unlabeled += int(lacks.sum())
        mixed += int(((found.classes < 0) & ~lacks).sum())
        total += len(starts)
    notes = []
    if mixed:
        notes.append(
            f"{mixed:,} of {counted(total, 'window')} {was(mixed)} left out, as their rows are of several classes."
        )
    if unlabeled:
        notes.append(
            f"{unlabeled:,} of {counted(total, 'window')} {was(unlabeled)} left out, as rows in them have no label."
        )
    return notes
