"""Files that hold the same signals and say two things of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from micro.datasets import store
from micro.datasets.classes import ClassRecording
from micro.datasets.recording import Recording
from micro.datasets.regression import NumberedRecording
from micro.datasets.shared_rows import Shared
from micro.datasets.twins import FEW, Alike, samples_of_files
from micro.errors import DataError
from micro.support.wording import counted, listed


def require_one_class(
    found: Alike, recordings: Sequence[ClassRecording], names: Sequence[str], what: str = "classes"
) -> list[str]:
    """Sentences on files that hold the same and are of different classes in a few rows; `names` are those of the classes.

    Raises:
        DataError: Where they are in more than one row in a hundred of the shorter file. Names both files and their
            classes.
    """

    def differing(each: Shared) -> _Differing:
        own, theirs = _both(each, [one.classes for one in recordings])
        known = (own >= 0) & (theirs >= 0)
        different = known & (own != theirs)
        said = [listed([names[n] for n in np.unique(side[different])]) for side in (own, theirs)]
        return _Differing(int(known.sum()), int(different.sum()), each.count, said[0], said[1])

    return _agreed(found, [one.recording for one in recordings], differing, _said(f"are of different {what}"))


def require_one_number(found: Alike, recordings: Sequence[NumberedRecording]) -> list[str]:
    """Sentences on files that hold the same and have different numbers in a few rows.

    Raises:
        DataError: Where they differ by more than a hundredth of the numbers' range in more than one row in a hundred of
            the shorter file. Names both files and two of their numbers.
    """
    numbers = [one.numbers.reshape(len(one.numbers), -1) for one in recordings]
    if not found.shared:
        return []
    every = np.concatenate(numbers)
    with warnings.catch_warnings(action="ignore"):
        near = FEW * (np.nanmax(every, axis=0) - np.nanmin(every, axis=0))

    def differing(each: Shared) -> _Differing:
        own, theirs = _both(each, numbers)
        known = np.isfinite(own).all(axis=1) & np.isfinite(theirs).all(axis=1)
        different = np.flatnonzero(known & (np.abs(own - theirs) > near).any(axis=1))
        said = [
            ", ".join(f"{value:g}" for value in side[different[0]]) if len(different) else "" for side in (own, theirs)
        ]
        return _Differing(int(known.sum()), len(different), each.count, said[0], said[1])

    return _agreed(found, [one.recording for one in recordings], differing, _said("have different numbers"))


def require_one_state(found: Alike, recordings: Sequence[Recording]) -> list[str]:
    """Sentences on files that hold the same and of which one is healthy, another faulty, in a few rows.

    Raises:
        DataError: Where they are in more than one row in a hundred of the shorter file. Names both files.
    """

    def differing(each: Shared) -> _Differing:
        healthy, theirs_healthy = _both(each, [one.healthy for one in recordings])
        faulty, theirs_faulty = (_faulty(recordings[place]) for place in (each.one, each.other))
        faulty, theirs_faulty = _part(faulty, each.begin, each.count), _part(theirs_faulty, each.start, each.count)
        good, bad = healthy & ~faulty & theirs_faulty, faulty & theirs_healthy & ~theirs_faulty
        known = (healthy | faulty) & (theirs_healthy | theirs_faulty)
        said = ("healthy", "faulty") if good.sum() >= bad.sum() else ("faulty", "healthy")
        return _Differing(int(known.sum()), int((good | bad).sum()), each.count, *said)

    def worded(one: str, other: str, hold: str, first: _Differing) -> str:
        good, bad = (one, other) if first.one == "healthy" else (other, one)
        return f"{good} and {bad} {hold}, and one is healthy, the other faulty"

    return _agreed(found, recordings, differing, worded)


@dataclass(frozen=True)
class _Differing:
    """Of `count` shared samples those of which both recordings say something, those of which two things, and what each says."""

    known: int
    different: int
    count: int
    one: str
    other: str


def _said(what: str) -> Callable[[str, str, str, _Differing], str]:
    return lambda one, other, hold, first: f"{one} ({first.one}) and {other} ({first.other}) {hold} and {what}"


def _agreed(
    found: Alike,
    recordings: Sequence[Recording],
    differing: Callable[[Shared], _Differing],
    worded: Callable[[str, str, str, _Differing], str],
) -> list[str]:
    """Sentences on pairs that differ in a few rows; `worded` says of both names, and what they hold, how."""
    pairs: dict[tuple[str, str], list[_Differing]] = {}
    for each in found.shared:
        if max(each.one, each.other) < len(recordings):
            pairs.setdefault((recordings[each.one].name, recordings[each.other].name), []).append(differing(each))
    lengths = samples_of_files(recordings)
    notes: list[str] = []
    for (one, other), own in pairs.items():
        known, wrong = sum(each.known for each in own), sum(each.different for each in own)
        if not wrong:
            continue
        first = next(each for each in own if each.different)
        both = worded(one, other, found.hold(one, other), first)
        # Of the shorter file: of a few rows that recordings begin with, what is said may well differ.
        share = min(1.0, sum(each.count for each in own) / min(lengths[one], lengths[other]))
        if wrong * share > FEW * known:
            cut = ", cut off the rows that both have" if found.first(one) != found.first(other) else ""
            raise DataError(f"{both}; leave one of them out of files{cut}, or correct what is said of it")
        notes.append(f"{both} in {wrong:,} of {counted(known, 'row')}")
    if not notes:
        return []
    more = f"; so do {counted(len(notes) - 1, 'more pair')} of files" if notes[1:] else ""
    return [f"{notes[0]}{more}."]


def _both(each: Shared, values: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """What two recordings say of the samples that they share, from what each says of its own."""
    return _part(values[each.one], each.begin, each.count), _part(values[each.other], each.start, each.count)


def _part(values: np.ndarray, begin: int, count: int) -> np.ndarray:
    return values[begin : begin + count]


def _faulty(one: Recording) -> np.ndarray:
    return store.constant(False, len(one.samples)) if one.faulty is None else one.faulty
