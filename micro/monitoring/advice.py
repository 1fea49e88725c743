"""What a log's checks say, in words: steady, recalibrate, renew or doubtful, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from micro.detection.drift import PSI_MUCH, PSI_SOME, Look, smallest_p
from micro.detection.threshold import Threshold
from micro.monitoring.lines import excerpt
from micro.monitoring.log import Log

Advice = Literal["steady", "recalibrate", "renew", "doubtful"]
# A threshold may move by this factor, in all recalibrations together, and the student still tells faults from health; beyond,
# the machine is another than the one it was trained on.
FARTHEST = 1.5
# More faults of the sensor than this share of windows, or sessions with hardly any score, and scores no longer speak for it.
MOST_FAULTS = 0.1


@dataclass(frozen=True)
class Evidence:
    """All that the advice is drawn from.

    `threshold` is the run's, `trained` that of the run it was first trained as, `renewed` one from `renewed_sessions` of the
    log; `alarms` is the share of all windows above the run's, `chance` that of so many were the `rate` kept; `detectable` is
    the smallest change of all scores that the last check could have found, None where none is.
    """

    look: Look
    log: Log
    latest: np.ndarray
    reference: tuple[np.ndarray, ...]
    threshold: float
    trained: float
    renewed: Threshold | None
    renewed_sessions: int
    rate: float
    level: float
    alarms: float
    chance: float
    detectable: float | None
    features: Sequence[str]


def advise(told: Evidence) -> tuple[Advice, str]:
    """The advice and the reason for it."""
    found = _of_scores(told)
    trouble = _trouble(told.log)
    if trouble is None or found[0] == "renew":
        return found if trouble is None else (found[0], f"{trouble}; {found[1]}")
    return (
        "doubtful",
        f"{trouble}. Look at sensor, cable and device first; of the windows that have a score: {found[1]}",
    )


def _trouble(log: Log) -> str | None:
    """Why scores alone do not speak for the machine: a sensor that is often at fault, a self-test that failed."""
    if log.failed:
        return f"the device's self-test failed (row {log.failed[0]} of the log): its scores are not those of the run"
    windows = sum(map(len, log.sessions))
    share = log.faults / (log.faults + windows)
    sessions = len(log.dead) / (len(log.dead) + len(log.sessions))
    if share <= MOST_FAULTS and sessions <= MOST_FAULTS:
        return None
    dead = f", and in {len(log.dead)} sessions most of the time, the first {excerpt(log.dead[0])}" if log.dead else ""
    return f"the sensor was at fault in {share:.0%} of the windows{dead}"


def _of_scores(told: Evidence) -> tuple[Advice, str]:
    look = told.look
    distance = f"KS distance {look.ks:.2f}, wander {look.wander:.1f}, p {look.p:.2g} at check {look.number}"
    if look.scores_drifted:
        psi = "hardly moved" if look.psi < PSI_SOME else "moved" if look.psi < PSI_MUCH else "moved far"
        before, after = np.median(np.concatenate(told.reference)), np.median(told.latest)
        return _threshold_moves(
            told,
            f"the median score went from {before:.4g} to {after:.4g} ({distance}; stability index {look.psi:.2f}, {psi})",
        )
    if look.drifted and look.shift is not None:
        return "renew", (
            f"the scores hold ({distance}), but the input features do not: {told.features[look.shift.feature]} moved by "
            f"{look.shift.spreads:+.1f} standard deviations of sessions (p {look.shift.p:.2g}). The student was not tested on "
            "such input. Look at machine, speed and sensor first; if all are as they will stay, record and train a new student"
        )
    alarms = f"{told.alarms:.1%} of all windows are above the threshold, where {told.rate:.1%} were promised"
    if told.chance <= told.level:
        few = f"calibration had {len(told.reference)} sessions, and its threshold is no surer than they are"
        return _threshold_moves(
            told,
            f"more alarms than promised: {alarms} (chance of so many below {told.chance:.2g}). No check found drift "
            f"({distance}); {few}",
        )
    if told.detectable is None:
        return "doubtful", (
            f"{len(told.reference)} sessions of calibration and {look.sessions} recent ones of the log are too few to tell: "
            f"no check found drift, but even a tenfold change of all scores would not have been found. {alarms}. Log more "
            "sessions; if calibration has few, record more healthy starts of the machine and train again"
        )
    return "steady", (
        f"no check found drift: {distance}, where {look.level:.2g} would tell; the smallest change of all scores that "
        f"{len(told.reference)} sessions of calibration and {look.sessions} recent ones would have shown is a factor of about "
        f"{told.detectable:g}. {alarms} (p {told.chance:.2g} by sessions)"
    )


def _threshold_moves(told: Evidence, moved: str) -> tuple[Advice, str]:
    """Recalibrate where the threshold that keeps the rate is near enough to the trained one, else renew."""
    if told.renewed is None:
        return "renew", (
            f"{moved}, and the recent windows are too few for a threshold at {told.rate:.1%}: log more, or record and train "
            "again"
        )
    ratio = told.renewed.value / told.trained if told.trained else np.inf
    since = "" if told.trained == told.threshold else f" from the {told.trained:.4g} that the run was trained with"
    change = (
        f"to keep {told.rate:.1%} of false alarms the threshold would go from {told.threshold:.4g} to "
        f"{told.renewed.value:.4g}, a factor of {ratio:.2f}{since}"
    )
    if 1 / FARTHEST <= ratio <= FARTHEST:
        count = told.renewed_sessions
        few = 2 * smallest_p(count, count) > told.level / 6  # the level of the second check
        then = (
            f", after logging more than these {count} sessions: with so few, later checks find nothing" if few else ""
        )
        return "recalibrate", (
            f"{moved}; {change}: near enough for the student to tell faults as before. If the machine was healthy while this "
            f"was logged, recalibrate{then}"
        )
    side, limit = ("above", FARTHEST) if ratio > 1 else ("below", 1 / FARTHEST)
    return "renew", (
        f"{moved}; {change}, {side} the limit of {limit:.2f} within which a threshold can make up for it. Look at machine and "
        "sensor first; if both are healthy, record and train a new student"
    )
