"""Whether a run has enough windows for what its config asks."""

from __future__ import annotations

from micro.config import Config
from micro.datasets.prepared import Prepared
from micro.detection.threshold import require_tail, threshold_rank


def require_enough(config: Config, data: Prepared) -> None:
    """ValueError where the rate of false alarms takes more calibration windows than there are."""
    if config.task != "anomaly":
        return
    if config.detect.method == "conformal":
        threshold_rank(len(data.calibration), config.detect.false_alarm_rate)
    if config.detect.method == "extreme":
        require_tail(len(data.calibration))
