"""The part of a report on the bearing: baseline, what stands out in each test recording, and what the firmware names."""

from __future__ import annotations

from collections.abc import Sequence

from micro.runs.report_parts import Part
from micro.signal.bearing_monitor import BearingMonitor, Diagnosing
from micro.signal.bearings import Bearing, Fault


class ChipSeen(Part):
    """What the firmware names in a recording: of how many results which part how often; of the part named most its dB over the
    baseline, the median."""

    results: int
    named: dict[Fault, int]
    fault: Fault | None
    rise: float | None


class BearingRow(Part):
    """One state of a test recording.

    Attributes:
        fault: The part that is named, None for none.
        levels, rises: dB of each part over its surroundings and over the baseline, in the order of `parts`; empty where the
            recording could not be diagnosed.
        text: The diagnosis in a line, or why there is none.
        chip: None where the recording is shorter than a result of the firmware, or that names nothing.
    """

    origin: str
    state: str
    seconds: float
    rpm: float | None
    fault: Fault | None
    levels: tuple[float, ...]
    rises: tuple[float, ...]
    text: str
    chip: ChipSeen | None


class BearingReport(Part):
    """What recordings are compared with, and what stands out in those of the test.

    Attributes:
        parts: Of the bearing, in the order of levels.
        channel: Of acceleration.
        band: Whose envelope is looked at, in Hz.
        baseline: The highest dB of each part in healthy training recordings.
        recordings, seconds: Of the baseline.
        rows: By test recording and state.
        monitor: The firmware's, with its own baseline; None where it names no part.
        not_on_chip: Why.
    """

    bearing: Bearing
    parts: tuple[Fault, ...]
    channel: str
    band: tuple[float, float]
    baseline: tuple[float, ...]
    recordings: int
    seconds: float
    rows: tuple[BearingRow, ...]
    monitor: BearingMonitor | None
    not_on_chip: str

    @property
    def ram_bytes(self) -> int:
        """Of the firmware's diagnosis; 0 without one."""
        return 0 if self.monitor is None else self.monitor.ram_bytes


def diagnosing_of(report: BearingReport | None, channels: Sequence[str]) -> Diagnosing | None:
    """What names parts on the chip, of a sample with these channels; None where nothing does."""
    if report is None or report.monitor is None:
        return None
    return Diagnosing(report.monitor, list(channels).index(report.channel))
