"""The operating mode that a summary is of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from micro.detection.modes import MOST_MODES
from micro.errors import DataError


@dataclass(frozen=True)
class ModeState:
    """The operating mode that a summary is of, from 0; that of mode 0 also has the windows in which the machine was off, and
    those of unknown mode."""

    mode: int
    off: int = 0
    unknown: int = 0


def mode_state(read: Sequence[int]) -> ModeState:
    """Mode, windows off and unknown ones as a summary tells them; DataError for numbers that no device tells."""
    if len(read) != 3 or read[0] >= MOST_MODES or (read[0] > 0 and any(read[1:])):
        raise DataError(f"says {list(read)} of its operating mode, and not mode, windows off and unknown ones")
    return ModeState(*read)
