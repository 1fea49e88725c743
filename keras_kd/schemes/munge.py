"""Synthetic examples similar to a data set, for a teacher to label and a student to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_kd.checks import require_number


@dataclass(frozen=True)
class Munge:
    """Synthesize unlabeled examples from a small table.

    Each pass copies the table and pairs every example with its nearest neighbor. Each attribute is swapped with the given
    probability; a continuous one is drawn from a normal distribution around the other's value, with a standard deviation of
    |difference| / variance.

    Args:
        probability: p, in [0, 1].
        variance: s, the local variance parameter, above 0; the larger, the closer to the data.
        nominal: Columns of categories, whose values are swapped as they are; two that differ have distance 1.

    Raises:
        ValueError: For numbers out of range.

    Examples:
        >>> table = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
        >>> keras_kd.Munge(probability=0.5, variance=1.0)(table, times=4).shape
        (80, 3)

    Source: MUNGE, Bucila, Caruana and Niculescu-Mizil 2006, algorithm 1, https://doi.org/10.1145/1150402.1150464
    """

    probability: float = 0.75
    variance: float = 0.5
    nominal: Sequence[int] = ()

    def __post_init__(self) -> None:
        require_number(self.probability, "Munge: probability", minimum=0.0, maximum=1.0)
        require_number(self.variance, "Munge: variance", above=0.0)

    def __call__(self, x: np.ndarray, times: int, *, seed: int = 0) -> np.ndarray:
        """New examples in the table's dtype.

        Args:
            x: Table of numbers, (n, features), n at least 2.
            times: Number of passes, at least 1.
            seed: Of the random numbers.

        Returns:
            (times * n, features).

        Raises:
            ValueError: For fewer than two rows, values that are not finite, columns that are not there, or no passes.
        """
        x = np.asarray(x)
        if x.ndim != 2 or len(x) < 2 or not np.isfinite(x.astype(np.float64)).all():
            raise ValueError(f"Munge: needs a table of at least two rows of finite numbers, got shape {x.shape}")
        if times < 1:
            raise ValueError(f"Munge: times must be at least 1, got {times}")
        columns = np.arange(x.shape[1])
        if not set(self.nominal) <= set(columns.tolist()):
            raise ValueError(f"Munge: nominal columns must be among 0 to {x.shape[1] - 1}, got {sorted(self.nominal)}")
        is_nominal = np.isin(columns, list(self.nominal))
        rng = np.random.default_rng(seed)
        nearest = _nearest(x.astype(np.float64), is_nominal)
        passes = [_one_pass(x, nearest, is_nominal, self.probability, self.variance, rng) for _ in range(times)]
        return np.concatenate(passes)


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
        deviation = np.where(is_nominal, 0.0, np.abs(mine - its) / variance)
        made[one] = np.where(swapped, rng.normal(its, deviation), mine)
        made[other] = np.where(swapped, rng.normal(mine, deviation), its)
    return made.astype(x.dtype)


def _nearest(x: np.ndarray, is_nominal: np.ndarray) -> np.ndarray:
    """Each row's nearest other row: continuous columns scaled to [0, 1], Euclidean; row by row, so memory stays small."""
    span = np.ptp(x, axis=0)
    scaled = np.where(is_nominal, x, (x - x.min(axis=0)) / np.where(span > 0, span, 1.0))
    nearest = np.empty(len(x), int)
    for row, values in enumerate(scaled):
        difference = np.where(is_nominal, (scaled != values).astype(float), scaled - values)
        distance = np.sum(difference**2, axis=1)
        distance[row] = np.inf
        nearest[row] = int(np.argmin(distance))
    return nearest
