"""Operating modes in a log: which mode a row is of, and the rows of each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from micro.errors import DataError
from micro.monitoring.gathered import Gathered, gather
from micro.monitoring.lines import Rows
from micro.monitoring.statuses import chosen, without_faultless
from micro.support.wording import excerpt

# In place of a mode: rows without a score, whose mode a device does not tell.
NO_MODE = -1
# Programs write integers so in a column with missing values.
_POINT = re.compile(r"\.0+$")


@dataclass(frozen=True)
class LoggedModes:
    """A run's operating modes: their names, and of those with a threshold how long a session without a name is, in windows."""

    names: tuple[str, ...]
    blocks: Mapping[int, int]

    def of(self, path: Path, rows: Rows) -> np.ndarray:
        """The mode of each row, (n,) int; `NO_MODE` of those without a score and a mode.

        Raises:
            DataError: Names the row whose mode is missing, or none of the run's.
        """
        known = {name: place for place, name in enumerate(self.names)} | {str(n): n for n in range(len(self.names))}
        found = np.full(len(rows.numbers), NO_MODE)
        for cell in set(rows.modes.tolist()):
            own = rows.modes == cell
            name = cell if cell in known else _POINT.sub("", cell)
            if name in known:
                found[own] = known[name]
                continue
            wrong = own & np.isfinite(rows.scores) if cell == "" else own
            if wrong.any():
                number = int(rows.numbers[np.argmax(wrong)])
                said = f"mode {excerpt(cell)} is none of the run's" if cell else "a score without a mode"
                raise DataError(
                    f"{path}, row {number}: {said}; a run with operating modes needs a column 'mode' with their numbers "
                    f"from 0, or names: {', '.join(self.names)}"
                )
        return found


@dataclass
class GatheredModes:
    """What has been read of a device whose windows have operating modes: the rows of each, and what was left out of all."""

    by_mode: dict[int, Gathered] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, path: Path, rows: Rows, modes: LoggedModes) -> None:
        """Add rows of the device, each to its mode."""
        rows = without_faultless(rows, self.left_out)
        found = modes.of(path, rows)
        for mode in np.unique(found).tolist():
            own = self.by_mode.setdefault(mode, Gathered())
            gather(own, chosen(rows, found == mode), modes.blocks.get(mode, 1))
