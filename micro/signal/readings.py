"""What a stream of samples gives in mm/s, block by block, as firmware measures it: running values and zones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from micro.signal import float32
from micro.signal.fixed_point import square_root
from micro.signal.velocity import Vibration

# Of a long recording.
SAMPLES_AT_ONCE = 2**21


@dataclass(frozen=True)
class Readings:
    """What a stream of samples gives, block by block; velocities in mm/s float32, of 'fixed' in micrometers a second int64.

    Attributes:
        ends: The last sample of each block, (n,) int.
        channels: Which of the measured channels it is of, (n,) int.
        faults: 0, or why the block is not measured, (n,) int.
        blocks: Velocity of the block, 0 where it is not measured, (n,).
        values: Of each channel after the block, (n, channels); 0 before the first.
        velocities: The largest of the channels' values, (n,).
        zones: 1 to 4 for A to D, 0 where there is no zone, (n,) int.
    """

    ends: np.ndarray
    channels: np.ndarray
    faults: np.ndarray
    blocks: np.ndarray
    values: np.ndarray
    velocities: np.ndarray
    zones: np.ndarray


def read_vibration(vibration: Vibration, samples: np.ndarray) -> Readings:
    """What the target measures on a stream that begins with a reset: samples (n, channels) in `unit`, of 'fixed' also int16.

    Raises:
        ValueError: For samples of another shape.
    """
    if samples.ndim != 2 or samples.shape[1] != vibration.channels:
        raise ValueError(f"samples must have shape (n, {vibration.channels}), got {samples.shape}")
    count, own = len(samples) // vibration.span, len(vibration.measured)
    turns = np.arange(count) % own
    faults, velocities = np.zeros(count, int), np.zeros(count, vibration.word)
    at_once = max(1, SAMPLES_AT_ONCE // vibration.span)
    for first in range(0, count, at_once):
        part = slice(first, min(first + at_once, count))
        faults[part], velocities[part] = _blocks(vibration, samples, first, turns[part])
    values = np.zeros((count, own), vibration.word)
    squares, taken = np.zeros((own, vibration.average), velocities.dtype), np.zeros(own, int)
    for n, turn in enumerate(turns):
        values[n] = values[n - 1] if n else 0
        if faults[n] == 0:
            squares[turn, taken[turn] % vibration.average] = velocities[n] * velocities[n]
            taken[turn] += 1
            values[n, turn] = _root_of_mean(squares[turn, : min(taken[turn], vibration.average)])
    largest = values.max(axis=1) if count else velocities
    zones = _zones(vibration, largest, np.cumsum(faults == 0) > 0)
    return Readings(vibration.span * np.arange(1, count + 1) - 1, turns, faults, velocities, values, largest, zones)


def _blocks(vibration: Vibration, samples: np.ndarray, first: int, turns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Faults and velocities of some blocks in a row, each of the channel whose turn it is."""
    span = vibration.span
    taken = vibration.taken(samples[first * span : (first + len(turns)) * span])
    each = np.stack([taken[n * span : (n + 1) * span, vibration.measured[turn]] for n, turn in enumerate(turns)])
    faults, velocities = vibration.faults(each), np.zeros(len(turns), vibration.word)
    good = faults == 0
    if good.any():
        velocities[good] = vibration.block_velocities(each[good])
    return faults, velocities


def _root_of_mean(squares: np.ndarray) -> np.ndarray:
    """The root of the mean of squares, float32 or int64, summed in the order of their places as the target does: (n,) -> ()."""
    if squares.dtype == np.int64:
        return square_root(squares.sum() // len(squares))
    return np.asarray(np.sqrt(float32.total(squares) / np.float32(len(squares))))


def _zones(vibration: Vibration, velocities: np.ndarray, known: np.ndarray) -> np.ndarray:
    if vibration.borders is None:
        return np.zeros(len(velocities), int)
    borders = np.array(vibration.borders_of_target, velocities.dtype)
    return np.where(known, 1 + (velocities[:, None] > borders).sum(axis=1), 0)
