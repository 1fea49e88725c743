"""How strong a signal is in each octave, and how often it crosses its mean: what shows another gain or another speed.

Both are integers that the emitted C computes of the samples of a window, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from micro.signal.front_end import FrontEnd
from micro.signal.hops import Hops
from micro.signal.joined import JoinedFrontEnd, main_front_end

# The most octaves: a window of 4,096 samples down to means of 1,024.
MOST_OCTAVES = 11
# Levels are in this part of a doubling of the energy.
LEVEL_UNIT = 1 / 256
# The level of what float32 does not hold.
BEYOND = 255 * 256
# Rates of crossings are written in this part of the most that there can be.
CROSSING_UNIT = 1 / 255


@dataclass(frozen=True)
class Octaves:
    """Which samples of a window are looked at: those of the latest frame, in `count` octaves, of the first `channels`.

    Octave k compares neighboring means of 2^k samples: the energy of their differences, and how often they cross the mean of
    all. Windows are cut to the latest power of two of `length`.

    Examples:
        >>> from micro.signal.octaves import Octaves
        >>> octaves = Octaves(length=1000, channels=2)
        >>> octaves.count, octaves.samples, octaves.points(7)
        (8, 512, 4)
        >>> Octaves(length=3, channels=1).count
        0
    """

    length: int
    channels: int

    @property
    def samples(self) -> int:
        """Samples that are looked at: the largest power of two within the length."""
        return 1 << (self.length.bit_length() - 1)

    @property
    def count(self) -> int:
        """Octaves, of which the last has 4 means; 0 for less than 4 samples."""
        return min(MOST_OCTAVES, max(0, self.samples.bit_length() - 2))

    def points(self, octave: int) -> int:
        """Means in an octave."""
        return self.samples >> octave

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Levels and crossings of windows, summed over channels: (n, length or more, channels or more) -> (n, 2 * count) int64.

        A level is the logarithm of the energy to base 2, in 1/256, linear between powers of two; that of int16 begins with 1 at
        an energy of 1, that of float32 is the number's exponent and the first bits of its mantissa.

        Source: Haar 1910 for the octaves; Mitchell 1962 for the logarithm; Kedem 1994 for crossings of a filtered series.
        """
        latest = frames[:, frames.shape[1] - self.samples :, : self.channels]
        found = np.zeros((len(frames), 2 * self.count), np.int64)
        of = _of_integers if latest.dtype == np.int16 else _of_reals
        for channel in range(self.channels):
            found += of(np.ascontiguousarray(latest[:, :, channel]), self.count)
        return found

    def names(self, rate: float | None) -> tuple[str, ...]:
        """A name for each of `means`, in Hz where the rate of the samples is known."""
        highest = 0.5 if rate is None else rate / 2
        unit = "of the rate" if rate is None else "Hz"
        bounds = [highest / 2**octave for octave in range(self.count + 1)]
        levels = [f"signal level, {low:.3g} to {high:.3g} {unit}" for high, low in pairwise(bounds)]
        return (*levels, *(f"crossings of the mean below {high:.3g} {unit}" for high in bounds[:-1]))

    def means(self, sums: np.ndarray, windows: float) -> np.ndarray:
        """Means over windows of summed results of a call: levels in doublings, crossings as a fraction of the most possible."""
        sums = np.asarray(sums, float) / (windows * self.channels)
        most = [self.points(octave) - 1 for octave in range(self.count)]
        return np.concatenate([sums[..., : self.count] * LEVEL_UNIT, sums[..., self.count :] / most], axis=-1)


def octaves_of(around: FrontEnd | JoinedFrontEnd | Hops) -> Octaves | None:
    """What of a detector's windows is looked at: of several sources the main one's samples, and no speed among its channels.

    None where there is nothing: for frames of less than 4 samples, and raw samples hop by hop, whose windows are not kept.

    Examples:
        >>> from micro.signal.octaves import octaves_of
        >>> octaves_of(micro.FrontEnd("moments", window=64, hop=32))
        Octaves(length=64, channels=1)
    """
    if isinstance(around, Hops) and around.whole.kinds == ("raw",):
        return None
    front_end = around.whole if isinstance(around, Hops) else around
    front_end = main_front_end(front_end)
    octaves = Octaves(front_end.length, front_end.measured)
    return octaves if octaves.count else None


def _of_integers(x: np.ndarray, count: int) -> np.ndarray:
    sums = x.astype(np.int64)
    total = sums.sum(axis=1, keepdims=True)
    levels, crossings = [], []
    for _ in range(count):
        crossings.append(_changes(sums * sums.shape[1] >= total))
        apart = sums[:, 0::2] - sums[:, 1::2]
        levels.append(_integer_level((apart * apart).sum(axis=1)))
        sums = sums[:, 0::2] + sums[:, 1::2]
    return np.stack([*levels, *crossings], axis=1)


def _of_reals(x: np.ndarray, count: int) -> np.ndarray:
    sums = x.astype(np.float32)
    levels, crossings = [], []
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        mean = np.add.accumulate(sums, axis=1, dtype=np.float32)[:, -1:] * np.float32(1 / sums.shape[1])
        for _ in range(count):
            crossings.append(_changes(sums >= mean))
            mean = mean * np.float32(2)
            apart = sums[:, 0::2] - sums[:, 1::2]
            energy = np.add.accumulate(apart * apart, axis=1, dtype=np.float32)[:, -1]
            levels.append(np.where(np.isfinite(energy), energy.view(np.int32) >> 15, BEYOND))
            sums = sums[:, 0::2] + sums[:, 1::2]
    return np.stack([*levels, *crossings], axis=1).astype(np.int64)


def _changes(above: np.ndarray) -> np.ndarray:
    return np.asarray((above[:, 1:] != above[:, :-1]).sum(axis=1))


def _integer_level(energy: np.ndarray) -> np.ndarray:
    """256 times 1 and the logarithm, 0 for 0; energies are below 2^54."""
    exponent = np.frexp(np.maximum(energy, 1).astype(np.float64))[1].astype(np.int64) - 1
    # A number that float64 rounds up to the next power of two is one below it.
    exponent -= (energy >> exponent) == 0
    fraction = ((energy << 8) >> np.maximum(exponent, 0)) & 255
    return np.where(energy > 0, 256 * (exponent + 1) + fraction, 0)
