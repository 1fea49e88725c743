"""The part of a report on thresholds that are not the training's."""

from __future__ import annotations

from micro.runs.report_parts import Part


class ModeRecalibration(Part):
    """Where the threshold of an operating mode came from that is not the training's, and what it guarantees."""

    name: str
    trained_threshold: float
    former_threshold: float
    threshold: float
    factor: float
    guarantee: str
    sessions: int
    windows: int


class Recalibration(Part):
    """Where a threshold that is not the training's came from, what it guarantees, and which figures are not of it.

    Of a run with operating modes `by_mode` has those whose threshold is not the training's; the threshold of all modes together
    stays.
    """

    times: int
    trained_threshold: float
    former_threshold: float
    threshold: float
    factor: float
    guarantee: str
    sessions: int
    windows: int
    false_alarm_rate: float
    detection_rate: float | None
    figures_threshold: float | None = None
    figures_of_former_threshold: tuple[str, ...] = ()
    says: str = ""
    by_mode: tuple[ModeRecalibration, ...] = ()
