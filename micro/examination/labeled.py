"""What labeled files say of their stretches: by a file of events, a column, patterns, or the folders that they lie in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micro.config import ClassesData, Config, TableData
from micro.datasets.cells import label as label_text
from micro.datasets.contents import Contents
from micro.datasets.find import matches
from micro.datasets.formats import read_contents
from micro.datasets.intervals import read_intervals
from micro.datasets.table import seconds_of
from micro.errors import DataError
from micro.runs.assessment.alarms import Stretch
from micro.runs.score_files import ToScore

# What a healthy stretch is called where the config has no word for it.
NORMAL = ("0", "normal", "healthy")
# What a faulty stretch is called where nothing names the fault.
FAULTY = "faulty"
# Said of a run with [commissioning].
LEARNS = (
    "The run has [commissioning]: each device learns a scaling and a threshold of its own, so that these figures are of the "
    "run's, and not of what a device decides."
)


@dataclass(frozen=True)
class Labeling:
    """What says the labels of files; what is not given is as the run's config says.

    Attributes:
        events: A CSV of file, start, end and label; for a detector the rest of the files is healthy.
        column: A column of the files.
        healthy, faulty: Patterns of a detector's files that are one of both from end to end.
        normal: Words for healthy.
    """

    events: Path | None = None
    column: str | None = None
    healthy: tuple[str, ...] = ()
    faulty: tuple[str, ...] = ()
    normal: tuple[str, ...] = ()


@dataclass(frozen=True)
class Truth:
    """The stretches of each file by its name, in their order, and in words where they are from."""

    stretches: dict[str, tuple[Stretch, ...]]
    said: str


def normal_words(config: Config, labeling: Labeling) -> tuple[str, ...]:
    """The labels that mean healthy."""
    if labeling.normal:
        return labeling.normal
    if isinstance(config.data, ClassesData):
        return config.data.healthy_classes
    return config.data.normal_labels if isinstance(config.data, TableData) else NORMAL


def is_normal(label: str, words: Iterable[str]) -> bool:
    """Whether a label is one of those for healthy, as labels are compared."""
    return label_text(label) in {label_text(word) for word in words}


def truth_of(given: ToScore, labeling: Labeling, *, detects: bool) -> Truth:
    """What labeled files say; `detects` of a detector, whose files are healthy outside of events.

    Raises:
        DataError: Names a file that nothing labels, and says what would.
    """
    if labeling.events is not None:
        marked = read_intervals(labeling.events, list(given.paths))
        outside = _healthy_word(given, labeling) if detects else ""
        return Truth(
            {name: _filled(marked.get(name, ()), outside) for name in given.paths}, f"events in {labeling.events.name}"
        )
    column = labeling.column or getattr(given.config.data, "label_column", None)
    whole = _patterned(given, labeling, config_too=column is None)
    if len(whole) == len(given.paths):
        return Truth(whole, "patterns of files")
    if column is not None:
        read = {name: _of_column(path, column, given) for name, path in given.paths.items() if name not in whole}
        return Truth({**whole, **read}, f"column {column!r}")
    by_folder = _by_folder(whole, given, labeling, detects)
    return Truth({**by_folder, **whole}, "the folders that files lie in")


def _healthy_word(given: ToScore, labeling: Labeling) -> str:
    """What a file is labeled where something other than its labels says that it is healthy."""
    words = normal_words(given.config, labeling)
    return "normal" if not words or is_normal("normal", words) else words[0]


def _filled(marked: Iterable[object], outside: str) -> tuple[Stretch, ...]:
    """Intervals with what is between them."""
    found: list[Stretch] = []
    at = 0.0
    for each in marked:
        start, end = max(float(each.start), at), float(each.end)  # type: ignore[attr-defined]
        if end <= at:
            continue
        if start > at:
            found.append(Stretch(at, start, outside))
        found.append(Stretch(start, end, each.label))  # type: ignore[attr-defined]
        at = end
    return (*found, Stretch(at, math.inf, outside))


def _of_column(path: Path, column: str, given: ToScore) -> tuple[Stretch, ...]:
    """The stretches of a file by a column of labels."""
    data = given.tables.model_copy(update={"label_column": column})
    read = read_contents(path, data, given.report.data.channels if given.config.job == "table" else ())
    if read.labels is None:
        raise DataError(
            f"{path} has no column {column!r}; it has {', '.join(read.header[:12])}; name the column of labels by "
            "--label-column, or give --events"
        )
    words = list(read.words)
    return stretches_of(read, read.labels, [word if label_text(word) else "" for word in words], given)


def stretches_of(read: Contents, codes: np.ndarray, words: Sequence[str], given: ToScore) -> tuple[Stretch, ...]:
    """Rows with one label after the other as stretches: codes are places in `words`, (n,) int."""
    seconds = seconds_of(read, given.tables)
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist()]
    starts = [float(seconds[edge]) for edge in edges]
    # The first row's label holds before it, and the last one's behind it.
    ends = [*starts[1:], math.inf]
    return tuple(Stretch(start, end, words[codes[edge]]) for edge, start, end in zip(edges, starts, ends))


def _patterned(given: ToScore, labeling: Labeling, *, config_too: bool) -> dict[str, tuple[Stretch, ...]]:
    """Files that a pattern labels from end to end: those of the command, else those of the config.

    Raises:
        DataError: For a file that patterns of two labels match.
    """
    data = given.config.data
    healthy = _healthy_word(given, labeling)
    words = (*normal_words(given.config, labeling), *NORMAL)
    typed = [(pattern, healthy) for pattern in labeling.healthy] + [(pattern, FAULTY) for pattern in labeling.faulty]
    own: list[tuple[str, str]] = []
    if isinstance(data, TableData) and config_too:
        of_config = ((healthy, data.healthy_files), (FAULTY, data.faulty_files), (FAULTY, data.known_faults))
        own = [(pattern, label) for label, each in of_config for pattern in each if not _takes_all(pattern)]
    if isinstance(data, ClassesData) and config_too:
        own = [(pattern, label) for label, each in data.classes.items() for pattern in each]
    folder = getattr(data, "folder", ".")
    found: dict[str, tuple[Stretch, ...]] = {}
    for name, path in given.paths.items():
        for patterns in (typed, own):
            # What is typed also means the last parts of a path, wherever the config's folder is.
            matching = [
                (pattern, label)
                for pattern, label in patterns
                if _matches(path, pattern, folder) or (patterns is typed and path.resolve().match(pattern))
            ]
            labels = {label for _, label in matching}
            if len(labels) > 1:
                raise DataError(
                    f"{path} matches patterns of {' and of '.join(sorted(labels))}; a file can be one of them only"
                )
            if labels:
                label = labels.pop()
                named = any(_names_a_folder(pattern) for pattern, _ in matching)
                named = named and label == FAULTY and not isinstance(data, ClassesData)
                called = path.resolve().parent.name
                # A fault is called as its folder is, where the pattern is one of folders.
                label = called if named and not is_normal(called, words) else label
                found[name] = (Stretch(0.0, math.inf, label),)
                break
    return found


def _names_a_folder(pattern: str) -> bool:
    """Whether a pattern says in which folder files lie."""
    return Path(pattern).parent.name not in ("", "..", "**")


def _takes_all(pattern: str) -> bool:
    """Whether a pattern matches files whatever they are called, and so says nothing of one from elsewhere."""
    return not Path(pattern).stem.strip("*?") and not "/".join(Path(pattern).parts[:-1]).strip("*?/.")


def _matches(path: Path, pattern: str, folder: str) -> bool:
    """Whether a file matches a pattern below the config's folder or, from elsewhere, by the last parts of its path."""
    below = path.resolve().is_relative_to(Path(folder).resolve())
    return matches(path, pattern, folder) if below and "/" in pattern else path.resolve().match(pattern)


def _by_folder(
    whole: Mapping[str, Sequence[Stretch]], given: ToScore, labeling: Labeling, detects: bool
) -> dict[str, tuple[Stretch, ...]]:
    """All files by the name of the folder that they lie in; those of `whole` are labeled by a pattern.

    Raises:
        DataError: For a detector's files, where no folder of any file is called healthy and no other holds the healthy ones.
    """
    words = normal_words(given.config, labeling)
    folders = {name: path.resolve().parent for name, path in given.paths.items()}
    called = any(is_normal(folder.name, words) for folder in folders.values())
    # Where the command names the healthy files alone, or the config their folder, folders of their own hold the faulty ones.
    healthy = labeling.healthy or (not labeling.normal and _healthy_by_folder(given.config))
    typed = {folders[name] for name, its in whole.items() if healthy and is_normal(its[0].label, words)}
    unsaid = [name for name, folder in folders.items() if name not in whole and (not typed or folder in typed)]
    if detects and unsaid and not called:
        raise DataError(
            f"nothing says whether {given.paths[unsaid[0]]} is healthy: no folder of the files is called {_either(words)}; put "
            "files in such a folder and faulty ones in another, name their column by --label-column, give --events, or name "
            "files by --healthy and --faulty"
        )
    return {name: (Stretch(0.0, math.inf, folder.name),) for name, folder in folders.items()}


def _healthy_by_folder(config: Config) -> bool:
    """Whether a run knows its healthy files by the folder that they lie in."""
    patterns = getattr(config.data, "healthy_files", ())
    return any(Path(pattern).parent.name.strip("*?.") for pattern in patterns)


def _either(words: Sequence[str]) -> str:
    return " or ".join(map(repr, words)) or "a word for healthy"


def window_labels(
    stretches: Sequence[Stretch],
    begins: np.ndarray,
    length: float,
    value_of: Callable[[str], int],
    *,
    any_of: int | None,
) -> np.ndarray:
    """The value of each window: that of all stretches in it, -1 where they differ or one is not known; `any_of` goes before
    the others, as a window that holds a faulty row is faulty.

    Args:
        stretches: Of the windows' file, in their order.
        begins: Seconds at which windows begin, (n,); NaN of pictures.
        length: Of a window in seconds.
        value_of: A label's value, -1 of one that is not known.

    Returns: (n,) int.
    """
    values = np.array([value_of(each.label) if each.label else -1 for each in stretches])
    starts = np.array([each.start for each in stretches])
    begins = np.nan_to_num(begins, nan=0.0)
    # Half a millionth of a window, so that a stretch that ends where a window begins has no part in it.
    first = np.maximum(np.searchsorted(starts, begins + 5e-7 * length, side="right") - 1, 0)
    last = np.maximum(np.searchsorted(starts, begins + length * (1 - 5e-7), side="left") - 1, first)
    found = np.empty(len(begins), int)
    for place, (one, other) in enumerate(zip(first.tolist(), last.tolist())):
        own = values[one : other + 1]
        if any_of is not None and (own == any_of).any():
            found[place] = any_of
        else:
            found[place] = own[0] if (own == own[0]).all() else -1
    return found
