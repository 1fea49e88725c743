"""Numbers for rows of samples, and for rows in a row, by which equal ones are found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Rows of a fingerprint.
BLOCK = 32
# Fingerprints are of values in this many steps of a large one, this quantile of magnitudes: rounding errors of a simulation are
# none of its values, and a few wild values are no measure.
STEPS, LARGE = 1 << 18, 0.99
# Odd numbers that mix bits (those of xxHash and of splitmix64).
MIX = tuple(np.uint64(each) for each in (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0xBF58476D1CE4E5B9))


def chosen(samples: np.ndarray, channels: Sequence[int] | None) -> np.ndarray:
    """Rows in memory, (n, channels) float32, of which zeros have one sign."""
    return np.ascontiguousarray(samples if channels is None else samples[:, list(channels)], np.float32) + np.float32(0)


def grain_of(large: np.ndarray) -> np.ndarray:
    """The step in which channels are compared whose large magnitudes are these, (channels,) -> (channels,)."""
    return np.where((large > 0) & np.isfinite(large), large / STEPS, 1.0)


def in_steps(rows: np.ndarray, grain: np.ndarray) -> np.ndarray:
    """A number for each row in whole steps of its channels, (n, channels) float32, (channels,) -> (n,) uint64."""
    with np.errstate(over="ignore", invalid="ignore"):
        return hashed(np.round(rows / grain).astype(np.float32) + np.float32(0))


def hashed(rows: np.ndarray) -> np.ndarray:
    """A number for each row, (n, channels) float32 -> (n,) uint64."""
    bits = np.ascontiguousarray(rows, np.float32).view(np.uint32)
    found = np.full(len(rows), MIX[2])
    for column in bits.T:
        found ^= column
        found *= MIX[0]
        found ^= found >> np.uint64(29)
        found *= MIX[1]
    return found ^ (found >> np.uint64(32))


def rolled(rows: np.ndarray) -> np.ndarray:
    """A number for each run of BLOCK rows, from those of the rows: (n,) -> (n - BLOCK + 1,) uint64."""
    found, length = rows, 1
    while length < BLOCK:
        found = found[:-length] * MIX[0] + found[length:]
        found = (found ^ (found >> np.uint64(31))) * MIX[1]
        length *= 2
    return found ^ (found >> np.uint64(33))
