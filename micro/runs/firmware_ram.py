"""What a run's firmware holds around its model, for budgets and boards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from micro.config import Config
from micro.emission.ram import AVR, WIDE, Core, ram_around, ram_of_predictor
from micro.program.size import Around, Model
from micro.runs.bearing_report import diagnosing_of
from micro.runs.finished import read_run
from micro.runs.firmware import STEP, Firmware, vibration_of
from micro.runs.run_report import RunReport
from micro.signal import AnyFrontEnd, FrontEnd, Hops


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
    diagnosing = diagnosing_of(report.bearing, report.data.channels)
    parts = (
        *(around, decider, report.commissioning, vibration_of(report, config, decider)),
        None if diagnosing is None else diagnosing.monitor,
    )
    return Around(ram_around(*parts, WIDE), ram_around(*parts, AVR), counted)


def model_of_run(folder: Path) -> Model:
    """The model on the chip of a finished run, with what its firmware holds around it.

    Raises:
        RunError: If the folder is no finished run.
    """
    report, config = read_run(folder)
    step = folder / STEP
    streams = config.firmware.streaming and step.is_file()
    model = Model.read(step if streams else folder / "student_int8.tflite")
    return replace(model, around=around_of(report, config))
