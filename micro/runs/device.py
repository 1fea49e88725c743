"""The decisions of a run's firmware on samples, window by window, without a chip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micro.config import Config
from micro.datasets.recording import windows
from micro.detection.detector import Detector, Status, decide, faults
from micro.errors import RunError
from micro.runs.evaluate import run_inputs
from micro.runs.finished import read_run
from micro.signal import FrontEnd, Scaling
from micro.tflite.graph import read


@dataclass(frozen=True)
class Decision:
    """One window: `sample` is the last that it holds; `score` in real units, None if the sensor is at fault.

    Examples:
        >>> decision = micro.Decision(sample=1023, score=0.41, status=micro.Status.HEALTHY)
        >>> decision.status == micro.Status.ALARM
        False
    """

    sample: int
    score: float | None
    status: Status


@dataclass(frozen=True)
class Firmware:
    """All that a run puts on a chip: front end, scaling, model and detector."""

    front_end: FrontEnd
    scaling: Scaling
    tflite: bytes
    detector: Detector

    def inputs(self, frames: np.ndarray) -> np.ndarray:
        """The model's int8 input of windows, (n, window, channels) -> (n, *input)."""
        graph = read(self.tflite)
        quantization = graph.tensors[graph.inputs[0]].quantization
        assert quantization is not None
        return self.front_end.int8(frames, self.scaling, quantization.scale[0], quantization.zero_point[0])


def simulate(run_folder: str | Path, samples: np.ndarray) -> list[Decision]:
    """The firmware's decisions on a recording, the same as the emitted C's.

    Args:
        samples: (n, channels) or (n,) in the unit of training; for a 'fixed' front end also int16, as the converter gives them.

    Raises:
        RunError: If the folder is no finished run or has no firmware.
        ValueError: For samples of another shape.

    Examples:
        >>> samples = np.random.default_rng(0).normal(size=(8192, 1))
        >>> try:
        ...     decisions = micro.simulate("runs/pump", samples)
        ... except micro.RunError as error:
        ...     print(error)
        runs/pump is not a finished run: ...
    """
    return decisions(load_firmware(run_folder), samples)


def decisions(firmware: Firmware, samples: np.ndarray) -> list[Decision]:
    """As `simulate`, of firmware at hand."""
    front_end, detector = firmware.front_end, firmware.detector
    samples = np.asarray(samples)
    samples = samples[:, None] if samples.ndim == 1 else samples
    if samples.ndim != 2 or samples.shape[1] != front_end.channels:
        raise ValueError(f"samples must have shape (n, {front_end.channels}), got {samples.shape}")
    judged = judge(firmware, samples)
    ends = front_end.window - 1 + front_end.hop * np.arange(len(judged.faulty))
    return [
        Decision(int(end), None if fault else float(score * detector.score.unit), status)
        for end, score, fault, status in zip(ends, judged.scores, judged.faulty, judged.statuses)
    ]


@dataclass(frozen=True)
class Judged:
    """What firmware makes of a stream, window by window; features, outputs and scores are 0 where the sensor is at fault."""

    faulty: np.ndarray
    features: np.ndarray
    outputs: np.ndarray
    scores: np.ndarray
    statuses: list[Status]


def judge(firmware: Firmware, samples: np.ndarray) -> Judged:
    """Every window of samples (n, channels) in the unit of training, or int16 for a 'fixed' front end."""
    front_end, detector = firmware.front_end, firmware.detector
    frames = windows(samples, front_end.window, front_end.hop)
    if front_end.arithmetic == "fixed":
        frames = front_end.counts(frames)
    faulty = faults(detector, frames)
    good = faulty == 0
    graph = read(firmware.tflite)
    shapes = (front_end.shape, graph.tensors[graph.outputs[0]].shape)
    features, outputs = (np.zeros((len(frames), *shape), np.int8) for shape in shapes)
    scores = np.zeros(len(frames), np.int64)
    if good.any():
        features[good] = firmware.inputs(frames[good])
        outputs[good] = run_inputs(firmware.tflite, features[good])
        scores[good] = detector.score(features[good], outputs[good])
    return Judged(faulty, features, outputs, scores, decide(detector, scores, faulty))


def not_for_a_chip(config: Config, detector: Detector | None) -> str | None:
    """Why a run's firmware would not be whole, and what to do; None where it is."""
    if config.task == "classification" and detector is None and not getattr(config.data, "healthy_classes", True):
        return "it has no alarm: name in healthy_classes what raises none, and run again"
    if detector is None:
        return "the student is not int8; run without activations = 'int16'"
    if getattr(config.data, "scaling", "all") == "per_file":
        return 'scaling = "per_file" has no constants for a chip; run with scaling = "all"'
    return None


def load_firmware(run_folder: str | Path) -> Firmware:
    """What a finished run puts on a chip.

    Raises:
        RunError: If the folder is no finished run, its model is not int8 or its scaling is each file's own.
    """
    folder = Path(run_folder)
    report, config = read_run(folder)
    missing = not_for_a_chip(config, report.detector)
    if missing is not None or report.detector is None:
        raise RunError(f"{folder}: {missing}")
    try:
        content = (folder / "student_int8.tflite").read_bytes()
    except OSError as error:
        raise RunError(f"{folder} is damaged: {error.filename}: {error.strerror}") from None
    return Firmware(report.features, report.scaling, content, report.detector)
