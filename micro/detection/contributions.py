"""How much each feature of a window adds to its score: exactly where the score is a sum, by Shapley values where it is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from micro.detection.residual import measured
from micro.detection.score import Score

# Orders in which features come in, and as many reversed.
ORDERS = 8
SUMS = ("reconstruction", "residual")


def summands(score: Score, features: np.ndarray, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The squares whose sum is a score of kind 'reconstruction' or 'residual', and the differences that are squared.

    Shapes: int8 (n, ..., features), (n, ...) -> (n, ..., features) int64 each; of 'residual' the predicted features.

    Examples:
        >>> score = Score("reconstruction", 0.01, factors=(16384, 16384), zeros=(0, 0))
        >>> x, y = np.array([[5, 1]], "int8"), np.array([[3, 1]], "int8")
        >>> bool(summands(score, x, y)[0].sum() == score(x, y)[0])
        True
    """
    if score.kind not in SUMS:
        raise ValueError(f"a score of kind {score.kind!r} is no sum over features; take shapley")
    compared = measured(np.asarray(features), score.places)
    given = np.asarray(outputs).reshape(compared.shape)
    x, y = compared.astype(np.int64), given.astype(np.int64)
    off = score.factors[0] * (x - score.zeros[0]) - score.factors[1] * (y - score.zeros[1])
    return off * off, off


def shapley(
    value: Callable[[np.ndarray], np.ndarray], x: np.ndarray, reference: np.ndarray, groups: Sequence[Sequence[int]]
) -> np.ndarray:
    """How much each group of features moves a value from that of a reference to that of a window, which the groups add up to.

    Groups are put into the reference one after another, in several orders and these reversed; what each changes is averaged.
    The same window gives the same numbers.

    Args:
        value: Of windows, (n, ..., features) -> (n,).
        x, reference: One window each, (..., features).
        groups: Places along the last axis, each place in one of them.

    Returns: (groups,) float64; their sum is value(x) - value(reference).

    Source: Strumbelj and Kononenko 2014, sampled Shapley values; antithetic orders of Mitchell et al. 2022.

    Examples:
        >>> found = shapley(lambda rows: rows.sum(axis=1), np.array([3, 1, 2]), np.zeros(3, int), [[0], [1, 2]])
        >>> found.tolist()
        [3.0, 3.0]
    """
    rng = np.random.default_rng(0)
    forward = [rng.permutation(len(groups)) for _ in range(ORDERS)]
    orders = [order for each in forward for order in (each, each[::-1])]
    rows = []
    for order in orders:
        row = reference.copy()
        rows.append(row.copy())
        for group in order:
            row[..., list(groups[group])] = x[..., list(groups[group])]
            rows.append(row.copy())
    values = np.asarray(value(np.stack(rows)), np.float64).reshape(len(orders), len(groups) + 1)
    found = np.zeros(len(groups))
    for order, steps in zip(orders, np.diff(values, axis=1)):
        found[order] += steps
    return found / len(orders)
