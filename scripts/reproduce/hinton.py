"""Hinton, Vinyals and Dean 2015, section 3: a large net teaches small ones, also one that never sees one of the digits."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import mnist
import numpy as np
from keras import layers
from ledger import Experiment

import keras_kd

LEFT_OUT = 3
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def net(units: int, name: str, dropout: float = 0.0) -> keras.Model:
    """Two hidden layers of rectified units."""
    inputs = keras.Input((28, 28, 1))
    h = layers.Flatten()(inputs)
    for _ in range(2):
        h = layers.Dense(units, activation="relu")(h)
        h = layers.Dropout(dropout)(h) if dropout else h
    return keras.Model(inputs, layers.Dense(10, name="logits")(h), name=name)


def fit(model: keras.Model, digits: mnist.Digits, epochs: int) -> None:
    """Adam, its rate brought down to nothing."""
    steps = epochs * -(-len(digits.x) // 100)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, steps)), LOSS)
    model.fit(digits.x, digits.y, batch_size=100, epochs=epochs, verbose=0)


def train_teacher(data: mnist.Split, seed: int) -> keras.Model:
    """Two layers of 1,200 with dropout, on images shifted by up to two pixels."""
    teacher = net(1200, "teacher", dropout=0.5)
    fit(teacher, mnist.jittered(data.train, 4, seed), epochs=10)
    return teacher


@dataclass(frozen=True)
class Student:
    """A student of two layers of `units`, with soft targets at `temperature` or without."""

    units: int
    temperature: float | None = None
    leave_out: bool = False

    def __call__(self, data: mnist.Split, teacher: keras.Model, seed: int) -> dict[str, float]:
        """Test errors of 5,000, and those on the digit that may be left out."""
        train = data.train.without(LEFT_OUT) if self.leave_out else data.train
        student = net(self.units, "student")
        if self.temperature is None:
            fit(student, train, epochs=30)
        else:
            objective = keras_kd.SoftTarget(self.temperature)
            fit(keras_kd.Distiller(teacher, student, [objective], hard_weight=0.1), train, epochs=30)
        logits = student.predict(data.test.x, verbose=0)
        figures = errors(logits, data.test.y)
        if self.leave_out and self.temperature is not None:
            bias = best_bias(student.predict(data.validation.x, verbose=0), data.validation.y)
            corrected = errors(raised(logits, bias), data.test.y)
            figures |= {f"{name}, bias corrected": value for name, value in corrected.items()}
        return figures


def judge_teacher(data: mnist.Split, teacher: keras.Model, seed: int) -> dict[str, float]:
    """The teacher's own errors."""
    return errors(teacher.predict(data.test.x, verbose=0), data.test.y)


def errors(logits: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """How many images are wrong, and how many of the digit that may be left out."""
    wrong = logits.argmax(-1) != y
    return {"errors": float(wrong.sum()), "errors on 3s": float(wrong[y == LEFT_OUT].sum())}


def raised(logits: np.ndarray, bias: float) -> np.ndarray:
    """Logits with the left-out class's bias raised."""
    return logits + bias * (np.arange(10) == LEFT_OUT)


def best_bias(logits: np.ndarray, y: np.ndarray) -> float:
    """The raise with the fewest errors, the smallest of several; the paper took 3.5."""
    raises = np.arange(0.0, 15.0, 0.25)
    return float(raises[np.argmin([errors(raised(logits, b), y)["errors"] for b in raises])])


EXPERIMENT = Experiment(
    title="Hinton's nets on MNIST: errors among 5,000 test digits, 4,000 to train on",
    load=mnist.load,
    prepare=train_teacher,
    methods={
        "teacher, 2 x 1,200, dropout and jitter": judge_teacher,
        "2 x 800": Student(800),
        "2 x 800, soft targets, T = 20": Student(800, 20.0),
        "2 x 30": Student(30),
        "2 x 30, soft targets, T = 3": Student(30, 3.0),
        "2 x 800, no 3s": Student(800, None, leave_out=True),
        "2 x 800, soft targets, T = 20, no 3s": Student(800, 20.0, leave_out=True),
    },
    figures=("errors", "errors on 3s", "errors, bias corrected", "errors on 3s, bias corrected"),
    against={
        "2 x 800, soft targets, T = 20": "2 x 800",
        "2 x 30, soft targets, T = 3": "2 x 30",
        "2 x 800, soft targets, T = 20, no 3s": "2 x 800, no 3s",
    },
)
