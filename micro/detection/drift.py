"""Whether scores still come from where a threshold was calibrated, by tests that may be repeated as a log grows."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from micro.detection.permutation import (
    SessionTest,
    Shift,
    Statistic,
    drawn,
    histogram_test,
    ks_distances,
    permuted,
    session_test,
    smallest_p,
    wanted_at,
)
from micro.support.wording import counted

# Conventional bounds of the population stability index: below the first nothing has moved, above the second much has.
PSI_SOME, PSI_MUCH = 0.1, 0.25
# Fractions of the capital that are bet on more alarms than the rate.
BETS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7)
# Levels of checks fall as 1 / (i (i + 1)) down to this fraction of the rate; no permutation of sessions could reach lower ones.
LOWEST_LEVEL = 1e-3
# Factors on all scores, of which the smallest that a check would detect is reported.
FACTORS = (1.05, 1.1, 1.15, 1.2, 1.3, 1.4, 1.5, 1.7, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0)
# Sessions of calibration that a comparison takes at least.
FEWEST_CALIBRATION = 2
# The level at which they are tried where the check's is lower: that would take minutes and hardly change the factor.
COARSEST = 1e-4
# Values, of float32, of the permutations that are kept to try further factors on; more are drawn again.
MOST_KEPT = 1 << 23


@dataclass(frozen=True)
class DriftCheck:
    """One comparison of recent sessions with those of calibration.

    Attributes:
        number: Of the check, from 1.
        windows: All windows logged up to the check.
        psi: Population stability index of the recent windows' scores.
        ks: Kolmogorov-Smirnov distance of the recent windows' scores.
        wander: How far the recent sessions' medians lie from the median of all, in multiples of how far calibration's do.
        p: Chance of such a `ks` or `wander` if nothing had changed.
        level: The p below which this check reports drift.
        shift: The feature that moved furthest, where features were logged.
        sessions: Recent sessions compared.
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
        """Whether this check finds drift, in scores or in input features."""
        return self.scores_drifted or (self.shift is not None and self.shift.p <= self.level)


def watch(
    reference: Sequence[np.ndarray],
    sessions: Sequence[np.ndarray],
    *,
    features: tuple[np.ndarray, np.ndarray] | None = None,
    false_alarm_rate: float = 0.01,
    every: int = 4,
    recent: int = 8,
    seed: int = 0,
) -> tuple[DriftCheck, ...]:
    """Checks of a log, one each `every` sessions, up to the first that finds drift.

    Sessions are permuted, not windows: windows of one session are alike, and a test that took them for independent would find
    drift in every healthy machine. Each check permutes sessions between calibration and log, which keeps its level exactly.
    Check i errs with a probability of at most `false_alarm_rate` / (i (i + 1)), which adds up to no more than
    `false_alarm_rate`. From the 32nd check on it is a thousandth of the rate, so that drift is detected in a log of any
    length, at the cost of at most `false_alarm_rate` more for each thousand checks.

    Args:
        reference: Scores of calibration, an array a session.
        sessions: Scores of the log, in time, an array a session.
        features: Mean features of the sessions of both, (sessions, features) each, where they were logged.
        false_alarm_rate: Probability that a log whose sessions are like calibration's is ever reported as drifted.
        every, recent: Sessions between checks, and the most sessions that a check compares.

    Raises:
        ValueError: For rates outside (0, 1), or fewer than two sessions to compare with.

    Source: Kolmogorov-Smirnov distance; Fisher's permutation test on groups, of the largest of many features by Westfall and
        Young 1993; Bonferroni's inequality for the checks.
    """
    pooled = np.concatenate(reference) if len(reference) else np.zeros(0)
    edges = _edges(pooled) if len(pooled) else pooled
    fractions = _fractions(pooled, edges)

    def compared(rows: slice, level: float, seed: int) -> tuple[SessionTest, float]:
        both = None if features is None else (features[0], features[1][rows])
        latest = sessions[rows]
        psi = _stability_index(fractions, _fractions(np.concatenate(latest), edges))
        return session_test(reference, latest, level, seed, both), psi

    sizes = [len(session) for session in sessions]
    return _checks(compared, len(reference), sizes, false_alarm_rate, every, recent, seed)


def watch_histograms(
    reference: np.ndarray,
    sessions: np.ndarray,
    *,
    features: tuple[np.ndarray, np.ndarray] | None = None,
    common: Sequence[int] = (),
    false_alarm_rate: float = 0.01,
    every: int = 4,
    recent: int = 8,
    seed: int = 0,
) -> tuple[DriftCheck, ...]:
    """As `watch`, of sessions whose scores are counted in bins, (sessions, bins) each, with a score in every session.

    `common` are places of features that one cause moves together, tested together too; see `histogram_test`.
    """

    def compared(rows: slice, level: float, seed: int) -> tuple[SessionTest, float]:
        both = None if features is None else (features[0], features[1][rows])
        psi = _stability_index(_of_counts(reference.sum(axis=0)), _of_counts(sessions[rows].sum(axis=0)))
        return histogram_test(reference, sessions[rows], level, seed, both, common), psi

    sizes = sessions.sum(axis=1).tolist()
    return _checks(compared, len(reference), sizes, false_alarm_rate, every, recent, seed)


def _checks(
    compared: Callable[[slice, float, int], tuple[SessionTest, float]],
    reference: int,
    sizes: Sequence[int],
    false_alarm_rate: float,
    every: int,
    recent: int,
    seed: int,
) -> tuple[DriftCheck, ...]:
    """Checks up to the first that finds drift; `compared` tests the sessions of a slice, and gives their stability index."""
    if not 0 < false_alarm_rate < 1:
        raise ValueError(f"false_alarm_rate must be between 0 and 1, got {false_alarm_rate}")
    if every < 1 or recent < every:
        raise ValueError(f"every must be at least 1 and recent at least every, got {every} and {recent}")
    if reference < FEWEST_CALIBRATION:
        had = counted(reference, "session")
        raise ValueError(f"calibration has {had}; a comparison takes at least {FEWEST_CALIBRATION}")
    windows = np.cumsum(sizes)
    checks: list[DriftCheck] = []
    for number, end in enumerate(range(every, len(sizes) + 1, every), start=1):
        level = false_alarm_rate * max(1 / (number * (number + 1)), LOWEST_LEVEL)
        rows = slice(max(0, end - recent), end)
        test, psi = compared(rows, level, seed + number)
        figures = (int(windows[end - 1]), psi, test.ks, test.wander, test.p, level, test.shift, rows.stop - rows.start)
        checks.append(DriftCheck(number, *figures))
        if checks[-1].drifted:
            break
    return tuple(checks)


def smallest_change(
    reference: Sequence[np.ndarray],
    recent: int,
    level: float,
    *,
    tests: int = 2,
    distances: Callable[[Sequence[np.ndarray]], Statistic] = ks_distances,
) -> float | None:
    """The smallest of `FACTORS` on all scores of `recent` sessions that a check at that level detects.

    Tried on sessions of the reference itself, those at even steps among its medians, whose scores are multiplied. None where
    not even a tenfold change would be detected: with so few sessions no permutation of them is that rare.

    Args:
        reference: Scores of calibration, an array a session.
        recent: Sessions that a check compares.
        level: The p below which it reports drift.
        tests: Tests that share the level: 2 of scores, 3 with features, 4 with what these have in common.
        distances: The statistic, of sorted scores of all sessions.
    """
    if tests * smallest_p(len(reference), recent) > level:
        return None
    level = max(level, COARSEST)
    order = np.argsort([np.median(session) for session in reference])
    chosen = order[np.floor((np.arange(recent) + 0.5) * len(order) / recent).astype(int)]

    latest = np.repeat([0.0, 1.0], [len(reference), recent])[None].astype(np.float32)
    fine = 2 * tests
    kept = wanted_at(level, fine) * latest.size <= MOST_KEPT
    draws = drawn(latest, level, 0, fine)

    def detected(factor: float) -> bool:
        nonlocal draws
        groups = [np.sort(group) for group in (*reference, *(factor * reference[place] for place in chosen))]
        # All factors are tried on the same permutations, which take longer to draw than to measure.
        draws, own = itertools.tee(draws) if kept else (draws, drawn(latest, level, 0, fine))
        return tests * permuted([distances(groups)], latest, level, own, tests, fine)[0] <= level

    place = bisect.bisect_left(FACTORS, True, key=detected)
    return FACTORS[place] if place < len(FACTORS) else None


def alarm_chance(fractions: Sequence[float], rate: float) -> float:
    """A bound on the probability of that many alarms if the rate of false alarms is kept in every session.

    A capital of 1 is bet on alarms at fair odds, session by session: its expectation stays 1, so that it ever reaches x with a
    probability of at most 1 / x, however often one checks and whatever windows of a session have in common. Bets of several
    sizes run in parallel.

    Args:
        fractions: Of each session in turn, the fraction of its windows above the threshold.
        rate: The false-alarm rate of the threshold.

    Source: Ville 1939; Waudby-Smith and Ramdas 2024, betting on the mean of bounded observations.
    """
    gains = np.asarray(fractions, float) - rate
    logs = np.stack([np.cumsum(np.log1p(bet / rate * gains)) for bet in BETS])
    capital = np.logaddexp.reduce(logs, axis=0) - math.log(len(BETS))
    return float(np.exp(-max(0.0, float(capital.max(initial=0.0)))))


def _edges(reference: np.ndarray, bins: int = 10) -> np.ndarray:
    """Inner edges of bins that hold equal fractions of the reference."""
    return np.asarray(np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1]))


def _fractions(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The fraction of the values in each bin; half a value is added to each, so that none is 0."""
    return _of_counts(np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1))


def _of_counts(counts: np.ndarray) -> np.ndarray:
    return np.asarray((counts + 0.5) / (counts + 0.5).sum())


def _stability_index(reference: np.ndarray, scores: np.ndarray) -> float:
    """Population stability index of two fractions a bin (Siddiqi 2006, chapter 9)."""
    return float(np.sum((scores - reference) * np.log(scores / reference)))
