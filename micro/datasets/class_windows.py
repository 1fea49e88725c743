"""Windows of a user's own recordings by class, as section [data] of job 'table' and task 'classification' describes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from micro.config import AugmentConfig, ClassesData, FeaturesConfig, SourceConfig
from micro.datasets.agreement import require_one_class
from micro.datasets.apart import divided_of, shared_windows
from micro.datasets.class_split import PARTS, Labeled, judged_groups
from micro.datasets.classes import ClassRecording, Loaded, load_classes
from micro.datasets.folds import divided as dealt
from micro.datasets.folds import related, tested
from micro.datasets.groups import groups_of
from micro.datasets.labeled_pieces import LabeledFrames, firsts, labeled_pieces
from micro.datasets.pieces import Parts
from micro.datasets.recording import Framing, Recording, cut, sensor_reach
from micro.datasets.twins import twins_of
from micro.datasets.unlabeled import alike_with, unlabeled_pieces, unlabeled_recordings
from micro.datasets.viewed import viewed
from micro.datasets.views import AS_THE_STUDENT, TeacherInputs
from micro.errors import DataError
from micro.signal import Frames
from micro.support.wording import counted, was


def class_parts(
    data: ClassesData,
    settings: FeaturesConfig,
    augment: AugmentConfig,
    seed: int,
    inputs: TeacherInputs = AS_THE_STUDENT,
    sources: Sequence[SourceConfig] = (),
    *,
    fold: int = 0,
) -> Parts:
    """Read the files, and divide their windows into training, validation, which also calibrates, and test.

    Where the config has folds, `fold` is the one that is tested.

    Raises:
        DataError: Names what is missing, damaged, contradictory or too little.
    """
    reading, window = inputs.read_from(data), 1 if data.pictures else inputs.window(settings)
    loaded = load_classes(reading, window)
    more, more_notes = unlabeled_recordings(reading, window, loaded.channels, loaded.paths)
    recordings = [one.recording for one in loaded.recordings]
    seen = viewed(recordings, loaded.channels, loaded.paths, data, settings, inputs, sources, more)
    views, size = seen.views, seen.image_size
    framed = [cut(recording, views) for recording in seen.recordings]
    labeled = [
        Labeled(one.recording.name, window_classes(one.classes, *sensor_reach(read, starts, views)))
        for one, read, (_, starts) in zip(loaded.recordings, seen.recordings, framed)
    ]
    _require_windows(labeled, loaded, views)
    found = alike_with(seen.recordings, twins_of(loaded.paths), seen.unlabeled, views)
    contradicted = require_one_class(found, loaded.recordings, loaded.class_names)
    groups = groups_of(loaded.paths, data)
    # A picture is one window, which cannot be divided.
    whole = data.model_copy(update={"split": "files"}) if data.pictures else data
    parts, said = dealt(labeled, whole, loaded.class_names, loaded.paths, groups, found, views, seed, fold=fold)
    both = shared_windows(found, seen.recordings, divided_of(framed, parts), views.window, PARTS)
    of_recordings = [
        LabeledFrames(read, frames, part, one.classes, first=first)
        for read, (frames, _), part, one, first in zip(
            seen.recordings, framed, parts, labeled, firsts(len(frames) for frames, _ in framed)
        )
    ]
    train, validation, test = labeled_pieces(of_recordings, views, augment, seed, size=size, of_teacher=inputs.augment)
    notes = (*loaded.notes, *seen.notes, *left_out(loaded.recordings, seen.recordings, framed, labeled, views))
    judged = judged_groups(labeled, parts, groups)
    unlabeled, windows_notes = unlabeled_pieces(seen.unlabeled, data, judged, views, augment, seed, size)
    labels = np.repeat([each.label for each in train], [len(each.values) for each in train])
    notes = (*notes, *found.note(), *contradicted, said, *both, *more_notes, *windows_notes)
    return replace(
        seen.parts(train, validation, validation, test, notes),
        class_names=loaded.class_names,
        healthy_classes=data.healthy_classes,
        class_weights=balanced(labels, len(loaded.class_names)) if data.class_weights == "balanced" else (),
        unlabeled=unlabeled,
        tested=tested(labeled, parts, groups) if data.folds else (),
        related=related(groups, found),
    )


def window_classes(classes: np.ndarray, starts: np.ndarray, window: int | np.ndarray) -> np.ndarray:
    """The class that all rows of a window share, -1 where they do not or have none: (n,), (k,) -> (k,).

    `window` is the length of all, or of each, (k,).
    """
    changes = np.concatenate(([0], np.cumsum(classes[1:] != classes[:-1])))
    whole = changes[starts] == changes[starts + window - 1]
    return np.where(whole, classes[starts], -1)


def balanced(labels: np.ndarray, classes: int) -> tuple[float, ...]:
    """A weight for each class that makes all count the same, windows / (classes * windows of the class), from labels (n,)."""
    counts = np.bincount(labels, minlength=classes)
    return tuple((len(labels) / (classes * counts)).tolist())


def _require_windows(labeled: Sequence[Labeled], loaded: Loaded, features: Framing) -> None:
    """DataError for a class without a window of its own."""
    present = {int(label) for one in labeled for label in np.unique(one.classes)}
    for place, name in enumerate(loaded.class_names):
        if place in present:
            continue
        rows = sum(int((one.classes == place).sum()) for one in loaded.recordings)
        span = features.span
        back = "" if span == features.window else f", with further sources {span:,} rows back from its last,"
        raise DataError(
            f"class {name!r} has {counted(rows, 'row')}, and no window of {features.window}{back} lies among them without "
            "another class or missing values; take shorter windows, or leave the class out"
        )


def left_out(
    recordings: Sequence[ClassRecording],
    seen: Sequence[Recording],
    framed: Sequence[tuple[Frames, np.ndarray]],
    labeled: Sequence[Labeled],
    features: Framing,
    reasons: tuple[str, str] = ("their rows are of several classes", "rows in them have no label"),
) -> list[str]:
    """Sentences on windows without a class, with the reasons: rows of several classes, and rows without a label.

    Windows were cut from `seen`, which are the recordings as they are filtered.
    """
    mixed = unlabeled = total = 0
    for one, read, (_, starts), found in zip(recordings, seen, framed, labeled):
        none = np.concatenate(([0], np.cumsum(one.classes < 0)))
        begins, lengths = sensor_reach(read, starts, features)
        lacks = none[begins + lengths] > none[begins]
        unlabeled += int(lacks.sum())
        mixed += int(((found.classes < 0) & ~lacks).sum())
        total += len(starts)
    notes = []
    if mixed:
        notes.append(f"{mixed:,} of {counted(total, 'window')} {was(mixed)} left out, as {reasons[0]}.")
    if unlabeled:
        notes.append(f"{unlabeled:,} of {counted(total, 'window')} {was(unlabeled)} left out, as {reasons[1]}.")
    return notes
