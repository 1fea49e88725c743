"""More data of the kind at hand, for a student to learn a teacher from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_kd.objectives.base import require_number


def munge(
    x: np.ndarray,
    times: int,
    *,
    probability: float = 0.75,
    variance: float = 0.5,
    nominal: Sequence[int] = (),
    seed: int = 0,
) -> np.ndarray:
    """Synthesise unlabelled examples from a small table: (n, features) -> (times * n, features), dtype kept.

    Each pass copies the table and takes every example with its nearest neighbour: each attribute is swapped with the given
    probability; a continuous one is drawn from a normal around the other's value, with deviation |difference| / variance.

    Args:
        x: Finite numbers, at least two rows.
        times: Passes over the table, at least 1.
        probability: p, in [0, 1].
        variance: s, the local variance parameter, above 0: larger keeps closer to the data.
        nominal: Columns whose values are swapped as they are and differ or agree; distance 1 where they differ.

    Raises: ValueError for other shapes or ranges.
    Source: MUNGE, Bucila, Caruana and Niculescu-Mizil 2006, algorithm 1.
    """
    x = np.asarray(x)
    if x.ndim != 2 or len(x) < 2 or not np.isfinite(x.astype(np.float64)).all():
        raise ValueError(f"munge: needs a table of at least two rows of finite numbers, got shape {x.shape}")
    if times < 1:
        raise ValueError(f"munge: times must be at least 1, got {times}")
    require_number(probability, "munge: probability", minimum=0.0, maximum=1.0)
    require_number(variance, "munge: variance", above=0.0)
    columns = np.arange(x.shape[1])
    if not set(nominal) <= set(columns.tolist()):
        raise ValueError(f"munge: nominal columns must be among 0 to {x.shape[1] - 1}, got {sorted(nominal)}")
    is_nominal = np.isin(columns, list(nominal))
    rng = np.random.default_rng(seed)
    nearest = _nearest(x.astype(np.float64), is_nominal)
    return np.concatenate([_one_pass(x, nearest, is_nominal, probability, variance, rng) for _ in range(times)])


def _one_pass(
    x: np.ndarray,
    nearest: np.ndarray,
    is_nominal: np.ndarray,
    probability: float,
    variance: float,
    rng: np.random.Generator,
) -> np.ndarray:
    made = x.astype(np.float64)
    for one, other in enumerate(nearest):
        swapped = rng.random(x.shape[1]) < probability
        mine, its = made[one].copy(), made[other].copy()
        spread = np.where(is_nominal, 0.0, np.abs(mine - its) / variance)
        made[one] = np.where(swapped, rng.normal(its, spread), mine)
        made[other] = np.where(swapped, rng.normal(mine, spread), its)
    return made.astype(x.dtype)


def _nearest(x: np.ndarray, is_nominal: np.ndarray) -> np.ndarray:
    """Each row's nearest other row: continuous columns scaled to [0, 1], Euclidean; row by row, so memory stays small."""
    span = np.ptp(x, axis=0)
    scaled = np.where(is_nominal, x, (x - x.min(axis=0)) / np.where(span > 0, span, 1.0))
    found = np.empty(len(x), int)
    for row, values in enumerate(scaled):
        difference = np.where(is_nominal, (scaled != values).astype(float), scaled - values)
        distance = np.sum(difference**2, axis=1)
        distance[row] = np.inf
        found[row] = int(np.argmin(distance))
    return found
