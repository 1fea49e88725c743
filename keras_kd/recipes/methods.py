"""What may be compared: names of recipes, recipes, objectives and functions, as something that trains a student."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras

from keras_kd.distiller import Distiller
from keras_kd.layers import find_layer
from keras_kd.objectives.base import Objective
from keras_kd.objectives.keras_losses import listed
from keras_kd.optimizers import build_optimizer
from keras_kd.recipes.making import recipe
from keras_kd.recipes.plan import Recipe
from keras_kd.supplied import Supplied, Teacher
from keras_kd.types import Structure

Made: TypeAlias = "Recipe | Objective | Sequence[Objective] | keras.Model"
"""What a method's function may give: a recipe, objectives, a Distiller that is not compiled, or a student that it trained."""

Method: TypeAlias = "str | Recipe | Objective | Sequence[Objective] | Callable[[Teacher, keras.Model], Made]"
"""A method: a recipe or its name, objectives, or a function of (teacher, student)."""

Compiling: TypeAlias = "Mapping[str, Any] | Callable[[], Mapping[str, Any]]"
"""Arguments of `compile`, or a function that gives new ones; optimizers and metrics of a mapping are copied for each run."""


@dataclass(frozen=True)
class Training:
    """How every student is trained."""

    x: Structure
    y: Structure
    sample_weight: Structure | None
    epochs: int
    batch_size: int
    compiling: Compiling

    @property
    def steps_per_epoch(self) -> int:
        """Batches an epoch."""
        return math.ceil(len(keras.tree.flatten(self.x)[0]) / self.batch_size)

    def compiled(self, model: keras.Model) -> keras.Model:
        """The model, compiled with an optimizer and metrics of its own."""
        model.compile(**arguments(self.compiling))
        build_optimizer(model)
        return model

    def plain(self, student: keras.Model) -> None:
        """Train a student on the labels."""
        given = {"sample_weight": self.sample_weight, "batch_size": self.batch_size}
        self.compiled(student).fit(self.x, self.y, epochs=self.epochs, verbose=0, **given)

    def distil(self, made: Distiller, seed: int) -> None:
        """Train a distiller's student."""
        self.compiled(made)
        if isinstance(made.teacher, Supplied):
            parts = (self.x, self.y, self.sample_weight)
            batches = made.teacher.batches(*parts, batch_size=self.batch_size, seed=seed)
            made.fit(batches, epochs=self.epochs, verbose=0)
        else:
            given = {"sample_weight": self.sample_weight, "batch_size": self.batch_size}
            made.fit(self.x, self.y, epochs=self.epochs, verbose=0, **given)

    def made(self, method: Method, teacher: Teacher, student: keras.Model) -> Distiller | keras.Model:
        """A method's distiller for these models, or the student that its function trained."""
        given: Any = method
        if is_function(method):
            given = method(teacher, student)  # type: ignore[operator, arg-type]
        if isinstance(given, str):
            given = recipe(given, teacher, student, steps_per_epoch=self.steps_per_epoch, epochs=self.epochs)
        if isinstance(given, Recipe):
            return given.distiller(teacher, student)
        if isinstance(given, keras.Model):
            return given
        # Objectives that learn layers of their own are made new, so that no run goes on from another's.
        return Distiller(teacher, student, [objective.fresh() for objective in listed(given)])


def is_function(method: Method) -> bool:
    """Whether a method is a function of (teacher, student): all else that can be called is an objective."""
    objectives = (Objective, keras.losses.Loss, keras.distillation.DistillationLoss, keras.Model)
    return callable(method) and not isinstance(method, objectives)


def named(methods: Mapping[str, Method] | Iterable[str | Recipe]) -> dict[str, Method]:
    """Methods by name; names of recipes and recipes name themselves.

    Raises:
        ValueError: For none, or for methods without names.
    """
    if isinstance(methods, Mapping):
        found = dict(methods)
    else:
        listed_methods = [methods] if isinstance(methods, (str, Recipe)) else list(methods)
        for method in listed_methods:
            if not isinstance(method, (str, Recipe)):
                raise ValueError(
                    f"a list of methods holds names of recipes and recipes; name others by a dict: {method!r}"
                )
        found = {method if isinstance(method, str) else method.name: method for method in listed_methods}
        if len(found) != len(listed_methods):
            raise ValueError(f"two methods have one name: {', '.join(map(_name, listed_methods))}; name them by a dict")
    if not found:
        raise ValueError("methods must hold at least one method, such as 'kd'")
    return found


def _name(method: str | Recipe) -> str:
    return method if isinstance(method, str) else method.name


def arguments(compiling: Compiling) -> dict[str, Any]:
    """Arguments of `compile` for one model."""
    if callable(compiling):
        return dict(compiling())
    return {key: keras.tree.map_structure(_fresh, value) for key, value in compiling.items()}


def _fresh(value: Any) -> Any:
    if isinstance(value, (keras.optimizers.Optimizer, keras.metrics.Metric)):
        return type(value).from_config(value.get_config())
    return value


def described(method: Method, training: Training, teacher: Teacher, student: keras.Model) -> str:
    """What a run of a method stands for, as text: its objectives and weights, or its function, which may train and is not
    called.

    Layers are given by their places, as names that Keras made up differ from model to model.
    """
    if is_function(method):
        return _function_text(method)
    made = training.made(method, teacher, student)
    assert isinstance(made, Distiller)
    lines = [f"hard_weight={made.hard_weight:g}"]
    for objective in made.objectives:
        given = {key: value for key, value in objective.get_config().items() if value is not None and key != "name"}
        for side, model in (("teacher_layer", teacher), ("student_layer", student)):
            if side in given:
                given[side] = _places(given[side], model)
        lines.append(f"{type(objective).__name__}({', '.join(f'{key}={value!r}' for key, value in given.items())})")
    return "; ".join(lines)


def _function_text(function: Any) -> str:
    """A function by its name and a digest of its code; a partial one also by its arguments."""
    if isinstance(function, functools.partial):
        given = ", ".join(
            [*map(repr, function.args), *(f"{key}={value!r}" for key, value in function.keywords.items())]
        )
        return f"{_function_text(function.func)} with {given}"
    name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__name__)}"
    code = getattr(function, "__code__", None)
    if code is None:
        return name
    constants = [each for each in code.co_consts if isinstance(each, (int, float, str, bytes, tuple, type(None)))]
    return f"{name}, {hashlib.sha256(repr((code.co_code, code.co_names, constants)).encode()).hexdigest()[:12]}"


def _places(names: str | Sequence[str], model: Teacher) -> Any:
    if not isinstance(names, str):
        return [_places(name, model) for name in names]
    if not isinstance(model, keras.Model):
        return names
    layer = find_layer(model, names)
    return next((place for place, each in enumerate(model._flatten_layers()) if each is layer), names)
