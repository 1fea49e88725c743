"""Folds of training windows, so that each window can be judged by what was fitted without it and what is like it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from micro.datasets.folds import best_dealt
from micro.datasets.window_parts import Origins, Windows
from micro.errors import DataError
from micro.support.sets import united
from micro.support.wording import counted, listed

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
    divided within it: by its recordings where there are as many as folds, else in time. Windows that share samples with one in
    the fold, as `sharing` says, are not trained on.

    Raises:
        DataError: For fewer groups than folds, for recordings too short to fill the folds, and for a kind that a fold's network
            would not be trained on.
    """
    own = numbered(windows, origins)
    group = np.unique(own.group, return_inverse=True)[1]
    of_group = _held_by(group, kinds.held)
    several = (of_group > 0).sum(axis=0) > 1
    folds = np.zeros(len(group), int)
    divided = kinds.held[:, ~several].any(axis=1)
    if several.any():
        dealt = int((of_group[:, several] > 0).any(axis=1).sum())
        if dealt < count and not divided.any():
            raise DataError(_too_few_groups(windows, kinds, several, origins, dealt, count))
        folds = best_dealt(of_group[:, several], count, 0, apart=1)[group]
    for number in np.unique(group[divided]):
        mine = np.flatnonzero(divided & (group == number))
        folds[mine] = _within_group(mine, own, kinds.held[:, ~several & (of_group[number] > 0)], kinds.held, count)
    sets = [(mine, ~mine & ~sharing(mine, own, near)) for mine in (folds == fold for fold in range(count))]
    _require_filled(sets, kinds)
    return sets


def _held_by(number: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Windows of each kind by the number of what they are of: (n,) int, (n, kinds) bool -> (numbers, kinds) int."""
    counts = np.zeros((int(number.max()) + 1, held.shape[1]), int)
    np.add.at(counts, number, held)
    return counts


def _within_group(rows: np.ndarray, own: Numbered, alone: np.ndarray, held: np.ndarray, count: int) -> np.ndarray:
    """The fold of each of one group's windows, (k,) int, at `rows`, (k,) int.

    A kind of `alone`, those that this group alone has, (n, kinds) bool, is divided by recordings where as many as there are
    folds hold it, those that overlap as one; else each combination of kinds in stretches of each recording.
    """
    content = _joined(own.content[rows], own.overlapping)
    alone = alone[rows]
    enough = (_held_by(content, alone) > 0).sum(axis=0) >= count
    folds = np.zeros(len(rows), int)
    in_time = alone[:, ~enough].any(axis=1)
    whole = np.flatnonzero(~in_time)
    if len(whole):
        folds[whole] = best_dealt(_held_by(content[whole], alone[whole][:, enough]), count, 0, apart=1)[content[whole]]
    if in_time.any():
        cells = np.unique(held[rows], axis=0, return_inverse=True)[1].reshape(-1)
        for cell in np.unique(cells[in_time]):
            mine = in_time & (cells == cell)
            folds[mine] = _stretches(own.content[rows][mine], own.place[rows][mine], count)
    return folds


def _joined(content: np.ndarray, overlapping: Mapping[int, frozenset[int]]) -> np.ndarray:
    """Numbers of recordings, those that overlap as one, from 0: (n,) int -> (n,) int."""
    held = np.unique(content).tolist()
    sets = united([(one, other) for one in held for other in overlapping.get(one, ()) if other in held], held)
    numbers: dict[int, int] = {}
    number_of = {one: numbers.setdefault(sets[one], len(numbers)) for one in held}
    return np.array([number_of[one] for one in content.tolist()])


def _too_few_groups(
    windows: Windows, kinds: Kinds, several: np.ndarray, origins: Origins, groups: int, count: int
) -> str:
    """Why there cannot be that many folds, in words; `several` are the kinds that more than one group holds, (kinds,) bool."""
    named = [name.strip() for name, each in zip(kinds.names, several) if each]
    of = "" if several.all() else f" {listed(named)}"
    return (
        f"teacher.folds = {count}, and the training windows{of} are of {counted(groups, kinds.what)}"
        f"{_counted_as_one(windows, kinds.what, origins)}: each network is trained without {kinds.what}s of its own; "
        f"set folds = {groups} in [teacher], or record more"
    )


def _counted_as_one(windows: Windows, what: str, origins: Origins) -> str:
    """Which files count as one, as they hold the same; '' where there are none."""
    names = dict.fromkeys(windows.origins)
    copies = any(origins.firsts.get(name, name) != name or name in origins.overlapping for name in names)
    if what == "group":
        return ", where groups that share signals count as one" if copies else ""
    same: dict[object, list[str]] = {}
    for name in names:
        same.setdefault(origins.groups.get(name, origins.firsts.get(name, name)), []).append(name)
    shared = [each for each in same.values() if len(each) > 1]
    whole = all(len({origins.firsts.get(name, name) for name in each}) == 1 for each in shared)
    said = "of the same signals" if whole else "that hold some of the same rows"
    return f", those {said} counted as one: {listed([' and '.join(each) for each in shared])}" if shared else ""


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
