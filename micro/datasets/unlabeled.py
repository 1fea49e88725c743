"""Files without labels, which a student learns from by what its teacher gives for their windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from micro.config import AugmentConfig, GroupedData, LabelsData, RegressionData
from micro.datasets import table
from micro.datasets.augmented import with_copies
from micro.datasets.find import find_files, matches
from micro.datasets.groups import groups_of
from micro.datasets.overflow import features_of
from micro.datasets.pieces import Pieces, piece
from micro.datasets.recording import Recording, cut
from micro.datasets.regression import load_to_score
from micro.datasets.twins import Alike, alike, twins_of
from micro.datasets.views import Views
from micro.errors import DataError
from micro.support.wording import counted, listed, was

# The class of a window without one.
NO_CLASS = -1


def unlabeled_recordings(
    config: GroupedData, window: int, channels: Sequence[str], labeled: Mapping[str, Path]
) -> tuple[list[Recording], list[str]]:
    """The recordings of `unlabeled_files`, none without such files, and sentences on what of them was left out.

    Args:
        config: Which files, and how they are read.
        window: Fewest samples of a recording.
        channels: Those of the labeled files.
        labeled: The labeled files, by the names of their recordings.

    Raises:
        DataError: For a file that is labeled too, or holds the bytes of one that is, and for what cannot be read.
    """
    if not config.unlabeled_files:
        return [], []
    named = find_files(config.unlabeled_files, config.folder)
    of_path = {path.resolve(): name for name, path in labeled.items()}
    both = next((path for path in named if path.resolve() in of_path), None)
    if both is not None:
        raise DataError(
            f"{named[both]} matches both files and unlabeled_files; a file is one of them only: let files name the labeled ones"
        )
    _require_other_bytes(named, {of_path[path]: path for path in of_path})
    if isinstance(config, RegressionData):
        found, _, notes = load_to_score(config, window, channels, named)
        return found, list(notes)
    without = {"label_columns": ()} if isinstance(config, LabelsData) else {"label_column": None}
    plain = config.model_copy(update={**without, "on_short": "skip"})
    said: dict[str, None] = {}
    left_out = table.LeftOut(plain, scoring=True)
    files = [table.File(path, name, healthy=False, faulty=False) for path, name in named.items()]
    recordings: list[Recording] = []
    for file, read in table.read_files(files, plain, channels, said, left_out):
        parts = table.whole_stretches(file.name, file.path, read, plain, window, left_out)
        recordings += [part for part, _ in parts]
    return recordings, [*said, *left_out.note(len(files), "unlabeled file")]


def unlabeled_pieces(
    recordings: Sequence[Recording],
    config: GroupedData,
    judged: frozenset[str],
    views: Views,
    augment: AugmentConfig,
    seed: int,
    image_size: tuple[int, int] | None = None,
) -> tuple[Pieces, list[str]]:
    """The windows of recordings without labels, with their copies, and sentences on them.

    `judged` are the groups of validation and test, of which none is learned from; nor is a file that the config's patterns of
    validation and test name.

    Raises:
        DataError: For a file that matches no pattern of `group`, and where no window is left.
    """
    if not config.unlabeled_files:
        return [], []
    pieces: Pieces = []
    left_out = _left_out(config, judged)
    known = {file for one in recordings if (file := _file_of(one.name, left_out)) is not None and left_out[file]}
    for one in recordings:
        frames, _ = cut(one, views)
        if _file_of(one.name, left_out) in known or not len(frames):
            continue
        numbers = None
        if isinstance(config, RegressionData):
            several = (len(config.targets),) if len(config.targets) > 1 else ()
            numbers = np.full((len(frames), *several), np.nan)
        if isinstance(config, LabelsData):
            numbers = np.full((len(frames), len(config.label_columns)), NO_CLASS)
        values, theirs = features_of(one, frames, views)
        made = piece(frames, values, NO_CLASS, one.name, None, numbers, views=views, of_teacher=theirs)
        made = replace(made, learner="student")
        pieces += with_copies(made, frames, slice(None), views, augment, seed, image_size=image_size)
    notes = []
    if known:
        count, names = counted(len(known), "unlabeled file"), listed(sorted(known))
        notes.append(f"{count} {was(len(known))} left out, of groups that are validated or tested on: {names}.")
    if not pieces and known and config.folds:
        return [], notes  # a group is learned from in another fold: there are three at least
    if not pieces:
        why = f": {notes[0]}" if notes else f"; each is shorter than a window of {views.window:,} or lacks values"
        raise DataError(f"unlabeled_files: no window is left to learn from{why}")
    files = len({each.origin for each in pieces})
    windows = counted(sum(len(each.values) for each in pieces), "window")
    notes.append(
        f"the student learned what the teacher gives for {windows} of {counted(files, 'recording')} without labels, copies "
        "included; a student without a teacher, and the teacher itself, did not use them."
    )
    return pieces, notes


def alike_with(
    recordings: Sequence[Recording], of_bytes: Sequence[tuple[str, ...]], unlabeled: Sequence[Recording], views: Views
) -> Alike:
    """Which labeled files hold the same, by their names; `of_bytes` are those that hold the same bytes.

    Samples are compared as the sensor gave them.

    Raises:
        DataError: For an unlabeled file that holds what a labeled one does, or some of its rows.
    """
    others = [replace(one.sensed, name=_apart(one.name)) for one in unlabeled]
    window = views.window * views.student.decimate
    found = alike([*(one.sensed for one in recordings), *others], of_bytes, window, views.students_channels)
    apart = {one.name for one in others}
    for names in found.related:
        mine, labeled = ([name for name in names if (name in apart) == side] for side in (True, False))
        if mine and labeled:
            raise DataError(_holds_labeled(mine[0], labeled[0], found.hold(mine[0], labeled[0])))
    return found


def _left_out(config: GroupedData, judged: frozenset[str]) -> dict[str, bool]:
    """For each unlabeled file, by its name, whether it belongs to what is validated or tested on."""
    paths = {name: path for path, name in find_files(config.unlabeled_files, config.folder).items()}
    groups = groups_of(paths, config) if config.group else {}
    patterns = (*config.validation_files, *config.test_files)
    return {
        name: groups.get(name) in judged or any(matches(path, pattern, config.folder) for pattern in patterns)
        for name, path in paths.items()
    }


def _file_of(name: str, files: Mapping[str, bool]) -> str | None:
    """The file of a recording's name, which may say a run in it besides."""
    return name if name in files else next((file for file in files if name.startswith(f"{file}, ")), None)


def _require_other_bytes(named: Mapping[Path, str], labeled: Mapping[str, Path]) -> None:
    """DataError for an unlabeled file that holds the same bytes as a labeled one, which may be tested on."""
    unlabeled = {_apart(name): path for path, name in named.items()}
    for names in twins_of({**unlabeled, **labeled}):
        mine, other = ([name for name in names if (name in unlabeled) == side] for side in (True, False))
        if mine and other:
            raise DataError(_holds_labeled(mine[0], other[0], "hold the same bytes"))


def _apart(name: str) -> str:
    """An unlabeled file's name, as none of a labeled one ends."""
    return f"{name} "


def _holds_labeled(unlabeled: str, labeled: str, what: str) -> str:
    return f"{unlabeled.strip()}, which unlabeled_files names, and {labeled}, which is labeled, {what}; leave one of them out"
