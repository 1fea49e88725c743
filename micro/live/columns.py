"""The columns of a source, and a row of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from micro.errors import DataError


class RefusedError(DataError):
    """What comes is not what can be recorded, so that nothing of it is kept."""


@dataclass(frozen=True)
class Columns:
    """The columns of a source.

    Attributes:
        names: Of every cell of a line.
        channels: Places of those that are recorded.
        sequence: Place of the sequence number.
        clock: Place of the board's own clock, if it is recorded as the time.
        checked: Whether the last cell is a check of the others.
        window: Places of the status and the scores of the window that a sample ends.
        named: Whether the source said the names.
        called: Other names for the channels, in their order; empty for their own.
        clock_unit: Of the clock's times, where a row of units says it and the name does not.
    """

    names: tuple[str, ...]
    channels: tuple[int, ...]
    sequence: int | None = None
    clock: int | None = None
    checked: bool = False
    window: tuple[int, ...] | None = None
    named: bool = True
    called: tuple[str, ...] = ()
    clock_unit: str = ""

    @property
    def channel_names(self) -> tuple[str, ...]:
        return self.called or self.own_names

    @property
    def own_names(self) -> tuple[str, ...]:
        """The channels as the source calls them."""
        return tuple(self.names[place] for place in self.channels)

    @property
    def clock_name(self) -> str | None:
        """The column of times with its unit, as files have it; None where there is no clock."""
        if self.clock is None:
            return None
        return f"{self.names[self.clock]} [{self.clock_unit}]" if self.clock_unit else self.names[self.clock]


@dataclass(frozen=True)
class Row:
    """One sample.

    Attributes:
        texts: A cell for each channel as it came; empty where there is no number.
        lost: Samples that are missing before it.
        restarted: Whether the board or the connection began again before it.
        sequence: Its number by the board.
        clock: The board's own time as it came.
        window: Status and scores of the window that it ends, where the board says them.
    """

    texts: tuple[str, ...]
    lost: int = 0
    restarted: bool = False
    sequence: int | None = None
    clock: str = ""
    window: tuple[int, ...] | None = None

    @property
    def values(self) -> tuple[float, ...]:
        """Numbers, NaN where there is none."""
        return tuple(float(text) if text else math.nan for text in self.texts)


def apart(names: Sequence[str], taken: set[str]) -> list[str]:
    """Names of which none stands twice or is one of those taken, by a number behind those that would.

    Examples:
        >>> from micro.live.columns import apart
        >>> apart(["x", "time", "x"], {"time"})
        ['x', 'time_2', 'x_2']
    """
    found: list[str] = []
    for name in names:
        number, free = 1, name
        while free in taken or free in found:
            number += 1
            free = f"{name}_{number}"
        found.append(free)
    return found
