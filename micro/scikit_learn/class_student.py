"""Trains an int8 classifier on labelled rows, from their labels and from what a teacher thinks of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from micro.detection.recognizer import Recognizer
from micro.runs.firmware import Firmware
from micro.scikit_learn.class_teacher import probabilities_of
from micro.scikit_learn.student import MOST_KEPT, int8_student
from micro.scikit_learn.teacher import unscaled
from micro.signal import FrontEnd, fit_scaling
from micro.tflite.graph import read
from micro.tflite.interpreter import run_inputs

if TYPE_CHECKING:
    import keras

    from micro.conversion.converted import Converted

# The largest sample that front ends take.
LARGEST_SAMPLE = 1e8


@dataclass(frozen=True)
class ClassRecipe:
    """How a student is trained; as the parameters of an estimator of these names."""

    sizes: tuple[int, ...]
    epochs: int
    batch_size: int
    learning_rate: float
    teacher: Any
    temperature: float
    hard_weight: float


@dataclass(frozen=True)
class Labelled:
    """What a student is trained on.

    Attributes:
        windows: (n, window, channels), finite.
        y: The class of each, (n,).
        classes: All of them, sorted, two or more.
        weights: Of each window's part in the loss, (n,), above 0; None where all count the same.
        groups: As `probabilities_of` takes them.
    """

    windows: np.ndarray
    y: np.ndarray
    classes: np.ndarray
    weights: np.ndarray | None
    groups: np.ndarray | None


@dataclass(frozen=True)
class TrainedClassifier:
    """A student in int8, with all that goes on the chip around it; `kept` are some windows of each class."""

    firmware: Firmware
    converted: Converted
    kept: np.ndarray
    loss: tuple[float, ...]


def train_classifier(front_end: FrontEnd, data: Labelled, recipe: ClassRecipe, seed: int) -> TrainedClassifier:
    """An int8 classifier of windows; the same seed gives the same bytes.

    Raises:
        ValueError: As `probabilities_of`, and for classes that have no text.
    """
    windows = data.windows
    features = front_end(front_end.counts(windows) if front_end.arithmetic == "fixed" else windows)
    scaling = fit_scaling(features)
    scaled = scaling(features).reshape(len(windows), -1)
    soft = None
    if recipe.teacher is not None:
        rows = unscaled(scaled, scaling)
        soft = probabilities_of(recipe.teacher, rows, data.y, data.classes, data.groups, seed)
    converted, loss = _converted(scaled, data, soft, recipe, seed)
    graph = read(converted.content)
    quantization = graph.tensors[graph.outputs[0]].quantization
    assert quantization is not None
    names = tuple(map(str, data.classes.tolist()))
    # Each window is of the class with the highest output, as `predict` has it.
    recognizer = Recognizer(quantization.scale[0], names, (0,) * len(names))
    firmware = Firmware(front_end, scaling, converted.content, recognizer)
    return TrainedClassifier(firmware, converted, _some_of_each(data), loss)


def logits_of(firmware: Firmware, windows: np.ndarray) -> np.ndarray:
    """The int8 outputs of windows in TFLite Micro, (n, window, channels) -> (n, classes) int8."""
    front_end = firmware.front_end
    assert isinstance(front_end, FrontEnd)
    # What the chip reports as a sensor fault has a class here: that of what the front end makes of its limits.
    limited = np.clip(windows, -LARGEST_SAMPLE, LARGEST_SAMPLE)
    frames = front_end.counts(limited) if front_end.arithmetic == "fixed" else limited.astype(np.float32)
    return run_inputs(firmware.tflite, firmware.features(frames)).reshape(len(windows), -1)


def _some_of_each(data: Labelled) -> np.ndarray:
    """Windows of all classes for a self-test, (n, window, channels) float32."""
    each = max(1, MOST_KEPT // len(data.classes))
    places = [np.flatnonzero(data.y == one)[:each] for one in data.classes]
    # One of each class, then the second of each, so that the first few are of several.
    ordered = [place[n] for n in range(each) for place in places if n < len(place)]
    return data.windows[ordered[:MOST_KEPT]].astype(np.float32)


def _converted(
    x: np.ndarray, data: Labelled, soft: np.ndarray | None, recipe: ClassRecipe, seed: int
) -> tuple[Converted, tuple[float, ...]]:
    """The trained classifier in int8, and its loss."""
    from micro.runs import models

    def build() -> keras.Model:
        return models.build("dense", recipe.sizes or (32, 16), x.shape[1:], len(data.classes), "student")

    return int8_student(build, lambda student: _fit(student, x, data, soft, recipe) if recipe.epochs else [], x, seed)


def _fit(
    student: keras.Model, x: np.ndarray, data: Labelled, soft: np.ndarray | None, recipe: ClassRecipe
) -> list[float]:
    """Train on the labels, and on a teacher's probabilities where there is one; the loss of each epoch."""
    import keras

    import keras_kd
    from micro.compress.fine_tune import with_supplied
    from micro.config import StudentConfig
    from micro.runs.fitting import fit

    part = StudentConfig(epochs=recipe.epochs, batch_size=recipe.batch_size, learning_rate=recipe.learning_rate)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    labels = np.searchsorted(data.classes, data.y).astype(np.int32)
    if soft is None:
        return fit(student, part, loss, x, labels, sample_weight=data.weights)["loss"]
    teacher = keras_kd.Supplied({"outputs": soft.shape[1:]}, {"outputs": "softmax"})
    objective = keras_kd.SoftTarget(recipe.temperature, weight=1 - recipe.hard_weight)
    distiller = keras_kd.Distiller(teacher, student, [objective], hard_weight=recipe.hard_weight)
    return fit(distiller, part, loss, with_supplied(x, soft), labels, sample_weight=data.weights)["loss"]
