"""The part of a report on velocity: what the firmware measures, and mm/s of each recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from micro.datasets.reported import Level
from micro.runs.report_parts import Part

if TYPE_CHECKING:
    from micro.datasets.vibration_levels import Levels


class VibrationReport(Part):
    """What the firmware measures, and mm/s of the recordings, training's among them.

    Attributes:
        channels: That are measured in turn.
        low, high: The band in Hz.
        seconds: Of a block.
        average: Blocks in a running value.
        window, decimation: Samples that are transformed, and of how many one is kept before.
        borders: Of the zones in mm/s; None where there are none.
        rows: By recording and state; recordings shorter than a block have none.
    """

    channels: tuple[str, ...]
    low: float
    high: float
    seconds: float
    average: int
    window: int
    decimation: int
    borders: tuple[float, float, float] | None
    rows: tuple[Level, ...]


def vibration_report(levels: Levels | None) -> dict[str, Any]:
    """What a report is given of velocities: nothing where none are measured."""
    if levels is None:
        return {}
    own = levels.vibration
    return {
        "vibration": VibrationReport(
            channels=levels.channels,
            low=own.low,
            high=own.high,
            seconds=own.span / own.sample_rate,
            average=own.average,
            window=own.window,
            decimation=own.decimation,
            borders=own.borders,
            rows=levels.rows,
        )
    }
