"""Windows of a user's own recordings with several labels each, as section [data] of job 'table' and task 'multilabel' describes
them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from micro.config import AugmentConfig, FeaturesConfig, LabelsData, SourceConfig
from micro.datasets.agreement import require_one_class
from micro.datasets.apart import divided_of, shared_windows
from micro.datasets.class_split import PARTS, Labeled, judged_groups
from micro.datasets.class_windows import left_out, window_classes
from micro.datasets.folds import divided as dealt
from micro.datasets.folds import related, tested
from micro.datasets.groups import groups_of
from micro.datasets.labeled_pieces import LabeledFrames, firsts, labeled_pieces
from micro.datasets.labels import LoadedLabels, load_labels
from micro.datasets.pieces import Parts
from micro.datasets.recording import Framing, cut, sensor_reach
from micro.datasets.twins import twins_of
from micro.datasets.unlabeled import alike_with, unlabeled_pieces, unlabeled_recordings
from micro.datasets.viewed import viewed
from micro.datasets.views import AS_THE_STUDENT, TeacherInputs
from micro.errors import DataError


def label_parts(
    data: LabelsData,
    settings: FeaturesConfig,
    augment: AugmentConfig,
    seed: int,
    inputs: TeacherInputs = AS_THE_STUDENT,
    sources: Sequence[SourceConfig] = (),
    *,
    fold: int = 0,
) -> Parts:
    """Read the files, and divide their windows into training, validation, which also calibrates, and test.

    A window has the labels that all of its rows have. Windows are divided so that combinations of labels are spread, and each
    part has windows with and without each label. Where the config has folds, `fold` is the one that is tested.

    Raises:
        DataError: Names what is missing, damaged, contradictory or too little.
    """
    reading, window = inputs.read_from(data), inputs.window(settings)
    loaded = load_labels(reading, window)
    more, more_notes = unlabeled_recordings(reading, window, loaded.channels, loaded.paths)
    recordings = [one.recording for one in loaded.recordings]
    seen = viewed(recordings, loaded.channels, loaded.paths, data, settings, inputs, sources, more)
    views = seen.views
    framed = [cut(recording, views) for recording in seen.recordings]
    labeled = [
        Labeled(one.recording.name, window_classes(one.classes, *sensor_reach(read, starts, views)))
        for one, read, (_, starts) in zip(loaded.recordings, seen.recordings, framed)
    ]
    _require_both(labeled, loaded, views)
    found = alike_with(seen.recordings, twins_of(loaded.paths), seen.unlabeled, views)
    groups = groups_of(loaded.paths, data)
    contradicted = require_one_class(found, loaded.recordings, loaded.names, "labels")
    parts, said = dealt(
        labeled, data, loaded.names, loaded.paths, groups, found, views, seed, fold=fold, wanted=loaded.wanted
    )
    both = shared_windows(found, seen.recordings, divided_of(framed, parts), views.window, PARTS)
    of_recordings = [
        LabeledFrames(read, frames, part, numbers=loaded.combinations[one.classes], first=first)
        for read, (frames, _), part, one, first in zip(
            seen.recordings, framed, parts, labeled, firsts(len(frames) for frames, _ in framed)
        )
    ]
    train, validation, test = labeled_pieces(of_recordings, views, augment, seed, of_teacher=inputs.augment)
    reasons = "a label changes within them", "rows in them lack a label"
    lost = left_out(loaded.recordings, seen.recordings, framed, labeled, views, reasons)
    judged = judged_groups(labeled, parts, groups)
    unlabeled, windows_notes = unlabeled_pieces(seen.unlabeled, data, judged, views, augment, seed)
    notes = (*loaded.notes, *seen.notes, *lost, *found.note(), *contradicted, said, *both, *more_notes, *windows_notes)
    return replace(
        seen.parts(train, validation, validation, test, notes),
        label_names=loaded.label_names,
        unlabeled=unlabeled,
        tested=tested(labeled, parts, groups) if data.folds else (),
        related=related(groups, found),
    )


def _require_both(labeled: Sequence[Labeled], loaded: LoadedLabels, features: Framing) -> None:
    """DataError for a label that no window has, or that all of them have."""
    present = sorted({int(kind) for one in labeled for kind in np.unique(one.classes) if kind >= 0})
    if not present:
        raise DataError(
            f"no window of {features.window} lies among rows whose labels are known and stay the same; take shorter windows"
        )
    held = loaded.combinations[present]
    for place, name in enumerate(loaded.label_names):
        if len(np.unique(held[:, place])) == 2:
            continue
        always = bool(held[0, place])
        lacks, has = ("without", "every window has it") if always else ("with", "no window has it")
        raise DataError(
            f"label {name!r}: {has}, so there is nothing to tell apart; record the machine {lacks} it too, or leave its column "
            "out of label_columns. Windows in which a label changes or is not known are left out: shorter ones lose less"
        )
