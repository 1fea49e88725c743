"""Windows synthesized around and beyond healthy ones: what a teacher scores for a student to learn from.

They are made of the features of healthy training windows alone and cover directions in which real faults may lie: mixtures of
two windows and what lies beyond them, noise on all features or a few, on neighboring features together, one offset on all,
features of another window, and features drawn freely. `micro.explore.synthetic_anomalies`, by which a search judges detectors,
changes samples instead, so that no student is judged by what it was trained on.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import uniform_filter1d

# How many widths of neighborhoods are drawn.
REACHES = 16
# A window of healthy features, another one for each, and the standard deviation of each feature -> as many new windows.
Way = Callable[[np.ndarray, np.ndarray, np.ndarray, np.random.Generator], np.ndarray]


def synthesized(x: np.ndarray, count: int, seed: int) -> np.ndarray:
    """About `count` new windows, as many by each way of making them.

    Args:
        x: Scaled features of healthy windows, (n, *shape), n at least 2.
        count: How many to make, rounded up to a multiple of the number of ways.
        seed: The same gives the same windows.

    Returns:
        (m, *shape) float32.
    """
    rng = np.random.default_rng([seed, 17])
    rows = x.reshape(len(x), -1)
    deviation = rows.std(axis=0, dtype=np.float64)
    # A feature that never changed may do so in a fault.
    deviation = np.maximum(deviation, 0.1 * deviation.mean() + 1e-6).astype(np.float32)
    each = -(-count // len(WAYS))
    made = np.empty((each * len(WAYS), rows.shape[1]), np.float32)
    for number, way in enumerate(WAYS):
        made[number * each : (number + 1) * each] = way(
            _drawn(rows, each, rng), _drawn(rows, each, rng), deviation, rng
        )
    return made.reshape(-1, *x.shape[1:])


def _drawn(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    return rows[rng.integers(len(rows), size=count)]


def _log_uniform(low: float, high: float, count: int, rng: np.random.Generator) -> np.ndarray:
    return np.exp(rng.uniform(np.log(low), np.log(high), (count, 1)))


def _between(one: np.ndarray, other: np.ndarray, deviation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return other + rng.uniform(0, 1, (len(one), 1)) * (one - other)


def _beyond(one: np.ndarray, other: np.ndarray, deviation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return other + rng.uniform(1, 4, (len(one), 1)) * (one - other)


def _noise(one: np.ndarray, other: np.ndarray, deviation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return one + _log_uniform(0.1, 3, len(one), rng) * rng.normal(size=one.shape) * deviation


def _on_few(one: np.ndarray, other: np.ndarray, deviation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise on one to half of the features."""
    few = rng.random(one.shape) < _log_uniform(min(0.5, 1 / one.shape[1]), 0.5, len(one), rng)
    return one + few * _log_uniform(0.3, 8, len(one), rng) * rng.normal(size=one.shape) * deviation


def _on_neighbors(one: np.ndarray, other: np.ndarray, deviation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise that neighboring features share, such as bands of a spectrum, over up to half of all."""
    shared = []
    for noise in np.array_split(rng.normal(size=one.shape), REACHES):
        width = 2 * int(rng.integers(1, max(2, one.shape[1] // 4))) + 1
        shared.append(uniform_filter1d(noise, width, axis=1) * np.sqrt(width))
    return one + _log_uniform(0.1, 3, len(one), rng) * np.concatenate(shared) * deviation


def _offset(one: np.ndarray, other: np.ndarray, deviation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return one + rng.normal(size=(len(one), 1)) * _log_uniform(0.3, 4, len(one), rng) * deviation


def _exchanged(one: np.ndarray, other: np.ndarray, deviation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random(one.shape) < rng.uniform(0.05, 0.5, (len(one), 1)), other, one)


def _drawn_freely(one: np.ndarray, other: np.ndarray, deviation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Features anywhere in the range of healthy ones, and two standard deviations beyond."""
    low, high = one.min(axis=0) - 2 * deviation, one.max(axis=0) + 2 * deviation
    chosen = rng.random(one.shape) < rng.uniform(0.05, 1, (len(one), 1))
    return np.where(chosen, rng.uniform(low, high, one.shape), one)


WAYS: tuple[Way, ...] = (_between, _beyond, _noise, _on_few, _on_neighbors, _offset, _exchanged, _drawn_freely)
