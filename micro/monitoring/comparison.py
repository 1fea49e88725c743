"""A device's log beside the run that its firmware came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from micro.detection.drift import Look, promise_chance, smallest_change, watch
from micro.detection.threshold import Threshold, calibrate
from micro.errors import DataError
from micro.monitoring.advice import Advice, Evidence, advise
from micro.monitoring.log import Log, read_log
from micro.runs.baseline import Calibration, calibration_heard, calibration_sessions
from micro.runs.score_files import read_run
from micro.signal import FrontEnd


@dataclass(frozen=True)
class Monitoring:
    """What a log says of a run: the checks made, the advice and why, and the threshold that a recalibration would set.

    `drifted_after` counts windows from the log's start to the check that found drift; `alarms` is the share of the recent
    windows above the run's threshold; `faults` counts rows without a score; `features` names those that were logged.
    `detectable` is the smallest factor of all scores that the last check would have found, None where not even a tenfold one;
    `alarm_chance` bounds the chance of so many alarms in the whole log were the promised rate kept; `notes` say what was passed
    over or assumed in reading; `calibration` are the sessions that become a recalibrated run's: the log's, from those
    on in which drift was found.
    """

    advice: Advice
    why: str
    looks: tuple[Look, ...]
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
    stretches as long as calibration's, anew at each restart of the device, which prints the header again. Rows without a score
    are faults of the sensor, and counted. Columns `f0`, `f1`, ... are the model's int8 input features; any of them will do, and
    drift that leaves the scores alone is seen by them.

    Args:
        false_alarm_rate: Chance that a log like calibration's is ever said to drift, over the first thousand checks.
        every, recent: Sessions between checks, and sessions that a check takes in.
        device: Whose rows are read, where the log has a column `device` and more than one in it.

    Raises:
        RunError: If the folder is no finished run of a detector.
        DataError: Names file and row of what cannot be read, or where the log is too short for one check.
    """
    folder = Path(run_folder)
    report, config = read_run(folder)
    reference = calibration_sessions(folder)
    unit = report["detector"]["score"]["unit"] if report["detector"] else None
    block = int(np.median([len(scores) for scores in reference]))
    told = read_log(log, unit, block, device=device)
    if report.get("recalibration"):
        told = _since(told, reference, every)
    if len(told.sessions) < every:
        raise DataError(
            f"{log}: {len(told.sessions)} sessions are too few for a check, which takes {every}; log more, or check more often "
            "(--every)"
        )
    heard = (calibration_heard(folder, told.columns, log), told.heard) if told.columns else None
    looks = watch(
        reference, told.sessions, heard=heard, false_alarm_rate=false_alarm_rate, every=every, recent=recent, seed=seed
    )
    look, seen = looks[-1], len(looks) * every
    names = FrontEnd(**report["features"]).names if told.columns else ()
    features = tuple(names[column] for column in told.columns)
    begun = max(0, seen - recent)
    latest = np.concatenate(told.sessions[begun:seen])
    # Where drift was found, all from that check's sessions on is as the machine now is; else the whole log is.
    calibration = _recent(told, slice(begun if look.drifted else 0, None))
    threshold, rate = float(report["threshold"]), config.detect.false_alarm_rate
    counted = told.sessions[:seen] if look.drifted else told.sessions
    evidence = Evidence(
        look,
        told,
        latest,
        tuple(reference),
        threshold,
        trained_threshold(report),
        _recalibrated(np.concatenate(calibration.scores), rate),
        len(calibration.scores),
        rate,
        false_alarm_rate,
        float(np.mean(np.concatenate(counted) > threshold)),
        promise_chance([float(np.mean(scores > threshold)) for scores in counted], rate),
        None if look.drifted else smallest_change(reference, look.sessions, look.level, tests=3 if told.columns else 2),
        features,
    )
    advice, why = advise(evidence)
    return Monitoring(
        advice,
        why,
        looks,
        look.windows if look.drifted else None,
        float(np.mean(latest > threshold)),
        threshold,
        evidence.renewed,
        sum(map(len, told.sessions)),
        len(told.sessions),
        told.faults,
        features,
        evidence.detectable,
        evidence.chance,
        told.notes,
        calibration,
    )


def trained_threshold(report: dict[str, Any]) -> float:
    """The threshold that a run was trained with, whatever recalibrations it has been through."""
    recalibration = report.get("recalibration")
    return float(report["threshold"] if not recalibration else recalibration["trained_threshold"])


def _since(log: Log, reference: Sequence[np.ndarray], every: int) -> Log:
    """A log from where a run was recalibrated on it: after those sessions, or from them on where too few came after."""
    count = len(reference)
    for start in range(len(log.sessions) - count + 1):
        found = log.sessions[start : start + count]
        if all(len(one) == len(other) and np.array_equal(one, other) for one, other in zip(found, reference)):
            break
    else:
        return log
    after = len(log.sessions) - start - count
    if after >= every:
        first, note = start + count, f"the {start + count} sessions up to the recalibration are passed over"
    else:
        first = start
        note = (
            f"the run was recalibrated on sessions of this log; {after} have come since, too few to tell anything new"
        )
    kept = slice(first, None)
    return replace(
        log,
        sessions=log.sessions[kept],
        heard=log.heard[kept],
        names=log.names[kept],
        notes=(*log.notes, note),
    )


def _recent(log: Log, rows: slice) -> Calibration:
    """Recent sessions of a log as a run keeps those of its calibration."""
    return Calibration(log.names[rows], log.sessions[rows], log.columns, log.heard[rows])


def _recalibrated(latest: np.ndarray, rate: float) -> Threshold | None:
    """A threshold from healthy windows, by the run's guarantee; None where they are too few for it."""
    try:
        return calibrate(latest, rate, "conformal")
    except ValueError:
        return None
