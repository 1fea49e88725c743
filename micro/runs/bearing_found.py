"""What recordings show of the bearing: a report's part on it, and a line for each new file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from micro.config.bearing import BearingConfig
from micro.datasets.bearing_lines import BearingLines, Seen, diagnosed, speed_of, speeds_in
from micro.datasets.recording import Recording
from micro.runs.bearing_report import BearingReport, BearingRow, ChipSeen
from micro.signal.bearings import FAULTS
from micro.signal.squared_envelope import Band
from micro.signal.stretches import stretches


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
