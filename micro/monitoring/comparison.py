"""A device's log compared with the run that its firmware came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypedDict

import numpy as np

from micro.detection.drift import DriftCheck, alarm_chance, smallest_change, watch
from micro.detection.threshold import Threshold, calibrate
from micro.errors import DataError, RunError
from micro.monitoring.advice import Advice, Evidence, advise
from micro.monitoring.log import Log, read_log
from micro.runs.baseline import Calibration, calibration_features, calibration_sessions
from micro.runs.finished import read_run
from micro.runs.run_report import RunReport
from micro.support.wording import counted, was


@dataclass(frozen=True)
class Monitoring:
    """What a log shows of a run.

    Attributes:
        advice: 'steady', 'recalibrate', 'retrain' or 'doubtful'.
        why: The reason, in words.
        checks: The comparisons made, the last one first to find drift if any does.
        drifted_after: Windows from the log's start to the check that found drift; None where none did.
        alarms: Fraction of the recent windows above the run's threshold.
        threshold: The run's, in real units.
        recalibrated: The threshold that a recalibration would set; None where the windows are too few for one.
        windows, sessions: In the log, with a score.
        faults: Rows without a score, as the sensor was at fault.
        features: Names of those that were logged.
        detectable: The smallest factor on all scores that the last check would have detected, None where not even a tenfold
            one.
        alarm_chance: Bound on the probability of that many alarms in the whole log if the threshold's rate is kept.
        notes: What was skipped or assumed in reading.
        calibration: The log's sessions that become a recalibrated run's calibration: those from the drift on.

    Examples:
        >>> monitoring = micro.monitor("runs/rig", "log.csv")
        >>> monitoring.sessions, monitoring.faults, monitoring.drifted_after
        (16, 0, None)
        >>> monitoring.alarms <= 0.05
        True
    """

    advice: Advice
    why: str
    checks: tuple[DriftCheck, ...]
    drifted_after: int | None
    alarms: float
    threshold: float
    recalibrated: Threshold | None
    windows: int
    sessions: int
    faults: int
    features: tuple[str, ...]
    detectable: float | None
    alarm_chance: float
    notes: tuple[str, ...]
    calibration: Calibration = field(repr=False)


class Options(TypedDict):
    """How a log is checked."""

    false_alarm_rate: float
    every: int
    recent: int


def monitor(
    run_folder: str | Path,
    log: str | Path,
    *,
    false_alarm_rate: float = 0.01,
    every: int = 4,
    recent: int = 8,
    seed: int = 0,
    device: str | None = None,
) -> Monitoring:
    """Compare a device's log of scores with those that a run's threshold was calibrated on.

    The log is a CSV file with a header, or JSON lines, with a row a window: `score` in real units, or `raw_score` in the
    device's integers; `session`, the start of the machine that the window belongs to. Without sessions the log is cut into
    stretches as long as calibration's, starting over at each restart of the device, which prints the header again. Rows
    without a score are sensor faults, and counted. Columns `f0`, `f1`, ... are the model's int8 input features; any of them
    will do, and they show drift that leaves the scores alone.

    Args:
        false_alarm_rate: Probability that a log like calibration's is ever reported as drifted, over the first thousand checks.
        every, recent: Sessions between checks, and the most sessions that a check compares.
        device: Whose rows are read, where the log has a column `device` and more than one in it.

    Raises:
        RunError: If the folder is no finished run of a detector.
        DataError: Names file and row of what cannot be read, or says that the log is too short for one check.

    Examples:
        >>> monitoring = micro.monitor("runs/rig", "log.csv", recent=16)
        >>> monitoring.advice
        'steady'
    """
    folder = Path(run_folder)
    report, config = read_run(folder)
    if report.threshold is None:
        raise RunError(f"{folder} is a run of task {report.task!r}: it has no threshold to monitor")
    if report.commissioning is not None:
        raise RunError(
            f"{folder} has [commissioning]: each device learns a scaling and a threshold of its own, so that its scores cannot "
            "be compared with those of the run"
        )
    if report.detector is not None and report.detector.modes is not None:
        raise RunError(
            f"{folder} has a threshold for each operating mode, which a log does not tell: it is not monitored"
        )
    reference = calibration_sessions(folder)
    read = _read(log, report, reference, every, device)
    features = (calibration_features(folder, read.columns, log), read.features) if read.columns else None
    options: Options = {"false_alarm_rate": false_alarm_rate, "every": every, "recent": recent}
    checks = watch(reference, read.sessions, features=features, seed=seed, **options)
    evidence = _evidence(report, report.threshold, config.detect.false_alarm_rate, reference, read, checks, options)
    return _monitoring(evidence, checks)


def _read(log: str | Path, report: RunReport, reference: Sequence[np.ndarray], every: int, device: str | None) -> Log:
    """The log, without what a recalibration has used; DataError where it is too short for a check."""
    unit = report.detector.score.unit if report.detector else None
    block = int(np.median([len(scores) for scores in reference]))
    read = read_log(log, unit, block, device=device)
    if report.recalibration is not None:
        read = _since(read, reference, every)
    if len(read.sessions) < every:
        raise DataError(
            f"{log}: {counted(len(read.sessions), 'session')}, but a check takes {every}; log {every} starts of the machine or "
            f"more, or score {every} files or more into one log (keras-kd score RUN FILE... --out LOG)"
        )
    return read


def _evidence(
    report: RunReport,
    threshold: float,
    rate: float,
    reference: Sequence[np.ndarray],
    log: Log,
    checks: Sequence[DriftCheck],
    options: Options,
) -> Evidence:
    """What the log holds against the run, at the last check."""
    check, end = checks[-1], len(checks) * options["every"]
    start = max(0, end - options["recent"])
    # Where drift was found, all sessions from that check's on are like the machine is now; else the whole log is.
    calibration = _sessions(log, slice(start if check.drifted else 0, None))
    compared = log.sessions[:end] if check.drifted else log.sessions
    names = report.features.names if log.columns else ()
    tests = 3 if log.columns else 2
    return Evidence(
        check=check,
        log=log,
        latest=np.concatenate(log.sessions[start:end]),
        reference=tuple(reference),
        threshold=threshold,
        trained_threshold=report.trained_threshold,
        calibration=calibration,
        recalibrated=_recalibrated(np.concatenate(calibration.scores), rate),
        rate=rate,
        level=options["false_alarm_rate"],
        alarms=float(np.mean(np.concatenate(compared) > threshold)),
        alarm_chance=alarm_chance([float(np.mean(scores > threshold)) for scores in compared], rate),
        detectable=None if check.drifted else smallest_change(reference, check.sessions, check.level, tests=tests),
        features=tuple(names[column] for column in log.columns),
    )


def _monitoring(evidence: Evidence, checks: tuple[DriftCheck, ...]) -> Monitoring:
    advice, why = advise(evidence)
    log = evidence.log
    return Monitoring(
        advice=advice,
        why=why,
        checks=checks,
        drifted_after=evidence.check.windows if evidence.check.drifted else None,
        alarms=float(np.mean(evidence.latest > evidence.threshold)),
        threshold=evidence.threshold,
        recalibrated=evidence.recalibrated,
        windows=sum(map(len, log.sessions)),
        sessions=len(log.sessions),
        faults=log.faults,
        features=tuple(evidence.features),
        detectable=evidence.detectable,
        alarm_chance=evidence.alarm_chance,
        notes=log.notes,
        calibration=evidence.calibration,
    )


def _since(log: Log, reference: Sequence[np.ndarray], every: int) -> Log:
    """A log from where a run was recalibrated on it: after those sessions, or from them on where too few came after."""
    count = len(reference)
    for start in range(len(log.sessions) - count + 1):
        pairs = zip(log.sessions[start : start + count], reference)
        if all(len(one) == len(other) and np.array_equal(one, other) for one, other in pairs):
            break
    else:
        return log
    used = start + count
    after = len(log.sessions) - used
    if after >= every:
        first, note = used, f"the {counted(used, 'session')} up to the recalibration {was(used)} skipped"
    else:
        first = start
        came = "1 has" if after == 1 else f"{after} have"
        note = f"the run was recalibrated on sessions of this log; {came} come since, too few for a new check"
    kept = slice(first, None)
    return replace(
        log,
        sessions=log.sessions[kept],
        features=log.features[kept],
        names=log.names[kept],
        notes=(*log.notes, note),
    )


def _sessions(log: Log, rows: slice) -> Calibration:
    """Some sessions of a log as a run keeps those of its calibration."""
    return Calibration(log.names[rows], log.sessions[rows], log.columns, log.features[rows])


def _recalibrated(latest: np.ndarray, rate: float) -> Threshold | None:
    """A threshold from healthy windows, by the run's guarantee; None where they are too few for it."""
    try:
        return calibrate(latest, rate, "conformal")
    except ValueError:
        return None
