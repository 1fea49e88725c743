"""A scaling that a chip learns of its own machine, in integers: features, their means and deviations, the level of samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from micro.signal import fixed_point, float32
from micro.signal.front_end import FrontEnd
from micro.signal.scaling import Scaling

# Fraction bits of the features of a 'float32' front end, and those more that deviations have.
VALUE_FRACTION, DEVIATION_FRACTION = 16, 4
# Values are within this, so that 65,535 squares fit 64 bits; one at it was beyond.
BEYOND = 1 << 23
# Differences of samples from the window's first one are taken to this at most.
LARGEST_STEP = 65535
F = np.float32


@dataclass(frozen=True)
class Learned:
    """What was learned of a machine's features, in integers; the same as in C.

    Attributes:
        mean: Of each feature, in its own units: 2^-16 of 'float32', of 'fixed' those of its kind.
        deviation: Standard deviation of each, in a sixteenth of that unit, above 0.
    """

    mean: tuple[int, ...]
    deviation: tuple[int, ...]


def whole_values(front_end: FrontEnd, frames: np.ndarray) -> np.ndarray:
    """Features as integers, ±2^23 where they are beyond that: (n, window, channels) -> (n, features) int64.

    `frames` are as the target takes them: int16 counts for arithmetic 'fixed', else float32.
    """
    if front_end.arithmetic == "fixed":
        return np.clip(front_end.integers(frames), -BEYOND, BEYOND)
    values = front_end(frames) * F(1 << VALUE_FRACTION)
    within = np.clip(values, F(-BEYOND), F(BEYOND))
    rounded = np.trunc(within + np.where(within < 0, F(-0.5), F(0.5))).astype(np.int64)
    return np.clip(rounded, -BEYOND, BEYOND)


def powers(front_end: FrontEnd, frames: np.ndarray, exponent: int) -> np.ndarray:
    """How much samples of windows vary: window times their variance, (n, window, channels) -> (n, channels) int64.

    In squared counts for arithmetic 'fixed', else in squares of 2^-exponent of the samples' unit.
    """
    if front_end.arithmetic == "fixed":
        steps = frames.astype(np.int64) - frames[:, :1]
    else:
        scaled = (frames.astype(F) - frames[:, :1].astype(F)) * F(2.0**exponent)
        steps = np.trunc(np.clip(scaled, F(-LARGEST_STEP), F(LARGEST_STEP))).astype(np.int64)
    sums, squares = steps.sum(axis=1), (steps * steps).sum(axis=1)
    return (front_end.window * squares - sums * sums) // front_end.window


def moments(count: int, total: int, squares: int) -> tuple[int, int]:
    """Mean, rounded, and standard deviation in sixteenths, rounded down, of integers from their sum and that of squares.

    Both are exact: within ±2^23 no sum of 65,535 of them, or of their squares, leaves 64 bits.
    """
    mean = (total + count // 2) // count
    around = squares - mean * (2 * total - count * mean)
    whole, rest = divmod(around, count)
    fraction = 1 << 2 * DEVIATION_FRACTION
    return mean, math.isqrt(whole * fraction + rest * fraction // count)


def learned_of(values: np.ndarray) -> Learned:
    """Mean and standard deviation of integer features, (n, features) -> `Learned`, whose deviations may be 0 here."""
    count = len(values)
    pairs = [moments(count, int(v.sum()), int((v * v).sum())) for v in np.transpose(values)]
    return Learned(tuple(mean for mean, _ in pairs), tuple(deviation for _, deviation in pairs))


def reciprocal(scale: float) -> tuple[int, int]:
    """16 / scale as a mantissa of 31 bits and the power of two behind it.

    Raises:
        ValueError: For a scale with which shifts would leave 1 to 62.
    """
    mantissa, power = np.frexp((1 << DEVIATION_FRACTION) / scale)
    whole, power = round(float(mantissa) * 2**31), int(power) - 31
    whole, power = (whole >> 1, power + 1) if whole == 1 << 31 else (whole, power)
    if not -35 <= power <= -1:
        raise ValueError(f"the model's input has a scale of {scale:g}, which the target cannot learn a scaling for")
    return whole, power


def multiplier(deviation: int, scale: float) -> tuple[int, int]:
    """What a feature less its mean is multiplied by, 31 bits, and shifted right by then, for a deviation in sixteenths."""
    mantissa, power = reciprocal(scale)
    quotient = (mantissa << 32) // deviation
    drop = quotient.bit_length() - 31
    rounded = (quotient + (1 << (drop - 1))) >> drop
    return min(rounded, (1 << 31) - 1), 32 - power - drop


def int8_learned(
    front_end: FrontEnd,
    frames: np.ndarray,
    learned: Learned,
    scale: float,
    zero: int,
    means: np.ndarray | None = None,
) -> np.ndarray:
    """The model's input as the target computes it with a learned scaling: (n, window, channels) -> (n, features) int8.

    `means`, (n, features) int64, are those of each window where they are not the learned ones.
    """
    centre = np.array(learned.mean, np.int64) if means is None else means
    if front_end.arithmetic == "fixed":
        pairs = [multiplier(deviation, scale) for deviation in learned.deviation]
        factors, shifts = (np.array(side, np.int64) for side in zip(*pairs))
        return fixed_point.quantized(front_end.integers(frames), centre, factors, shifts, zero)
    scaling = as_scaling(front_end, learned)
    return float32.quantized(front_end(frames), scaling, scale, zero, centre.astype(F) * F(2.0**-VALUE_FRACTION))


def as_scaling(front_end: FrontEnd, learned: Learned) -> Scaling:
    """A learned scaling in the features' units; of 'float32' exactly the floats that the target has."""
    bits = value_fractions(front_end)
    centre = np.array(learned.mean, F) * F(2.0) ** -bits
    spread = np.array(learned.deviation, F) * F(2.0) ** -(bits + DEVIATION_FRACTION)
    return Scaling(tuple(centre.tolist()), tuple(spread.tolist()))


def value_fractions(front_end: FrontEnd) -> np.ndarray:
    """Fraction bits of each feature's integer, (features,) float32."""
    if front_end.arithmetic == "fixed":
        return fixed_point.fractions(front_end).astype(F)
    return np.full(front_end.shape[-1], VALUE_FRACTION, F)
