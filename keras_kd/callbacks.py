"""Callbacks that know a student from its distiller."""

from __future__ import annotations

from typing import Any

import keras


class StudentCheckpoint(keras.callbacks.ModelCheckpoint):
    """Keras's ModelCheckpoint, saving the student alone: what a user loads holds no teacher.

    Args: those of ModelCheckpoint. `monitor` names one of the distiller's logs.

    Raises:
        ValueError: If the model being fitted has no student.
    """

    def set_model(self, model: Any) -> None:
        """Watch the student of a Distiller."""
        student = getattr(model, "student", None)
        if not isinstance(student, keras.Model):
            raise ValueError(f"StudentCheckpoint: {model.name!r} has no student; use keras.callbacks.ModelCheckpoint")
        super().set_model(student)
