"""What a report keeps of the worst alarms of a run's test."""

from __future__ import annotations

from micro.runs.report_parts import Part


class AlarmPart(Part):
    """What a feature, or all of a channel, adds to an alarm's score: its fraction, times its usual part where that is
    known, and 'above' or 'below' what the student expects."""

    channel: str
    feature: str
    share: float
    times: float | None = None
    direction: str = ""


class AlarmReport(Part):
    """An alarm of the test: the recording and its state, when it began and ended in seconds since its file's first row, None
    without a time, the mean score of the windows that raised it, and the largest parts."""

    origin: str
    state: str
    begin: float | None
    end: float | None
    score: float
    features: tuple[AlarmPart, ...]
    channels: tuple[AlarmPart, ...]
