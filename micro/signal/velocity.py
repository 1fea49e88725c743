"""Velocity RMS in mm/s in a band, from samples of acceleration: the unit of vibration severity."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import get_args

import numpy as np

from micro.signal import fixed_point, float32
from micro.signal.decimation import (
    OVERLAP,
    TAP_FRACTION,
    decimated_fixed,
    decimated_float32,
    fixed_taps,
    response,
    taps_of,
)
from micro.signal.fixed_point import highest_bit, square_root
from micro.signal.front_end import LONGEST_FRAME, FrontEnd
from micro.signal.limits import MOST_AVERAGED
from micro.signal.severity import Borders, borders_of
from micro.signal.spec import LARGEST_SAMPLE, Arithmetic, Unit

# mm/s2 of one.
FACTORS: dict[Unit, float] = {"g": 9806.65, "m/s2": 1000.0, "mm/s2": 1.0}
# Sample rate over the highest frequency: 2 by the sampling theorem, and room for the filter before the converter.
RATE_OVER_HIGH = 2.56
# Periods of the lowest frequency that a window must hold, and that it holds where nothing is said.
FEWEST_PERIODS, PERIODS = 4, 10
SHORTEST_WINDOW = 64
# Samples at the ends of int16 are a sensor fault.
LARGEST_COUNT = 32767
# In micrometers a second: 64 squares fit 64 bits.
LARGEST_FIXED = 2**28 - 1
NOT_FINITE, SATURATED = 3, 4


@dataclass(frozen=True)
class Vibration:
    """How samples of acceleration become velocity RMS; the emitted C does the same operations in the same order.

    Samples of one channel are brought to the lowest rate that holds the band, `window` of them are transformed with a Hann
    window, and the power of each bin in the band is divided by (2 pi f)^2. Channels are measured in turn, each by a block of
    `span` samples. A channel's value is the root of the mean square of its latest `average` blocks.

    Attributes:
        sample_rate: In Hz, at least 2.56 times `high`.
        unit: Of the samples: 'g', 'm/s2' or 'mm/s2'.
        low, high: Bounds of the band in Hz.
        window: Samples at the lower rate, a power of two up to 4,096 that holds at least 4 periods of `low`; None for the
            shortest that holds 10, or the longest.
        average: Blocks of a channel in its value, 1 to 64.
        borders: Of the zones in mm/s; None where there are no zones.
        channels: Of a sample.
        measured: Which of them are measured in turn.
        arithmetic: 'float32', or 'fixed' for int16 samples and integers.
        full_scale: For 'fixed' the value of a sample of 32768 in `unit`.
        saturation: The magnitude of a sample, for 'fixed' in counts, at which it is a sensor fault; None for no limit, for
            'fixed' for the ends of int16.

    Raises:
        ValueError: For a rate or a window that cannot hold the band, with one that can, and for other settings out of range.

    Examples:
        >>> from micro.signal.velocity import Vibration
        >>> vibration = Vibration(12000.0, "g")
        >>> vibration.decimation, vibration.window, vibration.span
        (4, 4096, 16420)
    """

    sample_rate: float
    unit: Unit
    low: float = 10.0
    high: float = 1000.0
    window: int = 0
    average: int = 8
    borders: Borders | None = None
    channels: int = 1
    measured: tuple[int, ...] = (0,)
    arithmetic: Arithmetic = "float32"
    full_scale: float | None = None
    saturation: float | None = None

    def __post_init__(self) -> None:
        _require(self)
        if not self.window:
            longest = LONGEST_FRAME
            wanted = PERIODS * self.rate / self.low
            object.__setattr__(self, "window", min(longest, max(SHORTEST_WINDOW, 2 ** math.ceil(math.log2(wanted)))))
        _require_window(self)

    @property
    def decimation(self) -> int:
        """Samples of which one is kept behind the filter."""
        return max(1, math.floor(self.sample_rate / (RATE_OVER_HIGH * self.high) * (1 + 1e-9)))

    @property
    def rate(self) -> float:
        """In Hz, of the samples that are transformed."""
        return self.sample_rate / self.decimation

    @property
    def width(self) -> float:
        """Of a bin of the spectrum, in Hz."""
        return self.rate / self.window

    @property
    def span(self) -> int:
        """Samples of a block."""
        overlap = 1 if self.decimation == 1 else OVERLAP
        return (self.window - 1 + overlap) * self.decimation

    @property
    def word(self) -> type[np.generic]:
        """The type of velocities: float32 in mm/s, or int64 in micrometers a second."""
        return np.int64 if self.arithmetic == "fixed" else np.float32

    @cached_property
    def frame(self) -> FrontEnd:
        """Trend, window function and transform, which are a front end's."""
        return FrontEnd(
            ("spectrum",), self.window, self.window, bands=1, detrend="linear", taper="hann", arithmetic=self.arithmetic
        )

    @cached_property
    def bins(self) -> tuple[int, int]:
        """The first bin of which a part is in the band, and the last."""
        first = math.floor(self.low / self.width + 0.5)
        return max(1, first), min(self.window // 2 - 1, math.ceil(self.high / self.width - 0.5))

    @cached_property
    def weights(self) -> np.ndarray:
        """What the squared magnitude of each bin is worth in (mm/s)^2, samples in `unit` or in counts, float64.

        1 / k^2 of a line between two bins is more on average than 1 / k^2 at the line, as the window spreads it with a variance
        and a fourth moment of 1/3: the series in 1 / k^2 takes that back.
        """
        first, last = self.bins
        k = np.arange(first, last + 1, dtype=np.float64)
        inside = np.minimum(k + 0.5, self.high / self.width) - np.maximum(k - 0.5, self.low / self.width)
        unit = FACTORS[self.unit] * (
            1.0 if self.full_scale is None or self.arithmetic != "fixed" else self.full_scale / 32768
        )
        # Both halves of the spectrum; the mean square of the window is 3/8.
        scale = 2 / (0.375 * self.window**2) * (unit / (2 * np.pi * self.width)) ** 2
        spread = 1 - 1 / k**2 + 5 / (3 * k**4)
        taps = taps_of(self.decimation)
        if self.arithmetic == "fixed":
            taps = fixed_taps(taps) / 2.0**TAP_FRACTION
        droop = response(taps, k * self.width / self.sample_rate)
        return np.asarray(np.clip(inside, 0, 1) * scale * spread / k**2 / droop**2)

    def fixed_weights(self) -> tuple[np.ndarray, int, int]:
        """Weights with 32 fraction bits of the largest, (bins,) uint64, and mantissa (32 bits) and power of two of that one.

        It is what 1 count squared is worth in (micrometers a second)^2.
        """
        largest = float(self.weights.max())
        mantissa, power = math.frexp(largest * 1e6)
        table = np.minimum(np.round(self.weights / largest * 2.0**32), 2**32 - 1).astype(np.uint64)
        return table, min(round(mantissa * 2**32), 2**32 - 1), power - 32

    def block_velocities(self, blocks: np.ndarray) -> np.ndarray:
        """Velocity RMS of blocks of one channel: (n, span) -> (n,), mm/s float32, of 'fixed' micrometers a second int64."""
        taps, (first, last) = taps_of(self.decimation), self.bins
        if self.arithmetic == "fixed":
            x = decimated_fixed(np.ascontiguousarray(blocks, np.int64), taps, self.decimation, self.window)
            power, exponent = fixed_point.power_spectrum(self.frame, fixed_point.without_trend(self.frame, x))
            # The bands of a front end are divided by the window's length.
            return self._fixed_root(power[:, first - 1 : last], exponent + self.window.bit_length() - 1)
        x = decimated_float32(np.ascontiguousarray(blocks, np.float32), taps, self.decimation, self.window)
        power = float32.power_spectrum(self.frame, float32.detrended(self.frame, x))
        return np.sqrt(float32.total(power[:, first - 1 : last] * self.weights.astype(np.float32)))

    def _fixed_root(self, power: np.ndarray, exponent: np.ndarray) -> np.ndarray:
        """The root of the weighted sum of bins, (n, bins) uint64 and a power of two of each row, in micrometers a second."""
        weights, mantissa, shift = self.fixed_weights()
        low = np.uint64(0xFFFFFFFF)
        sums = ((power >> np.uint64(32)) * weights + (((power & low) * weights) >> np.uint64(32))).sum(axis=1)
        # 30 bits times 32 bits are just below 2^62, of which a root is taken.
        over = highest_bit(np.maximum(sums, np.uint64(1))) - 29
        shifted = np.where(
            over > 0,
            sums >> np.maximum(over, 0).astype(np.uint64),
            sums << np.maximum(-over, 0).astype(np.uint64),
        )
        square, power_of_two = (shifted * np.uint64(mantissa)).astype(np.int64), shift + over + exponent
        odd = power_of_two % 2
        root, half = square_root(square >> odd), -((power_of_two + odd) // 2)
        places = np.clip(half, 1, 62)
        rounded = (root + (np.int64(1) << (places - 1))) >> places
        return np.where(sums == 0, 0, np.where(half < 1, LARGEST_FIXED, np.minimum(rounded, LARGEST_FIXED)))

    @property
    def saturation_limit(self) -> float | None:
        """The magnitude of a sample that is a fault: of 'fixed' an integer, at most the ends of int16; None for no limit."""
        if self.arithmetic != "fixed":
            return self.saturation
        return LARGEST_COUNT if self.saturation is None else min(math.ceil(self.saturation), LARGEST_COUNT)

    def faults(self, blocks: np.ndarray) -> np.ndarray:
        """0 for each block of one channel that can be measured, else the number of its fault: (n, span) -> (n,) int."""
        fixed, limit = self.arithmetic == "fixed", self.saturation_limit
        size = np.abs(blocks.astype(np.int64 if fixed else np.float32))
        faulty = np.zeros(len(blocks), int)
        if limit is not None:
            faulty[(size >= size.dtype.type(limit)).any(axis=1)] = SATURATED
        if not fixed:
            faulty[~(size <= LARGEST_SAMPLE).all(axis=1)] = NOT_FINITE
        return faulty

    def taken(self, samples: np.ndarray) -> np.ndarray:
        """Samples as the target takes them: int16 counts, or float32."""
        if self.arithmetic == "fixed":
            return replace(self.frame, full_scale=self.full_scale).counts(samples)
        return np.asarray(samples, np.float32)

    @property
    def borders_of_target(self) -> tuple[float, ...]:
        """The zones' borders as the target compares with them: in mm/s float32, or in micrometers a second."""
        if self.borders is None:
            return ()
        if self.arithmetic == "fixed":
            return tuple(round(1000 * border) for border in self.borders)
        return tuple(float(np.float32(border)) for border in self.borders)


def velocity_rms(
    samples: np.ndarray, sample_rate: float, *, unit: Unit, low: float = 10.0, high: float = 1000.0, window: int = 0
) -> np.ndarray:
    """Velocity RMS of a recording in a band, from samples of acceleration: (n,) -> () or (n, channels) -> (channels,), mm/s.

    Whole blocks of the recording are measured one after the other, as firmware does, and the mean is of their squares. A line
    at least 2 bins inside the band is right within 0.1 %; one at a border counts with half its power.

    Args:
        samples: Acceleration; the mean and a trend of each block do not count.
        sample_rate: In Hz, at least 2.56 times `high`.
        unit: Of the samples: 'g', 'm/s2' or 'mm/s2'.
        low, high: Bounds of the band in Hz.
        window: As of `Vibration`; 0 for the shortest that holds 10 periods of `low`.

    Raises:
        ValueError: For a rate or window that cannot hold the band, a recording shorter than a block, and samples that are not
            finite.

    Source: ISO 20816-1, velocity RMS over 10 to 1,000 Hz; integration in the frequency domain.

    Examples:
        >>> time = np.arange(16384) / 4096
        >>> acceleration = 3.0 * np.sin(2 * np.pi * 50 * time)  # m/s2
        >>> round(float(micro.velocity_rms(acceleration, 4096.0, unit="m/s2")), 3), round(3000 / (2 * np.pi * 50) / 2**0.5, 3)
        (6.752, 6.752)
    """
    samples = np.asarray(samples, np.float32)
    rows = samples[:, None] if samples.ndim == 1 else samples
    if rows.ndim != 2:
        raise ValueError(f"samples must have shape (n,) or (n, channels), got {samples.shape}")
    vibration = Vibration(sample_rate, unit, low, high, window)
    count = len(rows) // vibration.span
    if not count:
        raise ValueError(
            f"velocity from {low:g} Hz needs {vibration.span:,} samples at {sample_rate:g} Hz "
            f"({vibration.span / sample_rate:.3g} s), got {len(rows):,}"
        )
    if not (np.abs(rows) <= LARGEST_SAMPLE).all():
        raise ValueError("samples are not finite or beyond 1e8")
    blocks = rows[: count * vibration.span].reshape(count, vibration.span, -1)
    each = np.stack([vibration.block_velocities(blocks[:, :, channel]) for channel in range(blocks.shape[2])])
    means = np.sqrt((each.astype(np.float64) ** 2).mean(axis=1))
    return means[0] if samples.ndim == 1 else means


def _require(spec: Vibration) -> None:
    if spec.unit not in get_args(Unit):
        raise ValueError(f"unit must be one of {', '.join(get_args(Unit))}, got {spec.unit!r}")
    if spec.arithmetic not in get_args(Arithmetic):
        raise ValueError(f"arithmetic must be one of {', '.join(get_args(Arithmetic))}, got {spec.arithmetic!r}")
    if not 0 < spec.low < spec.high < math.inf:
        raise ValueError(f"low and high must rise from above 0 Hz, got {spec.low:g} and {spec.high:g}")
    if not RATE_OVER_HIGH * spec.high <= spec.sample_rate * (1 + 1e-9) < math.inf:
        raise ValueError(
            f"velocity up to {spec.high:g} Hz needs a sample rate of {RATE_OVER_HIGH * spec.high:g} Hz at least, got "
            f"{spec.sample_rate:g}; or set high to {spec.sample_rate / RATE_OVER_HIGH:.4g} Hz at most"
        )
    if not 1 <= spec.average <= MOST_AVERAGED:
        raise ValueError(f"average must be 1 to {MOST_AVERAGED} windows, got {spec.average}")
    if not spec.measured or sorted(set(spec.measured)) != list(spec.measured) or spec.measured[-1] >= spec.channels:
        raise ValueError(f"measured must be channels from 0 to {spec.channels - 1}, rising, got {spec.measured}")
    if spec.arithmetic == "fixed" and not 0 < (spec.full_scale or 0) < math.inf:
        raise ValueError("arithmetic 'fixed' needs full_scale: the value of a sample of 32768")
    if spec.saturation is not None and not spec.saturation > 0:
        raise ValueError(f"saturation must be above 0, got {spec.saturation}")
    borders_of(None, None, spec.borders)


def _require_window(spec: Vibration) -> None:
    window = spec.window
    if not SHORTEST_WINDOW <= window <= LONGEST_FRAME or window & (window - 1):
        raise ValueError(f"window must be a power of two from {SHORTEST_WINDOW} to {LONGEST_FRAME}, got {window}")
    periods = spec.low * window / spec.rate
    if periods < FEWEST_PERIODS:
        needed = FEWEST_PERIODS * spec.rate / spec.low
        longer = 2 ** math.ceil(math.log2(needed))
        right = (
            f"window {longer}"
            if longer <= LONGEST_FRAME
            else f"a low of {FEWEST_PERIODS * spec.rate / LONGEST_FRAME:.3g} Hz"
        )
        raise ValueError(
            f"a window of {window} samples at {spec.rate:g} Hz holds {periods:.3g} periods of {spec.low:g} Hz, fewer than "
            f"{FEWEST_PERIODS}; take {right}"
        )
