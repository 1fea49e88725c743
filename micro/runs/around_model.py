"""What a run's firmware is around its model, in RAM and flash, for budgets and boards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from micro.config import Config
from micro.emission.flash import parts_of
from micro.emission.ram import AVR, WIDE, ram_around, ram_of_predictor
from micro.program.size import Around, Model
from micro.runs.real_time import paces_of
from micro.runs.run_report import RunReport
from micro.signal import AnyFrontEnd, FrontEnd, Hops

if TYPE_CHECKING:
    from micro.detection.commissioning import Commissioning
    from micro.detection.outcome import Decider
    from micro.signal.bearing_monitor import BearingMonitor
    from micro.signal.velocity import Vibration


def around_of(report: RunReport, config: Config) -> Around | None:
    """What the firmware of a run holds around its model; None of a run without firmware, such as of an int16 student."""
    counted = {each.core: (each.flash, each.ram) for each in report.emulated}
    if (predictor := report.predictor) is not None:
        return replace(
            around_text(predictor.form, predictor.length, predictor.longest, predictor.table_bytes), counted=counted
        )
    decider = report.detector or report.recognizer or report.labeler or report.estimator
    if decider is None or report.features is None:
        return None
    vibration, monitor = _measured(report, config, decider)
    more = report.commissioning, vibration, monitor
    streams = report.streaming is not None
    around = around_stage(config, report.features, decider, *more, streams=streams)
    return replace(around, counted=counted, paces=paces_of(report))


def around_stage(
    config: Config,
    front_end: AnyFrontEnd,
    decider: Decider,
    commissioning: Commissioning | None,
    vibration: Vibration | None,
    monitor: BearingMonitor | None,
    *,
    streams: bool,
) -> Around:
    """What firmware is around its model; see `micro.emission.ram.ram_around` and `micro.emission.flash.parts_of`."""
    around = Hops.of(front_end) if streams and isinstance(front_end, FrontEnd) else front_end
    given = around, decider, commissioning, vibration, monitor
    parts = parts_of(*given, describes_sensor=config.firmware.sensor_channels is not None)
    return Around(ram_around(*given, WIDE), ram_around(*given, AVR), parts)


def around_text(form: str, length: int, longest: int, table: int) -> Around:
    """The same of firmware that predicts text, with the bytes of its table of characters."""
    wide, narrow = (ram_of_predictor(form, length, longest, core) for core in (WIDE, AVR))
    return Around(wide, narrow, {f"predictor {form}": 1}, table)


def _measured(report: RunReport, config: Config, decider: Decider) -> tuple[Vibration | None, BearingMonitor | None]:
    """What is measured next to the rest; few runs have any."""
    if config.vibration is None and report.bearing is None:
        return None, None
    from micro.runs.bearing_report import diagnosing_of
    from micro.runs.firmware import vibration_of

    diagnosing = diagnosing_of(report.bearing, report.data.channels)
    return vibration_of(report, config, decider), None if diagnosing is None else diagnosing.monitor


def model_of_run(folder: Path, report: RunReport, config: Config) -> Model:
    """The model on the chip of a finished run, with what its firmware holds around it."""
    path = folder / "student_int8.tflite"
    if config.firmware.streaming:
        from micro.runs.firmware import STEP

        path = folder / STEP if (folder / STEP).is_file() else path
    return replace(Model.read(path), around=around_of(report, config))
