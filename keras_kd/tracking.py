"""Training curves for TensorBoard and MLflow, whose packages come with the extra `track`."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping
from typing import Any

import keras

from keras_kd.distiller import Distiller


class TensorBoardLog(keras.callbacks.Callback):
    """Write each epoch's logs as scalars for TensorBoard: losses, each objective by name, metrics, and those of validation.

    Needs the package tensorboard but not TensorFlow. Keras's own TensorBoard callback also records graphs and weights.

    Args:
        log_dir: Folder for the event files of one training.

    Raises:
        ImportError: When training begins, if tensorboard is not installed.

    Examples:
        >>> callback = keras_kd.TensorBoardLog("logs/run_1")  # then distiller.fit(..., callbacks=[callback])
    """

    def __init__(self, log_dir: str | os.PathLike[str]) -> None:
        super().__init__()
        self.log_dir = os.fspath(log_dir)
        self._writers: dict[str, Any] = {}

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        summary = _package("tensorboard.summary")
        parts = ("train", "validation")
        self._writers = {part: summary.Writer(os.path.join(self.log_dir, part)) for part in parts}

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        for name, value in (logs or {}).items():
            part = "validation" if name.startswith("val_") else "train"
            self._writers[part].add_scalar(f"epoch/{name.removeprefix('val_')}", float(value), epoch)

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        for writer in self._writers.values():
            writer.close()


class MlflowLog(keras.callbacks.Callback):
    """Log what is trained and each epoch's logs to the active MLflow run, or to a new run that ends with this training.

    The parameters logged for a Distiller are teacher, student, their numbers of weights, the objectives and the hard weight.

    Raises:
        ImportError: When training begins, if mlflow is not installed.

    Examples:
        >>> callback = keras_kd.MlflowLog()  # then distiller.fit(..., callbacks=[callback])
    """

    def __init__(self) -> None:
        super().__init__()
        self._own_run = False

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        mlflow = _package("mlflow")
        self._own_run = mlflow.active_run() is None
        if self._own_run:
            mlflow.start_run()
        mlflow.log_params(described(self.model))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        _package("mlflow").log_metrics({name: float(value) for name, value in (logs or {}).items()}, step=epoch)

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        if self._own_run:
            _package("mlflow").end_run()


def described(model: keras.Model) -> dict[str, Any]:
    """What is trained, as flat parameters: names, numbers of weights, and a Distiller's objectives."""
    if not isinstance(model, Distiller):
        return {"model": model.name, "model_parameters": model.count_params()}
    parameters: dict[str, Any] = {
        "student": model.student.name,
        "student_parameters": model.student.count_params(),
        "hard_weight": model.hard_weight,
    }
    if isinstance(model.teacher, keras.Model):
        parameters |= {"teacher": model.teacher.name, "teacher_parameters": model.teacher.count_params()}
    else:
        parameters["teacher"] = type(model.teacher).__name__
    for objective in model.objectives:
        config = {name: value for name, value in objective.get_config().items() if name != "name"}
        text = json.dumps(config, default=str, sort_keys=True)
        parameters[f"objective_{objective.name}"] = f"{type(objective).__name__} {text}"[:500]
    return parameters


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ImportError(
            f"{name.split('.')[0]} is not installed; install it with: pip install -e '.[track]' in the clone, "
            "or pip install 'keras-kd[track]'"
        ) from None
