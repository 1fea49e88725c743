"""Distilling where a machine is watched: CWRU's recordings with few labeled windows, and the rig's autoencoders."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from ledger import Experiment

import keras_kd
from micro.config import parse_config
from micro.datasets.prepare import Windows, prepare
from micro.datasets.prepared import Prepared
from micro.detection.metrics import auc
from micro.detection.threshold import reconstruction_error
from micro.runs import models as students

EPOCHS, BATCH = 30, 32
WINDOWS_A_CLASS = 20
CONV_TEACHER, CONV_STUDENT = (32, 64, 64), (4, 6, 8)
DENSE_TEACHER, DENSE_STUDENT = (128, 64, 12, 64, 128), (12, 6, 12)


def load_cwru(arguments: Any) -> Prepared:
    """Raw windows of 512 samples; loads 0 and 1 to learn from, load 2 to test."""
    folder = arguments.cwru or Path(os.environ.get("KERAS_KD_DATA", ".")) / "cwru"
    if not folder.is_dir():
        raise SystemExit(f"cwru: {folder} is no folder; name that of the Bearing Data Center's .mat files with --cwru")
    data = prepare(
        parse_config(
            {
                "job": "cwru",
                "data": {"folder": str(folder.resolve())},
                "features": {"kind": "raw", "window": 512, "hop": 256},
                "teacher": {"family": "conv1d"},
                "student": {"family": "conv1d"},
                "distill": {"objective": "soft_target"},
            },
            Path("."),
        )
    )
    return replace(data, test=data.validation) if arguments.settle else data


def few(windows: Windows, seed: int) -> Windows:
    """Some windows of each class, drawn by seed."""
    rng = np.random.default_rng(seed)
    chosen = np.concatenate(
        [
            rng.choice(np.flatnonzero(windows.labels == label), WINDOWS_A_CLASS, replace=False)
            for label in np.unique(windows.labels)
        ]
    )
    return Windows(windows.x[chosen], windows.labels[chosen], tuple(windows.origins[i] for i in chosen))


def fit(model: keras.Model, loss: Any, x: np.ndarray, y: np.ndarray | None, epochs: int = EPOCHS) -> None:
    """Adam, its rate brought down to nothing."""
    steps = epochs * -(-len(x) // BATCH)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, steps)), loss)
    model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0)


def conv(sizes: tuple[int, ...], data: Prepared, name: str) -> keras.Model:
    """A strided Conv1D net over raw windows."""
    return students.build("conv1d", sizes, data.train.x.shape[1:], len(data.class_names), name)


CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def train_classifier(data: Prepared, seed: int) -> keras.Model:
    """A teacher that has seen every window."""
    teacher = conv(CONV_TEACHER, data, "teacher")
    fit(teacher, CROSS_ENTROPY, data.train.x, data.train.labels)
    return teacher


def classified(*objectives: Callable[[], Any], unlabeled: bool = False) -> Callable[..., dict[str, float]]:
    """A student with few labeled windows, or with all windows and no label; under these objectives if any."""

    def method(data: Prepared, teacher: keras.Model, seed: int) -> dict[str, float]:
        student = conv(CONV_STUDENT, data, "student")
        labeled = few(data.train, seed)
        if not objectives:
            fit(student, CROSS_ENTROPY, labeled.x, labeled.labels, epochs=EPOCHS * 4)
        else:
            distiller = keras_kd.Distiller(teacher, student, [make() for make in objectives])
            if unlabeled:
                fit(distiller, None, data.train.x, None)
            else:
                fit(distiller, CROSS_ENTROPY, labeled.x, labeled.labels, epochs=EPOCHS * 4)
        return accuracy(student, data)

    return method


def accuracy(model: keras.Model, data: Prepared) -> dict[str, float]:
    """Percent of test windows classified rightly."""
    found = model.predict(data.test.x, verbose=0).argmax(-1)
    return {"accuracy, %": 100 * float(np.mean(found == data.test.labels))}


def on_all_labels(data: Prepared, teacher: keras.Model, seed: int) -> dict[str, float]:
    """The student with every label."""
    student = conv(CONV_STUDENT, data, "student")
    fit(student, CROSS_ENTROPY, data.train.x, data.train.labels)
    return accuracy(student, data)


def soft() -> keras_kd.Objective:
    """Hinton's soft targets, T = 2."""
    return keras_kd.SoftTarget(2.0)


def attention() -> list[Callable[[], Any]]:
    sizes = {"relu_0": 128, "relu_1": 32, "relu_2": 8}
    return [
        lambda name=name, size=size: keras_kd.AttentionTransfer(1.0 / size, teacher_layer=name, student_layer=name)
        for name, size in sizes.items()
    ]


FEW = "20 labeled windows a class"
CWRU = Experiment(
    title="CWRU, raw windows, tested at 2 hp: a Conv1D student of three layers (4, 6, 8 filters)",
    load=load_cwru,
    prepare=train_classifier,
    methods={
        "teacher, all labels": lambda data, teacher, seed: accuracy(teacher, data),
        "student, all labels": on_all_labels,
        FEW: classified(),
        f"{FEW}, SoftTarget": classified(soft),
        f"{FEW}, AttentionTransfer": classified(*attention()),
        f"{FEW}, RKD": classified(
            lambda: keras_kd.RelationalDistance(1.0, teacher_layer="pool", student_layer="pool"),
            lambda: keras_kd.RelationalAngle(2.0, teacher_layer="pool", student_layer="pool"),
        ),
        "no label, SoftTarget on all windows": classified(soft, unlabeled=True),
    },
    figures=("accuracy, %",),
    against={
        f"{FEW}, SoftTarget": FEW,
        f"{FEW}, AttentionTransfer": FEW,
        f"{FEW}, RKD": FEW,
        "no label, SoftTarget on all windows": "student, all labels",
    },
)


def load_rig(arguments: Any) -> Prepared:
    """The rig as `keras-kd init rig` makes it, with a seed of its own to settle anything on."""
    return prepare(
        parse_config({"job": "rig", "seed": 7 if arguments.settle else 2026, "teacher": {}, "student": {}}, Path("."))
    )


def autoencoder(sizes: tuple[int, ...], data: Prepared, name: str) -> keras.Model:
    return students.build("autoencoder", sizes, data.train.x.shape[1:], None, name)


def train_autoencoder(data: Prepared, seed: int) -> keras.Model:
    """The teacher on healthy windows."""
    teacher = autoencoder(DENSE_TEACHER, data, "teacher")
    fit(teacher, "mse", data.train.x, data.train.x)
    return teacher


def reconstructing(weight: float, hard_weight: float) -> Callable[..., dict[str, float]]:
    """A student autoencoder that follows the teacher's output by `weight` and the data by `hard_weight`."""

    def method(data: Prepared, teacher: keras.Model, seed: int) -> dict[str, float]:
        student = autoencoder(DENSE_STUDENT, data, "student")
        if not weight:
            fit(student, "mse", data.train.x, data.train.x)
        else:
            distiller = keras_kd.Distiller(teacher, student, [keras_kd.Reconstruction(weight)], hard_weight=hard_weight)
            fit(distiller, "mse", data.train.x, data.train.x)
        return detection(student, data)

    return method


def detection(model: keras.Model, data: Prepared) -> dict[str, float]:
    """Area under the ROC curve, faulty windows against healthy ones."""
    scores = reconstruction_error(data.test.x, model.predict(data.test.x, batch_size=1024, verbose=0))
    return {"AUC": auc(data.test.labels, scores)}


ALONE = "student, data alone"
RIG = Experiment(
    title="Rig: an autoencoder student of 1,774 parameters",
    load=load_rig,
    prepare=train_autoencoder,
    methods={
        "teacher": lambda data, teacher, seed: detection(teacher, data),
        ALONE: reconstructing(0.0, 1.0),
        "student, half teacher, half data": reconstructing(0.5, 0.5),
        "student, teacher alone": reconstructing(1.0, 0.0),
    },
    figures=("AUC",),
    against={"student, half teacher, half data": ALONE, "student, teacher alone": ALONE},
)
