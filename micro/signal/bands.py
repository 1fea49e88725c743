"""Which bins of a spectrum belong to a band."""

from __future__ import annotations

import numpy as np


def band_edges(window: int, sample_rate: float, low: float, high: float, bands: int, kind: str) -> np.ndarray:
    """First bins of `bands` equal bands between two frequencies, and one past the last: (bands + 1,) int.

    The bin of the mean is never included.

    Raises:
        ValueError: For bounds outside the spectrum or more bands than bins.
    """
    first, past = _bins(window, sample_rate, low, high, kind)
    if not 1 <= bands <= past - first:
        raise ValueError(
            f"{kind}: a window of {window} samples has 1 to {past - first} bands from {low:g} to {high:g}, got {bands}"
        )
    return np.round(np.linspace(first, past, bands + 1)).astype(int)


def mel_bands(window: int, sample_rate: float, low: float, high: float, bands: int) -> np.ndarray:
    """Corners of triangles evenly spaced on the mel scale, in bins: (bands + 2,) float64.

    Raises:
        ValueError: For bounds outside the spectrum, or a triangle without a bin.

    Source: O'Shaughnessy 1987; mel = 2595 log10(1 + f / 700).
    """
    _bins(window, sample_rate, low, high, "mel")
    if bands < 1:
        raise ValueError(f"mel: bands must be at least 1, got {bands}")
    lowest, highest = 2595 * np.log10(1 + np.array([low, high]) / 700)
    corners = 700 * (10 ** (np.linspace(lowest, highest, bands + 2) / 2595) - 1) * window / sample_rate
    firsts, lasts = mel_bins(corners)
    empty = np.flatnonzero(firsts > lasts)
    if len(empty):
        raise ValueError(
            f"mel: band {empty[0]} of {bands} holds no bin of a window of {window} samples; take fewer bands, a longer window "
            "or a higher low"
        )
    return corners


def mel_bins(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last bin inside each triangle, (bands,) int each."""
    return np.maximum(np.floor(corners[:-2]).astype(int) + 1, 1), np.ceil(corners[2:]).astype(int) - 1


def _bins(window: int, sample_rate: float, low: float, high: float, kind: str) -> tuple[int, int]:
    """The first bin at or above `low` and one past the last up to `high`."""
    if not 0 <= low < high <= sample_rate / 2 * (1 + 1e-9):
        raise ValueError(f"{kind}: low and high must rise from 0 to {sample_rate / 2:g} Hz, got {low:g} and {high:g}")
    width = sample_rate / window
    return max(1, int(np.ceil(low / width - 1e-9))), int(np.floor(high / width + 1e-9)) + 1
