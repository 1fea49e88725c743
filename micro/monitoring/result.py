"""What monitoring shows of a run, and how it is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypedDict

from micro.detection.drift import DriftCheck
from micro.detection.threshold import Threshold
from micro.monitoring.advice import Advice, Evidence, advise
from micro.monitoring.seen import Seen
from micro.runs.baseline import Calibration


@dataclass(frozen=True)
class Monitoring:
    """What a log shows of a run.

    Attributes:
        advice: 'steady', 'recalibrate', 'retrain' or 'doubtful'.
        why: The reason, in words.
        checks: The comparisons made, the last one first to find drift if any does; none of a log that the run was recalibrated
            on and that has too few sessions since.
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
        calibration: The log's sessions that become a recalibrated run's calibration: those from the drift on. None of
            summaries, which hold no scores, and of a device that learned its own threshold; each operating mode has its own.
        rate: Fraction of healthy windows above the threshold that it was set for.
        seen: What was compared, session by session.
        by_mode: Of a run with operating modes what was found in each by its name, or why it was not compared; the other
            attributes are of the mode with the worst advice, but for `windows`, `faults` and `notes`, which are of all.

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
    calibration: Calibration | None = field(repr=False)
    rate: float | None = None
    seen: Seen | None = field(default=None, repr=False, compare=False)
    by_mode: dict[str, Monitoring | str] = field(default_factory=dict)


class Options(TypedDict):
    """How a log is checked."""

    false_alarm_rate: float
    every: int
    recent: int


def monitoring_of(
    evidence: Evidence,
    checks: tuple[DriftCheck, ...],
    alarms: float,
    notes: tuple[str, ...],
    calibration: Calibration | None = None,
    seen: Seen | None = None,
) -> Monitoring:
    """What checks and evidence come to; `alarms` is the fraction of the recent windows above the threshold."""
    advice, why = advise(evidence)
    return Monitoring(
        advice=advice,
        why=why,
        checks=checks,
        drifted_after=evidence.check.windows if evidence.check.drifted else None,
        alarms=alarms,
        threshold=evidence.threshold,
        recalibrated=evidence.recalibrated,
        windows=evidence.condition.windows,
        sessions=evidence.condition.sessions,
        faults=evidence.condition.faults,
        features=tuple(evidence.features),
        detectable=evidence.detectable,
        alarm_chance=evidence.alarm_chance,
        notes=notes,
        calibration=calibration,
        rate=evidence.rate,
        seen=seen,
    )
