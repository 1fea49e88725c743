"""Whether scores still come from where a threshold was calibrated, by tests that may be looked at often."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Conventional bounds of the population stability index: below the first nothing has moved, above the second much has.
PSI_SOME, PSI_MUCH = 0.1, 0.25
# Quantiles at which distributions are compared; permutations of a first glance, and of those held in memory at once.
GRID, FIRST, CHUNK = 128, 256, 4096
MOST_PERMUTATIONS = 200_000


@dataclass(frozen=True)
class Look:
    """One comparison of recent sessions with those of calibration.

    `windows` counts all windows logged so far, `psi` and `ks` are distances of the recent ones, `wander` is how far their
    sessions' medians lie from the middle, in multiples of how far calibration's do, `p` the chance of a `ks` or a `wander` as
    large were nothing changed, `level` the p below which this look speaks of drift.
    """

    number: int
    windows: int
    psi: float
    ks: float
    wander: float
    p: float
    level: float

    @property
    def drifted(self) -> bool:
        """Whether this look finds drift."""
        return self.p <= self.level


def watch(
    reference: Sequence[np.ndarray],
    sessions: Sequence[np.ndarray],
    *,
    false_alarm_rate: float = 0.01,
    every: int = 4,
    recent: int = 8,
    seed: int = 0,
) -> tuple[Look, ...]:
    """Looks at a log, one each `every` sessions, up to the first that finds drift.

    Sessions, not windows, are what is exchanged: windows of one session are alike, and a test that took them for independent
    would find drift in every healthy machine. Each look permutes sessions between calibration and log, which keeps its level
    exactly, and look i may err with a chance of `false_alarm_rate` / (i (i + 1)), which adds up to no more than
    `false_alarm_rate` over all looks ever.

    Args:
        reference: Scores of calibration, an array a session.
        sessions: Scores of the log, in time, an array a session.
        false_alarm_rate: Chance that a log whose sessions are like calibration's is ever said to drift.
        every, recent: Sessions between looks, and sessions that a look takes in at most.

    Raises: ValueError for rates outside (0, 1), or fewer than two sessions to compare with.
    Source: Kolmogorov-Smirnov distance; Fisher's permutation test on groups; Bonferroni's inequality for the looks.
    """
    if not 0 < false_alarm_rate < 1:
        raise ValueError(f"false_alarm_rate must be between 0 and 1, got {false_alarm_rate}")
    if every < 1 or recent < every:
        raise ValueError(f"every must be at least 1 and recent at least every, got {every} and {recent}")
    if len(reference) < 2:
        raise ValueError(f"{len(reference)} sessions of calibration are too few to compare with; at least 2 are needed")
    looks: list[Look] = []
    for number, end in enumerate(range(every, len(sessions) + 1, every), start=1):
        level = false_alarm_rate / (number * (number + 1))
        latest = sessions[max(0, end - recent) : end]
        ks, wander, p = session_test(reference, latest, level, seed + number)
        psi = stability_index(np.concatenate(reference), np.concatenate(latest))
        windows = sum(len(session) for session in sessions[:end])
        looks.append(Look(number, windows, psi, ks, wander, p, level))
        if looks[-1].drifted:
            break
    return tuple(looks)


def stability_index(reference: np.ndarray, scores: np.ndarray, bins: int = 10) -> float:
    """Population stability index over bins with equal shares of the reference; half a window is added to each bin.

    Source: Siddiqi 2006, chapter 9.
    """
    edges = np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1])
    shares = []
    for values in (reference, scores):
        counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=bins) + 0.5
        shares.append(counts / counts.sum())
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))


def session_test(
    reference: Sequence[np.ndarray], latest: Sequence[np.ndarray], level: float, seed: int
) -> tuple[float, float, float]:
    """Distance and wander of the latest sessions beside the reference, and their p when sessions are exchanged at random.

    The distance is the largest difference of the distribution functions, which sees what moves all windows; the wander compares
    how far sessions' medians lie from the median of all, which sees sessions that part in different directions. Each is
    tested at half the level; p is twice the smaller of the two.
    """
    groups = [*reference, *latest]
    grid = np.quantile(np.concatenate(groups), np.linspace(0, 1, GRID + 2)[1:-1])
    below = np.stack([np.searchsorted(np.sort(group), grid, side="right") for group in groups]).astype(np.float32)
    sizes = np.array([len(group) for group in groups], np.float32)
    medians = np.array([np.median(group) for group in groups])
    strayed = np.abs(medians - np.median(medians))

    def distances(chosen: np.ndarray) -> np.ndarray:
        ours, ours_size = chosen @ below, (chosen @ sizes)[:, None]
        theirs, theirs_size = below.sum(axis=0) - ours, sizes.sum() - ours_size
        return np.abs(ours / ours_size - theirs / theirs_size).max(axis=1)

    # Sessions are exchanged, their number is not: the sum orders as the difference of means does.
    def wanders(chosen: np.ndarray) -> np.ndarray:
        return chosen @ strayed

    chosen = np.repeat([0.0, 1.0], [len(reference), len(latest)])[None].astype(np.float32)
    distance, wander = float(distances(chosen)[0]), float(wanders(chosen)[0])
    wanted = min(MOST_PERMUTATIONS, math.ceil(20 / level))
    rng = np.random.default_rng([seed, 13])
    as_far = as_strayed = done = 0
    while done < wanted:
        count = min(CHUNK, max(FIRST, done), wanted - done)
        drawn = rng.permuted(np.repeat(chosen, count, axis=0), axis=1)
        as_far += int(np.count_nonzero(distances(drawn) >= distance - 1e-6))
        as_strayed += int(np.count_nonzero(wanders(drawn) >= wander * (1 - 1e-9)))
        done += count
        # Once p can only be far above the level, the rest of the permutations would tell nothing.
        if 2 * (1 + min(as_far, as_strayed)) / (1 + wanted) > 5 * level:
            break
    ordinary = float(np.mean(strayed[: len(reference)]))
    ratio = wander / len(latest) / ordinary if ordinary > 0 else 1.0
    return distance, ratio, min(1.0, 2 * (1 + min(as_far, as_strayed)) / (1 + done))
