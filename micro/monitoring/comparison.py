"""A device's scores come home: does its threshold still hold, and if not, what is to be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from micro.baseline import calibration_heard, calibration_sessions
from micro.detect import Threshold, calibrate
from micro.drift import PSI_MUCH, PSI_SOME, Look, watch
from micro.errors import DataError
from micro.monitoring.log import read_log
from micro.score import read_run
from micro.signal import FrontEnd

Advice = Literal["steady", "recalibrate", "renew"]
# A threshold may move by this factor and the student still tell faults from health; beyond, it hears something new.
FARTHEST = 1.5


@dataclass(frozen=True)
class Monitoring:
    """What a log says of a run: the looks taken, the advice and why, and the threshold that a recalibration would set.

    `drifted_after` counts windows from the log's start to the look that found drift; `alarms` is the share of the recent
    windows above the run's threshold; `faults` counts rows without a score; `features` names those that were logged.
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


def monitor(
    run_folder: str | Path,
    log: str | Path,
    *,
    false_alarm_rate: float = 0.01,
    every: int = 4,
    recent: int = 8,
    seed: int = 0,
) -> Monitoring:
    """Compare a device's log of scores with those that a run's threshold was calibrated on.

    The log is a CSV file with a header, or JSON lines, with a row a window: `score` in real units, or `raw_score` in the
    chip's whole numbers; `session`, the start of the machine that the window belongs to. Without sessions the log is cut into
    stretches as long as calibration's. Rows without a score are faults of the sensor, and counted. Columns `f0`, `f1`, ... are
    what the model heard, int8 as on the chip; any of them will do, and drift that leaves the scores alone is seen by them.

    Args:
        false_alarm_rate: Chance that a log like calibration's is ever said to drift, over all looks.
        every, recent: Sessions between looks, and sessions that a look takes in.

    Raises:
        RunError: If the folder is no finished run of a detector.
        DataError: Names file and row of what cannot be read, or where the log is too short for one look.
    """
    folder = Path(run_folder)
    report, config = read_run(folder)
    reference = calibration_sessions(folder)
    unit = report["detector"]["score"]["unit"] if report["detector"] else None
    told = read_log(log, unit, int(np.median([len(scores) for scores in reference])))
    if len(told.sessions) < every:
        raise DataError(
            f"{log}: {len(told.sessions)} sessions are too few for a look, which takes {every}; log more, or look oftener"
        )
    heard = (_calibration_heard(folder, told.columns, log), told.heard) if told.columns else None
    looks = watch(
        reference,
        told.sessions,
        heard=heard,
        false_alarm_rate=false_alarm_rate,
        every=every,
        recent=recent,
        seed=seed,
    )
    names = FrontEnd(**report["features"]).names if told.columns else ()
    features = tuple(names[column] for column in told.columns)
    seen = len(looks) * every
    latest = np.concatenate(told.sessions[max(0, seen - recent) : seen])
    threshold = float(report["threshold"])
    rate = config.detect.false_alarm_rate
    renewed = _recalibrated(latest, rate)
    advice, why = _advise(looks[-1], latest, threshold, rate, renewed, np.concatenate(reference), features)
    return Monitoring(
        advice,
        why,
        looks,
        looks[-1].windows if looks[-1].drifted else None,
        float(np.mean(latest > threshold)),
        threshold,
        renewed,
        sum(map(len, told.sessions)),
        len(told.sessions),
        told.faults,
        features,
    )


def _calibration_heard(folder: Path, columns: Sequence[int], log: str | Path) -> np.ndarray:
    """Mean features of a run's calibration sessions, those logged; DataError where the log names others."""
    known = calibration_heard(folder)
    beyond = [column for column in columns if column >= known.shape[1]]
    if beyond:
        raise DataError(f"{log}: column 'f{beyond[0]}' is of another model; this one's end at 'f{known.shape[1] - 1}'")
    return np.asarray(known[:, list(columns)])


def _recalibrated(latest: np.ndarray, rate: float) -> Threshold | None:
    """A threshold from the recent windows, by the run's promise; None where they are too few for it."""
    try:
        return calibrate(latest, rate, "conformal")
    except ValueError:
        return None


def _advise(
    look: Look,
    latest: np.ndarray,
    threshold: float,
    rate: float,
    renewed: Threshold | None,
    reference: np.ndarray,
    features: Sequence[str],
) -> tuple[Advice, str]:
    alarms = float(np.mean(latest > threshold))
    distance = f"KS distance {look.ks:.2f}, wander {look.wander:.1f}, p {look.p:.2g} at look {look.number}"
    if not look.drifted:
        return "steady", (
            f"no look found drift: {distance}, where {look.level:.2g} would tell; {alarms:.1%} of the recent windows are above "
            f"the threshold, {rate:.1%} were promised"
        )
    if look.shift is not None and not look.scores_drifted:
        return "renew", (
            f"the scores hold ({distance}), but what the student hears does not: {features[look.shift.feature]} moved by "
            f"{look.shift.spreads:+.1f} of the spreads between sessions (p {look.shift.p:.2g}). Its promise to find faults was "
            "tested on other sounds. Look at machine, speed and sensor first; if all are as they will stay, record and train a "
            "new student"
        )
    moved = (
        f"the median score went from {np.median(reference):.4g} to {np.median(latest):.4g} ({distance}; stability index "
        f"{look.psi:.2f}, {_words(look.psi)})"
    )
    if renewed is None:
        return "renew", (
            f"{moved}, and the recent windows are too few for a threshold at {rate:.1%}: log more, or record and train anew"
        )
    ratio = renewed.value / threshold
    told = (
        f"to keep {rate:.1%} of false alarms the threshold would go from {threshold:.4g} to {renewed.value:.4g}, "
        f"a factor of {ratio:.2f}"
    )
    if 1 / FARTHEST <= ratio <= FARTHEST:
        return "recalibrate", (
            f"{moved}; {told}: near enough for the student to tell faults as before. If the machine was sound while this was "
            "logged, recalibrate"
        )
    side = "above" if ratio > 1 else "below"
    return "renew", (
        f"{moved}; {told}, {side} what a threshold can make up for: the student hears what it has not learnt. Look at machine "
        "and sensor first; if both are sound, record and train a new student"
    )


def _words(psi: float) -> str:
    return "hardly moved" if psi < PSI_SOME else "moved" if psi < PSI_MUCH else "moved far"
