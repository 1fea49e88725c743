"""One file as a survey sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from micro.datasets.frozen import Movement
from micro.look.channels import Channel, Curve
from micro.look.still import Still


@dataclass(frozen=True)
class Flags:
    """What a file says in its columns of yes or no, row by row where one changes.

    Attributes:
        names: Of the columns.
        edges: Rows at which stretches begin, and the number of rows, (m + 1,).
        values: What each stretch says in each column: 1, 0, or -1 where that is not known, (m, columns) int8.
    """

    names: tuple[str, ...]
    edges: np.ndarray
    values: np.ndarray

    def of(self, name: str) -> np.ndarray:
        """What each stretch says in one column, (m,)."""
        return self.values[:, self.names.index(name)]


@dataclass(frozen=True)
class Surveyed:
    """One file: rows, sample rate in Hz where it is known, gaps in time, channels, and rows of each label or run; a picture's
    height and width; the column that a regression predicts; the rows of the longest stretch of each label; curves of the first
    channels where they are to be drawn; its columns of yes or no until it is known what they are; in which part of it the
    machine probably stands still, None where that is not known; some values of each channel that is called a speed;
    and how its channels move, until it is known which of them freeze."""

    name: str
    path: Path
    rows: int
    rate: float | None
    gaps: int
    channels: tuple[Channel, ...]
    labels: Mapping[str, int]
    image_size: tuple[int, int] | None = None
    target: Channel | None = None
    stretches: Mapping[str, int] = field(default_factory=dict)
    curves: tuple[Curve, ...] = ()
    flags: Flags | None = None
    still: Still | None = None
    speeds: Mapping[str, np.ndarray] = field(default_factory=dict)
    moves: Movement | None = None
