"""Files to score whose speed says that the machine is off, while it is as loud as in the run's healthy windows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from micro.datasets.dead_speed import dead_speeds
from micro.datasets.recording import Recording
from micro.datasets.views import Views
from micro.runs.baseline import calibration_octaves
from micro.runs.run_report import RunReport


def dead_speed_notes(folder: Path, report: RunReport, recordings: Sequence[Recording], views: Views) -> list[str]:
    """Sentences on files whose speed says off while they are as loud as the run's healthy windows; none without modes."""
    if report.detector is None or report.detector.modes is None:
        return []
    ranges = report.detector.modes.ranges
    known = [calibration_octaves(folder, mode) for mode in range(len(ranges.names))]
    # Levels, and as many rates of crossings behind them.
    sessions = [row[: len(row) // 2] for one in known if one is not None for row in one]
    return [str(doubt) for doubt in dead_speeds(ranges, recordings, views, sessions)]
