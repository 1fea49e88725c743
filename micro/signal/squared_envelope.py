"""Envelopes of bands of a signal: what strikes again and again shows in the spectrum of a band's squared envelope."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Band(NamedTuple):
    """From `low` to `high`, in Hz."""

    low: float
    high: float


def whitened(samples: np.ndarray, sample_rate: float, width: float) -> np.ndarray:
    """Samples of which every stretch of `width` Hz has the same power, so that no tone or resonance outweighs the rest.

    Args:
        samples: (n,) floats.
        width: In Hz, of the running mean of the power spectrum that the spectrum is divided by.

    Returns:
        (n,) float64, with mean 0.
    """
    n = len(samples)
    spectrum = np.fft.rfft(samples - samples.mean())
    power = np.abs(spectrum) ** 2
    bins = max(round(width * n / sample_rate), 1) | 1
    sums = np.cumsum(np.concatenate([np.zeros(1), np.pad(power, bins // 2, mode="reflect")]))
    level = (sums[bins:] - sums[:-bins]) / bins
    level = np.maximum(level, 1e-9 * level.max())
    return np.fft.irfft(spectrum / np.sqrt(level), n) if level.max() > 0 else np.zeros(n)


def squared_envelope(spectrum: np.ndarray, n: int, sample_rate: float, band: Band) -> tuple[np.ndarray, float]:
    """The squared envelope of a band, and its sample rate in Hz, which is twice the band's width.

    Args:
        spectrum: (n // 2 + 1,) complex, of the samples, as `np.fft.rfft` gives it.
        n: Samples.
        band: Its edges are sharp: the bins from `low` to below `high` alone are transformed back.

    Returns:
        (m,) float64: the squared magnitude of the band's analytic signal. At twice the width, no product of two of its
        frequencies is folded.
    """
    first, past = max(round(band.low * n / sample_rate), 1), round(band.high * n / sample_rate)
    count = 2 * (past - first)
    analytic = np.fft.ifft(spectrum[first:past], count) * (2 * count / n)
    return np.abs(analytic) ** 2, sample_rate * count / n


def envelope_spectrum(envelope: np.ndarray, rate: float, resolution: float) -> tuple[np.ndarray, np.ndarray]:
    """The power spectrum of an envelope over its mean, averaged over stretches that overlap by half.

    Args:
        envelope: (m,) squared envelope.
        rate: Its samples a second.
        resolution: Hz from one bin to the next.

    Returns:
        Frequencies in Hz and power, both (bins,).
    """
    from scipy import signal

    length = min(round(rate / resolution), len(envelope))
    frequencies, power = signal.welch(
        envelope / max(envelope.mean(), 1e-300), rate, "hann", length, length // 2, detrend="constant"
    )
    return frequencies, power
