"""Windows of a user's own recordings with a number each, as section [data] of job 'table' and task 'regression' describes
them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from micro.config import AugmentConfig, FeaturesConfig, RegressionData, SourceConfig
from micro.datasets.agreement import require_one_number
from micro.datasets.apart import divided_of, shared_windows
from micro.datasets.class_split import PARTS, Labeled, judged_groups
from micro.datasets.folds import divided as dealt
from micro.datasets.folds import related, tested
from micro.datasets.groups import groups_of
from micro.datasets.labeled_pieces import LabeledFrames, labeled_pieces
from micro.datasets.pieces import Parts
from micro.datasets.recording import cut, reach
from micro.datasets.regression import LoadedRuns, load_runs
from micro.datasets.targets import Range
from micro.datasets.twins import twins_of
from micro.datasets.unlabeled import alike_with, unlabeled_pieces, unlabeled_recordings
from micro.datasets.viewed import viewed
from micro.datasets.views import AS_THE_STUDENT, TeacherInputs
from micro.errors import DataError
from micro.support.wording import counted, was


def regression_parts(
    data: RegressionData,
    settings: FeaturesConfig,
    augment: AugmentConfig,
    seed: int,
    inputs: TeacherInputs = AS_THE_STUDENT,
    sources: Sequence[SourceConfig] = (),
    *,
    fold: int = 0,
) -> Parts:
    """Read the files, and divide their windows into training, validation, which also calibrates, and test.

    A window's number is that of its last row. Runs are divided whole; life that remains is never divided in time by itself.

    Where the config has folds, `fold` is the one that is tested.

    Raises:
        DataError: Names what is missing, damaged, contradictory or too little.
    """
    reading, window = inputs.read_from(data), inputs.window(settings)
    loaded = load_runs(reading, window)
    more, more_notes = unlabeled_recordings(reading, window, loaded.channels, _files(loaded))
    recordings = [one.recording for one in loaded.recordings]
    seen = viewed(recordings, loaded.channels, loaded.paths, data, settings, inputs, sources, more)
    recordings, views = seen.recordings, seen.views
    framed = [cut(recording, views) for recording in recordings]
    # Of filtered recordings the sensor's last sample in a window.
    numbers = [
        one.numbers[(starts + views.window) * read.every - 1]
        for one, read, (_, starts) in zip(loaded.recordings, recordings, framed)
    ]
    known = [np.isfinite(each) if each.ndim == 1 else np.isfinite(each).all(axis=1) for each in numbers]
    if sources:
        # Where numbers lack in between, a run of windows could reach into the one before it, which may be in another part.
        known = [_apart(each, *reach(starts, views)) for each, (_, starts) in zip(known, framed)]
    labeled = [Labeled(one.name, np.where(each, 0, -1)) for one, each in zip(recordings, known)]
    total, lack = sum(map(len, numbers)), sum(int((one.classes < 0).sum()) for one in labeled)
    if lack == total:
        raise DataError(f"none of {counted(total, 'window')} ends in a row with a number in {_columns(data)}")
    found, groups = alike_with(recordings, _twins(loaded), seen.unlabeled, views), _groups(loaded, data)
    contradicted = require_one_number(found, loaded.recordings)
    whole = data if data.remaining_life is None else data.model_copy(update={"split": "files"})
    what = "file" if data.run_column is None else "run"
    parts, said = dealt(labeled, whole, (), loaded.paths, groups, found, views, seed, what, fold)
    both = shared_windows(found, recordings, divided_of(framed, parts), views.window, PARTS)
    of_recordings = [
        LabeledFrames(read, frames, part, numbers=each)
        for read, (frames, _), part, each in zip(recordings, framed, parts, numbers)
    ]
    train, validation, test = labeled_pieces(of_recordings, views, augment, seed, of_teacher=inputs.augment)
    notes = [*loaded.notes, *seen.notes]
    if lack:
        notes.append(
            f"{lack:,} of {counted(total, 'window')} {was(lack)} left out, as their last row has no number in {_columns(data)}."
        )
    judged = judged_groups(labeled, parts, groups)
    unlabeled, windows_notes = unlabeled_pieces(seen.unlabeled, data, judged, views, augment, seed)
    notes += [*found.note(), *contradicted, said, *both, *more_notes, *windows_notes]
    return replace(
        seen.parts(train, validation, validation, test, notes),
        targets=_targets(data),
        unlabeled=unlabeled,
        tested=tested(labeled, parts, groups) if data.folds else (),
        related=related(groups, found),
    )


def _apart(known: np.ndarray, begins: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Windows that have a number, without those after a gap that depend on samples of a window before it: (n,) bool."""
    kept, past = known.copy(), 0
    for place in range(len(known)):
        after_gap = place > 0 and not kept[place - 1]
        kept[place] = known[place] and not (after_gap and begins[place] < past)
        if kept[place]:
            past = int(begins[place] + lengths[place])
    return kept


def _targets(data: RegressionData) -> tuple[Range, ...]:
    """What the numbers are, and the range of each."""
    if not data.targets:
        return (Range(f"remaining life in {data.remaining_life}", 0.0, data.cap),)
    return tuple(Range(name, data.target_lowest.get(name), data.target_highest.get(name)) for name in data.targets)


def _columns(data: RegressionData) -> str:
    """The columns that a window must have numbers in, in words."""
    if len(data.targets) == 1:
        return f"column {data.targets[0]!r}"
    return f"each of columns {', '.join(map(repr, data.targets))}"


def _groups(loaded: LoadedRuns, data: RegressionData) -> Mapping[str, str]:
    """The group of each run: its own name, or that of its file by the config's pattern."""
    if not data.group:
        return {name: name for name in loaded.files}
    of_file = groups_of({file: loaded.paths[name] for name, file in loaded.files.items()}, data)
    return {name: of_file[file] for name, file in loaded.files.items()}


def _files(loaded: LoadedRuns) -> dict[str, Path]:
    """The labeled files by their names."""
    return {loaded.files[name]: path for name, path in loaded.paths.items()}


def _twins(loaded: LoadedRuns) -> list[tuple[str, ...]]:
    """Runs of files that hold the same, each with those of the same place in the other files."""
    of_file: dict[str, list[str]] = {}
    for name, file in loaded.files.items():
        of_file.setdefault(file, []).append(name)
    files = twins_of({file: loaded.paths[names[0]] for file, names in of_file.items()})
    return [tuple(runs) for same in files for runs in zip(*(of_file[file] for file in same))]
