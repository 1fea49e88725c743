"""The front end in float32: NumPy's operations in the order in which the emitted C does them, so that no bit differs."""

from __future__ import annotations

import itertools
import math

import numpy as np

from micro.signal import shaft_orders
from micro.signal.bands import mel_bins
from micro.signal.fourier import circle, mirrored, quarter_cosine, squared_bins
from micro.signal.scaling import Scaling
from micro.signal.shaft_orders import Shaft, bin_of, edges_at, positions_by_levels
from micro.signal.spec import Kind, Spec

F = np.float32
# Added to energies before the logarithm: far below any sensor's noise, and finite on silence.
SILENCE = F(1e-12)
SILENCE_SQUARED = F(1e-24)
LOG10_2 = F(math.log10(2))
# 2 / ln(10) times the series of atanh.
SERIES = tuple(F(2 / math.log(10) / n) for n in (1, 3, 5, 7, 9))
MOST_LEVEL = round(shaft_orders.MOST_DB / 10 * (1 << shaft_orders.LEVEL_FRACTION))
# Bits of 1 and of the square root of a half.
ONE_BITS, ROOT_HALF_BITS = 0x3F800000, 0x3F3504F3


def quantized(
    values: np.ndarray, scaling: Scaling, scale: float, zero: int, centre: np.ndarray | None = None
) -> np.ndarray:
    """Scaled features, quantized as the model's input, int8; with `centre`, float32, in place of the scaling's."""
    scaled = (values - (np.array(scaling.centre, F) if centre is None else centre)) / np.array(scaling.spread, F)
    steps = scaled / F(scale) + F(zero + 128) + F(0.5)
    return (np.clip(steps, F(0), F(255)).astype(np.int32) - 128).astype(np.int8)


def detrended(spec: Spec, x: np.ndarray) -> np.ndarray:
    """Windows (n, window) without their mean, or without their trend."""
    if spec.detrend == "none":
        return x
    x = x - (total(x) * F(1 / spec.length))[:, None]
    if spec.detrend == "linear":
        time = np.arange(spec.length, dtype=F) - F((spec.length - 1) / 2)
        slope = total(x * time) * F(12 / (spec.length * (spec.length**2 - 1)))
        x = x - slope[:, None] * time
    return x


def total(x: np.ndarray) -> np.ndarray:
    """Sums along the last axis, one after the other."""
    return np.cumsum(x, axis=-1, dtype=F)[..., -1]


def _statistics(spec: Spec, x: np.ndarray) -> np.ndarray:
    mean = total(x) * F(1 / spec.length)
    centred = x - mean[:, None]
    deviation = np.sqrt(total(centred * centred) * F(1 / spec.length))
    step = total(np.abs(x[:, 1:] - x[:, :-1])) * F(1 / (spec.length - 1))
    return np.stack([mean, deviation, x.min(axis=1), x.max(axis=1), step], axis=1)


def _moments(spec: Spec, x: np.ndarray) -> np.ndarray:
    squares = detrended(spec, x)
    squares = squares * squares
    power = log10(total(squares) * F(1 / spec.length) + SILENCE)
    fourth = log10(total(squares * squares) * F(1 / spec.length) + SILENCE_SQUARED)
    peak = log10(squares.max(axis=1) + SILENCE)
    return np.stack([F(0.5) * power, F(0.5) * (peak - power), fourth - (power + power)], axis=1)


def _shape(spec: Spec, x: np.ndarray) -> np.ndarray:
    rms, crest, kurtosis = _moments(spec, x).T
    centred = detrended(spec, x)
    squares = centred * centred
    power = total(squares) * F(1 / spec.length) + SILENCE
    skewness = total(squares * centred) * F(1 / spec.length) / (power * np.sqrt(power))
    return np.stack([rms, crest, skewness, kurtosis], axis=1)


def _spectrum(spec: Spec, x: np.ndarray) -> np.ndarray:
    return _energies(spec, power_spectrum(spec, detrended(spec, x)), spec.edges("spectrum"))


def _envelope(spec: Spec, x: np.ndarray) -> np.ndarray:
    return _energies(spec, power_spectrum(spec, _enveloped(spec, detrended(spec, x))), spec.edges("envelope"))


def _enveloped(spec: Spec, x: np.ndarray) -> np.ndarray:
    """Absolute steps of windows without trend, less their mean."""
    envelope = np.abs(x[:, 1:] - x[:, :-1])
    envelope = np.concatenate([envelope[:, :1], envelope], axis=1)
    return envelope - (total(envelope) * F(1 / spec.length))[:, None]


def ordered(spec: Shaft, kind: Kind, x: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Energies of 'spectrum' or 'envelope' in bands of orders, at these positions of the speed, (n,)."""
    x = detrended(spec, x)
    power = power_spectrum(spec, x if kind == "spectrum" else _enveloped(spec, x))
    edges, bins = edges_at(spec, kind, positions), np.arange(1, power.shape[1] + 1)
    # To add 0 changes no sum.
    bands = [
        total(np.where((bins >= first[:, None]) & (bins < past[:, None]), power, F(0)))
        for first, past in itertools.pairwise(edges.T)
    ]
    return log10(np.stack(bands, axis=1) * F(1 / spec.length) + SILENCE)


def positions(spec: Shaft, frames: np.ndarray) -> np.ndarray:
    """Where the speed stands in the spectra of windows, (n, window, channels) -> (n,) int64."""
    if spec.orders == "channel":
        mean = total(np.ascontiguousarray(frames[:, :, -1], F)) * F(1 / spec.length)
        slow, fast = F(spec.slowest), F(spec.fastest)
        within = np.where(mean > slow, np.where(mean < fast, mean, fast), slow)
        return (within * F(speed_factor(spec))).astype(np.int64)
    power = power_spectrum(spec, detrended(spec, np.ascontiguousarray(frames[:, :, 0], F)))
    levels = (log10(power + SILENCE) * F(1 << shaft_orders.LEVEL_FRACTION)).astype(np.int64)
    return positions_by_levels(spec, levels, MOST_LEVEL)


def speed_factor(spec: Shaft) -> float:
    """Position of a speed of 1 RPM."""
    return bin_of(spec, 1.0) * (1 << shaft_orders.FRACTION)


def _mel(spec: Spec, x: np.ndarray) -> np.ndarray:
    power = power_spectrum(spec, detrended(spec, x))
    energies = []
    for (first, last), (left, rise, right, fall) in zip(np.transpose(mel_bins(spec.mel())), mel_slopes(spec)):
        bins = np.arange(first, last + 1, dtype=F)
        weights = np.minimum((bins - left) * rise, (right - bins) * fall)
        energies.append(total(weights * power[:, first - 1 : last]))
    return log10(np.stack(energies, axis=1) * F(1 / spec.length) + SILENCE)


def mel_slopes(spec: Spec) -> np.ndarray:
    """Left corner, slope from it, right corner and slope to it of each triangle: (bands, 4) float32."""
    corners = spec.mel()
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    return np.stack([left, 1 / (centre - left), right, 1 / (right - centre)], axis=1).astype(F)


KINDS = {
    "spectrum": _spectrum,
    "mel": _mel,
    "envelope": _envelope,
    "moments": _moments,
    "shape": _shape,
    "statistics": _statistics,
}


def _energies(spec: Spec, power: np.ndarray, edges: np.ndarray) -> np.ndarray:
    bands = [total(power[:, first - 1 : past - 1]) for first, past in itertools.pairwise(edges)]
    return log10(np.stack(bands, axis=1) * F(1 / spec.length) + SILENCE)


def power_spectrum(spec: Spec, x: np.ndarray) -> np.ndarray:
    """Squared magnitudes of the tapered windows' bins 1 to window / 2: (n, window) -> (n, window / 2)."""
    quarter = quarter_cosine(spec.length).astype(F)
    if spec.taper != "none":
        level = F(0.5 if spec.taper == "hann" else 0.54)
        x = x * mirrored(level - (F(1) - level) * circle(quarter)[0])
    return squared_bins(x, quarter, product=_as_it_is, level=_as_it_is, half=lambda total: F(0.5) * total)


def _as_it_is(x: np.ndarray) -> np.ndarray:
    return x


def log10(x: np.ndarray) -> np.ndarray:
    """log10 of normal positive numbers: float32 within 2 ULP of the larger of result and 1."""
    bits = np.ascontiguousarray(x, F).view(np.int32) + np.int32(ONE_BITS - ROOT_HALF_BITS)
    power = ((bits >> 23) - 127).astype(F)
    fraction = ((bits & 0x7FFFFF) + ROOT_HALF_BITS).astype(np.int32).view(F) - F(1)
    s = fraction / (fraction + F(2))
    z = s * s
    series = SERIES[0] + z * (SERIES[1] + z * (SERIES[2] + z * (SERIES[3] + z * SERIES[4])))
    return power * LOG10_2 + s * series
