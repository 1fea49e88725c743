"""Runs of true values in an array."""

from __future__ import annotations

import numpy as np


def runs_of(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each run of true values begins, and the place behind its last: (n,) bool -> two of (runs,) int.

    Examples:
        >>> from micro.support.masks import runs_of
        >>> [ends.tolist() for ends in runs_of(np.array([True, False, True, True]))]
        [[0, 2], [1, 4]]
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return edges[::2], edges[1::2]
