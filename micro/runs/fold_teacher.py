"""A teacher of several networks, each trained without one fold of the training windows.

A large network knows its training windows by heart, and would teach little more than their labels. The student learns of each
training window what the network gives that was trained without it (cross-fitting: Chernozhukov et al. 2018,
https://doi.org/10.1111/ectj.12097, section 1; in distillation Dao et al. 2021, https://arxiv.org/abs/2104.09732), and of other
windows the mean of all.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import replace

import keras
import numpy as np

from micro.config import Config
from micro.datasets.prepared import Prepared
from micro.runs.held_out import Kinds, fold_sets
from micro.runs.recorded_teacher import RecordedTeacher, recorded
from micro.runs.score_teacher import near_of

Sets = Sequence[tuple[np.ndarray, np.ndarray]]
# The sets of data that are in memory: the check, each seed's training and its teaching take the same.
_MADE: dict[tuple[int, int], Sets] = {}


def member_name(number: int) -> str:
    """The name of one of the networks within the model of all of them."""
    return f"member_{number}"


def sets_of_folds(config: Config, data: Prepared) -> Sets:
    """For each network the training windows that it judges, (n,) bool, and those that it is trained on, (n,) bool.

    Raises:
        DataError: Where the windows cannot be divided so that every network learns all that there is.
    """
    count = config.teacher.folds
    assert count is not None
    key = id(data), count
    if key not in _MADE:
        names, held = _kinds(data)
        _MADE[key] = fold_sets(data.train, Kinds(names, held, _divided_by(config)), data.related, near_of(data), count)
        weakref.finalize(data, _MADE.pop, key, None)
    return _MADE[key]


def _divided_by(config: Config) -> str:
    """What training windows are divided by: 'group', 'run' or 'file'."""
    if getattr(config.data, "group", ()):
        return "group"
    return "run" if getattr(config.data, "run_column", None) else "file"


def without_fold(data: Prepared, rows: np.ndarray) -> Prepared:
    """The data as a network sees them that is trained on some of the training windows, (n,) bool."""
    return replace(data, train=data.train.at(np.flatnonzero(rows)))


def cross_fitted(teacher: keras.Model, data: Prepared, sets: Sets) -> RecordedTeacher:
    """What the student learns: of training windows what the network gives that was not trained on them, else the mean."""
    mean = recorded(teacher, data)
    outputs, windows = mean.outputs.copy(), data.train.as_teacher.x
    for number, (mine, _) in enumerate(sets):
        member, rows = teacher.get_layer(member_name(number)), np.flatnonzero(mine)
        outputs[rows] = np.asarray(member.predict(windows[rows], batch_size=1024, verbose=0), np.float32)
    return RecordedTeacher(mean.known, outputs, mean.validation)


def note_of_folds(config: Config) -> list[str]:
    """A sentence on how such a teacher was trained; none of other teachers."""
    if config.teacher.folds is None:
        return []
    return [
        f"the teacher is {config.teacher.folds} networks, each trained without one fold of the training windows; the student "
        "learned of each training window what the network gives that was trained without it, and of others their mean."
    ]


def _kinds(data: Prepared) -> tuple[list[str], np.ndarray]:
    """What every network must be trained on: each class, each label and its absence, any windows of numbers."""
    labels = data.train.labels
    if data.label_names:
        names = [f" {word} label {name!r}" for word in ("with", "without") for name in data.label_names]
        return names, np.concatenate([labels == 1, labels == 0], axis=1)
    if data.class_names:
        names = [f" of class {name!r}" for name in data.class_names]
        return names, labels[:, None] == np.arange(len(names))
    return [" at all"], np.ones((len(labels), 1), bool)
