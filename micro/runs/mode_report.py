"""What a report says of one operating mode."""

from __future__ import annotations

from micro.runs.report_parts import Part


class ModeReport(Part):
    """What the threshold of an operating mode does to the test windows of that mode, window by window.

    `calibration` are the healthy windows that it was calibrated on; it is None where they are too few. `false_alarms` and
    `detected` are fractions of the `healthy` and the `faulty` test windows, None where there are none.
    """

    name: str
    threshold: float | None
    calibration: int
    healthy: int
    false_alarms: float | None
    faulty: int
    detected: float | None
