"""What a log of every window tells besides drift: the condition of the sensor, and the threshold that it would give."""

from __future__ import annotations

import numpy as np

from micro.detection.drift import DriftCheck
from micro.detection.threshold import Threshold, calibrate
from micro.monitoring.advice import Condition
from micro.monitoring.log import Log
from micro.monitoring.result import Options


def condition_of(log: Log) -> Condition:
    """Whether a log's scores speak for the machine."""
    return Condition(sum(map(len, log.sessions)), log.faults, len(log.sessions), log.dead, log.failed)


def last_check(checks: tuple[DriftCheck, ...], options: Options) -> tuple[DriftCheck, int, int]:
    """The last check, and the first of the sessions that it compares and the one behind them."""
    end = len(checks) * options["every"]
    return checks[-1], max(0, end - options["recent"]), end


def recalibrated_of(latest: np.ndarray, rate: float) -> Threshold | None:
    """A threshold from scores of healthy windows, by a run's guarantee; None where they are too few for it."""
    try:
        return calibrate(latest, rate, "conformal")
    except ValueError:
        return None
