"""Folds of training windows, so that each window can be judged by what was fitted without it and what is like it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from micro.datasets.window_parts import Origins, Windows
from micro.errors import DataError

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
