"""The shaft's speed from vibration: the frequency whose multiples stand out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Multiples of the shaft's frequency that are summed.
MULTIPLES = 10
# Stretches that are averaged, overlapping by half.
STRETCHES = 5
# dB of one multiple that count: a tone that is no multiple must not outweigh the others.
MOST = 20.0
# dB by which a speed must be better than any other, above what noise gives: 0.6 in 1 of 100 recordings
# (`python scripts/bench/bearing_diagnosis.py --noise`).
LEAST_MARGIN = 2.0
# Speeds nearer than this fraction are the same one.
SAME = 0.015


@dataclass(frozen=True)
class ShaftSpeed:
    """A speed and how sure it is.

    Attributes:
        rpm: Turns a minute.
        margin: dB by which the multiples of this speed stand out more, on average, than those of any other in the range.

    Examples:
        >>> micro.ShaftSpeed(rpm=1770.0, margin=0.7).sure
        False
    """

    rpm: float
    margin: float

    @property
    def sure(self) -> bool:
        """Whether the margin is more than noise gives."""
        return self.margin >= LEAST_MARGIN


def estimate_speed(samples: np.ndarray, sample_rate: float, low: float, high: float) -> ShaftSpeed:
    """The speed of a shaft from `low` to `high` RPM whose first ten multiples stand out most in the spectrum.

    Unbalance, misalignment and looseness make such multiples. A machine that runs smoothly may show none: the margin is low
    then, and `sure` is false.

    Args:
        samples: (n,) floats of a recording at a steady speed, of ten turns or more at `low`.
        sample_rate: In Hz.
        low, high: The range in RPM; `high` below twice `low`, as a speed and its double look alike.

    Raises:
        ValueError: For another range, or samples too few or too slow for it.

    Examples:
        >>> time = np.arange(40000) / 4000
        >>> shaft = sum(np.cos(2 * np.pi * k * 29.5 * time) for k in (1, 2, 3, 5))
        >>> speed = micro.estimate_speed(shaft + np.random.default_rng(0).normal(size=40000), 4000, 1500, 2000)
        >>> abs(speed.rpm - 1770) < 3, speed.sure
        (True, True)
    """
    from scipy import signal
    from scipy.ndimage import median_filter

    samples = np.asarray(samples, np.float64).reshape(-1)
    if not 0 < low < high < 2 * low:
        raise ValueError(f"the range of speeds must be from low to below twice low, got {low:g} to {high:g} RPM")
    if sample_rate / 2 < 3 * high / 60:
        raise ValueError(f"a sample rate of {sample_rate:g} Hz is too low to see three multiples of {high:g} RPM")
    seconds = len(samples) / sample_rate
    if seconds * low / 60 < 2 * STRETCHES:
        raise ValueError(f"{seconds:.3g} s are too short: {2 * STRETCHES} turns at {low:g} RPM take {600 / low:.3g} s")
    length = 2 * len(samples) // (STRETCHES + 1)
    frequencies, power = signal.welch(samples, sample_rate, "hann", length, length // 2, detrend="constant")
    step = float(frequencies[1])
    around = max(round(low / 60 / step), 5) | 1
    floor = median_filter(power, around, mode="nearest")
    level = np.maximum(10 * np.log10(np.maximum(power, 1e-300) / np.maximum(floor, 1e-300)), 0)
    multiples = np.arange(1, min(MULTIPLES, int(sample_rate / 2 / (high / 60))) + 1)
    shafts = np.arange(low / 60, high / 60, step / (2 * len(multiples)))
    each = np.interp(np.outer(shafts, multiples), frequencies, level)
    combs = np.minimum(each, MOST).mean(axis=1)
    best = int(np.argmax(combs))
    # Where multiples reach the most that counts, speeds near the best are as good: the whole levels choose among them.
    alike = np.abs(shafts / shafts[best] - 1) <= SAME / 2
    best = int(np.argmax(np.where(alike, each.mean(axis=1), -1)))
    others = combs[np.abs(shafts / shafts[best] - 1) > SAME]
    return ShaftSpeed(float(60 * shafts[best]), float(combs[best] - others.max()) if len(others) else 0.0)
