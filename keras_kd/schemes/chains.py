"""Several trainings, one after the other: assistants, generations, stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import keras

from keras_kd.distiller import Distiller
from keras_kd.layers import find_layer
from keras_kd.objectives.feature import Hint
from keras_kd.objectives.keras_losses import Objectives, listed
from keras_kd.objectives.response import SoftTarget
from keras_kd.optimizers import build_optimizer
from keras_kd.teachers import Ensemble
from keras_kd.training import scope_of
from keras_kd.types import Structure

Compile: TypeAlias = Callable[[keras.Model], None]
"""Compiles the model that it is called with."""


@dataclass(frozen=True)
class Step:
    """One training of a chain.

    Examples:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        >>> step = keras_kd.schemes.Step(model, {"loss": [0.9, 0.7]})
        >>> step.history["loss"][-1]
        0.7
    """

    model: keras.Model
    """The model that was trained."""
    history: dict[str, list[float]]
    """Its logs: name to one value per epoch."""


def assistants(
    chain: Sequence[keras.Model],
    x: Structure,
    y: Structure | None = None,
    *,
    compile: Compile,
    objectives: Objectives = None,
    hard_weight: float = 0.1,
    **fit: object,
) -> list[Step]:
    """Distill down a chain: a trained teacher, one or more assistants, the student; each learns from the one before.

    Args:
        chain: At least a teacher and a student, from large to small; the first is already trained.
        x: Inputs that each model is fitted on.
        y: Labels, or None.
        compile: Called with each Distiller, to compile it.
        objectives: As a Distiller takes them; SoftTarget at temperature 4 by default.
        hard_weight: Factor of the compiled loss on labels, at least 0.
        fit: Further arguments of `fit`, such as epochs and batch_size.

    Returns:
        A Step for each model after the first.

    Raises:
        ValueError: For a chain of fewer than two models.

    Examples:
        >>> net = lambda units: keras.Sequential([keras.Input((4,)), keras.layers.Dense(units), keras.layers.Dense(3)])
        >>> compile = lambda distiller: distiller.compile("adam")
        >>> steps = keras_kd.assistants([net(16), net(8), net(4)], np.ones((8, 4)), compile=compile, verbose=0)
        >>> len(steps)
        2

    Source: teacher assistants, Mirzadeh et al. 2020, https://arxiv.org/abs/1902.03393
    """
    if len(chain) < 2:
        raise ValueError(f"assistants: needs a teacher and at least one student, got {len(chain)} models")
    return [
        _distilled(teacher, student, x, y, compile, objectives, hard_weight, fit)
        for teacher, student in pairwise(chain)
    ]


def born_again(
    make: Callable[[int], keras.Model],
    x: Structure,
    y: Structure | None,
    *,
    generations: int,
    compile: Compile,
    objectives: Objectives = None,
    hard_weight: float = 1.0,
    **fit: object,
) -> tuple[list[Step], Ensemble]:
    """Train a model, then a model of the same architecture with the first as its teacher, and so on.

    Args:
        make: Returns a new model for generation 0, 1, ...; generation 0 learns from the labels alone.
        x: Inputs that each generation is fitted on.
        y: Labels.
        generations: How many follow generation 0, at least 1.
        compile: Called with the model of generation 0 and with each later Distiller, to compile it.
        objectives: As a Distiller takes them; SoftTarget at temperature 1 by default, as in the paper.
        hard_weight: Factor of the compiled loss on labels, at least 0.
        fit: Further arguments of `fit`, such as epochs and batch_size.

    Returns:
        A Step for each generation, and the ensemble of all of them.

    Raises:
        ValueError: For fewer than one generation.

    Examples:
        >>> make = lambda n: keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
        >>> compile = lambda model: model.compile("adam", "sparse_categorical_crossentropy")
        >>> x, y = np.ones((8, 4)), np.zeros(8)
        >>> steps, ensemble = keras_kd.born_again(make, x, y, generations=1, compile=compile, verbose=0)
        >>> len(steps), len(ensemble.models)
        (2, 2)

    Source: born-again networks, Furlanello et al. 2018, section 3, https://arxiv.org/abs/1805.04770
    """
    if generations < 1:
        raise ValueError(f"born_again: generations must be at least 1, got {generations}")
    first = make(0)
    with scope_of(first):
        compile(first)
    steps = [Step(first, _fit(first, x, y, fit))]
    for generation in range(1, generations + 1):
        chosen = objectives or [SoftTarget(1.0)]
        steps.append(_distilled(steps[-1].model, make(generation), x, y, compile, chosen, hard_weight, fit))
    return steps, Ensemble([step.model for step in steps])


def hint_then_distil(
    teacher: keras.Model,
    student: keras.Model,
    x: Structure,
    y: Structure | None = None,
    *,
    teacher_layer: str,
    student_layer: str,
    compile: Compile,
    hint_epochs: int,
    objectives: Objectives = None,
    hard_weight: float = 0.1,
    **fit: object,
) -> tuple[Step, Step]:
    """Train in two stages: first the student up to its guided layer, on the teacher's hint layer; then the whole student.

    The first stage trains with a Hint alone.

    Args:
        teacher: The trained teacher.
        student: The model to train.
        x: Inputs.
        y: Labels for the second stage, or None.
        teacher_layer: Name of the hint layer.
        student_layer: Name of the guided layer.
        compile: Called with the Distiller of each stage, to compile it.
        hint_epochs: Epochs of the first stage.
        objectives: Of the second stage, as a Distiller takes them; SoftTarget at temperature 4 by default.
        hard_weight: Factor of the compiled loss on labels, at least 0.
        fit: Further arguments of `fit`; `epochs` are those of the second stage.

    Returns:
        A Step for each stage; both hold the student.

    Examples:
        >>> body = lambda units: keras.layers.Dense(units, name="body")
        >>> net = lambda units: keras.Sequential([keras.Input((4,)), body(units), keras.layers.Dense(3)])
        >>> first, second = keras_kd.schemes.hint_then_distil(
        ...     net(16), net(4), np.ones((8, 4)), teacher_layer="body", student_layer="body", hint_epochs=2,
        ...     compile=lambda distiller: distiller.compile("adam"), verbose=0)

    Source: FitNets, Romero et al. 2015, algorithm 1, https://arxiv.org/abs/1412.6550
    """
    with scope_of(student):
        lower, upper = _up_to(student, student_layer), _up_to(teacher, teacher_layer)
    first = _distilled(upper, lower, x, None, compile, [Hint(0.5)], 0.0, {**fit, "epochs": hint_epochs})
    second = _distilled(teacher, student, x, y, compile, objectives, hard_weight, fit)
    return Step(student, first.history), second


def _up_to(model: keras.Model, layer: str) -> keras.Model:
    """The lower part of a model, which gives a layer's output; the two share weights."""
    return keras.Model(model.inputs, find_layer(model, layer).output, name=f"{model.name}_to_{layer}")


def _distilled(
    teacher: keras.Model,
    student: keras.Model,
    x: Structure,
    y: Structure | None,
    compile: Compile,
    objectives: Objectives,
    hard_weight: float,
    fit: dict[str, Any],
) -> Step:
    # Each training has layers of its own to learn, such as a Hint's regressor.
    own = [objective.fresh() for objective in listed(objectives or SoftTarget(4.0))]
    with scope_of(student):
        distiller = Distiller(teacher, student, own, hard_weight=hard_weight)
        compile(distiller)
    return Step(student, _fit(distiller, x, y, fit))


def _fit(model: keras.Model, x: Structure, y: Structure | None, fit: dict[str, Any]) -> dict[str, list[float]]:
    build_optimizer(model)
    return {name: [float(v) for v in values] for name, values in model.fit(x, y, **fit).history.items()}
