"""The front end in fixed point: int16 samples, 32-bit values, 64-bit products; the emitted C gives the same bits."""

from __future__ import annotations

import itertools
import math

import numpy as np

from micro.signal import shaft_orders
from micro.signal.bands import mel_bins
from micro.signal.fourier import circle, mirrored, quarter_cosine, squared_bins
from micro.signal.scaling import Scaling
from micro.signal.shaft_orders import FRACTION, Shaft, bin_of, edges_at, ends, positions_by_levels
from micro.signal.spec import Kind, Spec

SAMPLE_FRACTION = 10  # fraction bits of samples at work
LEVEL_FRACTION = 8  # of statistics
LOG_FRACTION = 16  # of logarithms
MEL_FRACTION = 12  # of the triangles' weights
ONE = 1 << 30  # of cosines and tapers
# log2 of the smallest mean power that differs from silence, in counts squared.
SILENCE = -10
LOG10_2 = round(math.log10(2) * (1 << LOG_FRACTION))
# Fraction bits of the factor from counts of a speed to bins.
SPEED_FRACTION = 24
MOST_LEVEL = round(shaft_orders.MOST_DB / 10 / math.log10(2) * (1 << shaft_orders.LEVEL_FRACTION))
FRACTIONS = {"statistics": LEVEL_FRACTION, "raw": SAMPLE_FRACTION}


def fractions(spec: Spec) -> np.ndarray:
    """Fraction bits of each feature along the last axis."""
    if spec.kinds == ("raw",):
        return np.full(spec.measured, SAMPLE_FRACTION)
    one = [np.full(spec.size_of(kind), FRACTIONS.get(kind, LOG_FRACTION)) for kind in spec.kinds]
    return np.tile(np.concatenate(one), spec.measured)


def scaling_constants(scaling: Scaling, scale: float, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Center (int32), multiplier (31 bits) and right shift of each feature.

    Raises:
        ValueError: For a standard deviation so small or large that 64 bits do not hold the product.
    """
    centre = np.round(np.array(scaling.centre) * 2.0**bits).astype(np.int64)
    mantissa, power = np.frexp(1 / (np.array(scaling.spread) * scale * 2.0**bits))
    shift = 31 - power
    if np.any((shift < 1) | (shift > 62)):
        raise ValueError(
            f"feature {int(np.argmax((shift < 1) | (shift > 62)))} has a standard deviation that int32 cannot scale"
        )
    return (
        np.clip(centre, -(2**31), 2**31 - 1),
        np.minimum(np.round(mantissa * 2**31), 2**31 - 1).astype(np.int64),
        shift,
    )


def quantized(
    values: np.ndarray, centre: np.ndarray, multiplier: np.ndarray, shift: np.ndarray, zero: int
) -> np.ndarray:
    """Scaled features, quantized as the model's input, int8."""
    steps = ((values - centre) * multiplier + (np.int64(1) << (shift - 1))) >> shift
    return np.clip(steps + zero, -128, 127).astype(np.int8)


def detrended(spec: Spec, x: np.ndarray) -> np.ndarray:
    """Counts (n, window) without their mean or trend, with fraction bits."""
    return without_trend(spec, x << SAMPLE_FRACTION)


def without_trend(spec: Spec, fine: np.ndarray) -> np.ndarray:
    """As `detrended`, of counts that have their fraction bits."""
    if spec.detrend == "none":
        return fine
    fine = fine - (fine.sum(axis=1) // spec.length)[:, None]
    if spec.detrend == "linear":
        # Twice the time from the middle, so that it is whole; the slope has 8 bits more.
        time = 2 * np.arange(spec.length) - (spec.length - 1)
        slope = ((fine * time).sum(axis=1) << 8) // (spec.length * (spec.length**2 - 1) // 3)
        fine = fine - ((slope[:, None] * time) >> 8)
    return fine


def _statistics(spec: Spec, x: np.ndarray) -> np.ndarray:
    level = (x.sum(axis=1) << LEVEL_FRACTION) // spec.length
    centred = (x << 4) - (level >> (LEVEL_FRACTION - 4))[:, None]
    deviation = square_root(((centred * centred).sum(axis=1) << 8) // spec.length)
    step = (np.abs(x[:, 1:] - x[:, :-1]).sum(axis=1) << LEVEL_FRACTION) // (spec.length - 1)
    low, high = x.min(axis=1) << LEVEL_FRACTION, x.max(axis=1) << LEVEL_FRACTION
    return np.stack([level, deviation, low, high, step], axis=1)


def _in_15_bits(spec: Spec, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Detrended counts, shifted left so that fourth powers can be summed, by how many bits, and the largest before."""
    x = detrended(spec, x)
    peak = np.abs(x).max(axis=1)
    room = 14 - highest_bit(np.maximum(peak, 1).astype(np.uint64))
    return (
        np.where(room[:, None] >= 0, x << np.maximum(room, 0)[:, None], x >> np.maximum(-room, 0)[:, None]),
        room,
        peak,
    )


def _moments(spec: Spec, x: np.ndarray) -> np.ndarray:
    x, room, peak = _in_15_bits(spec, x)
    squares = x * x
    coarse = squares >> 5
    window = log2(np.full(1, spec.length, np.uint64))[0]
    power = log2(squares.sum(axis=1).astype(np.uint64)) - window
    fourth = log2((coarse * coarse).sum(axis=1).astype(np.uint64)) - window + (10 << LOG_FRACTION)
    largest = log2(squares.max(axis=1).astype(np.uint64))
    rms = np.maximum(power - ((2 * (SAMPLE_FRACTION + room)) << LOG_FRACTION), SILENCE << LOG_FRACTION) >> 1
    crest, kurtosis = (largest - power) >> 1, fourth - 2 * power
    silent = peak == 0
    parts = [
        np.where(silent, (SILENCE << LOG_FRACTION) >> 1, rms),
        np.where(silent, 0, crest),
        np.where(silent, 0, kurtosis),
    ]
    return np.stack([to_log10(part) for part in parts], axis=1)


def _shape(spec: Spec, x: np.ndarray) -> np.ndarray:
    rms, crest, kurtosis = _moments(spec, x).T
    x, _, peak = _in_15_bits(spec, x)
    power = np.maximum((x * x).sum(axis=1) // spec.length, 1)
    # Cubes are at most squares times 2^15, so that a quotient fits 32 bits.
    quotient = (((x * x * x).sum(axis=1) // spec.length) << LOG_FRACTION) // power
    skewness = (quotient << 8) // square_root(power << 16)
    return np.stack([rms, crest, np.where(peak == 0, 0, skewness), kurtosis], axis=1)


def _spectrum(spec: Spec, x: np.ndarray) -> np.ndarray:
    return _energies(spec, *power_spectrum(spec, detrended(spec, x)), spec.edges("spectrum"))


def _envelope(spec: Spec, x: np.ndarray) -> np.ndarray:
    return _energies(spec, *power_spectrum(spec, _enveloped(spec, detrended(spec, x))), spec.edges("envelope"))


def _enveloped(spec: Spec, x: np.ndarray) -> np.ndarray:
    """Absolute steps of windows without trend, less their mean."""
    envelope = np.abs(x[:, 1:] - x[:, :-1])
    envelope = np.concatenate([envelope[:, :1], envelope], axis=1)
    return envelope - (envelope.sum(axis=1) // spec.length)[:, None]


def ordered(spec: Shaft, kind: Kind, x: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Energies of 'spectrum' or 'envelope' in bands of orders, at these positions of the speed, (n,)."""
    x = detrended(spec, x)
    power, exponent = power_spectrum(spec, x if kind == "spectrum" else _enveloped(spec, x))
    sums = np.concatenate([np.zeros((len(power), 1), np.uint64), np.cumsum(power, axis=1, dtype=np.uint64)], axis=1)
    at = np.take_along_axis(sums, edges_at(spec, kind, positions) - 1, axis=1)
    return _log_energies(at[:, 1:] - at[:, :-1], exponent)


def positions(spec: Shaft, frames: np.ndarray) -> np.ndarray:
    """Where the speed stands in the spectra of windows, (n, window, channels) -> (n,) int64."""
    if spec.orders == "channel":
        factor = speed_factor(spec)
        found = (frames[:, :, -1].astype(np.int64).sum(axis=1) * factor) >> SPEED_FRACTION
        return np.clip(found, *ends(spec))
    power, _ = power_spectrum(spec, detrended(spec, np.ascontiguousarray(frames[:, :, 0], np.int64)))
    levels = log2(power) >> (LOG_FRACTION - shaft_orders.LEVEL_FRACTION)
    return positions_by_levels(spec, levels, MOST_LEVEL)


def speed_factor(spec: Shaft) -> int:
    """Position of the speed for a sum of counts of a window, with fraction bits."""
    per_count = bin_of(spec, spec.speed_full_scale or 0.0) / 32768 / spec.length
    return round(per_count * 2.0 ** (FRACTION + SPEED_FRACTION))


def _mel(spec: Spec, x: np.ndarray) -> np.ndarray:
    power, exponent = power_spectrum(spec, detrended(spec, x))
    energies = []
    for (first, last), (left, rise, right, fall) in zip(np.transpose(mel_bins(spec.mel())), mel_slopes(spec)):
        bins = np.arange(first, last + 1) << MEL_FRACTION
        weights = np.minimum(((bins - left) * rise) >> 16, ((right - bins) * fall) >> 16)
        weights = np.clip(weights, 0, 1 << MEL_FRACTION)
        energies.append(
            ((weights.astype(np.uint64) * power[:, first - 1 : last]) >> np.uint64(MEL_FRACTION)).sum(axis=1)
        )
    return _log_energies(np.stack(energies, axis=1), exponent)


def mel_slopes(spec: Spec) -> np.ndarray:
    """Left corner, slope from it, right corner and slope to it of each triangle: (bands, 4) int64; slopes have 16 bits more."""
    corners = spec.mel()
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    slopes = (1 / (centre - left), 1 / (right - centre))
    rise, fall = (np.round(slope * 2.0**16) for slope in slopes)
    left, right = (np.round(corner * 2.0**MEL_FRACTION) for corner in (left, right))
    return np.stack([left, rise, right, fall], axis=1).astype(np.int64)


KINDS = {
    "spectrum": _spectrum,
    "mel": _mel,
    "envelope": _envelope,
    "moments": _moments,
    "shape": _shape,
    "statistics": _statistics,
}


def _energies(spec: Spec, power: np.ndarray, exponent: np.ndarray, edges: np.ndarray) -> np.ndarray:
    bands = [power[:, first - 1 : past - 1].sum(axis=1) for first, past in itertools.pairwise(edges)]
    return _log_energies(np.stack(bands, axis=1), exponent)


def _log_energies(energies: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    logs = log2(np.maximum(energies, np.uint64(1))) + (exponent << LOG_FRACTION)[:, None]
    return to_log10(np.maximum(logs, SILENCE << LOG_FRACTION))


def power_spectrum(spec: Spec, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared magnitudes of the tapered windows' bins 1 to window / 2, as mantissas and a power of two a window.

    Shapes: (n, window) -> (n, window / 2) uint64, (n,) int64.
    """
    quarter = quarter_table(spec.length)
    if spec.taper != "none":
        level = round((0.5 if spec.taper == "hann" else 0.54) * ONE)
        x = _rounded(x * mirrored(level - _rounded((ONE - level) * circle(quarter)[0])))
    room = 28 - highest_bit(np.maximum(np.abs(x).max(axis=1), 1).astype(np.uint64))
    power = squared_bins(x << room[:, None], quarter, product=_rounded, level=_halved, half=_halved)
    levels = spec.length.bit_length() - 2
    exponent = 10 + 2 * levels - 2 * (SAMPLE_FRACTION + room) - (levels + 1)
    return power.astype(np.uint64) >> np.uint64(10), exponent


def quarter_table(window: int) -> np.ndarray:
    """Cosines of the first quarter of a circle, 30 fraction bits."""
    return np.round(quarter_cosine(window) * ONE).astype(np.int64)


def _halved(x: np.ndarray) -> np.ndarray:
    return x >> 1


def _rounded(product: np.ndarray) -> np.ndarray:
    """A product without its 30 extra fraction bits, rounded to nearest, halves up."""
    return (product + (ONE >> 1)) >> 30


def square_root(x: np.ndarray) -> np.ndarray:
    """The integer part of the square root of integers below 2^62."""
    root = np.zeros_like(x)
    for bit in range(30, -1, -1):
        tried = root | (1 << bit)
        root = np.where(tried * tried <= x, tried, root)
    return root


def highest_bit(x: np.ndarray) -> np.ndarray:
    """Position of the highest bit set, int64; x is uint64 and above 0."""
    position = np.zeros(x.shape, np.int64)
    for step in (32, 16, 8, 4, 2, 1):
        position += np.where(x >> (position + step).astype(np.uint64) > 0, step, 0)
    return position


def log2(x: np.ndarray) -> np.ndarray:
    """log2 of integers (uint64, 0 taken as 1), 16 fraction bits, truncated: each squaring gives one bit."""
    x = np.maximum(x, np.uint64(1))
    whole = highest_bit(x)
    left, right = np.maximum(31 - whole, 0).astype(np.uint64), np.maximum(whole - 31, 0).astype(np.uint64)
    mantissa = (x << left) >> right
    result = whole << LOG_FRACTION
    for bit in range(LOG_FRACTION - 1, -1, -1):
        mantissa = (mantissa * mantissa) >> np.uint64(31)
        above = mantissa >> np.uint64(32) > 0
        result = result + np.where(above, 1 << bit, 0)
        mantissa = np.where(above, mantissa >> np.uint64(1), mantissa)
    return result


def to_log10(x: np.ndarray) -> np.ndarray:
    """A logarithm to base 2 with 16 fraction bits, to base 10."""
    return (x * LOG10_2 + (1 << (LOG_FRACTION - 1))) >> LOG_FRACTION
