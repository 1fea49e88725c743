"""Whether samples say so much that others are the same by copy alone.

Rows that repeat do not, nor do those that follow from the rows before them: machines stand still, simulated signals are
periodic and without noise, slow sensors give few values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from micro.datasets import store
from micro.datasets.fingerprints import BLOCK, LARGE, chosen, grain_of, hashed, in_steps, rolled

# Of a fingerprint's rows, each other than the one before: how many must be distinct, and of how many distinct steps.
DISTINCT_ROWS, DISTINCT_STEPS = 24, 16
# Earlier rows that a row may follow from, and how far from it, in steps of the channel: what rounding alone does.
ORDER, ROUNDING = 6, 2.0
# Of a picture: distinct pixels and steps among its first that change. Of a file: rows that are looked at together, and how
# many such parts are all looked at, of those behind them one in as many.
FILE_ROWS, FILE_STEPS, LOOKED_AT, ALL_OF = 16, 8, 4096, 64
# Of a file: earlier rows that a row may follow from, the part of rows that must, bits that do not, and the part of runs of rows
# that are other than those before. Errors in steps of a channel: of rounding alone, and more than that; its finest step.
FILE_ORDER, MET, BITS, NEW, ROUNDED, UNEXPLAINED, FINEST = 16, 0.85, 64.0, 0.4, 0.25, 0.36, 1e-5
# The part of rows that change, at most, where only these are looked at: of a signal in fine steps they are no even samples.
SELDOM = 0.5


def tells_of_pixels(parts: Sequence[np.ndarray], channels: Sequence[int] | None) -> bool:
    """Whether a picture's first pixels that change hold enough different values to be in another picture only as a copy."""
    first = islice(_together(_changed(block) for block in _blocks(parts, channels)), 1)
    return any(_telling(rows[None], FILE_ROWS, FILE_STEPS)[0] for rows in first)


def tells(parts: Sequence[np.ndarray], channels: Sequence[int] | None) -> bool:
    """Whether rows of a file say so much that does not follow from those before that another has them by copy alone.

    Slow sensors say it by what they change to, coarse ones by when they change.
    """
    seldom = (
        changed for each in _together(_blocks(parts, channels)) if len(changed := _changed(each)) <= SELDOM * len(each)
    )
    for rows in (_together(_blocks(parts, channels)), _together(seldom)):
        for number, each in enumerate(rows):
            if number >= ALL_OF and number % ALL_OF:
                continue
            if _is_new(each) and max(_bits(column) for column in each.T.astype(np.float64)) >= BITS:
                return True
    return False


def tell(blocks: np.ndarray) -> np.ndarray:
    """Which runs of rows say so much that does not follow from those before: (m, BLOCK, channels) -> (m,) bool."""
    return _telling(blocks, DISTINCT_ROWS, DISTINCT_STEPS) & _surprising(blocks)


def _blocks(parts: Sequence[np.ndarray], channels: Sequence[int] | None) -> Iterator[np.ndarray]:
    return (chosen(samples[part], channels) for samples in parts for part in store.blocks(samples))


def _changed(block: np.ndarray) -> np.ndarray:
    """Rows that differ from the one before."""
    return block[np.append(True, (block[1:] != block[:-1]).any(axis=1))]


def _together(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The rows of blocks, LOOKED_AT at a time: (n, channels)."""
    left: list[np.ndarray] = []
    for block in blocks:
        left.append(block)
        if (count := sum(map(len, left))) >= LOOKED_AT:
            *full, rest = np.split(np.concatenate(left), np.arange(LOOKED_AT, count + 1, LOOKED_AT))
            yield from full
            left = [rest]
    if any(map(len, left)):
        yield np.concatenate(left)


def _is_new(rows: np.ndarray) -> bool:
    """Whether rows, (n, channels), do not repeat themselves: periodic signals do."""
    large = np.quantile(np.abs(rows), LARGE, axis=0)
    hashes = in_steps(rows, grain_of(large))
    runs = rolled(hashes) if len(rows) >= 2 * BLOCK else hashes
    return len(np.unique(runs)) >= max(FILE_ROWS, NEW * len(runs) if len(rows) >= 2 * BLOCK else 0)


def _bits(values: np.ndarray) -> float:
    """About how many bits of a channel, (n,), do not follow from the values before: 0 where rounding alone explains them.

    Values are compared with a linear prediction; its largest errors, such as at the jumps of a square wave, do not count.
    """
    order = min(FILE_ORDER, len(values) // 4)
    middle = np.median(values)
    around = values - middle
    spread, large = (float(np.quantile(np.abs(each), LARGE)) for each in (around, values))
    if order < 2 or not spread > 0 or not np.isfinite(spread):
        return 0.0
    least = float(np.finfo(np.float32).eps) * large
    gaps = np.diff(np.unique(values))
    gaps = gaps[gaps > least]
    step = max(float(np.quantile(gaps, 0.1)) if len(gaps) else 0.0, FINEST * spread, least)
    lagged = np.lib.stride_tricks.sliding_window_view(np.clip(around / spread, -4, 4), order + 1)
    before, after = np.column_stack([lagged[:, :order], np.ones(len(lagged))]), lagged[:, order]
    kept = np.ones(len(after), bool)
    for _ in range(4):
        own = before[kept]
        normal = own.T @ own + 1e-12 * len(own) * np.eye(order + 1)
        missed = np.abs(after - before @ np.linalg.solve(normal, own.T @ after[kept]))
        kept = missed <= np.quantile(missed, MET)
    error = float(np.sqrt(np.mean(missed[kept] ** 2))) * spread / step
    return len(after) * float(np.log2(error / ROUNDED)) if error > UNEXPLAINED else 0.0


def _telling(blocks: np.ndarray, rows: int, steps: int) -> np.ndarray:
    """Which blocks hold as many distinct rows, and distinct steps from row to row: (m, n, channels) -> (m,) bool."""
    if blocks.shape[1] < 2:
        return np.zeros(len(blocks), bool)
    with np.errstate(over="ignore", invalid="ignore"):
        # Steps of a coarse sensor, 20.1 to 20.2 and 20.2 to 20.3, differ in their last digits.
        grain = 8 * np.finfo(np.float32).eps * np.abs(blocks).max(axis=1, keepdims=True)
        moved = np.round(np.diff(blocks, axis=1) / np.where(grain > 0, grain, 1)).astype(np.float32) + np.float32(0)
    return np.asarray((_distinct(blocks) >= rows) & (_distinct(moved) >= steps))


def _surprising(blocks: np.ndarray) -> np.ndarray:
    """Which blocks have a channel whose values do not follow from those before, (m, n, channels) -> (m,) bool.

    Sines, ramps and decays are given by an earlier few of their values but for rounding, whatever their periods.
    """
    found = np.zeros(len(blocks), bool)
    for column in np.moveaxis(blocks.astype(np.float64), 2, 0):
        highest = np.abs(column).max(axis=1)
        gaps = np.diff(np.sort(column, axis=1), axis=1)
        least = np.finfo(np.float32).eps * highest
        step = np.where(gaps > least[:, None], gaps, np.inf).min(axis=1)
        known = np.isfinite(step)
        lagged = (
            np.lib.stride_tricks.sliding_window_view(column, ORDER + 1, axis=1)
            / np.where(highest > 0, highest, 1)[:, None, None]
        )
        before, after = lagged[..., :ORDER], lagged[..., ORDER]
        before = np.concatenate([before, np.ones((*before.shape[:2], 1))], axis=2)
        turned = before.transpose(0, 2, 1)
        # A touch of ridge, as the earlier values of a sine determine each other.
        normal = turned @ before + 1e-12 * np.eye(ORDER + 1)
        weights = np.linalg.solve(normal, turned @ after[..., None])
        missed = np.sqrt(np.mean((after[..., None] - before @ weights) ** 2, axis=(1, 2))) * highest
        found |= known & (missed > ROUNDING * step)
    return found


def _distinct(blocks: np.ndarray) -> np.ndarray:
    """How many different rows each block has: (m, n, channels) float32 -> (m,) int."""
    count, length, width = blocks.shape
    ordered = np.sort(hashed(blocks.reshape(-1, width)).reshape(count, length), axis=1)
    return 1 + (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1)
