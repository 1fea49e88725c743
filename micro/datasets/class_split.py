"""Windows with a class or a number each, divided into training, validation and test: by files or groups, or in time."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from micro.config import GroupedData
from micro.datasets.division import Wanted, division_of_groups, of_each_class, windows_by_group
from micro.datasets.find import matches
from micro.datasets.recording import Framing, split_in_time
from micro.datasets.twins import Alike, numbers_within
from micro.datasets.unmatched import unmatched
from micro.errors import DataError
from micro.support.sets import united
from micro.support.wording import are, counted, listed

PARTS = ("training", "validation", "test")
TRAINING, VALIDATION, TEST = range(3)
# Fractions of the windows for training, validation and test.
FRACTIONS = (0.6, 0.15, 0.25)
# Less than this share of what training should have is explained: by this few groups of a kind, else by the largest group.
FEW_TRAIN, FEW_GROUPS = 0.75, 5


@dataclass(frozen=True)
class Labeled:
    """Windows of one stretch, in their order: the file's or run's name and the class of each, -1 where it has none.

    Of windows that have a number instead of a class, 0 stands for those that have one.
    """

    name: str
    classes: np.ndarray


def split_classes(
    stretches: Sequence[Labeled],
    config: GroupedData,
    class_names: Sequence[str],
    paths: Mapping[str, Path],
    groups: Mapping[str, str],
    alike: Alike,
    features: Framing,
    seed: int,
    what: str = "file",
    wanted: Wanted | None = None,
) -> tuple[list[np.ndarray], str]:
    """The part of every window of every stretch, -1 for those left out; and a sentence on how they were divided.

    Files named by `test_files` and `validation_files` go there. The others are divided by groups, which are files unless the
    config says what files of one group share, so that no group is in two parts; where there are too few groups for that, each
    run of windows of one class is divided in time, with windows left out between parts so that none overlap.

    Args:
        stretches: In the order in which windows are.
        class_names: Empty where windows have a number instead.
        paths: The files by the names of their recordings.
        groups: The group of each name, as `groups_of` gives it.
        alike: Which names hold the same.
        seed: Of the draw of groups.
        what: What a name stands for, 'file' or 'run'.
        wanted: What every part must have windows of; each class where nothing else is said.

    Raises:
        DataError: For a class, or what else is wanted, that a part would lack; for a group or a file's content in two parts.
    """
    what = "group" if config.group else what
    wanted = wanted or of_each_class(class_names)
    if config.split != "time":
        named = _named(paths, config)
        _require_apart(named, groups, alike)
        parts, lacking = _by_groups(stretches, named, groups, alike, wanted, seed)
        if not lacking:
            said = _said(stretches, parts, groups, what)
            return parts, said if named else said + _why_few(stretches, parts, groups, alike, wanted, what)
        if config.split == "files" or named or config.group:
            raise DataError(_lacks(lacking, stretches, groups, alike, wanted, named, what, config))
    why = ""
    if config.split != "time":
        kind, part = lacking[0]
        why = f", as with whole {what}s {PARTS[part]} would have no window{wanted.names[kind]}"
    parts = _in_time(stretches, wanted, features, alike)
    _require_all(stretches, parts, wanted)
    return parts, f"every recording was divided in time{why}: its first 60 % train, the last 25 % test."


def _require_all(stretches: Sequence[Labeled], parts: Sequence[np.ndarray], wanted: Wanted) -> None:
    """DataError where a part lacks a class, or any window, after a division in time."""
    short = _lacking(stretches, parts, wanted)
    if not short:
        return
    kind, _ = short[0]
    count = sum(int(_has(one, wanted, kind).sum()) for one in stretches)
    raise DataError(
        f"there {are(count)} {counted(count, 'window')}{wanted.names[kind]}, too few to divide into training, validation and "
        "test; record more of them, or take shorter windows or a smaller hop"
    )


def _has(one: Labeled, wanted: Wanted, kind: int) -> np.ndarray:
    """Which windows of a stretch are of a kind, (n,) bool."""
    return np.asarray((one.classes >= 0) & wanted.of[one.classes, kind])


def judged_groups(
    stretches: Sequence[Labeled], parts: Sequence[np.ndarray], groups: Mapping[str, str]
) -> frozenset[str]:
    """The groups of which validation or test has windows."""
    return frozenset(groups[one.name] for one, part in zip(stretches, parts) if (part >= VALIDATION).any())


def _named(paths: Mapping[str, Path], config: GroupedData) -> dict[str, int]:
    """Files that the config gives to the test or to validation."""
    found: dict[str, int] = {}
    for part, setting in ((VALIDATION, "validation_files"), (TEST, "test_files")):
        for pattern in getattr(config, setting):
            chosen = [name for name, path in paths.items() if matches(path, pattern, config.folder)]
            if not chosen:
                files = {path: name for name, path in paths.items()}
                raise DataError(f"{setting}: {unmatched(pattern, files, config.folder)}")
            for name in chosen:
                if found.setdefault(name, part) != part:
                    raise DataError(f"{name} matches both validation_files and test_files")
    return found


def _require_apart(named: Mapping[str, int], groups: Mapping[str, str], alike: Alike) -> None:
    """DataError where the config's own parts share a group or a file's content."""
    by_group: dict[str, str] = {}
    for name, group in groups.items():
        other = by_group.setdefault(group, name)
        if named.get(other, TRAINING) != named.get(name, TRAINING):
            a, b = (PARTS[named.get(each, TRAINING)] for each in (other, name))
            raise DataError(
                f"group {group!r} would be in two parts: {other} in {a}, {name} in {b}; a group belongs to one"
            )
    for first, *others in alike.related:
        for other in others:
            if named.get(first, TRAINING) != named.get(other, TRAINING):
                a, b = (PARTS[named.get(each, TRAINING)] for each in (first, other))
                raise DataError(
                    f"{first} ({a}) and {other} ({b}) {alike.hold(first, other)}; a test must not hold what was trained on: "
                    "leave one of them out of files, or have both in one part"
                )


def _by_groups(
    stretches: Sequence[Labeled],
    named: Mapping[str, int],
    groups: Mapping[str, str],
    alike: Alike,
    wanted: Wanted,
    seed: int,
) -> tuple[list[np.ndarray], list[tuple[int, int]]]:
    """The part of each window by whole groups, and (kind, part) for each kind that a part lacks."""
    place = joined(groups, alike)
    part_of = dict(named)
    for part in (TEST, VALIDATION):
        if part in named.values():
            continue
        left = [one for one in stretches if one.name not in part_of]
        fraction = FRACTIONS[part] / (1.0 if part == TEST else FRACTIONS[TRAINING] + FRACTIONS[VALIDATION])
        spared = 2 if part == TEST and VALIDATION not in named.values() else 1
        chosen = _drawn(left, place, fraction, seed + part, spared, wanted)
        part_of.update((name, part) for name in {one.name for one in left} if place[name] in chosen)
    parts = [np.where(one.classes >= 0, part_of.get(one.name, TRAINING), -1) for one in stretches]
    lacking = _lacking(stretches, parts, wanted)
    if lacking and not named:
        held = windows_by_group([(one.name, one.classes) for one in stretches], place, len(wanted.of))
        found = division_of_groups(held, held @ wanted.of.astype(int), FRACTIONS, seed)
        if found is not None:
            parts = [np.where(one.classes >= 0, found[place[one.name]], -1) for one in stretches]
            lacking = _lacking(stretches, parts, wanted)
    return parts, lacking


def joined(groups: Mapping[str, str], alike: Alike) -> dict[str, int]:
    """A number for each file's group; groups that hold the same, or some of the same rows, are one.

    So are groups that have this in common with one file, be it one that is not divided itself.
    """
    sets = united(
        [
            *(((True, name), (False, group)) for name, group in groups.items()),
            *(tuple((True, name) for name in names) for names in alike.related),
        ]
    )
    numbers: dict[tuple[bool, str], int] = {}
    return {name: numbers.setdefault(sets[True, name], len(numbers)) for name in groups}


def _drawn(
    stretches: Sequence[Labeled], place: Mapping[str, int], fraction: float, seed: int, spared: int, wanted: Wanted
) -> set[int]:
    """Groups with about a fraction of the windows of each class; none where there is only one group.

    A class of which none was drawn gives one, if it has `spared` more; and so does each kind that is wanted.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    classes = np.concatenate([one.classes for one in stretches]) if stretches else np.zeros(0, int)
    group = np.concatenate([np.full(len(one.classes), place[one.name]) for one in stretches]) if stretches else classes
    classes, group = classes[classes >= 0], group[classes >= 0]
    most = int(np.bincount(classes).max(initial=0))
    folds = min(round(1 / fraction), len(np.unique(group)), most)
    if folds < 2:
        return set()
    split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed % 2**32)
    with warnings.catch_warnings():
        # A class with fewer groups than folds lacks in some; that is checked afterwards.
        warnings.simplefilter("ignore")
        _, drawn = next(split.split(np.zeros(len(classes)), classes, group))
    chosen = set(group[drawn].tolist())
    rng = np.random.default_rng(seed % 2**32)
    of_classes = [classes == label for label in np.unique(classes).tolist()]
    for mine in (*of_classes, *wanted.of[classes].T):
        holding = np.unique(group[mine])
        if not chosen & set(holding.tolist()) and len(holding) > spared:
            chosen.add(int(rng.choice(holding)))
    return chosen


def _in_time(stretches: Sequence[Labeled], wanted: Wanted, features: Framing, alike: Alike) -> list[np.ndarray]:
    """The part of each window: every run of windows of one class is divided, or goes whole to the part that lacks most.

    Files of the same content are divided alike.
    """
    whole: dict[tuple[str, int, int], int] = {}
    parts = [np.full(len(one.classes), -1) for one in stretches]
    of = wanted.of.astype(int)
    every = sum(np.bincount(one.classes[one.classes >= 0], minlength=len(of)) for one in stretches) @ of
    given = np.zeros((of.shape[1], len(PARTS)))
    names = [one.name for one in stretches]
    within = numbers_within(names)
    short: list[tuple[int, int, slice]] = []
    for number, one in enumerate(stretches):
        for label, run in _runs(one.classes):
            count = run.stop - run.start
            try:
                slices = split_in_time(count, FRACTIONS, features.span, features.hop)
            except ValueError:
                short.append((number, label, run))
                continue
            for part, inner in enumerate(slices):
                parts[number][run.start + inner.start : run.start + inner.stop] = part
                given[:, part] += of[label] * (inner.stop - inner.start)
    for number, label, run in short:
        count = run.stop - run.start
        kinds = np.flatnonzero(of[label])
        behind = np.array(FRACTIONS) * (given[kinds].sum(axis=1, keepdims=True) + count) - given[kinds]
        key = (alike.first(names[number]), within[number], run.start)
        part = whole.setdefault(key, int(np.argmax((behind / every[kinds, None]).sum(axis=0))))
        parts[number][run] = part
        given[kinds, part] += count
    return parts


def _runs(classes: np.ndarray) -> list[tuple[int, slice]]:
    """Runs of windows of one class, without those that have none."""
    edges = [0, *(np.flatnonzero(np.diff(classes)) + 1).tolist(), len(classes)]
    return [(int(classes[a]), slice(a, b)) for a, b in pairwise(edges) if b > a and classes[a] >= 0]


def _lacking(stretches: Sequence[Labeled], parts: Sequence[np.ndarray], wanted: Wanted) -> list[tuple[int, int]]:
    """(kind, part) where a part has no window of a kind; a kind that is nowhere lacks in training."""
    counts = np.zeros((len(wanted.of), len(PARTS)), int)
    for one, part in zip(stretches, parts):
        used = part >= 0
        np.add.at(counts, (one.classes[used], part[used]), 1)
    return [(int(kind), int(part)) for kind, part in np.argwhere(wanted.of.T.astype(int) @ counts == 0)]


def _said(stretches: Sequence[Labeled], parts: Sequence[np.ndarray], groups: Mapping[str, str], what: str) -> str:
    held: list[set[str]] = [set() for _ in PARTS]
    for one, part in zip(stretches, parts):
        for each in np.unique(part[part >= 0]):
            held[each].add(groups[one.name])
    counts = ", ".join(f"{len(names)} for {part}" for names, part in zip(held, PARTS))
    return f"whole {what}s were divided, so that none is in two parts: {counts}."


def _why_few(
    stretches: Sequence[Labeled],
    parts: Sequence[np.ndarray],
    groups: Mapping[str, str],
    alike: Alike,
    wanted: Wanted,
    what: str,
) -> str:
    """Why training has far fewer windows than it should; empty where it has not."""
    place = joined(groups, alike)
    windows = windows_by_group([(one.name, part) for one, part in zip(stretches, parts)], place, len(PARTS))
    share = windows[:, TRAINING].sum() / max(1, windows.sum())
    if share > FEW_TRAIN * FRACTIONS[TRAINING]:
        return ""
    said = f" Training has {share:.0%} of the windows, less than the usual {FRACTIONS[TRAINING]:.0%}"
    held = [len({place[one.name] for one in stretches if _has(one, wanted, n).any()}) for n in range(len(wanted.names))]
    kind = int(np.argmin(held))
    if held[kind] <= FEW_GROUPS:
        differ = " that differ" if len(set(place.values())) < len(set(groups.values())) else ""
        return f"{said}: only {held[kind]} {what}s{differ} have windows{wanted.names[kind]}, and every part needs some."
    largest = int(windows.sum(axis=1).argmax())
    name = next(one.name for one in stretches if place[one.name] == largest)
    subject = name if what == "file" else f"the {what} of {name}"
    return (
        f"{said}: {subject} has {windows[largest].sum() / windows.sum():.0%} of all "
        f"windows and goes to {PARTS[int(windows[largest].argmax())]} as a whole."
    )


def _lacks(
    lacking: Sequence[tuple[int, int]],
    stretches: Sequence[Labeled],
    groups: Mapping[str, str],
    alike: Alike,
    wanted: Wanted,
    named: Mapping[str, int],
    what: str,
    config: GroupedData,
) -> str:
    kind, part = lacking[0]
    names = {one.name for one in stretches if _has(one, wanted, kind).any()}
    held, place = {groups[name] for name in names}, joined(groups, alike)
    apart = len({place[name] for name in names})
    called = wanted.names[kind]
    subject = f"window{called}, which" if called else "window:"
    one, several = ("holds", "hold") if called else ("has one", "have one")
    said = f"{PARTS[part]} would have no {subject} {counted(len(held), what)} {one if len(held) == 1 else several}"
    if apart < len(held):
        mine = {place[name] for name in names}
        same = [each for each in alike.related if mine & {place[name] for name in each if name in place}]
        shared = listed([" and ".join(each) for each in same])
        kinds = " or ".join(dict.fromkeys(alike.what(*each) for each in same))
        said += f", {apart} of them different, as others share files of {kinds}: {shared}"
    if named:
        more = "it in more" if called else "more"
        return f"{said}; choose other test_files and validation_files, or record {more} {what}s"
    if apart >= len(PARTS):
        enough = f": no division of the {what}s gives every part all that it needs"
        return f"{said}{enough}; set folds = {apart} to test them in turns, or record it in more {what}s"
    three = f"record it in three {what}s or more" if called else f"record three {what}s or more"
    in_time = "" if config.pictures or getattr(config, "remaining_life", None) else ', or set split = "time"'
    return f"{said}; {three}{in_time}"
