"""Windows of new recordings with what a run's student says of them."""

from __future__ import annotations

from dataclasses import dataclass

from micro.detection.alarm_times import AlarmTime
from micro.detection.sensor import Fault
from micro.runs.label_scores import Label

FAULT = "sensor fault"
# What is said of windows that a detector does not judge as the machine is off, or of no operating mode.
NOT_JUDGED = {int(Fault.MACHINE_OFF): "machine off", int(Fault.UNKNOWN_MODE): "unknown mode"}


@dataclass(frozen=True)
class Numbered:
    """One of several numbers of a window, with the ends of its interval; None where the sensor is at fault, as the firmware
    sees it, and without an interval."""

    name: str
    number: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Scored:
    """One window: `row` is the row at which it begins in its file; a picture is a window of its own, without a time.

    Attributes:
        begin, end: From when and until when its samples were taken, in seconds from the file's first row; the firmware decides
            at its end. None without a time.
        score: In real units, a regression's number; None where the sensor is at fault, as the firmware sees it, and where there
            are several numbers or labels.
        above_threshold: Whether this window alone is above the threshold, a recognizer's the one of its class; None without a
            score or a threshold.
        alarm: Whether the detector is in alarm after it, as the firmware is: k of the last n windows of its file.
        result: 'alarm' or 'ok', a classifier's likeliest class, the labels that are likelier than not, joined by '+', 'none'
            where there are none, 'estimate', 'sensor fault', 'machine off', or of operating modes 'unknown mode'.
        recognized: The class that the firmware's recognizer reports after it, '' where it reports none; None where the
            firmware has no recognizer.
        low, high: Ends of the interval around a regression's number.
        numbers: Of a regression with several, else empty.
        labels: Of several labels, else empty.
        reported: The labels that the firmware reports after it, joined by '+', '' where it reports none; None where the
            firmware has no labeler.
        mode: Its operating mode, '' where it is of none; None of a run without modes.
    """

    file: str
    row: int
    begin: float | None
    score: float | None
    above_threshold: bool | None
    alarm: bool | None
    result: str
    recognized: str | None = None
    low: float | None = None
    high: float | None = None
    numbers: tuple[Numbered, ...] = ()
    labels: tuple[Label, ...] = ()
    reported: str | None = None
    mode: str | None = None
    end: float | None = None


@dataclass(frozen=True)
class Scores:
    """Scored windows in their order; sentences on what of the files was left out or filled in; of a run with [bearing] each
    file that is in alarm with its diagnosis; the threshold if one decides on every window; and when alarms are reported."""

    windows: tuple[Scored, ...]
    notes: tuple[str, ...]
    diagnoses: tuple[tuple[str, str], ...] = ()
    threshold: float | None = None
    alarms: tuple[AlarmTime, ...] = ()
