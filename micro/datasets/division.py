"""Whole groups for training, validation and test, so that each part has all that it needs; found by trying."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# Divisions that are tried, and how many values of them are held at a time.
TRIES, AT_ONCE = 20_000, 1 << 22


@dataclass(frozen=True)
class Wanted:
    """Kinds of windows of which every part must hold some.

    Attributes:
        names: What they are called behind the word 'window', such as "of class 'worn'".
        of: Which classes' windows are of each kind, (classes, kinds) bool.
    """

    names: tuple[str, ...]
    of: np.ndarray


def of_each_class(class_names: Sequence[str]) -> Wanted:
    """Windows of each class; any windows where there are no names of classes."""
    count = max(1, len(class_names))
    return Wanted(tuple(f" of class {name!r}" for name in class_names) or ("",), np.eye(count, dtype=bool))


def windows_by_group(stretches: Iterable[tuple[str, np.ndarray]], place: Mapping[str, int], classes: int) -> np.ndarray:
    """Windows of each class in each group, (groups, classes), from files' names and their windows' classes, -1 for none."""
    held = np.zeros((max(place.values()) + 1, classes), int)
    for name, own in stretches:
        held[place[name]] += np.bincount(own[own >= 0], minlength=classes)
    return held


def division_of_groups(
    held: np.ndarray, needed: np.ndarray, fractions: Sequence[float], seed: int
) -> np.ndarray | None:
    """The part of each group, (groups,) int, of the division that is nearest to the fractions; None where none was found.

    Args:
        held: Windows of each class in each group, (groups, classes).
        needed: Windows in each group of what every part must hold, (groups, kinds).
        fractions: Of the windows of each class, for each part.
        seed: Of the divisions that are tried.
    """
    rng = np.random.default_rng([seed % 2**32, 7])
    groups = len(held)
    shares = held / np.maximum(1, held.sum(axis=0))
    best, nearest = None, np.inf
    step = max(1, AT_ONCE // max(1, groups * (held.shape[1] + needed.shape[1])))
    for start in range(0, TRIES, step):
        parts = rng.choice(len(fractions), size=(min(step, TRIES - start), groups), p=fractions)
        off = np.zeros(len(parts))
        whole = np.ones(len(parts), bool)
        for part, fraction in enumerate(fractions):
            chosen = (parts == part).astype(float)
            whole &= (chosen @ needed > 0).all(axis=1)
            off += np.square(chosen @ shares - fraction).sum(axis=1)
        off[~whole] = np.inf
        place = int(np.argmin(off))
        if off[place] < nearest:
            best, nearest = parts[place], float(off[place])
    return best
