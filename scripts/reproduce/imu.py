"""IMU: shoulder exercises from a watch (shoulder_watch) of unseen people; a small Conv1D net under wide ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from courses import Course, Data, Part, folder_of
from keras import layers
from lessons import experiment, standardized, taught, under, with_teacher

from keras_kd import augmentations

LONG, SHORT, HOP = 400, 100, 50


def load(arguments: Any) -> list[Data]:
    """Windows of 8 s; every third person is held out, which ones is the fold; of the others two to settle anything on.

    The fold of a seed is its number modulo three, so that three seeds test on all ten people.
    """
    with np.load(folder_of("shoulder_watch") / "watch.npz") as file:
        series = np.split(file["x"] * file["scale"], np.cumsum(file["length"])[:-1])
        labels, people = file["y"].astype(np.int64), file["subject"]
    x, y, who = [], [], []
    for samples, label, person in zip(series, labels, people):
        starts = range(0, len(samples) - LONG + 1, HOP)
        x += [samples[start : start + LONG] for start in starts]
        y += [label] * len(starts)
        who += [person] * len(starts)
    windows, targets, persons = np.stack(x).astype(np.float32), np.array(y), np.array(who)
    names = np.unique(persons)
    parts = []
    for fold in range(3):
        learning = np.setdiff1d(names, names[fold::3])
        held = learning[:: len(learning) // 2][:2]
        judged = np.isin(persons, held if arguments.settle else names[fold::3])
        training = np.isin(persons, np.setdiff1d(learning, held))
        # One scale for the accelerometer and one for the gyroscope, so that turning the watch is a rotation.
        spread = windows[training].std(axis=(0, 1)).reshape(2, 3).mean(axis=1).repeat(3)
        part = [Part(windows[chosen] / spread, targets[chosen]) for chosen in (training, judged)]
        parts.append(Data(*part, arguments.out, fold))
    return parts


def last(x: np.ndarray) -> np.ndarray:
    """The last 2 s: what the student has room for."""
    return x[:, -SHORT:]


def turned(x: np.ndarray, seed: int, degrees: float = 20.0) -> np.ndarray:
    """The watch worn otherwise: both sensors turned about the same axis, drawn for each window."""
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=(len(x), 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.deg2rad(rng.uniform(-degrees, degrees, (len(x), 1, 1)))
    cross = np.zeros((len(x), 3, 3))
    for a, b, c in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        cross[:, a, b], cross[:, b, a] = -axis[:, c], axis[:, c]
    matrix = (np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross).astype(np.float32)
    return np.concatenate([x[..., :3] @ matrix, x[..., 3:] @ matrix], axis=-1)


def view(x: np.ndarray, seed: int) -> np.ndarray:
    """Turned by up to 20 degrees, 15 % faster or slower, up to 3 dB louder or softer, noise at 15 dB or less."""
    changes = [
        augmentations.RandomSpeed((0.85, 1.15), seed=seed),
        augmentations.RandomGain((-3.0, 3.0), seed=seed + 1),
        augmentations.RandomNoise((15.0, 40.0), seed=seed + 2),
    ]
    x = turned(x, seed)
    for layer in changes:
        x = layer(x, training=True)
    return np.array(x)


def net(steps: int, widths: Sequence[int], name: str, dropout: float = 0.0) -> keras.Model:
    """Conv1D of stride 2, the first of 4, with BatchNormalization and ReLU; averaged; one logit an exercise."""
    inputs = h = keras.Input((steps, 6))
    for number, width in enumerate(widths):
        size, stride = (5, 2) if number else (8, 4)
        h = layers.Conv1D(width, size, strides=stride, padding="same", use_bias=False)(h)
        h = layers.ReLU(name=f"block_{number}")(layers.BatchNormalization()(h))
    h = layers.GlobalAveragePooling1D(name="pool")(h)
    h = layers.Dropout(dropout)(h) if dropout else h
    return keras.Model(inputs, layers.Dense(7, name="logits")(h), name=name)


COURSE = Course(
    "imu",
    7,
    member=lambda name: net(SHORT, (48, 96, 128), name, 0.3),
    student=lambda: net(SHORT, (16, 24, 32), "student"),
    view=view,
    copies=10,
    passes=10,
    members=3,
    teacher_epochs=60,
    student_input=last,
    teacher_input=last,
)
# The same student under a teacher that sees the 6 s before as well.
FAR = replace(COURSE, member=lambda name: net(LONG, (48, 96, 128), name, 0.3), teacher_input=lambda x: x)
VIEWS = {
    "teacher that sees 8 s": with_teacher(FAR, "long", taught(FAR), recorded=False),
    "SoftTarget, standardized, under it": with_teacher(FAR, "long", under(FAR, standardized)),
}
EXPERIMENT = experiment(
    COURSE,
    "IMU: shoulder_watch, windows of 2 s, unseen people",
    load,
    methods=VIEWS,
    against={"SoftTarget, standardized, under it": "SoftTarget, standardized"},
)
