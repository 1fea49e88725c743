"""Permutation tests on sessions: how far the latest lie from the reference, and how likely that is by chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

# Quantiles at which distributions are compared; permutations of a first batch, and at most in memory at once.
QUANTILES, FIRST, CHUNK = 128, 32, 4096
# Multiplications of a matrix product that one thread computes, and the fewest rows of one: threads that share a small product
# wait for one another longer than they compute, and tiny ones cost more to begin than to compute.
ALONE, FEWEST_ROWS = 400_000, 16
# Permutations as far apart as what was observed that suffice to estimate a p far above the level (Besag and Clifford 1991).
ENOUGH = 10
MOST_PERMUTATIONS = 400_000
# Permutations drawn, on average, for each that may lie as far apart at a test's level.
FINE = 20


@dataclass(frozen=True)
class Shift:
    """The feature whose mean over the recent sessions has moved furthest.

    Attributes:
        feature: Its place among those logged; behind the last of them for what several have in common.
        deviations: How far it moved, in standard deviations of the sessions' means.
        p: Chance of a move as large if nothing had changed.
    """

    feature: int
    deviations: float
    p: float


@dataclass(frozen=True)
class SessionTest:
    """Distance, wander and shift of the latest sessions from the reference; every p is corrected for the number of tests."""

    ks: float
    wander: float
    p: float
    shift: Shift | None


# Of permutations, (n, sessions) with 1 for each that counts as latest, how far apart the two groups lie, (n,).
Statistic = Callable[[np.ndarray], np.ndarray]


def session_test(
    reference: Sequence[np.ndarray],
    latest: Sequence[np.ndarray],
    level: float,
    seed: int,
    features: tuple[np.ndarray, np.ndarray] | None = None,
) -> SessionTest:
    """How far the latest sessions lie from the reference, and the chance of that when sessions are permuted at random.

    Each of two statistics, three with features, is tested at an equal part of the level (Bonferroni):

    - the largest difference of the distribution functions, which detects what moves all windows;
    - the wander, how far sessions' medians lie from the median of all compared with the reference's, which detects sessions
      that move in different directions;
    - the shift, the largest difference of a feature's mean.

    Args:
        reference, latest: Scores, an array of any length a session.
        level: The p below which the caller reports drift; it sets how many permutations are drawn.
        features: Mean features of the sessions of both, (sessions, features) each.
    """
    groups = [np.sort(group) for group in (*reference, *latest)]
    medians = np.array([(group[(len(group) - 1) // 2] + group[len(group) // 2]) / 2 for group in groups])
    return _tested(ks_distances(groups), medians, len(reference), level, seed, features)


def histogram_test(
    reference: np.ndarray,
    latest: np.ndarray,
    level: float,
    seed: int,
    features: tuple[np.ndarray, np.ndarray] | None = None,
    common: Sequence[int] = (),
) -> SessionTest:
    """As `session_test`, of sessions whose scores are counted in bins: (sessions, bins) each, with a score in every session.

    Each session counts alike, however many scores it has. Medians are taken within their bins, in bins from the lowest.

    With `common`, places of features that one cause moves together, the mean of these in standard deviations is a test of its
    own, which a cause that moves each of them a little passes sooner than any one of them.
    """
    counts = np.concatenate([reference, latest])
    return _tested(
        histogram_distances(counts), histogram_medians(counts), len(reference), level, seed, features, common
    )


def _tested(
    distances: Statistic,
    medians: np.ndarray,
    before: int,
    level: float,
    seed: int,
    features: tuple[np.ndarray, np.ndarray] | None,
    common: Sequence[int] = (),
) -> SessionTest:
    """The tests of `session_test`, of sessions of which the first `before` are the reference."""
    after = len(medians) - before
    chosen = np.repeat([0.0, 1.0], [before, after])[None].astype(np.float32)
    strayed = np.abs(medians - np.median(medians))
    # A permutation keeps the number of sessions: sums order as differences of means do.
    tests: list[Statistic] = [distances, lambda drawn: drawn @ strayed]
    if features is not None:
        centred = _standardized(np.concatenate(features))
        tests.append(lambda drawn: np.abs(drawn @ centred).max(axis=1))
        if common:
            together = _standardized(centred[:, list(common)].mean(axis=1, keepdims=True))
            tests.append(lambda drawn: np.abs(drawn @ together)[:, 0])
    chances = [min(1.0, len(tests) * chance) for chance in permuted(tests, chosen, level, drawn(chosen, level, seed))]
    ordinary = float(np.mean(strayed[:before]))
    wander = float(np.mean(strayed[before:])) / ordinary if ordinary > 0 else 1.0
    shift = None
    if features is not None:
        moved = (chosen @ centred)[0] / after - centred[:before].mean(axis=0)
        feature = int(np.argmax(np.abs(moved)))
        shift = Shift(feature, float(moved[feature]), chances[2])
        if common and chances[3] <= chances[2]:
            apart = (chosen @ together)[0, 0] / after - together[:before].mean()
            shift = Shift(len(moved), float(apart), chances[3])
    return SessionTest(float(distances(chosen)[0]), wander, min(chances[:2]), shift)


def smallest_p(reference: int, recent: int) -> float:
    """The smallest p that permuting that many sessions can give; groups of one size may change places as a whole."""
    ways = math.comb(reference + recent, recent)
    return max((2 if reference == recent else 1) / ways, 1 / (1 + MOST_PERMUTATIONS))


def ks_distances(groups: Sequence[np.ndarray]) -> Statistic:
    """The largest difference of the distribution functions of sorted groups, at quantiles of all."""
    points = np.quantile(np.concatenate(groups), np.linspace(0, 1, QUANTILES + 2)[1:-1])
    below = np.stack([np.searchsorted(group, points, side="right") for group in groups]).astype(np.float32)
    return _distances(below, np.array([len(group) for group in groups], np.float32))


def histogram_distances(counts: np.ndarray) -> Statistic:
    """The same of groups whose values are counted in bins, (groups, bins), each of which counts alike."""
    sums = np.cumsum(counts, axis=1)
    return _distances((sums[:, :-1] / sums[:, -1:]).astype(np.float32), np.ones(len(counts), np.float32))


def histogram_medians(counts: np.ndarray) -> np.ndarray:
    """Medians of groups whose values are counted in bins, (groups, bins) -> (groups,): bin and place within it."""
    sums = np.cumsum(counts, axis=1)
    half = sums[:, -1:] / 2
    places = (sums < half).sum(axis=1)
    rows = np.arange(len(counts))
    return places + (half[:, 0] - (sums[rows, places] - counts[rows, places])) / counts[rows, places]


def _distances(below: np.ndarray, sizes: np.ndarray) -> Statistic:
    """The largest difference of distribution functions by how many of each group's `sizes` values lie below some points."""

    all_below, all_sizes = below.sum(axis=0), sizes.sum()

    def distances(chosen: np.ndarray) -> np.ndarray:
        ours, ours_size = chosen @ below, (chosen @ sizes)[:, None]
        theirs, theirs_size = all_below - ours, all_sizes - ours_size
        ours /= ours_size
        theirs /= theirs_size
        ours -= theirs
        return np.abs(ours, out=ours).max(axis=1)

    return distances


def permuted(
    tests: Sequence[Statistic],
    chosen: np.ndarray,
    level: float,
    draws: Iterable[np.ndarray],
    sharing: int | None = None,
    fine: int = FINE,
) -> list[float]:
    """For each statistic the fraction of random permutations that lie as far apart as the groups `chosen` do, itself included.

    `draws` are those of `drawn`, of this level and as `fine`; `sharing` is how many tests share the level, by default those
    given.
    """
    sharing = sharing or len(tests)
    # Slightly less than the observed value, so that rounding breaks no ties.
    observed = [float(test(chosen)[0]) * (1 - 1e-6) - 1e-9 for test in tests]
    wanted = wanted_at(level, fine)
    as_far, done = [0] * len(tests), 0
    for batch in draws:
        for block in _blocks(batch):
            for place, test in enumerate(tests):
                as_far[place] += int(np.count_nonzero(test(block) >= observed[place]))
        done += len(batch)
        # Once p can only be far above the level, further permutations would not change the result.
        common = 1 + min(as_far)
        if sharing * common > 5 * level * (1 + (done if common > ENOUGH else wanted)):
            break
    return [(1 + count) / (1 + done) for count in as_far]


def drawn(chosen: np.ndarray, level: float, seed: int, fine: int = FINE) -> Iterator[np.ndarray]:
    """Random permutations of the groups `chosen`, (n, sessions) each, in batches that are made as they are asked for: the same
    ones for the same arguments."""
    rng = np.random.default_rng([seed, 13])
    wanted, done = wanted_at(level, fine), 0
    while done < wanted:
        count = min(CHUNK, max(FIRST, done), wanted - done)
        yield rng.permuted(np.repeat(chosen, count, axis=0), axis=1)
        done += count


def wanted_at(level: float, fine: int = FINE) -> int:
    """Permutations to draw: `fine` on average for each that may lie as far apart at that level."""
    return min(MOST_PERMUTATIONS, math.ceil(fine / level))


def _blocks(batch: np.ndarray) -> Iterator[np.ndarray]:
    """Permutations, (n, sessions), as many at a time as are measured by one thread; of very many sessions all at once."""
    rows = ALONE // (batch.shape[1] * QUANTILES)
    if rows < FEWEST_ROWS:
        rows = len(batch)
    for start in range(0, len(batch), rows):
        yield batch[start : start + rows]


def _standardized(features: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and standard deviation 1; one that never changes is 0."""
    values = features.astype(np.float32)
    deviation = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
