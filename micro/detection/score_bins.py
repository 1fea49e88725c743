"""Bins that a device counts scores in: their bounds are parts of its threshold, whatever that is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Upper bounds of all bins but the last, in 1/65536 of the threshold. Factors of about the square root of 2, near the threshold
# of its fourth root and finer, and one exactly at the threshold: what is above it is anomalous.
PARTS = (
    *(4096, 5793, 8192, 11585, 16384, 23170, 32768),
    *(38968, 46341, 50535, 55109, 60097, 65536),
    *(71468, 77936, 92682, 110218, 131072, 262144),
)
BINS = len(PARTS) + 1
AT_THRESHOLD = PARTS.index(65536)
LARGEST = 2**63 - 1


def bounds_of(threshold: int) -> list[int]:
    """The bounds for a threshold in integers, within 64 bits; a score is in the first bin whose bound it is not above.

    Of a threshold that is not above 0 there are two bins: up to it, and above.

    Examples:
        >>> from micro.detection.score_bins import AT_THRESHOLD, bounds_of
        >>> bounds_of(1000)[:3], bounds_of(1000)[AT_THRESHOLD], bounds_of(1000)[-1]
        ([62, 88, 125], 1000, 4000)
    """
    if threshold <= 0:
        return [threshold] * len(PARTS)
    return [min(threshold * part >> 16, LARGEST) for part in PARTS]


def counts_of(scores: Sequence[int] | np.ndarray, threshold: int) -> np.ndarray:
    """How many integer scores lie in each bin, (bins,) int64."""
    places = np.searchsorted(np.array(bounds_of(threshold), np.int64), np.asarray(scores, np.int64), side="left")
    return np.bincount(places, minlength=BINS)


def above(counts: np.ndarray) -> np.ndarray:
    """Of counts (..., bins) how many are above the threshold, (...)."""
    return np.asarray(counts)[..., AT_THRESHOLD + 1 :].sum(axis=-1)
