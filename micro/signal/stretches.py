"""Where flags are set in a row."""

from __future__ import annotations

import numpy as np


def stretches(flags: np.ndarray) -> np.ndarray:
    """The first of each run of flags that are set, and the one past its last: (n,) bool -> (runs, 2) int."""
    edges = np.diff(np.concatenate(([0], np.asarray(flags, bool).view(np.int8), [0])))
    return np.flatnonzero(edges).reshape(-1, 2)
