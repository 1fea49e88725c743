"""Metrics of a model on a run's test windows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from micro.config import OF_CLASSES, Config, Task
from micro.datasets.prepared import Prepared
from micro.datasets.spacing import evenly_spaced
from micro.detection.detector import Detector, in_units, stand_in
from micro.detection.in_alarm import in_alarm
from micro.detection.metrics import alarm_rates, auc, calibration_error, macro_f1
from micro.detection.residual import measured, taken
from micro.detection.score import Score, reconstruction_score, residual_score
from micro.detection.threshold import Threshold, calibrate, reconstruction_error
from micro.runs.label_figures import combined, exact, figures_of_labels, state_of
from micro.runs.mode_figures import limits_by_mode, thresholds_by_mode
from micro.runs.number_figures import half_widths, number_figures, number_row
from micro.runs.report_parts import METRICS, Metrics, Moved, RecordingReport, SoftTargets
from micro.runs.text_figures import text_figures, text_rows
from micro.signal import FrontEnd, JoinedFrontEnd
from micro.support.wording import counted
from micro.tflite.graph import TfliteLike, read
from micro.tflite.integers import quantize_inputs, quantized
from micro.tflite.interpreter import run, run_inputs

if TYPE_CHECKING:
    import keras

# Test windows that soft targets are averaged over.
SOFTENED_WINDOWS = 2000
# Features named of each recording.
MOST_MOVED = 3
# Recordings of a classification that a report lists one by one.
MOST_RECORDINGS = 100
# Of windows' scaled features: anomaly scores, (n,), a classifier's logits, (n, classes), a regression's outputs, (n, targets).
Judge = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Evaluation:
    """Figures of one model; `scores` are anomaly scores, predicted classes or predicted numbers, one a test window; several
    numbers are (n, targets), logits of several labels (n, labels).

    `healthy` are the anomaly scores of the held-out healthy windows that the threshold was calibrated on; `half_widths` are
    those of the intervals of a regression's numbers, with what each guarantees. `by_mode` are the thresholds of operating
    modes, None of one without, where there are some; the figures are by these, and `threshold` is that of all modes together.
    """

    metrics: Metrics
    scores: np.ndarray
    threshold: Threshold | None = None
    healthy: np.ndarray | None = None
    half_widths: tuple[tuple[float, str], ...] = ()
    by_mode: tuple[Threshold | None, ...] = ()

    def limits(self, modes: np.ndarray | None) -> np.ndarray | float:
        """The threshold of each window by its mode, (n,); that of all windows where there are no modes."""
        assert self.threshold is not None
        return self.threshold.value if modes is None else limits_by_mode(self.by_mode, modes)


def evaluate(judge: Judge, data: Prepared, config: Config) -> Evaluation:
    """Accuracy, macro F1 and calibration error of a classifier; errors and coverage of a regression; of several labels as
    `figures_of_labels`, of text as `text_figures`; or AUC, detections and false alarms of an anomaly score at its calibrated
    threshold.

    Windows of unknown state are scored but not counted.
    """
    detect = config.detect
    outputs = judge(data.test.x)
    if data.text is not None:
        return Evaluation(*text_figures(outputs, data.test.labels, data.text))
    if data.target is not None:
        numbers = data.target.real(outputs)
        off = data.target.real(judge(data.calibration.x)) - data.calibration.labels
        widths = half_widths(off, config.estimate.coverage)
        return Evaluation(number_figures(data.target, data.test, numbers, widths), numbers, half_widths=widths)
    if data.label_names:
        return Evaluation(figures_of_labels(data.label_names, data.test.labels, outputs), outputs)
    if data.class_names:
        labels, classes = data.test.labels, outputs.argmax(axis=-1)
        figures = float(np.mean(classes == labels)), macro_f1(labels, classes), calibration_error(labels, outputs)
        return Evaluation(dict(zip(METRICS["classification"], figures)), classes)
    healthy = judge(data.calibration.x)
    threshold = calibrate(healthy, detect.false_alarm_rate, detect.method)
    known = data.test.labels >= 0
    labels = data.test.labels[known]
    found = Evaluation({}, outputs, threshold, healthy, by_mode=thresholds_by_mode(healthy, data, config))
    above = outputs - found.limits(data.test.modes)
    rates = alarm_rates(labels, above[known], 0.0)
    return replace(found, metrics={"auc": auc(labels, outputs[known]), **rates})


def keras_judge(model: keras.Model, task: Task, predicted: Sequence[int] = ()) -> Judge:
    """Scores, logits or outputs by a Keras model; `predicted` are features that a detector's predicts from the others."""
    if task in OF_CLASSES:
        return lambda x: keras_logits(model, x)
    if task == "multilabel":
        return lambda x: keras_label_logits(model, x)
    if task == "regression":
        return lambda x: _predicted(model, x)
    return lambda x: reconstruction_error(measured(x, predicted), _predicted(model, taken(x, predicted)))


def chip_judge(tflite: TfliteLike, task: Task, predicted: Sequence[int] = ()) -> Judge:
    """Scores, logits or outputs by a .tflite in TFLite Micro, `predicted` as in `keras_judge`; an int8 detector's score is that
    of the emitted C."""
    if task == "sequence":
        return lambda x: exact_logits(tflite, x)
    if task in OF_CLASSES:
        return lambda x: chip_logits(tflite, x)
    if task in ("multilabel", "regression"):  # a student of several labels ends in their logits
        return lambda x: run(tflite, x)
    graph = read(tflite)
    tensor = graph.tensors[graph.inputs[0]]
    if tensor.dtype != "int8":
        return lambda x: reconstruction_error(measured(x, predicted), run(tflite, taken(x, predicted)))
    score = detector_score(tflite, predicted)
    return lambda x: score_inputs(tflite, score, quantized(x, tensor)) * score.unit


def detector_score(tflite: TfliteLike, predicted: Sequence[int] = ()) -> Score:
    """The score of an int8 detector: of all features given back, or of those that are predicted."""
    return residual_score(tflite, predicted) if predicted else reconstruction_score(tflite)


def score_inputs(tflite: TfliteLike, score: Score, features: np.ndarray) -> np.ndarray:
    """A score's integers for int8 features, in TFLite Micro: (n, ...) -> (n,) int64."""
    return score(features, run_inputs(tflite, score.inputs(features)))


def soft_targets(temperature: float, data: Prepared, teacher: keras.Model, tflite: TfliteLike) -> SoftTargets | None:
    """Mean softened probabilities by recorded class, of teacher and int8 student; None of an autoencoder and of text."""
    if not data.class_names or data.text is not None:
        return None
    from scipy.special import softmax

    rows = evenly_spaced(len(data.test), SOFTENED_WINDOWS)
    x, labels, seen = data.test.x[rows], data.test.labels[rows], data.of_teacher.test.x[rows]

    def means(logits: np.ndarray) -> list[list[float]]:
        soft = softmax(logits.astype(np.float64) / temperature, axis=-1)
        present = [soft[labels == label] for label in range(len(data.class_names))]
        return [part.mean(axis=0).tolist() if len(part) else [0.0] * soft.shape[1] for part in present]

    return SoftTargets(
        temperature=temperature, teacher=means(keras_logits(teacher, seen)), student=means(chip_logits(tflite, x))
    )


def keras_logits(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """A Keras classifier's logits, up to a constant a row: (n, ...) -> (n, classes)."""
    from keras_kd.layers import activation_of  # imports Keras, which those who judge a .tflite need not wait for

    return _logits(_predicted(model, x), activation_of(model) == "softmax")


def keras_label_logits(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """A Keras model's logit of each of several labels, also where it ends in a sigmoid: (n, ...) -> (n, labels)."""
    from keras_kd.layers import activation_of

    outputs = _predicted(model, x)
    if activation_of(model) != "sigmoid":
        return outputs
    clipped = np.clip(outputs.astype(np.float64), 1e-7, 1 - 1e-7)
    return np.asarray(np.log(clipped / (1 - clipped)))


def chip_logits(tflite: TfliteLike, x: np.ndarray) -> np.ndarray:
    """A .tflite classifier's logits in TFLite Micro, up to a constant a row: (n, ...) -> (n, classes)."""
    return _logits(run(tflite, x), read(tflite).ops[-1].name == "SOFTMAX")


def exact_logits(tflite: TfliteLike, x: np.ndarray) -> np.ndarray:
    """A .tflite's logits of text in TFLite Micro, whose sums tie where the firmware's sums of integers do: (n, ...) -> (n,
    symbols) float64."""
    graph = read(tflite)
    outputs = run_inputs(tflite, quantize_inputs(graph, x)[0]).reshape(len(x), -1)
    quantization = graph.tensors[graph.outputs[0]].quantization
    assert quantization is not None  # int8 is the one kind of model that a run on text makes
    return in_nats(outputs, quantization.scale[0], quantization.zero_point[0])


def in_nats(integers: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    """Integers times their scale in float64. A float32 scale has 24 bits, so products and sums of them are exact."""
    return (integers.astype(np.int64) - zero_point) * np.float64(np.float32(scale))


def _predicted(model: keras.Model, x: np.ndarray) -> np.ndarray:
    return np.asarray(model.predict(x, batch_size=1024, verbose=0))


def _logits(outputs: np.ndarray, are_probabilities: bool) -> np.ndarray:
    return np.log(np.maximum(outputs, 1e-7)) if are_probabilities else outputs


def by_origin(evaluation: Evaluation, data: Prepared, detector: Detector | None = None) -> tuple[RecordingReport, ...]:
    """For each test recording, its healthy and its faulty part separately: windows, and the fraction classified correctly, or
    the fractions above the threshold and in alarm, as the detector counts windows of that part in turn from the first; of a
    regression the errors of each recording.

    `moved` are the features whose mean lies furthest from that of training windows of the same state, in standard deviations
    of those; for parts in a state that was trained on. Of more than `MOST_RECORDINGS` recordings of a classification each class
    is one row.
    """
    if data.text is not None:
        return text_rows(evaluation.scores, data.test.origins, data.test.labels, data.text)
    parts: dict[tuple[str, int], list[int]] = {}
    states, trained_states = (
        part.labels if data.target is None else np.zeros(len(part), int) for part in (data.test, data.train)
    )
    if data.label_names:
        states, trained_states = combined(data.test.labels), combined(data.train.labels)
    for place, part in enumerate(zip(_origins(data, states), states.tolist())):
        parts.setdefault(part, []).append(place)
    trained = {label: _level(data.train.x[trained_states == label]) for label in {label for _, label in parts}}
    names = feature_names(data)
    rows = []
    for (origin, label), places in parts.items():
        row: dict[str, object] = {
            "origin": origin,
            "state": "" if data.target else _state(label, data),
            "windows": len(places),
        }
        row |= _rates(evaluation, data, label, places, detector)
        level = trained[label]
        if level is not None:
            row["moved"] = _furthest(data.test.x[places], level, names)
        rows.append(RecordingReport.model_validate(row))
    return tuple(rows)


def _origins(data: Prepared, states: np.ndarray) -> Sequence[str]:
    """The recording of each test window; of very many recordings of classes how many there are of its class."""
    if data.task not in ("classification", "multilabel"):
        return data.test.origins
    held = set(zip(data.test.origins, states.tolist()))
    if len(held) <= MOST_RECORDINGS:
        return data.test.origins
    of_class = Counter(label for _, label in held)
    return [counted(of_class[label], "recording") for label in states.tolist()]


def _rates(
    evaluation: Evaluation, data: Prepared, label: int, places: Sequence[int], detector: Detector | None
) -> dict[str, object]:
    """A part's accuracy, its errors, or its fractions above the threshold and in alarm."""
    scores = evaluation.scores[places]
    if data.target is not None:
        return number_row(data.target, data.test.labels[places], scores)
    if data.label_names:
        return {"accuracy": exact(data.test.labels[places], scores)}
    if data.class_names:
        return {"accuracy": float(np.mean(scores == label))}
    assert evaluation.threshold is not None
    judging = detector or stand_in(evaluation.threshold)
    modes = None if data.test.modes is None else data.test.modes[places]
    off = None if data.test.off_before is None else data.test.off_before[places]
    alarms = in_alarm(judging, in_units(scores, judging.score.unit), off, modes)
    return {
        "above_threshold": float(np.mean(scores > evaluation.limits(modes))),
        "alarms": float(np.mean(alarms)),
    }


def _furthest(x: np.ndarray, level: tuple[np.ndarray, np.ndarray], names: Sequence[str]) -> tuple[Moved, ...]:
    """The features of windows that lie furthest from a level, mean and standard deviation of each."""
    moved = (_summed(x).mean(axis=0) - level[0]) / level[1]
    furthest = np.argsort(-np.abs(moved), kind="stable")[:MOST_MOVED]
    return tuple(Moved(feature=names[place], moved=round(float(moved[place]), 3)) for place in furthest)


def feature_names(data: Prepared) -> tuple[str, ...]:
    """What `by_origin` calls the features: by channel where there are several; along time the mean and standard deviation."""
    features = data.features
    if isinstance(features, JoinedFrontEnd):
        channels = (data.channels, *(source.channels for source in data.sources))
        before = ("", *(f"{source.name}: " for source in features.sources))
        parts = zip(before, features.parts, channels)
        return tuple(f"{source}{name}" for source, part, own in parts for name in _names(part, own))
    names = _names(features, data.channels)
    if len(features.shape) == 1:
        return names
    return tuple(f"{name}: {what}" for what in ("mean", "standard deviation") for name in names)


def _names(features: FrontEnd, channels: tuple[str, ...]) -> tuple[str, ...]:
    """A name for each feature of a frame, those of samples as they are the channels'."""
    if features.kinds == ("raw",):
        return channels
    if features.measured == 1:
        return features.frame_names
    pairs = (name.split(": ", 1) for name in features.frame_names)
    return tuple(f"{channels[int(channel.removeprefix('channel '))]}: {what}" for channel, what in pairs)


def _summed(x: np.ndarray) -> np.ndarray:
    """Windows as rows of features; along time and space (n, ..., features) the mean and standard deviation of each."""
    along = tuple(range(1, x.ndim - 1))
    return np.concatenate([x.mean(axis=along), x.std(axis=along)], axis=1) if along else x


def _level(x: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Mean and standard deviation of windows' features; None where there are fewer than two windows."""
    if len(x) < 2:
        return None
    rows = _summed(x)
    return rows.mean(axis=0, dtype=np.float64), np.maximum(rows.std(axis=0, dtype=np.float64), 1e-6)


def _state(label: int, data: Prepared) -> str:
    if data.label_names:
        return state_of(label, data.label_names)
    if data.class_names:
        return data.class_names[label]
    return {0: "healthy", 1: "faulty"}.get(label, "unknown")
