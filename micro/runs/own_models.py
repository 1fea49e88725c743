"""Models of the user's own, read from their .keras files and compared with the data."""

from __future__ import annotations

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
    return model


def load_teacher(part: TeacherConfig, data: Prepared) -> keras.Model:
    """A user's teacher; where the config says which classes it gives, the data's of them in the data's order, as logits.

    Raises:
        DataError: As `load_model`; for a class that the teacher does not know, or outputs that are no classes.
    """
    assert part.path is not None
    if not part.classes:
        return load_model(part.path, data, "teacher")
    if not data.class_names:
        raise DataError(f"teacher.classes are for task 'classification', and the task is {data.task!r}")
    missing = [name for name in data.class_names if name not in part.classes]
    if missing:
        known = ", ".join(part.classes)
        raise DataError(f"teacher: {part.path} does not know class {missing[0]!r}; by teacher.classes it knows {known}")
    model = load_model(part.path, data, "teacher", len(part.classes))
    if part.classes == data.class_names:
        return model
    activation = activation_of(model)
    if activation not in ("linear", "softmax"):
        raise DataError(
            f"teacher: to choose classes from it, {part.path} must give logits or end in a softmax; it ends in "
            f"{activation or 'something else'}"
        )
    # The logarithm of probabilities is logits of the same probabilities, also of a part of the classes.
    logits = model.outputs[0] if activation == "linear" else keras.ops.log(model.outputs[0] + 1e-12)
    chosen = np.array([[name == other for other in data.class_names] for name in part.classes], np.float32)
    select = keras.layers.Dense(len(data.class_names), use_bias=False, trainable=False, name="classes")
    model = keras.Model(model.inputs, select(logits), name="teacher")
    select.set_weights([chosen])
    return model
