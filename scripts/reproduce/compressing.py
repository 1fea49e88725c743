"""What compression costs, with and without the teacher watching; judged as .tflite in TFLite Micro."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from ledger import Experiment
from machines import (
    CROSS_ENTROPY,
    autoencoder,
    conv,
    fit,
    load_cwru,
    load_rig,
    soft,
    train_autoencoder,
    train_classifier,
)

import keras_kd
import micro
from micro.datasets.prepared import Prepared
from micro.detection.metrics import auc
from micro.detection.threshold import reconstruction_error
from micro.tflite.interpreter import run

CONV_SIZES, DENSE_SIZES = (16, 24, 24), (48, 12, 48)
EPOCHS = 10
JUDGED = 1500


@dataclass(frozen=True)
class Task:
    """What is learnt: the targets, the loss, the objective under the teacher and the weight of the data beside it."""

    y: Callable[[Prepared], np.ndarray]
    loss: Any
    objective: Callable[[], keras_kd.Objective]
    hard_weight: float
    figure: str
    judge: Callable[[np.ndarray, np.ndarray, np.ndarray], float]


CLASSES = Task(
    y=lambda data: data.train.labels,
    loss=CROSS_ENTROPY,
    objective=soft,
    hard_weight=1.0,
    figure="accuracy, %",
    judge=lambda x, found, labels: 100 * float(np.mean(found.argmax(-1) == labels)),
)
HEALTH = Task(
    y=lambda data: data.train.x,
    loss="mse",
    objective=lambda: keras_kd.Reconstruction(0.5),
    hard_weight=0.5,
    figure="AUC, %",
    judge=lambda x, found, labels: 100 * auc(labels, reconstruction_error(x, found)),
)


@dataclass(frozen=True)
class Bench:
    """What the methods of a seed share."""

    task: Task
    teacher: keras.Model
    student: keras.Model


def classifiers(data: Prepared, seed: int) -> Bench:
    """A teacher, and a student that learnt from labels and teacher; compression starts from this one."""
    teacher = train_classifier(data, seed)
    return _taught(CLASSES, teacher, conv(CONV_SIZES, data, "student"), data)


def autoencoders(data: Prepared, seed: int) -> Bench:
    """The same on healthy windows."""
    teacher = train_autoencoder(data, seed)
    return _taught(HEALTH, teacher, autoencoder(DENSE_SIZES, data, "student"), data)


def _taught(task: Task, teacher: keras.Model, student: keras.Model, data: Prepared) -> Bench:
    distiller = keras_kd.Distiller(teacher, student, [task.objective()], hard_weight=task.hard_weight)
    fit(distiller, task.loss, data.train.x, task.y(data))
    return Bench(task, teacher, student)


Method = Callable[[Prepared, Bench, int], dict[str, float]]


def calibration(data: Prepared) -> np.ndarray:
    """Some 300 training windows."""
    return data.train.x[:: max(1, len(data.train) // 300)]


def judged(task: Task, content: bytes, data: Prepared) -> dict[str, float]:
    """A .tflite on windows spread over the test set, its bytes, arena and multiply-accumulates."""
    chosen = np.unique(np.linspace(0, len(data.test) - 1, JUDGED).round().astype(int))
    x, labels = data.test.x[chosen], data.test.labels[chosen]
    footprint = micro.measure(content)
    return {
        task.figure: task.judge(x, run(content, x), labels),
        "flash": footprint.model_bytes,
        "arena": footprint.arena_bytes_32bit,
        "MACs": footprint.macs,
    }


def teacher_itself(data: Prepared, bench: Bench, seed: int) -> dict[str, float]:
    """The teacher in float32: its bytes are those of its weights."""
    chosen = np.unique(np.linspace(0, len(data.test) - 1, JUDGED).round().astype(int))
    x, labels = data.test.x[chosen], data.test.labels[chosen]
    found = bench.teacher.predict(x, verbose=0)
    return {bench.task.figure: bench.task.judge(x, found, labels), "flash": 4 * bench.teacher.count_params()}


def as_it_is(data: Prepared, bench: Bench, seed: int) -> dict[str, float]:
    return judged(bench.task, micro.convert(bench.student, calibration(data)).content, data)


def training_arguments(data: Prepared, bench: Bench, watched: bool) -> dict[str, Any]:
    """Arguments of a fine-tuning on the data, and under the teacher if it is watching."""
    task = bench.task
    arguments = {"x": data.train.x, "y": task.y(data), "loss": task.loss, "epochs": EPOCHS}
    if not watched:
        return arguments
    return {**arguments, "teacher": bench.teacher, "objectives": [task.objective()], "hard_weight": task.hard_weight}


def trained(model: keras.Model, data: Prepared, bench: Bench, watched: bool, callbacks: Any = ()) -> keras.Model:
    """The model, after as many epochs of Adam as the other methods fine-tune, from a rate of 1e-3 down to nothing."""
    task = bench.task
    learner = model
    if watched:
        learner = keras_kd.Distiller(bench.teacher, model, [task.objective()], hard_weight=task.hard_weight)
    steps = EPOCHS * -(-len(data.train) // 32)
    learner.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, steps)), task.loss)
    learner.fit(data.train.x, task.y(data), epochs=EPOCHS, callbacks=list(callbacks), verbose=0)
    return model


def retrained(model: keras.Model, data: Prepared, bench: Bench, watched: bool) -> None:
    """A model that lost channels, trained for as many epochs at the rate that it was first trained with."""
    task = bench.task
    learner = model
    if watched:
        learner = keras_kd.Distiller(bench.teacher, model, [task.objective()], hard_weight=task.hard_weight)
    fit(learner, task.loss, data.train.x, task.y(data), epochs=EPOCHS)


def pruned(sparsity: float) -> Callable[[bool], Method]:
    def method(watched: bool) -> Method:
        def run_it(data: Prepared, bench: Bench, seed: int) -> dict[str, float]:
            sparse = micro.prune(bench.student, sparsity, **training_arguments(data, bench, watched))
            return judged(bench.task, micro.convert(sparse, calibration(data)).content, data)

        return run_it

    return method


def clustered(clusters: int) -> Callable[[bool], Method]:
    def method(watched: bool) -> Method:
        def run_it(data: Prepared, bench: Bench, seed: int) -> dict[str, float]:
            few = micro.cluster(bench.student, clusters, **training_arguments(data, bench, watched))
            aware = micro.quantize_aware(few, calibration(data), weights="per_tensor")
            return judged(bench.task, micro.pack(micro.convert(aware)).content, data)

        return run_it

    return method


def shrunk(rate: float) -> Callable[[bool], Method]:
    def method(watched: bool) -> Method:
        def run_it(data: Prepared, bench: Bench, seed: int) -> dict[str, float]:
            small = micro.shrink(bench.student, rate, fine_tune=lambda model: retrained(model, data, bench, watched))
            return judged(bench.task, micro.convert(small, calibration(data)).content, data)

        return run_it

    return method


def calibrated(equal: bool = False, corrected: bool = False, **grids: Any) -> Method:
    """Quantized after training, on grids of one's choice."""

    def run_it(data: Prepared, bench: Bench, seed: int) -> dict[str, float]:
        model = micro.equalize(bench.student) if equal else bench.student
        aware = micro.quantize_aware(model, calibration(data), **grids)
        if corrected:
            aware = micro.correct_bias(aware, calibration(data))
        return judged(bench.task, micro.pack(micro.convert(aware)).content, data)

    return run_it


def quantized(**grids: Any) -> Callable[[bool], Method]:
    """Trained on the grids."""

    def method(watched: bool) -> Method:
        def run_it(data: Prepared, bench: Bench, seed: int) -> dict[str, float]:
            aware = micro.quantize_aware(bench.student, calibration(data), **grids)
            tflite = micro.convert(trained(aware, data, bench, watched))
            return judged(bench.task, micro.pack(tflite).content, data)

        return run_it

    return method


def everything(watched: bool) -> Method:
    """Channels, zeros, shared values and grids, one after the other."""

    def run_it(data: Prepared, bench: Bench, seed: int) -> dict[str, float]:
        arguments = training_arguments(data, bench, watched)
        small = micro.shrink(bench.student, 0.5, fine_tune=lambda model: retrained(model, data, bench, watched))
        few = micro.cluster(micro.prune(small, 0.5, **arguments), 16, **arguments)
        aware = micro.quantize_aware(few, calibration(data), weights="per_tensor")
        trained(aware, data, bench, watched, [micro.ClusterWeights(aware, 16)])
        return judged(bench.task, micro.pack(micro.convert(aware)).content, data)

    return run_it


WATCHED = ", teacher watching"
WHOLE = "student, int8 after training"
AFTER: dict[str, Method] = {
    "ranges by percentile": calibrated(ranges="percentile"),
    "ranges by least error": calibrated(ranges="mse"),
    "one scale a kernel": calibrated(weights="per_tensor"),
    "one scale a kernel, equalised, biases corrected": calibrated(True, True, weights="per_tensor"),
    "16-bit activations": calibrated(activations="int16", weights="per_channel"),
}
KINDS: dict[str, Callable[[bool], Method]] = {
    "int8, trained on the grids": quantized(),
    "4-bit weights, trained on the grids": quantized(bits=4, weights="per_tensor"),
    "pruned, 50 % zeros": pruned(0.5),
    "pruned, 80 % zeros": pruned(0.8),
    "pruned, 90 % zeros": pruned(0.9),
    "shrunk, 50 % of channels": shrunk(0.5),
    "shrunk, 75 % of channels": shrunk(0.75),
    "clustered, 32 values, packed": clustered(32),
    "clustered, 16 values, packed": clustered(16),
    "half the channels, half zeros, 16 values, trained on the grids, packed": everything,
}
FOUR_BITS = "4-bit weights after training"


def experiment(title: str, load: Callable[..., Prepared], prepare: Callable[..., Bench], figure: str) -> Experiment:
    methods: dict[str, Method] = {"teacher, float32": teacher_itself, WHOLE: as_it_is, **AFTER}
    methods[FOUR_BITS] = calibrated(bits=4, weights="per_tensor")
    against = dict.fromkeys((*AFTER, FOUR_BITS), WHOLE)
    for name, kind in KINDS.items():
        methods[name], methods[name + WATCHED] = kind(False), kind(True)
        against[name] = FOUR_BITS if name.startswith("4-bit") else WHOLE
        # The goal for training on grids is set against quantization after training.
        against[name + WATCHED] = WHOLE if name.startswith("int8") else name
    return Experiment(title, load, prepare, methods, (figure, "flash", "arena", "MACs"), against)


EXPERIMENT = experiment(
    "Compression on CWRU, raw windows, tested at 2 hp: a Conv1D student of 16, 24 and 24 filters",
    load_cwru,
    classifiers,
    CLASSES.figure,
)
RIG = experiment(
    "Compression on the rig: an autoencoder student of 48, 12 and 48 units", load_rig, autoencoders, HEALTH.figure
)
