"""What a log's checks come to, in words: steady, recalibrate, retrain or doubtful, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from micro.detection.drift import PSI_MUCH, PSI_SOME, DriftCheck
from micro.detection.permutation import Shift, smallest_p
from micro.detection.threshold import Threshold
from micro.support.wording import are, counted, excerpt

Advice = Literal["steady", "recalibrate", "retrain", "doubtful"]
# A threshold may move by this factor, in all recalibrations together, and the student still distinguishes faults; beyond
# it, the machine is no longer the one that the student was trained on.
FARTHEST = 1.5
# What stands first where the machine is no longer the one that was learned: a fault must not be learned as healthy.
FIRST = "look at machine and sensor first"
# The most sessions of calibration that are tried to say how many a check takes.
MOST_CALIBRATION = 1000
# Above this fraction of windows with a sensor fault, or of sessions with hardly any score, scores no longer speak for the
# machine.
MOST_FAULTS = 0.1


@dataclass(frozen=True)
class Condition:
    """Whether scores speak for the machine.

    Attributes:
        windows: With a score.
        faults: Windows without one, as the sensor was at fault.
        sessions: With a score.
        dead: Names of sessions with more faults than scores.
        failed: Rows in which a self-test failed.
    """

    windows: int
    faults: int
    sessions: int
    dead: Sequence[str] = ()
    failed: Sequence[int] = ()


@dataclass(frozen=True)
class Evidence:
    """All that the advice is based on.

    Attributes:
        check: The last one made.
        condition: How often the sensor was at fault, and self-tests that failed.
        medians: Of the scores of the run's calibration, and of the sessions that the last check compared.
        reference: Sessions of the run's calibration.
        noun: What is compared with them, in one word.
        threshold: The run's.
        trained_threshold: The one that the run was trained with, before any recalibration.
        calibration: Sessions of the log from which a new threshold would come.
        recalibrated: That threshold, None where they are too few for one.
        rate: The false-alarm rate of the run's threshold.
        level: Probability that a log like calibration's is reported as drifted.
        alarms: Fraction of all windows above the run's threshold.
        alarm_chance: Bound on the probability of that many if the rate is kept.
        detectable: The smallest factor on all scores that the last check would have detected, None where there is none.
        features: Names of the features logged.
        how: What to do where the threshold should move.
        trouble: Why no scores of the log speak for the machine, also where the condition does not tell; None otherwise.
        tests: Tests that share a check's level.
        logged: Sessions of the log with a score; None where `--every` is not of these alone.
        at_once: Sessions of the log, if one check of all of them would detect a tenfold change; None where it would not.
    """

    check: DriftCheck
    condition: Condition
    medians: tuple[float, float]
    reference: int
    threshold: float
    trained_threshold: float
    calibration: int
    recalibrated: Threshold | None
    rate: float
    level: float
    alarms: float
    alarm_chance: float
    detectable: float | None
    features: Sequence[str]
    noun: str = "session"
    how: str = "recalibrate"
    trouble: str | None = None
    tests: int = 2
    logged: int | None = None
    at_once: int | None = None


def advise(evidence: Evidence) -> tuple[Advice, str]:
    """The advice and the reason for it."""
    advice, why = _of_scores(evidence)
    trouble = trouble_of(evidence.condition, evidence.noun) or evidence.trouble
    if trouble is None:
        return advice, why
    if advice == "retrain":
        return advice, f"{trouble}; {why}"
    return "doubtful", f"{trouble}. Look at sensor, cable and device first; of the windows that have a score: {why}"


def trouble_of(condition: Condition, noun: str) -> str | None:
    """Why scores alone do not speak for the machine: frequent sensor faults, a self-test that failed."""
    if condition.failed:
        return (
            f"the device's self-test failed (row {condition.failed[0]} of the log): its scores are not those of the run"
        )
    faults = condition.faults / (condition.faults + condition.windows)
    sessions = len(condition.dead) / (len(condition.dead) + condition.sessions)
    if faults <= MOST_FAULTS and sessions <= MOST_FAULTS:
        return None
    dead = ""
    if condition.dead:
        first = excerpt(condition.dead[0])
        dead = f", and in {counted(len(condition.dead), noun)} most of the time, the first {first}"
    return f"the sensor was at fault in {faults:.0%} of the windows{dead}"


def _of_scores(evidence: Evidence) -> tuple[Advice, str]:
    check = evidence.check
    if check.scores_drifted:
        return _move_threshold(evidence, _scores_moved(evidence))
    if check.drifted and check.shift is not None:
        return "retrain", _features_moved(evidence, check.shift)
    if evidence.alarm_chance <= evidence.level:
        few = f"calibration had {counted(evidence.reference, evidence.noun)}, too few for a more certain threshold"
        return _move_threshold(
            evidence,
            f"more alarms than the threshold guarantees: {_alarms(evidence)} (chance of that many below "
            f"{evidence.alarm_chance:.2g}), although no check found drift ({_distance(check)}); {few}",
        )
    compared = f"{counted(evidence.reference, evidence.noun)} of calibration and the latest {check.sessions:,}"
    if evidence.detectable is None:
        return "doubtful", (
            f"{compared} of the log are too few to tell: no check found drift, but even a tenfold change of all scores would "
            f"not have been detected by the comparison of distributions at check {check.number}, whose level is "
            f"{check.level:.2g}. {_alarms(evidence)}. {_what_would_tell(evidence)}"
        )
    return "steady", (
        f"no check found drift: {_distance(check)}, where {check.level:.2g} would count as drift; the smallest change of all "
        f"scores that {compared} can show is a factor of about {evidence.detectable:g}. {_alarms(evidence)} (p "
        f"{evidence.alarm_chance:.2g} by {evidence.noun}s)"
    )


def _what_would_tell(evidence: Evidence) -> str:
    """What lets checks detect a change: all of the log at once, or so much more calibration."""
    check, ways = evidence.check, []
    if evidence.at_once is not None:
        count = evidence.at_once
        ways.append(f"compare all of the log at once: --every {count} --recent {count}")
    elif evidence.logged is not None:
        # A check of the whole log is the first one, at half the level.
        more = range(evidence.logged + 1, MOST_CALIBRATION)
        least = next(
            (n for n in more if evidence.tests * smallest_p(evidence.reference, n) <= evidence.level / 2), None
        )
        if least is not None:
            ways.append(
                f"log {least:,} {evidence.noun}s or more and compare them at once: --every {least} --recent {least}"
            )
    enough = next(
        (n for n in range(2, MOST_CALIBRATION) if evidence.tests * smallest_p(n, check.sessions) <= check.level), 0
    )
    if enough > evidence.reference:
        ways.append(
            f"record more healthy starts of the machine and train again: such a check takes {enough:,} {evidence.noun}s of "
            f"calibration or more, and there {are(evidence.reference)} {evidence.reference:,}"
        )
    said = "; or ".join(ways) or f"record more healthy {evidence.noun}s, as those of calibration differ too much"
    return f"{said[0].upper()}{said[1:]}. With the same --every more {evidence.noun}s only add checks of smaller levels"


def _distance(check: DriftCheck) -> str:
    return f"KS distance {check.ks:.2f}, wander {check.wander:.1f}, p {check.p:.2g} at check {check.number}"


def _alarms(evidence: Evidence) -> str:
    return f"{evidence.alarms:.1%} of all windows are above the threshold, set for {evidence.rate:.1%}"


def _scores_moved(evidence: Evidence) -> str:
    check = evidence.check
    psi = "hardly moved" if check.psi < PSI_SOME else "moved" if check.psi < PSI_MUCH else "moved far"
    before, after = evidence.medians
    moved = f"the median score went from {before:.4g} to {after:.4g}"
    return f"{moved} ({_distance(check)}; stability index {check.psi:.2f}, {psi})"


def _features_moved(evidence: Evidence, shift: Shift) -> str:
    return (
        f"{FIRST}, and at its speed; if they will stay like this, record and train a new student: the scores hold "
        f"({_distance(evidence.check)}), but the input does not: {evidence.features[shift.feature]} moved by "
        f"{shift.deviations:+.1f} standard deviations of {evidence.noun}s (p {shift.p:.2g}), and the student was not tested "
        "on such input"
    )


def _move_threshold(evidence: Evidence, moved: str) -> tuple[Advice, str]:
    """Recalibrate where the threshold that keeps the rate is near enough to the trained one, else retrain."""
    new, trained = evidence.recalibrated, evidence.trained_threshold
    if new is None:
        return "retrain", (
            f"{FIRST}: {moved}, and the windows that were compared are too few for a threshold at {evidence.rate:.1%}: log "
            "more, or record and train again"
        )
    ratio = new.value / trained if trained else np.inf
    since = "" if trained == evidence.threshold else f" from the {trained:.4g} that the run was trained with"
    change = (
        f"to keep {evidence.rate:.1%} of false alarms the threshold would go from {evidence.threshold:.4g} to "
        f"{new.value:.4g}, a factor of {ratio:.2f}{since}"
    )
    if 1 / FARTHEST <= ratio <= FARTHEST:
        return "recalibrate", (
            f"{moved}; {change}: near enough for the student to find faults as before. If the machine was healthy while this "
            f"was logged, {evidence.how}{_after_more_sessions(evidence)}"
        )
    side, limit = ("above", FARTHEST) if ratio > 1 else ("below", 1 / FARTHEST)
    return "retrain", (
        f"{FIRST}; if both are healthy, record and train a new student: {moved}; {change}, {side} the limit of {limit:.2f} "
        "that a new threshold can make up for"
    )


def _after_more_sessions(evidence: Evidence) -> str:
    """What to wait for where a calibration of the log's sessions would leave later checks without power."""
    count = evidence.calibration
    if 2 * smallest_p(count, count) <= evidence.level / 6:  # the level of the second check
        return ""
    return f", after logging more than {counted(count, evidence.noun)}: with so few, later checks detect nothing"
