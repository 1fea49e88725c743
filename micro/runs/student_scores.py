"""What a run's int8 student says of windows, as its firmware decides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micro.config import Config
from micro.datasets.overflow import require_finite
from micro.datasets.recording import Recording
from micro.datasets.targets import AnyTarget, Targets
from micro.datasets.views import release
from micro.detection.detector import Detector, stand_in
from micro.detection.labeler import Labeler
from micro.detection.outcome import Decider
from micro.detection.recognizer import NO_CLASS, Recognizer
from micro.detection.residual import measured, taken
from micro.detection.standstill import limits_of
from micro.detection.threshold import Threshold, reconstruction_error
from micro.runs.device import faults_of
from micro.runs.run_report import RunReport
from micro.signal import AnyFrontEnd, Frames, FrontEnd, Scaling
from micro.signal.joined import counts_of, features_of, int8_of
from micro.tflite.graph import read
from micro.tflite.integers import dequantize, quantized
from micro.tflite.interpreter import run_inputs

# Samples of windows, overlaps included, that are scored at a time.
SAMPLES_AT_ONCE = 1 << 24


@dataclass(frozen=True)
class Student:
    """A run's student with what is before and behind it: scaling, and what decides, which is the firmware's if `on_chip`;
    `predicted` are the features that it predicts from the others."""

    model: Path
    scaling: Scaling
    names: tuple[str, ...]
    target: AnyTarget | None
    decider: Decider | None
    on_chip: bool
    predicted: tuple[int, ...]
    label_names: tuple[str, ...] = ()


def load_student(folder: Path, report: RunReport, config: Config) -> Student:
    """What decides is the firmware's; a detector that counts alike where the student is not int8; none of such a classifier."""
    decider: Decider | None = report.detector or report.recognizer or report.labeler or report.estimator
    on_chip = decider is not None
    if decider is None and report.threshold is not None:
        settings = config.detect.model_dump(exclude={"false_alarm_rate", "method"})
        settings["off_rms"] = limits_of(config.detect.off_rms, report.data.channels, config.features.speed_column)
        decider = stand_in(Threshold(report.threshold, ""), **settings)
    data, model = report.data, folder / "student_int8.tflite"
    predicted: tuple[int, ...] = ()
    if data.predicted and isinstance(report.features, FrontEnd):
        predicted = report.features.places_of([data.channels.index(name) for name in data.predicted])
    names = data.class_names, data.target, decider, on_chip, predicted, data.label_names
    return Student(model, report.scaling, *names)


def scores_in_parts(
    student: Student, features: AnyFrontEnd, recording: Recording, frames: Frames, own: Scaling | None
) -> tuple[np.ndarray, ...]:
    """Scores of windows in real units and in the detector's, faults, likeliest classes by number, and those that a recognizer
    counts: (n, window, channels) -> (n,) each, the scores of several numbers (n, numbers); of several labels logits and what a
    labeler counts, (n, labels).

    `recording` is what they were cut from. They are computed for so few windows at a time that copies of their samples do not
    fill the memory.
    """
    step = max(1, SAMPLES_AT_ONCE // (features.sensor_window * features.channels))
    parts = []
    for start in range(0, len(frames), step):
        parts.append(_scores(student, features, recording, frames[start : start + step], own))
        release(frames)
    return tuple(np.concatenate(column) for column in zip(*parts))


def _scores(
    student: Student, features: AnyFrontEnd, recording: Recording, frames: Frames, own: Scaling | None
) -> tuple[np.ndarray, ...]:
    """As `scores_in_parts`, of all windows at once."""
    decider = student.decider
    seen = observed(student, features, recording, frames, own)
    faulty, x, inputs, outputs = seen.faulty, seen.x, seen.inputs, seen.outputs
    good = faulty == 0
    scores, classes, candidates = (
        np.zeros(_shape(student, len(frames))),
        np.zeros(len(frames), int),
        np.full(len(frames), NO_CLASS),
    )
    raw = np.zeros(scores.shape if student.label_names else len(frames), np.int64 if student.on_chip else float)
    if not good.any():
        return scores, raw, faulty, classes, candidates
    graph = read(student.model)
    real = dequantize(outputs.reshape(len(outputs), -1), graph.tensors[graph.outputs[0]].quantization)
    if isinstance(decider, Recognizer):
        candidates[good] = decider.candidates(outputs)
    elif student.label_names:
        scores[good] = real
        if isinstance(decider, Labeler):
            raw[good] = decider.scores(outputs)
    elif student.target is not None:
        scores[good] = student.target.real(real)
    elif student.on_chip and isinstance(decider, Detector):
        raw[good] = decider.score(inputs, outputs)
    elif isinstance(decider, Detector):
        wanted = measured(x, student.predicted)
        raw[good] = reconstruction_error(wanted.reshape(len(x), -1), real) / decider.score.unit
    if student.names:
        ordered = np.sort(real, axis=1)
        scores[good], classes[good] = ordered[:, -1] - ordered[:, -2], real.argmax(axis=1)
    elif isinstance(decider, Detector):
        scores = raw * decider.score.unit
    return scores, raw, faulty, classes, candidates


@dataclass(frozen=True)
class Seen:
    """What a student makes of windows: `faulty` as `faults` gives it, (n,); and of those without a fault, (k, ...) each, the
    scaled features, these as the model's input has them, predicted ones too, and the model's outputs."""

    faulty: np.ndarray
    x: np.ndarray
    inputs: np.ndarray
    outputs: np.ndarray


def observed(
    student: Student, features: AnyFrontEnd, recording: Recording, frames: Frames, own: Scaling | None
) -> Seen:
    """Front end, scaling and model of windows, as the firmware has them."""
    decider = student.decider
    sensed = counts_of(features, frames) if student.on_chip else frames
    faulty = faults_of(decider, sensed) if decider is not None else np.zeros(len(frames), int)
    good = faulty == 0
    if not good.any():
        none = np.empty((0, *features.shape))
        return Seen(faulty, none, none, none)
    graph = read(student.model)
    tensor = graph.tensors[graph.inputs[0]]
    quantization = tensor.quantization
    values = features_of(features, frames[good])
    require_finite(values, recording)
    x = student.scaling(values if own is None else own(values))
    inputs = quantized(x, tensor)
    if student.on_chip and own is None and quantization is not None:
        grid = (quantization.scale[0], quantization.zero_point[0])
        inputs = int8_of(features, sensed[good], student.scaling, *grid)
    return Seen(faulty, x, inputs, run_inputs(student.model, taken(inputs, student.predicted)))


def _shape(student: Student, count: int) -> tuple[int, ...]:
    """The shape of the scores of a number of windows."""
    if student.label_names:
        return (count, len(student.label_names))
    return (count, len(student.target.each)) if isinstance(student.target, Targets) else (count,)
