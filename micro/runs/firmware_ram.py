"""What a run's firmware holds around its model, for budgets and boards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from micro.config import Config
from micro.emission.ram import AVR, WIDE, Core, ram_around, ram_of_predictor
from micro.program.size import Around, Model
from micro.runs.finished import read_run
from micro.runs.run_report import RunReport
from micro.signal import AnyFrontEnd, FrontEnd, Hops

if TYPE_CHECKING:
    from micro.detection.outcome import Decider
    from micro.runs.firmware import Firmware
    from micro.signal.bearing_monitor import BearingMonitor
    from micro.signal.velocity import Vibration


def ram_of(firmware: Firmware, core: Core = WIDE) -> int:
    """Bytes of RAM that firmware holds around its model, at the least; see `micro.emission.ram.ram_around`."""
    monitor = None if firmware.diagnosis is None else firmware.diagnosis.monitor
    around = firmware.hops or firmware.front_end
    return ram_around(around, firmware.decider, firmware.commissioning, firmware.vibration, monitor, core)


def around_of(report: RunReport, config: Config) -> Around | None:
    """What the firmware of a run holds around its model; None of a run without firmware, such as of an int16 student."""
    counted = {each.core: (each.flash, each.ram) for each in report.emulated}
    if report.predictor is not None:
        wide, narrow = (ram_of_predictor(report.predictor, core) for core in (WIDE, AVR))
        return Around(wide, narrow, counted)
    decider = report.detector or report.recognizer or report.labeler or report.estimator
    if decider is None or report.features is None:
        return None
    around: AnyFrontEnd | Hops = report.features
    if report.streaming is not None and isinstance(around, FrontEnd):
        around = Hops.of(around)
    parts = around, decider, report.commissioning, *_measured(report, config, decider)
    return Around(ram_around(*parts, WIDE), ram_around(*parts, AVR), counted)


def around_of_front_end(front_end: AnyFrontEnd, *, streams: bool) -> Around:
    """What a run's firmware holds around its model at the least, as long as there is no last stage yet."""
    around: AnyFrontEnd | Hops = Hops.of(front_end) if streams and isinstance(front_end, FrontEnd) else front_end
    return Around(ram_around(around, None), ram_around(around, None, core=AVR))


def _measured(report: RunReport, config: Config, decider: Decider) -> tuple[Vibration | None, BearingMonitor | None]:
    """What is measured next to the rest; few runs have any."""
    if config.vibration is None and report.bearing is None:
        return None, None
    from micro.runs.bearing_report import diagnosing_of
    from micro.runs.firmware import vibration_of

    diagnosing = diagnosing_of(report.bearing, report.data.channels)
    return vibration_of(report, config, decider), None if diagnosing is None else diagnosing.monitor


def model_of_run(folder: Path) -> Model:
    """The model on the chip of a finished run, with what its firmware holds around it.

    Raises:
        RunError: If the folder is no finished run.
    """
    report, config = read_run(folder)
    path = folder / "student_int8.tflite"
    if config.firmware.streaming:
        from micro.runs.firmware import STEP

        path = folder / STEP if (folder / STEP).is_file() else path
    return replace(Model.read(path), around=around_of(report, config))
