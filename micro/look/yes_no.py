"""Columns of yes or no: labels that may hold at once, a label of whole files, or signals."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from micro.config.labels import FEWEST_LABELS, MOST_LABELS, may_name_a_label
from micro.datasets.cells import UNKNOWN, yes_or_no
from micro.datasets.contents import Contents
from micro.datasets.labels import combination_name, labels_of
from micro.look.given import ContradictionError, Given, option
from micro.look.surveyed import Flags, Surveyed
from micro.look.table_columns import LABEL_WORDS, MACHINE_WORDS, MOST_CHANGES
from micro.support.wording import listed

# Parts of names of labels that tell one condition among others, and where a name in CamelCase has its parts.
FAULT_WORDS = re.compile(
    r"(?i)(^|[_ .-])(labels?|class(es)?|states?|faults?|faulty|failures?|anomal(y|ies)|defects?|damages?|wear|errors?|alarms?|"
    r"fehler|defekte?|sch[aä]den)([_ .-]|$)"
)
CAMEL = re.compile(r"(?<=[a-zäöü0-9])(?=[A-ZÄÖÜ])")
# Columns that a sentence names.
NAMED = 6
# Rows that show of most columns that they hold something else.
FIRST = 64


def tells_condition(name: str) -> bool:
    """Whether a column's name tells one condition among others, as `fault_bearing` and `BearingFaults` do."""
    return bool(FAULT_WORDS.search(CAMEL.sub("_", name)))


def flags_of(read: Contents, also: Sequence[str], given: Given) -> Flags | None:
    """What a file says in each of its columns of yes or no: of its channels, and of the columns `also` that were read as text.

    Raises:
        DataError: Where a column of labels that is given says neither yes nor no somewhere, with its row.
    """
    if "label_columns" in given.settings:
        labels_of(read, also)
    found: dict[str, np.ndarray] = {}
    for place, name in enumerate(read.channels):
        # Most signals show in their first rows that they are none of these.
        if _is_yes_or_no(read.samples[:FIRST, place]) and _is_yes_or_no(read.samples[:, place]):
            known = np.isfinite(read.samples[:, place])
            found[name] = np.where(known, read.samples[:, place], UNKNOWN).astype(np.int8)
    for place, name in enumerate(also):
        assert read.flags is not None
        says, codes = [yes_or_no(word) for word in read.words], read.flags[:, place]
        if all(says[code] is not None for code in np.unique(codes)):
            found[name] = np.array([UNKNOWN if each is None else each for each in says], np.int8)[codes]
    if not found or not len(read.samples):
        return None
    # As they stand in the file.
    names = sorted(found, key=lambda name: read.header.index(name) if name in read.header else len(read.header))
    every = np.stack([found[name] for name in names], axis=1)
    starts = np.r_[0, np.flatnonzero((np.diff(every, axis=0) != 0).any(axis=1)) + 1]
    return Flags(tuple(names), np.r_[starts, len(every)], every[starts])


def _is_yes_or_no(values: np.ndarray) -> bool:
    known = values[np.isfinite(values)]
    return bool(((known == 0) | (known == 1)).all())


@dataclass(frozen=True)
class Labels:
    """What columns of yes or no are labels: several that may hold at once, or one; and the files with their rows of each."""

    files: list[Surveyed]
    several: tuple[str, ...] = ()
    one: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return self.several or (() if self.one is None else (self.one,))

    def settled(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings of section [data] with these labels, which are no channels."""
        if not self.names:
            return dict(settings)
        own: dict[str, Any] = {"label_columns": list(self.several)} if self.several else {"label_column": self.one}
        kept = {key: value for key, value in settings.items() if key != "label_column"}
        if "columns" in kept:
            kept["columns"] = [name for name in kept["columns"] if name not in self.names]
        return {**kept, **own}


def labels_among(files: list[Surveyed], given: Given, label: str | None) -> Labels:
    """The labels among columns of yes or no; `label` is the column that was taken for one label.

    Raises:
        ContradictionError: As `_several`.
    """
    if not files:
        return Labels(files)
    if several := _several(files, given, label):
        return Labels([_with_labels(file, several) for file in files], several)
    one = _one_each(files, given) if label is None else None
    return Labels(files) if one is None else Labels([_with_label(file, one) for file in files], one=one)


def of_whole_files(labels: Labels) -> list[str]:
    """A sentence on a column that is taken for the label of whole files, as nothing but its values says so."""
    if labels.one is None or LABEL_WORDS.search(labels.one) or tells_condition(labels.one):
        return []
    return [
        f"column {labels.one!r} says yes in every row of some files and no in every row of others, and is taken for what they "
        "are of; where it is a signal, look again with --label-column none"
    ]


def conditions(files: Sequence[Surveyed], labels: Labels, given: Given) -> list[str]:
    """A sentence on columns of yes or no that were not taken for labels, where there are several, or beside several labels."""
    held = _columns(files)
    names = [name for name, each in held.items() if each.both and name not in labels.names]
    if labels.several and "label_columns" not in given.settings:
        seldom = [name for name in names if held[name].changes <= MOST_CHANGES and may_name_a_label(name)]
        said = listed([repr(name) for name in seldom], NAMED)
        also = f"where one says whether a condition holds, name all labels by {option('label_columns')}"
        return [f"columns of yes or no that are learned from, as signals are: {said}; {also}"] if seldom else []
    if len(names) < FEWEST_LABELS or labels.several:
        return []
    return [
        f"columns {listed([repr(name) for name in names], NAMED)} hold yes or no alone, as 0 and 1: where each says whether a "
        "condition holds, look again with --task multilabel, so that they are learned and not learned from (docs/tables.md)"
    ]


@dataclass(frozen=True)
class _Column:
    """A column of yes or no over all files: whether it says both, is one thing in each file, and its changes a row."""

    both: bool
    still: bool
    changes: float


def _columns(files: Sequence[Surveyed]) -> dict[str, _Column]:
    """Columns that hold nothing but yes or no in every file."""
    held = [file.flags for file in files if file.flags is not None]
    if not files or len(held) < len(files):
        return {}
    found = {}
    for name in held[0].names:
        if not all(name in flags.names for flags in held):
            continue
        own = [flags.of(name) for flags in held]
        known = [values[values != UNKNOWN] for values in own]
        rows = sum(file.rows for file in files)
        found[name] = _Column(
            len({int(value) for values in known for value in np.unique(values)}) == 2,
            all(len(np.unique(values)) == 1 for values in known),
            sum(int((np.diff(values) != 0).sum()) for values in known) / rows,
        )
    return found


def _several(files: Sequence[Surveyed], given: Given, label: str | None) -> tuple[str, ...]:
    """The columns of labels of which several may hold at once; none where they are signals, or one label is named otherwise.

    Those that are given. Else two columns or more, each of which says both yes and no and changes in at most one row of
    ten, where some row says yes in two of them: of these those that are named as faults are, where several are; not where one
    alone is named as a label is, nor beside labels of other words.

    Raises:
        ContradictionError: Where the task is given and the files hold no two such columns, or a given one says one thing only.
    """
    if given.task not in (None, "multilabel"):
        return ()
    held = _columns(files)
    changing = [name for name, each in held.items() if each.both]
    if "label_columns" in given.settings:
        return _given(files, given.settings["label_columns"], held)
    free = [name for name in changing if name not in given.settings.get("columns", ()) and may_name_a_label(name)]
    if given.task == "multilabel":
        if not FEWEST_LABELS <= len(free) <= MOST_LABELS:
            found = f"{listed(free, NAMED)} alone" if free else "none"
            found = found if len(free) < FEWEST_LABELS else f"{len(free)} of them, more than {MOST_LABELS}"
            raise ContradictionError(
                f"{files[0].path}: --task multilabel needs {FEWEST_LABELS} to {MOST_LABELS} columns that say yes and no (0 and "
                f"1, true and false), and the files have {found}; name them by {option('label_columns')}"
            )
        return tuple(free)
    names = [name for name in free if held[name].changes <= MOST_CHANGES and not MACHINE_WORDS.search(name)]
    telling = [name for name in names if LABEL_WORDS.search(name)]
    named = "label_column" in given.settings or (label is not None and label not in names) or len(telling) == 1
    # Where faults are called so, other columns beside them are states of the machine.
    faults = [name for name in names if tells_condition(name)]
    names = faults if len(faults) >= FEWEST_LABELS else names
    signals = any(channel.name not in held for channel in files[0].channels)
    if named or not signals or not FEWEST_LABELS <= len(names) <= MOST_LABELS or not _together(files, names):
        return ()
    return tuple(names)


def _given(files: Sequence[Surveyed], names: Sequence[str], held: Mapping[str, _Column]) -> tuple[str, ...]:
    for name in names:
        if name in held and not held[name].both:
            raise ContradictionError(
                f"{files[0].path}: column {name!r} of {option('label_columns')} says the same in every row of every file; a "
                "label is there in some and not in others"
            )
    return tuple(names)


def _together(files: Sequence[Surveyed], names: Sequence[str]) -> bool:
    """Whether some row says yes in two of the columns."""
    return any(
        bool(((np.stack([file.flags.of(name) for name in names], axis=1) == 1).sum(axis=1) > 1).any())
        for file in files
        if file.flags is not None
    )


def _one_each(files: Sequence[Surveyed], given: Given) -> str | None:
    """The column that says yes in every row of some files and no in every row of others, as a label of whole files does.

    None where there are several or none, and for the number of a machine or subject, by its name.
    """
    named = given.settings.keys() & {"label_column", "healthy_files"}
    if given.task in ("multilabel", "regression") or named or len(files) < 2:
        return None
    named = given.settings.get("columns", ())
    found = [
        name
        for name, each in _columns(files).items()
        if each.both and each.still and name not in named and not MACHINE_WORDS.search(name)
    ]
    return found[0] if len(found) == 1 else None


def _with_labels(file: Surveyed, names: Sequence[str]) -> Surveyed:
    """A file with the rows of each combination of labels, and the longest stretch with and without each; their columns are no
    channels."""
    assert file.flags is not None
    values = np.stack([file.flags.of(name) for name in names], axis=1)
    # Other columns may change where these do not.
    begin = np.r_[0, np.flatnonzero((np.diff(values, axis=0) != 0).any(axis=1)) + 1]
    starts, values = file.flags.edges[:-1][begin], values[begin]
    lengths = np.diff(np.r_[starts, file.rows])
    rows: Counter[str] = Counter()
    longest: dict[str, int] = {}
    for own, length in zip(values, lengths.tolist()):
        if (own == UNKNOWN).any():
            continue
        rows[combination_name(own, names)] += length
        for name, holds in zip(names, own):
            key = name if holds else f"without {name}"
            longest[key] = max(longest.get(key, 0), length)
    return replace(_without(file, names), labels=dict(rows), stretches=longest)


def _with_label(file: Surveyed, name: str) -> Surveyed:
    """A file with the rows of its one label; the column is no channel."""
    assert file.flags is not None
    values, lengths = file.flags.of(name), np.diff(file.flags.edges)
    known = values[values != UNKNOWN]
    word, rows = str(int(known[0])), int(lengths[values != UNKNOWN].sum())
    return replace(_without(file, [name]), labels={word: rows}, stretches={word: rows})


def _without(file: Surveyed, names: Sequence[str]) -> Surveyed:
    kept = [place for place, channel in enumerate(file.channels) if channel.name not in names]
    curves = tuple(file.curves[place] for place in kept if place < len(file.curves))
    return replace(file, channels=tuple(file.channels[place] for place in kept), curves=curves)
