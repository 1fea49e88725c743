"""Keras's own distillation losses as objectives."""

from __future__ import annotations

from typing import Any

import keras

from keras_kd.objectives.base import Objective, serializable
from keras_kd.schedules import Schedule


@serializable
class FromKeras(Objective):
    """A `keras.distillation` loss as an objective; a Distiller wraps bare ones itself, with weight 1.

    Keras's losses give one value a batch, so sample weights do not reach them.

    Args:
        loss: A LogitsDistillation, FeatureDistillation or other DistillationLoss.

    Raises:
        ValueError: For anything else.
    """

    def __init__(self, loss: Any, weight: float | Schedule = 1.0, **kwargs: Any) -> None:
        if isinstance(loss, Objective) or not isinstance(loss, keras.distillation.DistillationLoss):
            raise ValueError(f"FromKeras takes a loss of keras.distillation, got {loss!r}")
        kwargs.setdefault("teacher_layer", getattr(loss, "teacher_layer_name", None))
        kwargs.setdefault("student_layer", getattr(loss, "student_layer_name", None))
        super().__init__(weight, **{**kwargs, "name": kwargs.get("name") or _snake(type(loss).__name__)})
        self.loss = loss

    def compare(self, teacher: Any, student: Any, y: Any = None) -> Any:
        return self.loss.compute_loss(teacher, student)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "loss": keras.saving.serialize_keras_object(self.loss)}


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).strip("_")
