"""Whether scores still come from where a threshold was calibrated, by tests that may be looked at often."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

# Conventional bounds of the population stability index: below the first nothing has moved, above the second much has.
PSI_SOME, PSI_MUCH = 0.1, 0.25
# Quantiles at which distributions are compared; permutations of a first glance, and of those held in memory at once.
GRID, FIRST, CHUNK = 128, 32, 4096
# So many exchanges as far apart as what was seen tell enough of a p that is far above the level (Besag and Clifford 1991).
ENOUGH = 10
MOST_PERMUTATIONS = 400_000
# Shares of the money that are bet on more alarms than promised.
BETS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7)
# Levels of looks fall as 1 / (i (i + 1)) down to this share of the rate; lower ones no exchange of sessions could reach.
LOWEST_LEVEL = 1e-3
# Factors by which scores may change, of which the smallest that would be found is told.
# It is tried at this level where the look's is lower: that would take minutes and move it little.
COARSEST = 1e-4
FACTORS = (1.05, 1.1, 1.15, 1.2, 1.3, 1.4, 1.5, 1.7, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0)


@dataclass(frozen=True)
class Shift:
    """The feature whose mean over the recent sessions has moved furthest: its place among those logged, by how many standard
    deviations of sessions, and the chance of one as far were nothing changed."""

    feature: int
    spreads: float
    p: float


@dataclass(frozen=True)
class Look:
    """One comparison of recent sessions with those of calibration.

    `windows` counts all windows logged so far, `psi` and `ks` are distances of the recent ones, `wander` is how far their
    sessions' medians lie from the middle, in multiples of how far calibration's do, `p` the chance of a `ks` or a `wander` as
    large were nothing changed, `shift` what features say where they were logged, `level` the p below which this look speaks of
    drift, `sessions` how many recent ones it took in.
    """

    number: int
    windows: int
    psi: float
    ks: float
    wander: float
    p: float
    level: float
    shift: Shift | None = None
    sessions: int = 0

    @property
    def scores_drifted(self) -> bool:
        """Whether the scores have moved."""
        return self.p <= self.level

    @property
    def drifted(self) -> bool:
        """Whether this look finds drift, in scores or in what was heard."""
        return self.scores_drifted or (self.shift is not None and self.shift.p <= self.level)


def watch(
    reference: Sequence[np.ndarray],
    sessions: Sequence[np.ndarray],
    *,
    heard: tuple[np.ndarray, np.ndarray] | None = None,
    false_alarm_rate: float = 0.01,
    every: int = 4,
    recent: int = 8,
    seed: int = 0,
) -> tuple[Look, ...]:
    """Looks at a log, one each `every` sessions, up to the first that finds drift.

    Sessions, not windows, are what is exchanged: windows of one session are alike, and a test that took them for independent
    would find drift in every healthy machine. Each look permutes sessions between calibration and log, which keeps its level
    exactly, and look i may err with a chance of `false_alarm_rate` / (i (i + 1)), which adds up to no more than
    `false_alarm_rate`; from the 32nd look on with a thousandth of it, so that drift is found in a log of any length, at the
    price of at most `false_alarm_rate` more for each thousand looks.

    Args:
        reference: Scores of calibration, an array a session.
        sessions: Scores of the log, in time, an array a session.
        heard: Mean features of the sessions of both, (sessions, features) each, where they were logged.
        false_alarm_rate: Chance that a log whose sessions are like calibration's is ever said to drift.
        every, recent: Sessions between looks, and sessions that a look takes in at most.

    Raises:
        ValueError: For rates outside (0, 1), or fewer than two sessions to compare with.

    Source: Kolmogorov-Smirnov distance; Fisher's permutation test on groups, of the largest of many features by Westfall and
        Young 1993; Bonferroni's inequality for the looks.
    """
    if not 0 < false_alarm_rate < 1:
        raise ValueError(f"false_alarm_rate must be between 0 and 1, got {false_alarm_rate}")
    if every < 1 or recent < every:
        raise ValueError(f"every must be at least 1 and recent at least every, got {every} and {recent}")
    if len(reference) < 2:
        raise ValueError(f"{len(reference)} sessions of calibration are too few to compare with; at least 2 are needed")
    looks: list[Look] = []
    pooled = np.concatenate(reference)
    edges = _edges(pooled)
    shares = _shares(pooled, edges)
    windows = np.cumsum([len(session) for session in sessions])
    for number, end in enumerate(range(every, len(sessions) + 1, every), start=1):
        level = false_alarm_rate * max(1 / (number * (number + 1)), LOWEST_LEVEL)
        rows = slice(max(0, end - recent), end)
        latest = sessions[rows]
        found = session_test(
            reference, latest, level, seed + number, None if heard is None else (heard[0], heard[1][rows])
        )
        psi = _index(shares, _shares(np.concatenate(latest), edges))
        looks.append(
            Look(number, int(windows[end - 1]), psi, found.ks, found.wander, found.p, level, found.shift, len(latest))
        )
        if looks[-1].drifted:
            break
    return tuple(looks)


def smallest_change(reference: Sequence[np.ndarray], recent: int, level: float, *, tests: int = 2) -> float | None:
    """The smallest of `FACTORS` by which all scores of `recent` sessions must change until a look at that level finds it.

    Tried on sessions of the reference itself, those at even steps among its medians, whose scores are multiplied. None where
    not even a tenfold change would be found: with so few sessions no exchange of them is that rare.

    Args:
        reference: Scores of calibration, an array a session.
        recent: Sessions that a look takes in.
        level: The p below which it speaks of drift.
        tests: Tests that share the level: 2 of scores, 3 with features.
    """
    if tests * smallest_p(len(reference), recent) > level:
        return None
    level = max(level, COARSEST)
    order = np.argsort([np.median(session) for session in reference])
    chosen = order[np.floor((np.arange(recent) + 0.5) * len(order) / recent).astype(int)]

    def found(factor: float) -> bool:
        groups = [np.sort(group) for group in (*reference, *(factor * reference[place] for place in chosen))]
        exchanged = np.repeat([0.0, 1.0], [len(reference), recent])[None].astype(np.float32)
        return tests * _exchanged([_distances(groups)], exchanged, level, 0, tests, 2 * tests)[0] <= level

    place = bisect.bisect_left(FACTORS, True, key=found)
    return FACTORS[place] if place < len(FACTORS) else None


def promise_chance(shares: Sequence[float], rate: float) -> float:
    """A bound on the chance of so many alarms, were the rate of false alarms kept in every session.

    Money is bet on alarms at fair odds, session by session: its expectation stays 1, so that it ever reaches x with a chance of
    at most 1 / x, however often one looks and whatever windows of a session share. Bets of several sizes are made side by side.

    Args:
        shares: Of each session in turn, the share of its windows above the threshold.
        rate: The promised one.

    Source: Ville 1939; Waudby-Smith and Ramdas 2024, betting on the mean of bounded observations.
    """
    gains = np.asarray(shares, float) - rate
    logs = np.stack([np.cumsum(np.log1p(bet / rate * gains)) for bet in BETS])
    money = np.logaddexp.reduce(logs, axis=0) - math.log(len(BETS))
    return float(np.exp(-max(0.0, float(money.max(initial=0.0)))))


def smallest_p(reference: int, recent: int) -> float:
    """The smallest p that exchanging so many sessions can give; groups of one size may change places as a whole."""
    ways = math.comb(reference + recent, recent)
    return max((2 if reference == recent else 1) / ways, 1 / (1 + MOST_PERMUTATIONS))


def stability_index(reference: np.ndarray, scores: np.ndarray, bins: int = 10) -> float:
    """Population stability index over bins with equal shares of the reference; half a window is added to each bin.

    Source: Siddiqi 2006, chapter 9.
    """
    edges = _edges(reference, bins)
    return _index(_shares(reference, edges), _shares(scores, edges))


def _edges(reference: np.ndarray, bins: int = 10) -> np.ndarray:
    return np.asarray(np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1]))


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1) + 0.5
    return np.asarray(counts / counts.sum())


def _index(reference: np.ndarray, scores: np.ndarray) -> float:
    return float(np.sum((scores - reference) * np.log(scores / reference)))


@dataclass(frozen=True)
class SessionTest:
    """Distance, wander and shift of the latest sessions beside the reference; every p is for all of them together."""

    ks: float
    wander: float
    p: float
    shift: Shift | None


def session_test(
    reference: Sequence[np.ndarray],
    latest: Sequence[np.ndarray],
    level: float,
    seed: int,
    heard: tuple[np.ndarray, np.ndarray] | None = None,
) -> SessionTest:
    """How far the latest sessions lie from the reference, and the chance of that when sessions are exchanged at random.

    The distance is the largest difference of the distribution functions, which sees what moves all windows; the wander compares
    how far sessions' medians lie from the median of all, which sees sessions that part in different directions; the shift is
    the largest difference of a feature's mean, of those `heard` in reference and latest, (sessions, features) each. Each is
    tested at its share of the level: p is so many times the smallest.
    """
    groups = [np.sort(group) for group in (*reference, *latest)]
    chosen = np.repeat([0.0, 1.0], [len(reference), len(latest)])[None].astype(np.float32)
    distances = _distances(groups)
    medians = np.array([(group[(len(group) - 1) // 2] + group[len(group) // 2]) / 2 for group in groups])
    strayed = np.abs(medians - np.median(medians))
    # Sessions are exchanged, their number is not: sums order as differences of means do.
    tests: list[Statistic] = [distances, lambda drawn: drawn @ strayed]
    if heard is not None:
        everything = np.concatenate(heard).astype(np.float32)
        spread = everything.std(axis=0)
        centred = (everything - everything.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        tests.append(lambda drawn: np.abs(drawn @ centred).max(axis=1))
    chances = [min(1.0, len(tests) * chance) for chance in _exchanged(tests, chosen, level, seed)]
    ordinary = float(np.mean(strayed[: len(reference)]))
    wander = float(np.mean(strayed[len(reference) :])) / ordinary if ordinary > 0 else 1.0
    shift = None
    if heard is not None:
        moved = (chosen @ centred)[0] / len(latest) - centred[: len(reference)].mean(axis=0)
        feature = int(np.argmax(np.abs(moved)))
        shift = Shift(feature, float(moved[feature]), chances[2])
    return SessionTest(float(distances(chosen)[0]), wander, min(chances[:2]), shift)


# Of exchanges, (n, sessions) with 1 for each that counts as latest, how far apart the two groups lie, (n,).
Statistic = Callable[[np.ndarray], np.ndarray]


def _distances(groups: Sequence[np.ndarray]) -> Statistic:
    """The largest difference of the distribution functions of sorted groups on a grid of quantiles."""
    grid = np.quantile(np.concatenate(groups), np.linspace(0, 1, GRID + 2)[1:-1])
    below = np.stack([np.searchsorted(group, grid, side="right") for group in groups]).astype(np.float32)
    sizes = np.array([len(group) for group in groups], np.float32)

    def distances(chosen: np.ndarray) -> np.ndarray:
        ours, ours_size = chosen @ below, (chosen @ sizes)[:, None]
        theirs, theirs_size = below.sum(axis=0) - ours, sizes.sum() - ours_size
        ours /= ours_size
        theirs /= theirs_size
        ours -= theirs
        return np.abs(ours, out=ours).max(axis=1)

    return distances


def _exchanged(
    tests: Sequence[Statistic], chosen: np.ndarray, level: float, seed: int, sharing: int | None = None, fine: int = 20
) -> list[float]:
    """For each statistic the share of random exchanges that lie as far apart as the groups `chosen` do, itself included.

    `sharing` is how many tests share the level, those given where it is None; `fine` exchanges are drawn, on average, for each
    that may lie as far apart at that level.
    """
    sharing = sharing or len(tests)
    # A hair less than what was seen, so that rounding parts no ties.
    seen = [float(test(chosen)[0]) * (1 - 1e-6) - 1e-9 for test in tests]
    wanted = min(MOST_PERMUTATIONS, math.ceil(fine / level))
    rng = np.random.default_rng([seed, 13])
    as_far, done = [0] * len(tests), 0
    while done < wanted:
        count = min(CHUNK, max(FIRST, done), wanted - done)
        drawn = rng.permuted(np.repeat(chosen, count, axis=0), axis=1)
        for place, test in enumerate(tests):
            as_far[place] += int(np.count_nonzero(test(drawn) >= seen[place]))
        done += count
        # Once p can only be far above the level, the rest of the permutations would tell nothing.
        common = 1 + min(as_far)
        if sharing * common > 5 * level * (1 + (done if common > ENOUGH else wanted)):
            break
    return [(1 + found) / (1 + done) for found in as_far]
