"""What is emitted of a run: the detector that the chip carries, and what lies in its firmware folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from micro.config import Config
from micro.datasets.prepare import Prepared
from micro.detection.detector import Detector, make_detector, stand_in
from micro.detection.score import margin_score, reconstruction_score
from micro.detection.threshold import Threshold
from micro.runs.compression import Written
from micro.runs.run_report import ReportedDetector, reported
from micro.tflite.graph import read


def chip_detector(
    config: Config, data: Prepared, tflite: Written, threshold: Threshold | None
) -> ReportedDetector | None:
    """The firmware's detector, with its threshold in real units; None for models that are not int8."""
    graph = read(tflite)
    if graph.tensors[graph.inputs[0]].dtype != "int8":
        return None
    settings = config.detect.model_dump(exclude={"false_alarm_rate", "method"})
    if data.class_names and not data.healthy_classes:
        return None
    if threshold is None:
        score = margin_score(tflite, [data.class_names.index(name) for name in data.healthy_classes])
        threshold = Threshold(0.0, "the most likely class is a fault")
    else:
        score = reconstruction_score(tflite)
    if (
        settings["saturation"] is not None
        and data.features.full_scale is not None
        and data.features.arithmetic == "fixed"
    ):
        settings["saturation"] = min(32767.0, settings["saturation"] / data.features.full_scale * 32768)
    return reported(make_detector(score, threshold, **settings), threshold.value)


def judging(config: Config, detector: Detector | None, threshold: Threshold | None) -> Detector | None:
    """What turns scores into alarms: the chip's detector, or one of real scores where the student is not int8; None of a
    classifier."""
    if threshold is None:
        return None
    if detector is not None:
        return detector
    counting = config.detect.model_dump(include={"clear_threshold", "min_hits", "history", "clear_after"})
    return stand_in(threshold, **counting)


def firmware_note(config: Config, firmware: Sequence[Path], no_project: str | None) -> bytes:
    """What lies in a run's firmware folder and what does not; the same for every place that the run may lie in."""
    files = ", ".join(path.name for path in firmware)
    whole = f"""\
A whole project with front end, model, detector, a place for your sensor and a self-test is written by this command, given in
the folder above this one:

    keras-kd new-firmware . --board BOARD --out ../{config.firmware.name}-firmware

keras-kd new-firmware --help names the boards.
"""
    return f"""\
This is the model alone: {files}.
It is for a program of your own that holds TFLite Micro. Front end, scaling and detector are not here.

{whole if no_project is None else f"keras-kd new-firmware cannot write a whole project of this run: {no_project}."}
""".encode()
