"""Cross-validation: groups dealt into folds, each of which is the test once and validation once."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micro.config import GroupedData, TableData
from micro.datasets.class_split import (
    TEST,
    TRAINING,
    VALIDATION,
    Labeled,
    joined,
    split_classes,
)
from micro.datasets.division import Wanted, of_each_class, windows_by_group
from micro.datasets.groups import group_of, groups_of
from micro.datasets.recording import Framing
from micro.datasets.twins import Alike
from micro.datasets.window_parts import Origins
from micro.errors import DataError
from micro.support.wording import counted, hold, listed

# Deals that are tried where folds lack a kind of windows, and how many groups are dealt in all of them together.
DEALS, DEALT = 200, 100_000
# What a kind weighs that a training lacks, against one that a fold lacks.
LACKING = 1000


def divided(
    stretches: Sequence[Labeled],
    config: GroupedData,
    class_names: Sequence[str],
    paths: Mapping[str, Path],
    groups: Mapping[str, str],
    alike: Alike,
    features: Framing,
    seed: int,
    what: str = "file",
    fold: int = 0,
    wanted: Wanted | None = None,
) -> tuple[list[np.ndarray], str]:
    """As `split_classes`; where the config has folds, the division in which one `fold` is the test and the next validation.

    Raises:
        DataError: As `split_classes`; for fewer groups than folds, and for a class that a fold would not train on.
    """
    if config.folds is None:
        return split_classes(stretches, config, class_names, paths, groups, alike, features, seed, what, wanted)
    what = "group" if config.group else what
    place = joined(groups, alike)
    held = windows_by_group([(one.name, one.classes) for one in stretches], place, max(1, len(class_names)))
    apart = int((held.sum(axis=1) > 0).sum())
    if apart < config.folds:
        raise DataError(_too_few(config.folds, apart, what, groups, alike))
    wanted = wanted or of_each_class(class_names)
    kinds = held @ wanted.of.astype(int)
    dealt = best_dealt(kinds, config.folds, seed)
    _require_trained(kinds, dealt, config.folds, wanted, what, _named(groups, place))
    part_of = {fold: TEST, (fold + 1) % config.folds: VALIDATION}
    parts = [np.where(one.classes >= 0, part_of.get(int(dealt[place[one.name]]), TRAINING), -1) for one in stretches]
    counts = [
        len({groups[one.name] for one, part in zip(stretches, parts) if (part == each).any()})
        for each in (TRAINING, VALIDATION, TEST)
    ]
    said = (
        f"{what}s were dealt into {config.folds} folds, each of which is tested once by a model that learned nothing of it; "
        f"the deployed student is the first fold's: it learned from {counts[0]}, was validated on {counts[1]} and tested on "
        f"{counts[2]}."
    )
    return parts, said


@dataclass(frozen=True)
class HealthyFold:
    """How one fold of a detector divides healthy windows.

    Attributes:
        runs: For each stretch its runs for training, validation, threshold and test.
        note: A sentence on the division.
        tested: The groups that are tested.
        untested: Files whose other healthy windows are no test: their group is learned from, or gives the threshold.
    """

    runs: list[tuple[slice, ...]]
    note: str
    tested: tuple[str, ...]
    untested: frozenset[str]


def healthy_folds(
    counts: Sequence[tuple[str, int]],
    others: Collection[str],
    data: TableData,
    paths: Mapping[str, Path],
    alike: Alike,
    seed: int,
    fold: int,
) -> HealthyFold:
    """How healthy windows are divided where `fold` is the test; the next one validates and gives the threshold.

    Healthy groups are dealt into folds. Pictures without groups are dealt in the order of their names, neighbors together, as a
    camera may have taken them one after another. A file of a group that no fold learns from is tested in each.

    Args:
        counts: The file and the number of windows to learn from of each stretch.
        others: Files with healthy windows that are tested on and not learned from.
        paths: The files by their names.
        alike: Which files hold the same.

    Raises:
        DataError: For fewer groups than folds.
    """
    assert data.folds is not None
    what = "healthy group" if data.group else f"healthy {'picture' if data.pictures else 'file'}"
    names = dict.fromkeys(name for name, _ in counts)
    groups = groups_of({name: paths[name] for name in names}, data)
    # What is only tested may be of none of the groups that are dealt.
    groups |= {name: group_of(name, data) or name for name in others if name not in groups}
    place = joined(groups, alike)
    held = np.zeros((max(place.values()) + 1, 1), int)
    for name, count in counts:
        held[place[name]] += count
    apart = int(np.count_nonzero(held))
    if apart < data.folds:
        raise DataError(_too_few(data.folds, apart, what, groups, alike))
    neighbors = data.pictures and not data.group
    dealt = _in_order(place, held, data.folds) if neighbors else deal(held, data.folds, seed)
    given = {fold: (0, 0, 0, 1), (fold + 1) % data.folds: (0, 1, 1, 0)}
    parts = {name: given.get(int(dealt[place[name]]), (1, 0, 0, 0)) for name in groups if held[place[name]].any()}
    of_part = [tuple(dict.fromkeys(groups[name] for name in parts if parts[name][part])) for part in (0, 2, 3)]
    said = (
        f"{what}s were dealt into {data.folds} folds{' in the order of their names' if neighbors else ''}, each of which is "
        "tested once, and all faulty recordings with it, by a detector that learned nothing of it and has its threshold from "
        f"the next fold; the deployed student is the first fold's: it learned from {len(of_part[0])}, has its threshold from "
        f"{len(of_part[1])} and was tested on {len(of_part[2])}."
    )
    runs = [tuple(slice(0, count * part) for part in parts[name]) for name, count in counts]
    return HealthyFold(runs, said, of_part[2], frozenset(name for name in parts if not parts[name][3]))


def _in_order(place: Mapping[str, int], held: np.ndarray, folds: int) -> np.ndarray:
    """The fold of each group, (n,) int: runs of neighbors in the order of names; of those that count as one, of the first."""
    ordered = list(dict.fromkeys(place[name] for name in sorted(place, key=_counted) if held[place[name]].any()))
    dealt = np.zeros(len(held), int)
    dealt[ordered] = np.arange(len(ordered)) * folds // len(ordered)
    return dealt


def _counted(name: str) -> list[tuple[str, int]]:
    """A name by which 9 comes before 10, for sorting."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name)]


def tested(stretches: Sequence[Labeled], parts: Sequence[np.ndarray], groups: Mapping[str, str]) -> tuple[str, ...]:
    """The groups of which the test has windows."""
    return tuple(dict.fromkeys(groups[one.name] for one, part in zip(stretches, parts) if (part == TEST).any()))


def related(groups: Mapping[str, str], alike: Alike) -> Origins:
    """Which files belong together."""
    overlapping: dict[str, set[str]] = {}
    for one, other in alike.overlapping:
        for a, b in ((alike.first(one), alike.first(other)), (alike.first(other), alike.first(one))):
            overlapping.setdefault(a, set()).add(b)
    return Origins(joined(groups, alike), alike.firsts, overlapping)


def deal(held: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of each group, (n,), from its windows of each class, (n, classes): none is empty, and classes are spread evenly.

    The largest groups come first, each to the fold that has least of what it holds; groups without windows are in fold 0.
    """
    shares = held / np.maximum(1, held.sum(axis=0))
    present = np.flatnonzero(held.sum(axis=1) > 0)
    # Groups that are alike are dealt by chance, and not by their names.
    present = np.random.default_rng(seed % 2**32).permutation(present)
    order = sorted(present.tolist(), key=lambda group: -float(shares[group].max()))
    load, given = np.zeros((folds, held.shape[1])), np.zeros(folds, int)
    fold_of, every = np.zeros(len(held), int), np.arange(folds)
    for number, group in enumerate(order):
        empty = np.flatnonzero(given == 0)
        may = empty if len(empty) == len(order) - number else every
        own = np.round(load[may] @ shares[group], 9)
        least = may[own == own.min()]
        best = int(least[np.argmin(load[least].sum(axis=1))])
        fold_of[group] = best
        load[best] += shares[group]
        given[best] += 1
    return fold_of


def best_dealt(held: np.ndarray, folds: int, seed: int, apart: int = 2) -> np.ndarray:
    """As `deal`, of windows of each kind: of several deals the one in which folds, and what they train on, lack fewest.

    `apart` are the folds that each training leaves out, one after another: that of the test and that of validation.
    """
    best, fewest = None, np.inf
    least = _fewest_lacking((held > 0).sum(axis=0).tolist(), folds, apart)
    for turn in range(max(1, min(DEALS, DEALT // max(1, len(held))))):
        dealt = deal(held, folds, seed + 7919 * turn)
        if turn:
            # Groups with most come first and fill the first folds, which one training leaves out together.
            dealt = np.random.default_rng(turn).permutation(folds)[dealt]
        of_fold = np.stack([held[dealt == fold].sum(axis=0) for fold in range(folds)])
        trained = of_fold.sum(axis=0) - sum(np.roll(of_fold, -turned, axis=0) for turned in range(apart))
        lacking = LACKING * int((trained == 0).sum()) + int((of_fold == 0).sum())
        if lacking < fewest:
            best, fewest = dealt, lacking
        if lacking <= least:
            break
    assert best is not None
    return best


def _fewest_lacking(holding: Sequence[int], folds: int, apart: int) -> int:
    """What every deal lacks at least, as `best_dealt` counts it, by how many groups hold each kind: no deal can do better."""
    fewest = 0
    for groups in holding:
        if not groups:
            fewest += (LACKING + 1) * folds
            continue
        # Best are groups in as many folds as they fill, evenly apart; a training lacks what lies in the folds it leaves out.
        filled = min(groups, folds)
        gaps = [(folds + place) // filled for place in range(filled)]
        fewest += LACKING * sum(max(0, apart - folds + gap) for gap in gaps) + folds - filled
    return fewest


def _too_few(folds: int, apart: int, what: str, groups: Mapping[str, str], alike: Alike) -> str:
    """Why there cannot be as many folds as asked for, in words."""
    fewer = f"set folds = {apart}, or record more" if apart >= 3 else "cross-validation takes three or more"
    return (
        f"folds = {folds}, and {counted(apart, what)} {'has' if apart == 1 else 'have'} windows{_same(groups, alike)}: each "
        f"fold tests {what}s of its own; {fewer}"
    )


def _same(groups: Mapping[str, str], alike: Alike) -> str:
    """Which groups count as one, as files of them hold the same; '' where there are none."""
    found: dict[str, dict[str, str]] = {}
    for names in alike.related:
        divided = [name for name in names if name in groups]
        if len({groups[name] for name in divided}) > 1:
            both = " and ".join(dict.fromkeys(groups[name] for name in divided))
            found.setdefault(alike.what(*divided), {})[both] = listed(divided)
    said = ""
    for what, pairs in found.items():
        each = [both if both == files.replace(", ", " and ") else f"{both} ({files})" for both, files in pairs.items()]
        said += f", those of {what} counted as one: {listed(each)}"
    return said


def _named(groups: Mapping[str, str], place: Mapping[str, int]) -> list[str]:
    """The names of each group, by its number; of those that count as one, all."""
    names: dict[int, dict[str, None]] = {}
    for file, number in place.items():
        names.setdefault(number, {})[groups[file]] = None
    return [" and ".join(names[number]) for number in range(len(names))]


def _require_trained(
    held: np.ndarray, dealt: np.ndarray, folds: int, wanted: Wanted, what: str, names: Sequence[str]
) -> None:
    """DataError for a class, or what else is wanted, of which a fold would train on none; `held` are windows of each."""
    for fold in range(folds):
        trained = held[(dealt != fold) & (dealt != (fold + 1) % folds)].sum(axis=0)
        lacking = np.flatnonzero(trained == 0)
        if len(lacking):
            kind = int(lacking[0])
            holding = np.flatnonzero(held[:, kind] > 0).tolist()
            count = len(holding)
            raise DataError(
                f"folds = {folds}: where fold {fold + 1} is tested and fold {(fold + 1) % folds + 1} validates, training would "
                f"have no window{wanted.names[kind] or ' at all'}, which {counted(count, what)} "
                f"{hold(count)} ({listed([names[each] for each in holding])}); record it in more {what}s"
            )
