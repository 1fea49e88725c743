"""The part of a report on thresholds that are not the training's."""

from __future__ import annotations

from micro.runs.report_parts import Part


class _NewThreshold(Part):
    """Where a threshold that is not the training's came from, and what it guarantees."""

    trained_threshold: float
    former_threshold: float
    threshold: float
    factor: float
    guarantee: str
    sessions: int
    windows: int


class ModeRecalibration(_NewThreshold):
    """That of an operating mode."""

    name: str


class Recalibration(_NewThreshold):
    """That of a run, and which figures are not of it.

    Of a run with operating modes `by_mode` has those whose threshold is not the training's; the threshold of all modes together
    stays.
    """

    times: int
    false_alarm_rate: float
    detection_rate: float | None
    figures_threshold: float | None = None
    figures_of_former_threshold: tuple[str, ...] = ()
    says: str = ""
    by_mode: tuple[ModeRecalibration, ...] = ()
