"""The part of a report on the bearing: baseline, what stands out in each test recording, and what the firmware names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from micro.config.bearing import BearingConfig
from micro.datasets.bearing_lines import BearingLines, Seen, diagnosed, speed_of, speeds_in
from micro.datasets.recording import Recording
from micro.runs.report_parts import Part
from micro.signal.bearing_monitor import BearingMonitor, Diagnosing
from micro.signal.bearings import FAULTS, Bearing, Fault
from micro.signal.squared_envelope import Band
from micro.signal.stretches import stretches


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


def bearing_report(given: BearingConfig | None, lines: BearingLines | None) -> dict[str, Any]:
    """What a report is given of the bearing: nothing where none is named."""
    if given is None or lines is None:
        return {}
    return {
        "bearing": BearingReport(
            bearing=replace(given.bearing, name=given.name or ""),
            parts=FAULTS,
            channel=lines.channel,
            band=(lines.band.low, lines.band.high),
            baseline=lines.baseline,
            recordings=lines.healthy[0],
            seconds=lines.healthy[1],
            rows=tuple(map(_row, lines.rows)),
            monitor=lines.monitor,
            not_on_chip=lines.not_on_chip,
        )
    }


def _row(seen: Seen) -> BearingRow:
    found, chip = seen.diagnosis, seen.chip
    return BearingRow(
        origin=seen.origin,
        state=seen.state,
        seconds=seen.seconds,
        rpm=None if found is None else found.rpm,
        fault=None if found is None else found.fault,
        levels=() if found is None else tuple(line.level for line in found.lines),
        rises=() if found is None else tuple(line.rise or 0.0 for line in found.lines),
        text=f"not diagnosed: {seen.why}" if found is None else str(found),
        chip=None
        if chip is None
        else ChipSeen(results=chip.results, named=dict(chip.named), fault=chip.fault, rise=chip.rise),
    )


def diagnosing_of(report: BearingReport | None, channels: Sequence[str]) -> Diagnosing | None:
    """What names parts on the chip, of a sample with these channels; None where nothing does."""
    if report is None or report.monitor is None:
        return None
    return Diagnosing(report.monitor, list(channels).index(report.channel))


def lines_of(
    given: BearingConfig | None,
    report: BearingReport | None,
    recordings: Sequence[Recording],
    channels: Sequence[str],
    names: Sequence[str],
) -> tuple[tuple[str, str], ...]:
    """The diagnosis of each file of new recordings, of its longest stretch without a gap, in a line; none without [bearing].

    Args:
        recordings: With these channels; several may be of one file.
        names: Of the files that are diagnosed.
    """
    if given is None or report is None:
        return ()
    if len(channels) == 1:
        given = given.model_copy(update={"channel": channels[0]})
    sensed = [recording.sensed for recording in recordings]
    longest = {one.name: one for one in sorted(sensed, key=lambda each: len(each.samples))}
    return tuple((name, _line(given, report, longest[name], channels)) for name in names)


def _line(given: BearingConfig, report: BearingReport, recording: Recording, channels: Sequence[str]) -> str:
    runs = stretches(recording.valid)
    if recording.sample_rate is None or not len(runs):
        return "not diagnosed: no valid samples"
    first, past = runs[np.argmax(runs[:, 1] - runs[:, 0])]
    samples, rate, place = recording.samples[first:past], recording.sample_rate, given.place(channels)
    try:
        speeds = speeds_in(given, recording, samples, channels, slice(first, past))
        rpm = speed_of(given, samples, rate, place, speeds)
        return str(diagnosed(given, samples[:, place], rate, rpm, Band(*report.band), report.baseline))
    except ValueError as error:
        return f"not diagnosed: {error}"
