"""What a run's firmware holds around its model, for budgets and boards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from micro.config import Config
from micro.emission.ram import AVR, WIDE, ram_around, ram_of_predictor
from micro.program.size import Around, Model
from micro.runs.run_report import RunReport
from micro.signal import AnyFrontEnd, FrontEnd, Hops

if TYPE_CHECKING:
    from micro.detection.outcome import Decider
    from micro.signal.bearing_monitor import BearingMonitor
    from micro.signal.velocity import Vibration


def around_of(report: RunReport, config: Config) -> Around | None:
    """What the firmware of a run holds around its model; None of a run without firmware, such as of an int16 student."""
    counted = {each.core: (each.flash, each.ram) for each in report.emulated}
    if report.predictor is not None:
        wide, narrow = (ram_of_predictor(report.predictor, core) for core in (WIDE, AVR))
        return Around(wide, narrow, counted)
    decider = report.detector or report.recognizer or report.labeler or report.estimator
    if decider is None or report.features is None:
        return None
    around = _on_chip(report.features, report.streaming is not None)
    parts = around, decider, report.commissioning, *_measured(report, config, decider)
    return Around(ram_around(*parts, WIDE), ram_around(*parts, AVR), counted)


def around_of_front_end(front_end: AnyFrontEnd, *, streams: bool) -> Around:
    """What a run's firmware holds around its model at the least, as long as there is no last stage yet."""
    around = _on_chip(front_end, streams)
    return Around(ram_around(around, None), ram_around(around, None, core=AVR))


def _on_chip(front_end: AnyFrontEnd, streams: bool) -> AnyFrontEnd | Hops:
    """The front end, or the hops that a model takes which streams."""
    return Hops.of(front_end) if streams and isinstance(front_end, FrontEnd) else front_end


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
