"""One training after the other: assistants, generations, stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import keras

from keras_kd.distiller import Distiller
from keras_kd.layers import find_layer
from keras_kd.objectives.feature import Hint
from keras_kd.objectives.response import SoftTarget
from keras_kd.teachers import Ensemble

Compile = Callable[[keras.Model], None]


@dataclass(frozen=True)
class Step:
    """One training of a chain: the model it made, and the logs by epoch."""

    model: keras.Model
    history: dict[str, list[float]]


def assistants(
    chain: Sequence[keras.Model],
    x: Any,
    y: Any = None,
    *,
    compile: Compile,
    objectives: Any = None,
    hard_weight: float = 0.1,
    **fit: Any,
) -> list[Step]:
    """Distil down a chain: a trained teacher, one or more assistants, the student; each learns from the one before.

    Args:
        chain: At least a teacher and a student, from large to small; the first is taken as it is.
        x, y: What each is fitted on.
        compile: Called with each Distiller, to compile it.
        objectives: As a Distiller takes them; SoftTarget at temperature 4 by default.
        hard_weight: Of the labels.
        fit: Further arguments of `fit`, such as epochs and batch_size.

    Returns a Step for each model after the first.

    Raises:
        ValueError: For a chain of fewer than two models.

    Source: teacher assistants, Mirzadeh et al. 2020.
    """
    if len(chain) < 2:
        raise ValueError(f"assistants: needs a teacher and at least one student, got {len(chain)} models")
    return [
        _distilled(teacher, student, x, y, compile, objectives, hard_weight, fit)
        for teacher, student in pairwise(chain)
    ]


def born_again(
    make: Callable[[int], keras.Model],
    x: Any,
    y: Any,
    *,
    generations: int,
    compile: Compile,
    objectives: Any = None,
    hard_weight: float = 1.0,
    **fit: Any,
) -> tuple[list[Step], Ensemble]:
    """Train a model, then its like under it, and so on; the generations, and the ensemble of all of them.

    Args:
        make: Gives a new model for generation 0, 1, ...; generation 0 learns from the labels alone.
        generations: How many follow generation 0, at least 1.
        compile: Called with the model of generation 0 and with each later Distiller, to compile it.
        objectives: As a Distiller takes them; SoftTarget at temperature 1 by default, as in the paper.

    Raises:
        ValueError: For fewer than one generation.

    Source: born-again networks, Furlanello et al. 2018, section 3.
    """
    if generations < 1:
        raise ValueError(f"born_again: generations must be at least 1, got {generations}")
    first = make(0)
    compile(first)
    steps = [Step(first, _fit(first, x, y, fit))]
    for generation in range(1, generations + 1):
        chosen = objectives or [SoftTarget(1.0)]
        steps.append(_distilled(steps[-1].model, make(generation), x, y, compile, chosen, hard_weight, fit))
    return steps, Ensemble([step.model for step in steps])


def hint_then_distil(
    teacher: keras.Model,
    student: keras.Model,
    x: Any,
    y: Any = None,
    *,
    teacher_layer: str,
    student_layer: str,
    compile: Compile,
    hint_epochs: int,
    objectives: Any = None,
    hard_weight: float = 0.1,
    **fit: Any,
) -> tuple[Step, Step]:
    """Two stages: lead the student's guided layer to the teacher's hint layer, then distil the whole.

    The first stage trains the student up to its guided layer with a Hint alone, weighted by one over the number of features.

    Source: FitNets, Romero et al. 2015, algorithm 1.
    """
    hinted = find_layer(teacher, teacher_layer).output.shape
    features = 1
    for size in hinted[1:]:
        features *= size or 1
    lower = keras.Model(
        student.inputs, find_layer(student, student_layer).output, name=f"{student.name}_to_{student_layer}"
    )
    upper = keras.Model(
        teacher.inputs, find_layer(teacher, teacher_layer).output, name=f"{teacher.name}_to_{teacher_layer}"
    )
    first = _distilled(upper, lower, x, None, compile, [Hint(1.0 / features)], 0.0, {**fit, "epochs": hint_epochs})
    second = _distilled(teacher, student, x, y, compile, objectives, hard_weight, fit)
    return Step(student, first.history), second


def _distilled(
    teacher: keras.Model,
    student: keras.Model,
    x: Any,
    y: Any,
    compile: Compile,
    objectives: Any,
    hard_weight: float,
    fit: dict[str, Any],
) -> Step:
    distiller = Distiller(teacher, student, objectives or SoftTarget(4.0), hard_weight=hard_weight)
    compile(distiller)
    return Step(student, _fit(distiller, x, y, fit))


def _fit(model: keras.Model, x: Any, y: Any, fit: dict[str, Any]) -> dict[str, list[float]]:
    return {name: [float(v) for v in values] for name, values in model.fit(x, y, **fit).history.items()}
