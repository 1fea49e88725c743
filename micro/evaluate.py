"""What a model is worth on a run's test windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from micro import detect
from micro.config import DetectConfig
from micro.graph import TfliteLike, read
from micro.prepare import Prepared, spread
from micro.scoring import Score, reconstruction_score
from micro.tflm import all_outputs, quantize_inputs, run

if TYPE_CHECKING:
    import keras

# Test windows that soft targets are averaged over.
SOFTENED_WINDOWS = 2000
# Of windows' scaled features: anomaly scores, or a classifier's classes, (n,).
Judge = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Evaluation:
    """Figures of one model; `scores` are anomaly scores or predicted classes, one a test window.

    `healthy` are the anomaly scores of the held-out healthy windows that the threshold was calibrated on.
    """

    metrics: dict[str, float | None]
    scores: np.ndarray
    threshold: detect.Threshold | None = None
    healthy: np.ndarray | None = None


def evaluate(judge: Judge, data: Prepared, told: DetectConfig) -> Evaluation:
    """Accuracy of a classifier; or AUC, detections and false alarms of an anomaly score at its calibrated threshold.

    Windows of unknown state are scored but not counted.
    """
    found = judge(data.test.x)
    if data.class_names:
        return Evaluation({"accuracy": float(np.mean(found == data.test.labels))}, found)
    healthy = judge(data.calibration.x)
    threshold = detect.calibrate(healthy, told.false_alarm_rate, told.method)
    known = data.test.labels >= 0
    labels = data.test.labels[known]
    rates = detect.alarm_rates(labels, found[known], threshold.value)
    return Evaluation({"auc": detect.auc(labels, found[known]), **rates}, found, threshold, healthy)


def keras_judge(model: keras.Model, class_names: Sequence[str]) -> Judge:
    """What a Keras model says of windows."""
    if class_names:
        return lambda x: _predicted(model, x).argmax(axis=-1)
    return lambda x: detect.reconstruction_error(x, _predicted(model, x))


def chip_judge(tflite: TfliteLike, class_names: Sequence[str]) -> Judge:
    """What a .tflite says of windows in TFLite Micro; an int8 autoencoder's score is the chip's own."""
    if class_names:
        return lambda x: run(tflite, x).argmax(axis=-1)
    graph = read(tflite)
    if graph.tensors[graph.inputs[0]].dtype != "int8":
        return lambda x: detect.reconstruction_error(x, run(tflite, x))
    score = reconstruction_score(tflite)
    return lambda x: score_inputs(tflite, score, quantize_inputs(graph, x)[0]) * score.unit


def score_inputs(tflite: TfliteLike, score: Score, inputs: np.ndarray) -> np.ndarray:
    """A score's whole numbers of int8 inputs, in TFLite Micro: (n, ...) -> (n,) int64."""
    return score(inputs, run_inputs(tflite, inputs))


def run_inputs(tflite: TfliteLike, inputs: np.ndarray) -> np.ndarray:
    """int8 outputs of int8 inputs in TFLite Micro: (n, ...) -> (n, *output)."""
    graph = read(tflite)
    return all_outputs(tflite, [inputs.reshape(-1, *graph.tensors[graph.inputs[0]].shape)])["output0"]


def soft_targets(temperature: float, data: Prepared, teacher: keras.Model, tflite: TfliteLike) -> dict[str, Any] | None:
    """Mean softened probabilities by recorded class, of teacher and int8 student; None of an autoencoder."""
    if not data.class_names:
        return None
    from scipy.special import softmax

    rows = spread(len(data.test), SOFTENED_WINDOWS)
    x, labels = data.test.x[rows], data.test.labels[rows]
    told: dict[str, Any] = {"temperature": temperature}
    for side, logits in (("teacher", keras_logits(teacher, x)), ("student", chip_logits(tflite, x))):
        soft = softmax(logits.astype(np.float64) / temperature, axis=-1)
        present = [soft[labels == label] for label in range(len(data.class_names))]
        told[side] = [part.mean(axis=0).tolist() if len(part) else [0.0] * soft.shape[1] for part in present]
    return told


def keras_logits(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """A Keras classifier's logits, up to a constant a row: (n, ...) -> (n, classes)."""
    from keras_kd.layers import activation_of  # imports Keras, which those who judge a .tflite need not wait for

    return _logits(_predicted(model, x), activation_of(model) == "softmax")


def chip_logits(tflite: TfliteLike, x: np.ndarray) -> np.ndarray:
    """A .tflite classifier's logits in TFLite Micro, up to a constant a row: (n, ...) -> (n, classes)."""
    return _logits(run(tflite, x), read(tflite).ops[-1].name == "SOFTMAX")


def _predicted(model: keras.Model, x: np.ndarray) -> np.ndarray:
    return np.asarray(model.predict(x, batch_size=1024, verbose=0))


def _logits(outputs: np.ndarray, are_probabilities: bool) -> np.ndarray:
    return np.log(np.maximum(outputs, 1e-7)) if are_probabilities else outputs


def by_origin(evaluation: Evaluation, data: Prepared) -> list[dict[str, Any]]:
    """For each recording of the test: windows, and the share that alarms or is classified rightly."""
    rows = []
    origins = np.array(data.test.origins)
    for origin in dict.fromkeys(data.test.origins):
        chosen = origins == origin
        if data.class_names:
            share = {"accuracy": float(np.mean(evaluation.scores[chosen] == data.test.labels[chosen]))}
        else:
            assert evaluation.threshold is not None
            share = {"alarms": float(np.mean(evaluation.scores[chosen] > evaluation.threshold.value))}
        label = int(data.test.labels[chosen][0])
        rows.append(
            {"origin": str(origin), "state": _state(label, data.class_names), "windows": int(chosen.sum()), **share}
        )
    return rows


def summarise(seeds: Sequence[dict[str, Any]], variants: Sequence[str]) -> dict[str, dict[str, dict[str, float]]]:
    """Mean, standard deviation (n - 1), smallest and largest of each metric of each variant over the seeds."""
    summary: dict[str, dict[str, dict[str, float]]] = {}
    for variant in variants:
        for metric in seeds[0][variant]:
            values = [seed[variant][metric] for seed in seeds]
            if None in values:
                continue
            summary.setdefault(variant, {})[metric] = {
                "mean": float(np.mean(values)),
                "deviation": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0,
                "min": float(min(values)),
                "max": float(max(values)),
            }
    return summary


def compare(seeds: Sequence[dict[str, Any]], metric: str, one: str, other: str) -> dict[str, Any] | None:
    """Paired difference of a metric between two variants over the seeds, and what it allows to say."""
    pairs = [(seed[one][metric], seed[other][metric]) for seed in seeds]
    if any(a is None or b is None for a, b in pairs):
        return None
    differences = np.array([a - b for a, b in pairs])
    if (differences > 0).all():
        verdict = "better in every seed"
    elif (differences < 0).all():
        verdict = "worse in every seed"
    elif not differences.any():
        verdict = "the same in every seed"
    else:
        verdict = "no consistent difference"
    return {
        "metric": metric,
        "mean_difference": float(differences.mean()),
        "differences": [float(d) for d in differences],
        "verdict": verdict,
    }


def _state(label: int, class_names: Sequence[str]) -> str:
    if class_names:
        return class_names[label]
    return {0: "healthy", 1: "faulty"}.get(label, "unknown")
