"""Some of many places, evenly spaced."""

from __future__ import annotations

import numpy as np


def evenly_spaced(length: int, count: int) -> np.ndarray:
    """At most `count` positions, evenly spaced over `length`."""
    return np.unique(np.linspace(0, length - 1, min(length, count)).round().astype(int))
