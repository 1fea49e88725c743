"""Samples at a lower rate: a low-pass filter, of whose outputs one in a few is kept, in float32 and in fixed point."""

from __future__ import annotations

import numpy as np

from micro.signal.fixed_point import SAMPLE_FRACTION

# Outputs that a sample adds to; of the filter's length in samples this is the multiple of the factor.
OVERLAP = 10
# Fraction bits of the filter's coefficients in fixed point: sums of products with int16 samples fit 32 bits.
TAP_FRACTION = 15
# Shape of the Kaiser window: what it keeps out meets the nulls of the running means.
BETA = 3.4


def taps_of(factor: int) -> np.ndarray:
    """Coefficients of the filter before every `factor`-th sample is kept, float64 with sum 1; (1,) for a factor of 1.

    Two running means over `factor` samples, whose nulls lie where frequencies near 0 Hz would be mistaken for others, and a
    windowed sinc. Its response is not flat: who takes the spectrum divides by `response`.
    """
    if factor == 1:
        return np.ones(1)
    length = OVERLAP * factor - 2 * (factor - 1)
    time = np.arange(length) - (length - 1) / 2
    mean = np.ones(factor)
    taps = np.convolve(np.convolve(np.sinc(time / factor) * np.kaiser(length, BETA), mean), mean)
    return np.asarray(taps / taps.sum())


def response(taps: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """Magnitude of a filter's response at frequencies, in cycles a sample."""
    # Coefficients are symmetric, so that the response is a sum of cosines around the middle.
    time = np.arange(len(taps)) - (len(taps) - 1) / 2
    return np.abs(np.cos(2 * np.pi * np.outer(frequencies, time)) @ taps)


def decimated_float32(blocks: np.ndarray, taps: np.ndarray, factor: int, count: int) -> np.ndarray:
    """`count` outputs of each block, summed sample by sample: (n, samples) float32 -> (n, count) float32."""
    if factor == 1:
        return blocks
    parts = np.lib.stride_tricks.sliding_window_view(blocks, len(taps), axis=1)[:, ::factor][:, :count]
    sums = np.zeros(parts.shape[:2], np.float32)
    for place, tap in enumerate(taps.astype(np.float32)):
        sums += tap * parts[:, :, place]
    return sums


def decimated_fixed(blocks: np.ndarray, taps: np.ndarray, factor: int, count: int) -> np.ndarray:
    """As `decimated_float32`, of counts: (n, samples) int64 -> (n, count) int64 with the fraction bits of samples at work."""
    if factor == 1:
        return blocks << SAMPLE_FRACTION
    parts = np.lib.stride_tricks.sliding_window_view(blocks, len(taps), axis=1)[:, ::factor][:, :count]
    drop = TAP_FRACTION - SAMPLE_FRACTION
    sums = np.zeros(parts.shape[:2], np.int64)
    for place, tap in enumerate(fixed_taps(taps)):
        sums += tap * parts[:, :, place]
    return (sums + (1 << (drop - 1))) >> drop


def fixed_taps(taps: np.ndarray) -> np.ndarray:
    """Coefficients as integers."""
    return np.round(taps * 2.0**TAP_FRACTION).astype(np.int64)
