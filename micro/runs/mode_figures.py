"""Thresholds by operating mode, and what each does to the test windows of its mode."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from micro.config import Config
from micro.datasets.prepared import Prepared
from micro.detection.threshold import Threshold, calibrate, fewest_scores
from micro.runs.mode_report import ModeReport


def thresholds_by_mode(healthy: np.ndarray, data: Prepared, config: Config) -> tuple[Threshold | None, ...]:
    """A threshold for each operating mode from scores of its own healthy windows, None of a mode with too few; none where there
    are no modes."""
    if data.ranges is None or data.calibration.modes is None:
        return ()
    detect, own = config.detect, [healthy[data.calibration.modes == mode] for mode in range(data.ranges.count)]
    fewest = fewest_scores(detect.false_alarm_rate, detect.method)
    return tuple(
        calibrate(each, detect.false_alarm_rate, detect.method) if len(each) >= fewest else None for each in own
    )


def limits_by_mode(by_mode: Sequence[Threshold | None], modes: np.ndarray) -> np.ndarray:
    """The threshold of each window by its mode, (n,) -> (n,); infinite of a mode without one."""
    return np.array([np.inf if each is None else each.value for each in by_mode])[modes]


def mode_rows(scores: np.ndarray, by_mode: Sequence[Threshold | None], data: Prepared) -> tuple[ModeReport, ...]:
    """What each mode's threshold does to the test windows of that mode; nothing where there are no modes."""
    if data.ranges is None or data.test.modes is None or data.calibration.modes is None:
        return ()
    above = scores > limits_by_mode(by_mode, data.test.modes)
    rows = []
    for mode, (name, threshold) in enumerate(zip(data.ranges.names, by_mode, strict=True)):
        parts = [(data.test.modes == mode) & (data.test.labels == state) for state in (0, 1)]
        rates = [float(above[part].mean()) if part.any() else None for part in parts]
        rows.append(
            ModeReport(
                name=name,
                threshold=None if threshold is None else threshold.value,
                calibration=int((data.calibration.modes == mode).sum()),
                healthy=int(parts[0].sum()),
                false_alarms=rates[0],
                faulty=int(parts[1].sum()),
                detected=rates[1],
            )
        )
    return tuple(rows)
