"""Folds of training windows, so that each window can be judged by what was fitted without it and what is like it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from micro.datasets.folds import best_dealt
from micro.datasets.window_parts import Origins, Windows
from micro.errors import DataError
from micro.support.wording import counted

FOLDS = 5


def held_out_sets(
    windows: Windows, kinds: np.ndarray, names: tuple[str, ...], origins: Origins, near: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each fold its windows, (n,) bool, and those to fit on, (n,) bool, among which is every kind.

    Groups are dealt whole, files that hold the same as one. A kind that one group alone has is divided in time instead, each
    recording into stretches. Windows that share samples with one in the fold, as `sharing` says, are not fitted on.

    Args:
        windows: To divide.
        kinds: The class of each, (n,) int; all alike of a regression.
        names: Of the kinds, for messages; empty where all are alike.
        origins: Which recordings belong together.
        near: Places between two windows that share samples, at most.

    Raises:
        DataError: Names a kind that would be missing among the windows to fit on.
    """
    own = numbered(windows, origins)
    group, content, place = own.group, own.content, own.place
    by_group = _by_groups(kinds, group)
    missing = 0
    for count in range(FOLDS, 1, -1):
        folds = by_group.copy()
        for kind in np.unique(kinds):
            mine = kinds == kind
            held = np.unique(group[mine])
            if len(np.unique(folds[mine])) < 2:
                several = np.searchsorted(held, group[mine]) % count
                folds[mine] = several if len(held) > 1 else _stretches(content[mine], place[mine], count)
        sets = [(folds == fold, (folds != fold) & ~sharing(folds == fold, own, near)) for fold in np.unique(folds)]
        lacking = [int(kind) for _, others in sets for kind in np.setdiff1d(kinds, kinds[others])]
        if len(sets) > 1 and not lacking:
            return sets
        missing = lacking[0] if lacking else 0
    of = f" of class {names[missing]!r}" if names else ""
    raise DataError(
        f"teacher.estimators need training windows{of} in two files, or in one that is longer: what is taught of a window "
        "comes from estimators that were fitted without it and without windows that overlap it"
    )


@dataclass(frozen=True)
class Kinds:
    """What every network must be trained on.

    Attributes:
        names: What the kinds are called behind the word 'window', such as " of class 'worn'".
        held: Which windows are of each kind, (n, kinds) bool.
        what: What recordings are divided by: 'group', 'file' or 'run'.
    """

    names: Sequence[str]
    held: np.ndarray
    what: str = "file"


def fold_sets(
    windows: Windows, kinds: Kinds, origins: Origins, near: int, count: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each of `count` folds its windows, (n,) bool, and those to train on, (n,) bool, among which is every kind.

    Groups are dealt whole, as kinds need it, files that hold the same as one. Windows of a kind that one group alone has are
    divided in time instead. Windows that share samples with one in the fold, as `sharing` says, are not trained on.

    Raises:
        DataError: For fewer groups than folds, for recordings too short to fill the folds, and for a kind that a fold's network
            would not be trained on.
    """
    own = numbered(windows, origins)
    group = np.unique(own.group, return_inverse=True)[1]
    groups = int(group.max()) + 1
    if 1 < groups < count:
        raise DataError(
            f"teacher.folds = {count}, and the training windows are of {counted(groups, kinds.what)}: each network is trained "
            f"without {kinds.what}s of its own; set folds = {groups} in [teacher], or record more"
        )
    of_group = np.stack([kinds.held[group == number].sum(axis=0) for number in range(groups)])
    several = (of_group > 0).sum(axis=0) > 1
    folds = np.zeros(len(group), int)
    if groups > 1:
        dealing = of_group[:, several] if several.any() else of_group.sum(axis=1, keepdims=True)
        folds = best_dealt(dealing, count, 0, apart=1)[group]
    divided = kinds.held[:, ~several].any(axis=1)
    cells = np.unique(kinds.held, axis=0, return_inverse=True)[1].reshape(-1)
    for cell in np.unique(cells[divided]):
        mine = divided & (cells == cell)
        folds[mine] = _stretches(own.content[mine], own.place[mine], count)
    sets = [(mine, ~mine & ~sharing(mine, own, near)) for mine in (folds == fold for fold in range(count))]
    _require_filled(sets, kinds)
    return sets


def _require_filled(sets: Sequence[tuple[np.ndarray, np.ndarray]], kinds: Kinds) -> None:
    """DataError for a fold without windows, and for a kind that its network would not be trained on."""
    count = len(sets)
    for number, (mine, others) in enumerate(sets, 1):
        if not mine.any():
            raise DataError(
                f"teacher.folds = {count}: {counted(len(mine), 'training window')} do not fill {count} folds, each of which "
                "holds stretches of a recording; record for longer, or set fewer folds in [teacher]"
            )
        lacking = np.flatnonzero(~(kinds.held & others[:, None]).any(axis=0))
        if len(lacking):
            raise DataError(
                f"teacher.folds = {count}: the network that is trained without fold {number} would have no window"
                f"{kinds.names[int(lacking[0])]}, as those that share samples with the fold are left out too; record it in "
                f"more {kinds.what}s or for longer, or leave folds out of [teacher]"
            )


@dataclass(frozen=True)
class Numbered:
    """Where windows belong, by number, (n,) int each.

    Attributes:
        group: What is dealt whole: a machine's recordings, and those that hold the same or some of the same rows.
        content: The recording, copies of one as one.
        place: Among the windows of its recording, from 0.
        overlapping: For each content those that hold some of the same rows.
    """

    group: np.ndarray
    content: np.ndarray
    place: np.ndarray
    overlapping: Mapping[int, frozenset[int]]


def numbered(windows: Windows, origins: Origins) -> Numbered:
    """Where windows belong: the one notion of copies for all that is fitted without some of them."""
    assert windows.places is not None
    names = {name: number for number, name in enumerate(dict.fromkeys(windows.origins))}
    own = np.array([names[origin] for origin in windows.origins])
    firsts = {name: origins.firsts.get(name, name) for name in names}
    numbers = {first: number for number, first in enumerate(dict.fromkeys(firsts.values()))}
    content = np.array([numbers[firsts[name]] for name in names])[own]
    groups: dict[object, int] = {}
    group = np.array([groups.setdefault(origins.groups.get(name, firsts[name]), len(groups)) for name in names])[own]
    begins = np.full(len(names), np.iinfo(np.int64).max)
    np.minimum.at(begins, own, windows.places)
    overlapping = {
        numbers[first]: frozenset(numbers[other] for other in others if other in numbers)
        for first, others in origins.overlapping.items()
        if first in numbers
    }
    return Numbered(group, content, windows.places - begins[own], overlapping)


def sharing(chosen: np.ndarray, of: Numbered, near: int) -> np.ndarray:
    """Which windows may share samples with chosen ones: within `near` places of one in its recording or a copy of it, and all
    of a recording that holds some of the same rows: (n,) bool -> (n,) bool.
    """
    key = of.content * (int(of.place.max()) + 2 * near + 2) + of.place
    held = np.unique(key[chosen])
    found = np.searchsorted(held, key + near, side="right") > np.searchsorted(held, key - near, side="left")
    others = [other for one in np.unique(of.content[chosen]).tolist() for other in of.overlapping.get(one, ())]
    return np.asarray(found | np.isin(of.content, others)) if others else np.asarray(found)


def _by_groups(kinds: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The fold of each window by its group, kinds spread evenly; 0 for all where there is one group."""
    from sklearn.model_selection import StratifiedGroupKFold

    folds = np.zeros(len(kinds), int)
    count = min(FOLDS, len(np.unique(group)))
    if count < 2:
        return folds
    if np.bincount(kinds).max() < count:
        return group % count
    with warnings.catch_warnings():
        # Kinds with fewer windows than folds are looked at afterwards.
        warnings.simplefilter("ignore")
        split = StratifiedGroupKFold(count, shuffle=True, random_state=0).split(kinds, kinds, group)
        for number, (_, held) in enumerate(split):
            folds[held] = number
    return folds


def _stretches(content: np.ndarray, place: np.ndarray, count: int) -> np.ndarray:
    """The fold of each window by its place: as many stretches of each recording, one after another."""
    folds = np.zeros(len(place), int)
    for recording in np.unique(content):
        mine = content == recording
        order = np.unique(place[mine], return_inverse=True)[1]
        folds[mine] = order * count // (order.max() + 1)
    return folds
