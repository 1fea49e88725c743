"""Models of a regression between numbers as they are and those that a run trains on."""

from __future__ import annotations

import keras

from micro.datasets.pieces import Target

# Name of the layer that brings a user's teacher of numbers to the run's own scale.
STANDARDIZED = "standardized"


def standardized(teacher: keras.Model, target: Target | None) -> keras.Model:
    """A user's teacher, which gives numbers as they are, giving them as the run's own models do."""
    if target is None:
        return teacher
    scaled = keras.layers.Rescaling(1 / target.deviation, -target.mean / target.deviation, name=STANDARDIZED)
    return keras.Model(teacher.inputs, scaled(teacher.outputs[0]), name="teacher")


def in_real_numbers(model: keras.Model, target: Target | None) -> keras.Model:
    """A run's model, which gives a regression's numbers standardized, giving them as they are, as `teacher.path` takes it."""
    if target is None:
        return model
    last = model.layers[-1]
    if last.name == STANDARDIZED:  # a user's own teacher, which gave them so
        return keras.Model(model.inputs, last.input, name=model.name)
    scaled = keras.layers.Rescaling(target.deviation, target.mean, name="numbers")
    return keras.Model(model.inputs, scaled(model.outputs[0]), name=model.name)
