"""A log of every window of a device that learned its machine, compared with the device's own first sessions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micro.detection.commissioning import Commissioning, learned_threshold
from micro.detection.drift import alarm_chance, smallest_change, watch
from micro.errors import DataError
from micro.monitoring.advice import Evidence
from micro.monitoring.evidence import condition_of, last_check, recalibrated_of
from micro.monitoring.learned_rate import learned_rate
from micro.monitoring.log import Log
from micro.monitoring.result import Monitoring, Options, monitoring_of
from micro.monitoring.run import MonitoredRun, require_sessions
from micro.monitoring.seen import Seen, bounds_in, in_bins, of_scores
from micro.support.wording import counted

HOW = "write a record of the new threshold for the device (--recalibrate), or let it learn again"


@dataclass(frozen=True)
class _Sides:
    """Scores of sessions, an array each, and the means of their features, (sessions, columns)."""

    reference: list[np.ndarray]
    reference_features: np.ndarray
    latest: list[np.ndarray]
    latest_features: np.ndarray
    names: tuple[str, ...]


def compare_learned(run: MonitoredRun, path: str | Path, log: Log, options: Options, seed: int = 0) -> Monitoring:
    """A log's sessions compared with those that came first: the device's calibration where it was logged, and the next ones.

    Raises:
        DataError: For a log that does not tell the device's threshold, where no record was given, or with too few sessions.
    """
    plan, unit = run.firmware.commissioning, run.unit
    assert plan is not None
    assert unit is not None
    threshold, notes = _threshold(run, path, log, plan, unit)
    sides, more = _sides(path, log, options)
    features = (sides.reference_features, sides.latest_features) if log.columns else None
    checks = watch(sides.reference, sides.latest, features=features, seed=seed, **options)
    check, start, end = last_check(checks, options)
    rest = np.concatenate(sides.latest[start if check.drifted else 0 :])
    judged = sides.latest[:end] if check.drifted else sides.latest
    latest = np.concatenate(sides.latest[start:end])
    tests = 3 if log.columns else 2
    allowed = learned_rate(plan, options["false_alarm_rate"])
    names = tuple(run.firmware.front_end.names[column] for column in log.columns)
    evidence = Evidence(
        check=check,
        condition=condition_of(log),
        medians=(float(np.median(np.concatenate(sides.reference))), float(np.median(latest))),
        reference=len(sides.reference),
        threshold=threshold,
        trained_threshold=threshold,
        calibration=len(sides.latest) - (start if check.drifted else 0),
        recalibrated=recalibrated_of(rest, run.rate),
        rate=run.rate,
        level=options["false_alarm_rate"],
        alarms=float(np.mean(np.concatenate(judged) > threshold)),
        alarm_chance=alarm_chance([float(np.mean(scores > threshold)) for scores in judged], allowed),
        detectable=None
        if check.drifted
        else smallest_change(sides.reference, check.sessions, check.level, tests=tests),
        tests=tests,
        features=names,
        how=HOW,
    )
    seen = _seen(sides, threshold, features, (start, end), names)
    alarms = float(np.mean(latest > threshold))
    return monitoring_of(evidence, checks, alarms, (*log.notes, *notes, *more), seen=seen)


def _threshold(
    run: MonitoredRun, path: str | Path, log: Log, plan: Commissioning, unit: float
) -> tuple[float, list[str]]:
    """The device's threshold in real units: that of its record, else the one that its logged calibration gave; and notes."""
    logged = None
    if len(log.calibrated) == plan.calibrate_windows:
        logged = learned_threshold(plan, np.rint(log.calibrated / unit).astype(np.int64).tolist())[0]
    if run.record is not None:
        own = run.record.threshold
        if logged in (None, own):
            return own * unit, []
        return own * unit, [
            f"by the calibration in the log the threshold was {logged * unit:.4g}; the record has {own * unit:.4g}: changed "
            "since, or of another device"
        ]
    if logged is None:
        had = counted(len(log.calibrated), "window") if len(log.calibrated) else "none"
        raise DataError(
            f"{path} does not tell the threshold that the device has learned: it would follow from the scores of all "
            f"{plan.calibrate_windows:,} windows of calibration (status 'calibrating'), of which the log has {had}; give "
            "what the device has learned (--parameters learned.bin), or its summaries"
        )
    return logged * unit, [f"the threshold is {logged * unit:.4g}, by the calibration in the log"]


def _sides(path: str | Path, log: Log, options: Options) -> tuple[_Sides, list[str]]:
    """The first sessions, twice as many as a check compares, and all after them; and a note."""
    # With fewer, exchanges of them would soon be too few for the level of later checks.
    wanted = 2 * options["recent"]
    count = max(0, wanted - len(log.first))
    require_sessions(path, len(log.sessions) - count, options["every"], count)
    reference = [*log.first, *log.sessions[:count]]
    means = np.concatenate([log.first_features.reshape(len(log.first), len(log.columns)), log.features[:count]])
    own = f", {len(log.first)} of them of its calibration" if log.first else ""
    note = f"compared with the device's own first {counted(len(reference), 'session')}{own}"
    sides = _Sides(reference, means, list(log.sessions[count:]), log.features[count:], log.names[count:])
    return sides, [note]


def _seen(
    sides: _Sides,
    threshold: float,
    features: tuple[np.ndarray, np.ndarray] | None,
    recent: tuple[int, int],
    names: tuple[str, ...],
) -> Seen:
    before, after = (None, None) if features is None else features
    return Seen(
        of_scores([f"first {n + 1}" for n in range(len(sides.reference))], sides.reference, threshold, before),
        of_scores(sides.names, sides.latest, threshold, after),
        recent,
        in_bins(np.concatenate(sides.latest[slice(*recent)]), threshold),
        bounds_in(threshold),
        None,
        names,
        own=True,
    )
