"""What every dataset gives: recordings, and windows cut from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class Recording:
    """One stretch of samples from one machine in one state.

    `name` is the file's path below the config's folder, so that files of one name in two folders are two recordings.
    `samples` is (n, channels) float32; `sample_rate` in Hz; `healthy` marks the samples that models may learn from; `faulty`
    marks those known to be anomalous, None where nobody knows, and `unknown` those of a labelled file that have no label;
    `valid` is False for samples that no window may touch (missing or unreadable ones). `start` is the row of the first
    sample in its file, `start_seconds` the time from the file's first row to it, gaps included.
    """

    name: str
    samples: np.ndarray
    sample_rate: float
    label: str
    healthy: np.ndarray = field(repr=False)
    faulty: np.ndarray | None = field(repr=False)
    valid: np.ndarray = field(repr=False)
    start: int = 0
    unknown: np.ndarray | None = field(default=None, repr=False)
    start_seconds: float = 0.0

    @classmethod
    def whole(cls, name: str, samples: np.ndarray, sample_rate: float, label: str, healthy: bool) -> Recording:
        """A recording in one state from end to end."""
        samples = np.asarray(samples, np.float32)
        samples = samples[:, None] if samples.ndim == 1 else samples
        ones = np.ones(len(samples), bool)
        return cls(name, samples, float(sample_rate), label, ones & healthy, ones & (not healthy), ones)


def windows(samples: np.ndarray, window: int, hop: int) -> np.ndarray:
    """Frames of `window` samples, one every `hop`; a rest too short for a window is left out.

    Shapes: (n, channels) -> (1 + (n - window) // hop, window, channels), or none if n < window.
    """
    if window < 1 or hop < 1:
        raise ValueError(f"window and hop must be at least 1 sample, got {window} and {hop}")
    if len(samples) < window:
        return np.empty((0, window, *samples.shape[1:]), samples.dtype)
    frames = np.lib.stride_tricks.sliding_window_view(samples, window, axis=0)[::hop]
    return np.moveaxis(frames, -1, 1)


def split_in_time(count: int, shares: tuple[float, ...], window: int, hop: int) -> list[slice]:
    """Consecutive runs of `count` windows in these shares, with windows left out between runs so that none overlap.

    Raises:
        ValueError: If a run would be empty.
    """
    gap = -(-window // hop) - 1
    usable = count - gap * (len(shares) - 1)
    edges = np.round(np.cumsum((0.0, *shares)) / sum(shares) * usable).astype(int)
    runs = [slice(int(a) + i * gap, int(b) + i * gap) for i, (a, b) in enumerate(pairwise(edges))]
    if usable < len(shares) or any(run.stop <= run.start for run in runs):
        raise ValueError(
            f"{count} windows are too few to split {len(shares)} ways with a gap of {gap}; record longer, or take "
            "shorter windows"
        )
    return runs
