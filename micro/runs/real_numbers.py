"""Models of a regression between numbers as they are and those that a run trains on."""

from __future__ import annotations

from collections.abc import Callable

import keras

from micro.datasets.targets import AnyTarget, Target

# Name of the layer that brings a user's teacher of numbers to the run's own scale.
STANDARDIZED = "standardized"


def standardized(teacher: keras.Model, target: AnyTarget | None) -> keras.Model:
    """A user's teacher, which gives numbers as they are, giving them as the run's own models do."""
    if target is None:
        return teacher
    scales = _each(target, lambda one: 1 / one.deviation), _each(target, lambda one: -one.mean / one.deviation)
    scaled = keras.layers.Rescaling(*scales, name=STANDARDIZED)
    return keras.Model(teacher.inputs, scaled(teacher.outputs[0]), name="teacher")


def in_real_numbers(model: keras.Model, target: AnyTarget | None) -> keras.Model:
    """A run's model, which gives a regression's numbers standardized, giving them as they are, as `teacher.path` takes it."""
    if target is None:
        return model
    last = model.layers[-1]
    if last.name == STANDARDIZED:  # a user's own teacher, which gave them so
        return keras.Model(model.inputs, last.input, name=model.name)
    scales = _each(target, lambda one: one.deviation), _each(target, lambda one: one.mean)
    scaled = keras.layers.Rescaling(*scales, name="numbers")
    return keras.Model(model.inputs, scaled(model.outputs[0]), name=model.name)


def _each(target: AnyTarget, value: Callable[[Target], float]) -> float | list[float]:
    """A value of the one target, or a list of those of several."""
    values = [value(one) for one in target.each]
    return values[0] if len(values) == 1 else values
