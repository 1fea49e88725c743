"""The two filters of the simulated rig, as `scipy.signal` computes them to the bit, without its second of importing."""

from __future__ import annotations

import numpy as np

# Values that are a list at a time.
BLOCK = 1 << 16


def first_order(x: np.ndarray, memory: float, start: float) -> np.ndarray:
    """y[n] = x[n] + memory * y[n - 1], where `start` is memory * y[-1]: (n,) float64.

    As `scipy.signal.lfilter([1.0], [1.0, -memory], x, zi=[start])`.

    Examples:
        >>> from micro.datasets.rig_filters import first_order
        >>> first_order(np.array([1.0, 0.0, 0.0]), memory=0.5, start=1.0)
        array([2. , 1. , 0.5])
    """
    y = np.empty(len(x))
    carried = start
    for begin in range(0, len(x), BLOCK):
        block = x[begin : begin + BLOCK].tolist()
        for place, value in enumerate(block):
            block[place] = last = value + carried
            carried = memory * last
        y[begin : begin + BLOCK] = block
    return y


def convolved(x: np.ndarray, response: np.ndarray) -> np.ndarray:
    """The first len(x) values of the convolution of two arrays, (n,) and (m,) float64, by their Fourier transforms.

    As `scipy.signal.fftconvolve(x, response)[: len(x)]`.

    Examples:
        >>> from micro.datasets.rig_filters import convolved
        >>> convolved(np.array([1.0, 0.0, 2.0]), np.array([1.0, 0.5])).round(3)
        array([1. , 0.5, 2. ])
    """
    size = _fast_length(len(x) + len(response) - 1)
    return np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(response, size), size)[: len(x)]


def _fast_length(least: int) -> int:
    """The smallest product of twos, threes and fives that is not below `least`."""
    best, fives = 1 << (least - 1).bit_length(), 1
    while fives < best:
        odd = fives
        while odd < best:
            best = min(best, odd << max(0, (-(-least // odd) - 1).bit_length()))
            odd *= 3
        fives *= 5
    return best
