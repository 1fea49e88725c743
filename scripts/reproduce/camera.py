"""Camera: digits shown by hand (sign_digits), 16 x 16 gray; a small convolutional net under several wide ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from courses import Course, Data, Part, folder_of
from keras import layers
from lessons import experiment

SIZE, SEEN = 32, 16


def load(arguments: Any) -> list[Data]:
    """A quarter to test on, as SOURCE.md says; of the rest a fifth to settle anything on."""
    with np.load(folder_of("sign_digits") / "sign64_grey.npz") as file:
        x, y = file["x"].astype(np.float32) / 255.0, file["y"].astype(np.int64)
    x = x.reshape(len(x), SIZE, 64 // SIZE, SIZE, 64 // SIZE).mean(axis=(2, 4))[..., None]
    x = (x - x.mean(axis=(1, 2, 3), keepdims=True)) / 0.25
    order = np.random.default_rng(0).permutation(len(x))
    test, validation, train = np.split(order, [len(x) // 4, len(x) // 4 + len(x) * 3 // 20])
    judged = validation if arguments.settle else test
    return [Data(Part(x[train], y[train]), Part(x[judged], y[judged]), arguments.out)]


def halved(x: np.ndarray) -> np.ndarray:
    """What the nets see: means of four pixels."""
    return x.reshape(len(x), SEEN, SIZE // SEEN, SEEN, SIZE // SEEN, 1).mean(axis=(2, 4), dtype=np.float32)


def view(x: np.ndarray, seed: int) -> np.ndarray:
    """Turned by up to 18 degrees, shifted by up to 12 %, scaled by up to 20 %, contrast changed."""
    moved = [
        layers.RandomRotation(0.05, fill_mode="nearest", seed=seed),
        layers.RandomTranslation(0.12, 0.12, fill_mode="nearest", seed=seed + 1),
        layers.RandomZoom(0.2, fill_mode="nearest", seed=seed + 2),
    ]
    for layer in moved:
        x = layer(x, training=True)
    rng = np.random.default_rng(seed)
    return np.array(x) * rng.uniform(0.6, 1.4, (len(x), 1, 1, 1)).astype(np.float32)


def net(widths: Sequence[int], name: str, dropout: float = 0.0) -> keras.Model:
    """Convolutions of stride 2 with BatchNormalization and ReLU; averaged; one logit a digit."""
    inputs = h = keras.Input((SEEN, SEEN, 1))
    for number, width in enumerate(widths):
        h = layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False)(h)
        h = layers.ReLU(name=f"block_{number}")(layers.BatchNormalization()(h))
    h = layers.Flatten(name="pool")(h)
    h = layers.Dropout(dropout)(h) if dropout else h
    return keras.Model(inputs, layers.Dense(10, name="logits")(h), name=name)


COURSE = Course(
    "camera",
    10,
    member=lambda name: net((32, 64, 128), name, 0.3),
    student=lambda: net((8, 12, 16), "student"),
    view=view,
    copies=20,
    passes=10,
    members=3,
    teacher_epochs=150,
    teacher_rate=5e-3,
    student_input=halved,
    teacher_input=halved,
)
EXPERIMENT = experiment(COURSE, "Camera: sign_digits, 16 x 16 gray, a student of 3,458 parameters", load)
