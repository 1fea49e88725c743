"""Files whose faults are known beforehand and learned from, in place of being tested on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from micro.config import TableData
from micro.datasets.find import matches
from micro.datasets.recording import Recording, any_within
from micro.datasets.twins import Alike, twins_of
from micro.errors import DataError

# Fraction of a window's samples that are faulty at least where it is learned from as a fault: one that has hardly begun looks
# healthy.
FAULTY_FRACTION = 0.5


def is_known(path: Path, config: TableData) -> bool:
    """Whether a config names a file's faults as known."""
    return any(matches(path, pattern, config.folder) for pattern in config.known_faults)


def require_apart(named: Mapping[Path, str], config: TableData) -> None:
    """DataError for a file that is named healthy too, and for one that is the copy of a file whose faults are not known.

    Where a column tells the state of rows, a file may be both: its normal rows are healthy, its other rows known faults.
    """
    known = {name for path, name in named.items() if is_known(path, config)}
    if not known:
        return
    for path, name in named.items():
        healthy = any(matches(path, pattern, config.folder) for pattern in config.healthy_files)
        if name in known and healthy and config.label_column is None:
            raise DataError(f"{name} matches both healthy_files and known_faults; a file can be one of them only")
    copies = tuple(twins_of({name: path for path, name in named.items()}))
    require_none_judged(Alike(copies, copies), known)


def require_none_judged(found: Alike, known: Collection[str]) -> None:
    """DataError for a file of known faults that holds what another one does whose faults are not known."""
    for names in found.related:
        learned, other = [name for name in names if name in known], [name for name in names if name not in known]
        if learned and other:
            raise DataError(
                f"{learned[0]}, which known_faults names, and {other[0]} {found.hold(learned[0], other[0])}: what was learned "
                "from tells nothing in the test; leave one of them out of files, or name both in known_faults"
            )


def learned_names(recordings: Sequence[Recording], named: Mapping[Path, str], config: TableData) -> frozenset[str]:
    """Names of the recordings that faults are learned from: those of known_faults.

    Raises:
        DataError: For one without a faulty row: it would be learned from, and tested on, as healthy.
    """
    known = {name for path, name in named.items() if is_known(path, config)}
    read = {one.name for one in recordings if one.name in known}
    learned = {one.name for one in recordings if one.name in known and one.faulty is not None and one.faulty.any()}
    without = sorted(read - learned)
    if without or (known and not learned):
        of = f" by column {config.label_column!r}" if config.label_column is not None else ""
        raise DataError(f"known_faults names {', '.join((without or sorted(known))[:3])}: no row of it is faulty{of}")
    return frozenset(learned)


def fault_windows(recording: Recording, starts: np.ndarray, window: int) -> np.ndarray:
    """Windows of a recording that are learned from as faults, places in `starts`: faulty enough, and without a healthy row."""
    if recording.faulty is None:
        return np.array([], int)
    total = np.concatenate(([0], np.cumsum(recording.faulty)))
    faulty = total[starts + window] - total[starts] >= FAULTY_FRACTION * window
    return np.flatnonzero(faulty & ~any_within(recording.healthy & ~recording.faulty, starts, window))
