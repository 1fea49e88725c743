"""Callbacks that act on the student of a distiller."""

from __future__ import annotations

import keras


class StudentCheckpoint(keras.callbacks.ModelCheckpoint):
    """Keras's ModelCheckpoint, saving the student alone: the file holds no teacher.

    Takes the arguments of keras.callbacks.ModelCheckpoint; `monitor` names one of the distiller's logs.

    Raises:
        ValueError: If the model that is fitted has no student.

    Examples:
        >>> net = lambda units: keras.Sequential([keras.Input((4,)), keras.layers.Dense(units), keras.layers.Dense(3)])
        >>> distiller = keras_kd.Distiller(net(16), net(4), keras_kd.SoftTarget(), hard_weight=0.0)
        >>> distiller.compile("adam")
        >>> checkpoint = keras_kd.StudentCheckpoint("student.keras", monitor="loss", save_best_only=True)
        >>> history = distiller.fit(np.ones((8, 4)), callbacks=[checkpoint], verbose=0)
        >>> keras.saving.load_model("student.keras").count_params() == distiller.student.count_params()
        True
    """

    def set_model(self, model: keras.Model) -> None:
        """Save the student of the Distiller that is fitted."""
        student = getattr(model, "student", None)
        if not isinstance(student, keras.Model):
            raise ValueError(f"StudentCheckpoint: {model.name!r} has no student; use keras.callbacks.ModelCheckpoint")
        super().set_model(student)
