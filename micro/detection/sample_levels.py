"""Levels and crossings of the samples of a period, as a summary tells them."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from micro.errors import DataError
from micro.signal.octaves import CROSSING_UNIT, LEVEL_UNIT, MOST_OCTAVES, Octaves


@dataclass(frozen=True)
class SampleLevels:
    """Means over a period of what `micro.signal.octaves` gives of its windows, the finest octave first.

    Attributes:
        levels: In 1/256 of a doubling of the energy, 0 to 65,535.
        crossings: In 1/255 of the most that there can be, 0 to 255.
    """

    levels: tuple[int, ...]
    crossings: tuple[int, ...]

    def to_bytes(self) -> bytes:
        """Levels in 16 bits, the higher byte first, and behind them crossings in 8."""
        return struct.pack(f">{len(self.levels)}H{len(self.crossings)}B", *self.levels, *self.crossings)

    @classmethod
    def from_bytes(cls, content: bytes) -> SampleLevels:
        """Levels and crossings; DataError for bytes of another length."""
        count = len(content) // 3
        if len(content) != 3 * count or not 1 <= count <= MOST_OCTAVES:
            raise DataError(
                f"has {len(content)} bytes of levels and crossings, and not 3 for each of 1 to {MOST_OCTAVES} octaves"
            )
        values = struct.unpack(f">{count}H{count}B", content)
        return cls(values[:count], values[count:])

    @property
    def values(self) -> np.ndarray:
        """As `Octaves.means` has them."""
        return np.concatenate([np.array(self.levels) * LEVEL_UNIT, np.array(self.crossings) * CROSSING_UNIT])


def sample_levels(octaves: Octaves, each: np.ndarray) -> SampleLevels:
    """Means of levels and crossings of windows, (n, 2 * octaves) int, rounded down as the emitted C does."""
    sums, windows, count = each.sum(axis=0).tolist(), len(each) * octaves.channels, octaves.count
    crossings = (255 * total // (windows * (octaves.points(k) - 1)) for k, total in enumerate(sums[count:]))
    return SampleLevels(tuple(total // windows for total in sums[:count]), tuple(crossings))
