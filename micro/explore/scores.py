"""Scores by which a search compares students, higher is better: of a Keras model, and of an int8 student in TFLite Micro."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from micro.config import Task
from micro.detection.metrics import auc, fit_of
from micro.runs.compression import Written
from micro.runs.evaluate import Judge, chip_judge, chip_logits, keras_judge, keras_logits


def likelihood(logits: np.ndarray, labels: np.ndarray) -> float:
    """Geometric mean of the probability that logits give to the right class, at the temperature that suits them best.

    It separates classifiers where accuracy no longer does: it measures how far right answers are from wrong ones.

    Shapes: (n, classes), (n,) integers -> 0 to 1.
    Source: temperature scaling, Guo et al. 2017, section 4.2.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    logits = logits.astype(np.float64)
    rows = np.arange(len(labels))

    def entropy(log_temperature: float) -> float:
        return -float(np.mean(log_softmax(logits / np.exp(log_temperature), axis=-1)[rows, labels]))

    return float(np.exp(-minimize_scalar(entropy, bounds=(-5.0, 5.0), method="bounded").fun))


def label_likelihood(logits: np.ndarray, labels: np.ndarray) -> float:
    """As `likelihood`, of labels of which several may hold at once: over windows and labels, at one temperature.

    Shapes: (n, labels), (n, labels) of 0 and 1 -> 0 to 1.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_expit

    signed = np.where(np.asarray(labels) > 0.5, 1.0, -1.0) * logits.astype(np.float64)

    def entropy(log_temperature: float) -> float:
        return -float(np.mean(log_expit(signed / np.exp(log_temperature))))

    return float(np.exp(-minimize_scalar(entropy, bounds=(-5.0, 5.0), method="bounded").fun))


@dataclass(frozen=True)
class Scored:
    """Score of a model on the search's windows, and a classifier's accuracy."""

    score: float
    accuracy: float | None


def score_keras(model: keras.Model, x: np.ndarray, labels: np.ndarray, task: Task) -> Scored:
    """Of a Keras model."""
    if task == "anomaly":
        return _detection(keras_judge(model, task), x, labels)
    if task == "regression":
        return _regression(keras_judge(model, task), x, labels)
    if task == "multilabel":
        return Scored(label_likelihood(keras_judge(model, task)(x), labels), None)
    return _classification(keras_logits(model, x), labels)


def score_int8(made: Written, x: np.ndarray, labels: np.ndarray, task: Task) -> Scored:
    """Of an int8 student in TFLite Micro."""
    if task == "anomaly":
        return _detection(chip_judge(made, task), x, labels)
    if task == "regression":
        return _regression(chip_judge(made, task), x, labels)
    if task == "multilabel":
        return Scored(label_likelihood(chip_judge(made, task)(x), labels), None)
    return _classification(chip_logits(made, x), labels)


def score_outputs(outputs: np.ndarray, labels: np.ndarray, task: Task) -> Scored:
    """Of logits, (n, classes) or (n, labels), or standardized numbers, (n, numbers)."""
    if task == "multilabel":
        return Scored(label_likelihood(outputs, labels), None)
    return _regression(lambda x: x, outputs, labels) if task == "regression" else _classification(outputs, labels)


def _classification(logits: np.ndarray, labels: np.ndarray) -> Scored:
    return Scored(likelihood(logits, labels), float(np.mean(logits.argmax(axis=-1) == labels)))


def _regression(judge: Judge, x: np.ndarray, numbers: np.ndarray) -> Scored:
    """The fraction of the variance explained, of several numbers the mean: standardized ones, (n, numbers)."""
    pairs = zip(numbers.reshape(len(numbers), -1).T, judge(x).reshape(len(x), -1).T, strict=True)
    return Scored(float(np.mean([fit_of(true, found)["r2"] for true, found in pairs])), None)


def _detection(judge: Judge, x: np.ndarray, labels: np.ndarray) -> Scored:
    area = auc(labels, judge(x))
    assert area is not None
    return Scored(area, None)
