"""A run that logs are compared with, read once for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from micro.detection.drift import FEWEST_CALIBRATION
from micro.errors import DataError, RunError
from micro.monitoring.logged_modes import LoggedModes
from micro.runs.baseline import calibration_by_mode, calibration_sessions
from micro.runs.finished import read_run
from micro.runs.run_report import RunReport
from micro.support.files import sha256
from micro.support.wording import counted

if TYPE_CHECKING:
    from micro.detection.learned_record import LearnedRecord
    from micro.runs.firmware import Firmware


@dataclass(frozen=True)
class MonitoredRun:
    """A finished run of a detector.

    Attributes:
        threshold: In real units.
        rate: The false-alarm rate that the threshold was set for.
        record: What a device has learned of its machine; None of a run whose devices do not, or where it was not given.
    """

    folder: Path
    report: RunReport
    threshold: float
    rate: float
    record: LearnedRecord | None = None

    @property
    def unit(self) -> float | None:
        """What integer scores are multiplied by."""
        return self.report.detector.score.unit if self.report.detector else None

    @cached_property
    def sessions(self) -> list[np.ndarray]:
        """Scores of its calibration, an array a session."""
        return calibration_sessions(self.folder)

    @cached_property
    def by_mode(self) -> dict[int, list[np.ndarray]]:
        """The same of each operating mode that has a threshold."""
        rows = self.report.by_mode
        return {
            n: each for n, each in sorted(calibration_by_mode(self.folder).items()) if rows[n].threshold is not None
        }

    @property
    def modes(self) -> LoggedModes | None:
        """Its operating modes; None of a run without."""
        if self.report.detector is None or self.report.detector.modes is None:
            return None
        blocks = {mode: int(np.median([len(scores) for scores in each])) for mode, each in self.by_mode.items()}
        return LoggedModes(self.report.detector.modes.ranges.names, blocks)

    @property
    def block(self) -> int:
        """Windows of a session of its calibration."""
        return int(np.median([len(scores) for scores in self.sessions]))

    def starts(self, every: int, recent: int) -> int:
        """Starts of a device that are enough for a check, behind the first ones of a device that learned its machine."""
        return every if self.report.commissioning is None else every + 2 * recent

    @cached_property
    def firmware(self) -> Firmware:
        """All that the run puts on a chip."""
        from micro.runs.firmware import load_firmware

        return load_firmware(self.folder)


def monitored_run(folder: str | Path, parameters: str | Path | None = None) -> MonitoredRun:
    """A run, with the record of what a device has learned where there is one.

    Raises:
        RunError: If the folder is no finished run of a detector, or a record is given and its devices do not learn.
        RecordError: For a record of another run, or none.
        DataError: For a file that cannot be read.
    """
    folder = Path(folder)
    report, config = read_run(folder)
    if report.threshold is None:
        raise RunError(f"{folder} is a run of task {report.task!r}: it has no threshold to monitor")
    run = MonitoredRun(folder, report, report.threshold, config.detect.false_alarm_rate)
    if parameters is None:
        return run
    if report.commissioning is None:
        raise RunError(
            f"{folder} has no [commissioning]: its devices learn nothing of their own; leave out --parameters, and monitor the "
            "run that their parameters are from"
        )
    return MonitoredRun(folder, report, run.threshold, run.rate, _record(run, Path(parameters)))


def _record(run: MonitoredRun, path: Path) -> LearnedRecord:
    from micro.detection.detector import Detector
    from micro.detection.learned_record import LearnedRecord
    from micro.emission.parameters import made_for_of

    firmware = run.firmware
    assert isinstance(firmware.decider, Detector)
    made_for = made_for_of(firmware.hops or firmware.front_end, firmware.decider, sha256(firmware.deployed))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    return LearnedRecord.from_bytes(content, made_for)


def require_calibration(count: int) -> None:
    """DataError where an operating mode's calibration is of too few sessions for any comparison."""
    if count < FEWEST_CALIBRATION:
        raise DataError(
            f"the run's calibration has {counted(count, 'session')} of it, and a comparison takes {FEWEST_CALIBRATION} or "
            "more: record the healthy machine in this mode in more recordings, and train again"
        )


def require_sessions(path: str | Path, count: int, every: int, first: int = 0) -> None:
    """DataError where the sessions of a log, behind its `first`, are too few for a check."""
    if count >= every:
        return
    behind = f" behind the first {first}, which stand for calibration" if first else ""
    raise DataError(
        f"{path}: {counted(max(0, count), 'session')}{behind}, but a check takes {every}; log {every} starts of the machine or "
        f"more, or score {every} files or more into one log (keras-kd score RUN FILE... --out LOG)"
    )
