"""A teacher that sees other inputs than the student: its outputs for all windows, computed once."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from keras_kd import Supplied
from keras_kd.layers import activation_of
from keras_kd.recipes.making import method_of
from micro.config import DistillConfig
from micro.datasets.prepared import Prepared


@dataclass(frozen=True)
class RecordedTeacher:
    """What a teacher gives for the windows that a student learns from.

    Attributes:
        known: What a Distiller knows of the teacher.
        outputs: Of each training window, and behind them of those without a label, (n, outputs) float32.
        validation: Of each validation window.
    """

    known: Supplied
    outputs: np.ndarray
    validation: np.ndarray


def teaching(model: keras.Model, data: Prepared) -> keras.Model | RecordedTeacher:
    """A teacher as a student learns from it: the model itself, or what it gives where it sees other inputs."""
    return model if data.teacher is None else recorded(model, data)


def recorded(teacher: keras.Model, data: Prepared) -> RecordedTeacher:
    """A teacher's outputs for training and validation windows as it sees them."""
    parts = [data.train] if data.unlabeled is None else [data.train, data.unlabeled]
    outputs = np.concatenate([_outputs(teacher, part.as_teacher.x) for part in parts])
    return RecordedTeacher(known_of(teacher), outputs, _outputs(teacher, data.validation.as_teacher.x))


def known_of(teacher: keras.Model) -> Supplied:
    """What a Distiller knows of a teacher whose outputs come with the batches."""
    return Supplied({"outputs": tuple(teacher.output_shape[1:])}, {"outputs": activation_of(teacher)})


def require_on_outputs(distill: DistillConfig) -> None:
    """ValueError for what compares inner layers, where a teacher's outputs alone are at hand: it sees other inputs."""
    inner = [each["class"] for each in distill.objectives if {"teacher_layer", "student_layer"} & each.keys()]
    if distill.recipe is not None:
        inner += [part.objective for part in method_of(distill.recipe).parts if part.where != "outputs"]
    if inner:
        raise ValueError(
            f"distill: {inner[0]} compares inner layers, and a teacher that sees other inputs than the student, is made of "
            "estimators or is trained in folds, teaches by its outputs; take an objective or recipe on outputs"
        )


def _outputs(teacher: keras.Model, x: np.ndarray) -> np.ndarray:
    return np.asarray(teacher.predict(x, batch_size=1024, verbose=0), np.float32)
