"""Models of the user's own, read from their .keras files and compared with the data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from keras_kd.layers import activation_of
from micro.config import TeacherConfig
from micro.conversion.keras_file import load_keras
from micro.datasets.prepared import Prepared
from micro.errors import DataError, ModelError


def load_model(path: str, data: Prepared, side: str, outputs: int | None = None) -> keras.Model:
    """A user's .keras model in safe mode, checked against the shapes of the data, or against a number of outputs of its own.

    Raises:
        DataError: If it is missing, cannot be read safely, or takes or gives other shapes.
    """
    if not Path(path).is_file():
        raise DataError(f"{side}: {path} does not exist")
    try:
        model = load_keras(path)
    except ModelError as error:
        raise DataError(f"{side}: {error}") from None
    takes, gives = data.shapes
    gives = gives if outputs is None else (outputs,)
    for what, given, wanted in (("takes", model.input_shape, takes), ("gives", model.output_shape, gives)):
        if tuple(given[1:]) != wanted:
            why = (
                ": with data.predict a model gives the predicted features and takes the others"
                if data.predicted
                else ""
            )
            raise DataError(f"{side}: {path} {what} {tuple(given[1:])}, the data need {wanted}{why}")
    _require_labels(model, path, data, side)
    return model


def _require_labels(model: keras.Model, path: str, data: Prepared, side: str) -> None:
    """DataError for outputs of which one holds at a time where several labels may, and for a student without logits."""
    activation = activation_of(model) if data.label_names else None
    if activation == "softmax" or (activation == "sigmoid" and side == "student"):
        may = "logits, in a linear layer" if side == "student" else "logits, in a linear layer, or a sigmoid of each"
        raise DataError(f"{side}: {path} ends in a {activation}; task 'multilabel' needs a model that ends in {may}")


def load_teacher(part: TeacherConfig, data: Prepared) -> keras.Model:
    """A user's teacher; where the config says which classes or labels it gives, the data's of them in the data's order, as
    logits.

    Raises:
        DataError: As `load_model`; for a class that the teacher does not know, or outputs that are no classes.
    """
    assert part.path is not None
    if not part.classes:
        model = load_model(part.path, data, "teacher")
        sigmoids = bool(data.label_names) and activation_of(model) == "sigmoid"
        return _chosen(model, data.label_names, data.label_names) if sigmoids else model
    names, what = (data.label_names, "label") if data.label_names else (data.class_names, "class")
    if not names:
        raise DataError(
            f"teacher.classes are for tasks 'classification' and 'multilabel', and the task is {data.task!r}"
        )
    missing = [name for name in names if name not in part.classes]
    if missing:
        known = ", ".join(part.classes)
        raise DataError(
            f"teacher: {part.path} does not know {what} {missing[0]!r}; by teacher.classes it knows {known}"
        )
    model = load_model(part.path, data, "teacher", len(part.classes))
    activation = activation_of(model)
    if part.classes == names and not (data.label_names and activation == "sigmoid"):
        return model
    squashed = "sigmoid" if data.label_names else "softmax"
    if activation not in ("linear", squashed):
        chosen = "labels" if data.label_names else "classes"
        raise DataError(
            f"teacher: to choose {chosen} from it, {part.path} must give logits or end in a {squashed}; it ends in "
            f"{activation or 'something else'}"
        )
    return _chosen(model, part.classes, names)


def _chosen(model: keras.Model, given: Sequence[str], names: Sequence[str]) -> keras.Model:
    """A model of logits of some of the classes or labels that a model gives, in an order of their own."""
    activation = activation_of(model)
    # The logarithm of probabilities is logits of the same probabilities, also of a part of the classes.
    logits = model.outputs[0] if activation == "linear" else keras.ops.log(model.outputs[0] + 1e-12)
    if activation == "sigmoid":
        logits = logits - keras.ops.log(1 - model.outputs[0] + 1e-12)
    kernel = np.array([[name == other for other in names] for name in given], np.float32)
    select = keras.layers.Dense(len(names), use_bias=False, trainable=False, name="classes")
    model = keras.Model(model.inputs, select(logits), name="teacher")
    select.set_weights([kernel])
    return model
