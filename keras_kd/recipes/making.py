"""From the name of a published method and two models to its recipe."""

from __future__ import annotations

import difflib
import math
import warnings
from collections.abc import Sequence
from typing import Any, TypeAlias

import keras

from keras_kd.checks import require_number
from keras_kd.layers import Tap, activation_of, name_of
from keras_kd.objectives.base import Objective
from keras_kd.pairing import by_output, captured_shapes, named_layers, prepare, side, supplied_shapes
from keras_kd.recipes.plan import Recipe
from keras_kd.recipes.published import FITS, PUBLISHED, Method, Part, Task
from keras_kd.recipes.stages import has_graph, last_block, penultimate, stage_pairs, stages
from keras_kd.recipes.terms import Argument, Term, arguments_of, class_of
from keras_kd.supplied import Supplied, Teacher
from keras_kd.types import LayerName, LayerRef, Shape

Layers: TypeAlias = "Sequence[tuple[LayerRef, LayerRef]] | None"
"""Pairs of layers (teacher, student), or None to have them chosen."""


def recipe(
    name: str,
    teacher: Teacher,
    student: keras.Model,
    *,
    steps_per_epoch: int | None = None,
    epochs: int | None = None,
    layers: Layers = None,
    hard_weight: float | None = None,
    **changes: Argument,
) -> Recipe:
    """The recipe of a published method for two models: its objectives, layer pairs, weights and warm-up as published.

    Layers are chosen from the models' graphs. Methods on features take the last layer before each change of resolution, or
    where it never changes the end of each block, paired from the end by relative depth; methods on relations take the input of
    the last layer with weights. A part that could teach nothing between these models, as one on the classes that are not true
    where there are two, is left out and the recipe's note says so; where nothing is left, the recipe is refused.

    Args:
        name: One of `keras_kd.recipes.names()`.
        teacher: Its model, or a Supplied teacher such as a recording; for layers of a recording pass `layers`.
        student: The model to train, built.
        steps_per_epoch: Batches an epoch, at least 1, for methods with a warm-up; None for no warm-up.
        epochs: How long the student is trained, at least 1. A warm-up then takes the same fraction of it as in the source; None
            for as many epochs as there.
        layers: Pairs (teacher's layer, student's layer), given as objectives take them, in place of those chosen.
        hard_weight: In place of the published one.
        changes: Arguments of the objectives in place of the published ones, such as `temperature` or `weight`.

    Raises:
        ValueError: For an unknown name or argument, models of which no layers can be chosen, or a method that can teach
            nothing between them.

    Examples:
        >>> net = lambda units: keras.Sequential(
        ...     [keras.Input((8,)), keras.layers.Dense(units, name="body"), keras.layers.Dense(3)])
        >>> print(keras_kd.recipes.recipe("rkd", net(32), net(4)))
        rkd: hard_weight 1
          RelationalDistance(weight=25) on body -> body
          RelationalAngle(weight=50) on body -> body
          source: Park et al. 2019, https://arxiv.org/abs/1904.05068; weights of RepDistiller and mdistiller, CIFAR-100
    """
    method = method_of(name)
    _require_known(name, method, changes)
    try:
        terms, notes = _terms(method, teacher, student, layers, changes)
    except ValueError as error:
        raise ValueError(f"recipe {name!r}: {error}") from None
    warmup = 0
    if method.warmup_epochs:
        if steps_per_epoch is None:
            notes.append("no warm-up, for which steps_per_epoch would be needed")
        else:
            warmup = _warmup(method, steps_per_epoch, epochs)
    hard = method.hard_weight if hard_weight is None else hard_weight
    return Recipe(name, tuple(terms), hard, warmup, method.source, "; ".join(notes))


def names() -> tuple[str, ...]:
    """Names of all published methods that `recipe` knows.

    Examples:
        >>> keras_kd.recipes.names()[:4]
        ('kd', 'kd_standardized', 'dkd', 'dist')
    """
    return tuple(PUBLISHED)


def method_of(name: str) -> Method:
    """The published method of that name; ValueError with the nearest names if there is none."""
    if name not in PUBLISHED:
        near = difflib.get_close_matches(str(name), PUBLISHED, n=3, cutoff=0.5) or list(PUBLISHED)
        raise ValueError(
            f"there is no recipe {name!r}; {'nearest' if len(near) < 4 else 'there are'}: {', '.join(near)}"
        )
    return PUBLISHED[name]


def _require_known(name: str, method: Method, changes: dict[str, Argument]) -> None:
    accepted = [
        key for part in method.parts for key in arguments_of(class_of(part.objective)) if key not in NOT_CHANGED
    ]
    for key in changes:
        if key not in accepted:
            raise ValueError(
                f"recipe {name!r} has no argument {key!r}; it takes hard_weight, layers, {', '.join(dict.fromkeys(accepted))}"
            )


NOT_CHANGED = ("name", "teacher_layer", "student_layer")


def _terms(
    method: Method, teacher: Teacher, student: keras.Model, layers: Layers, changes: dict[str, Argument]
) -> tuple[list[Term], list[str]]:
    """A method's objectives for two models, and what is to be said of them."""
    task = task_of(student)
    notes = [method.note] if method.note else []
    terms = []
    for part in method.parts:
        own = {key: value for key, value in changes.items() if key in arguments_of(class_of(part.objective))}
        arguments, note = {**part.arguments, **own}, ""
        if part.objective in FITS:
            arguments, note = FITS[part.objective](arguments, task)
        notes += [note] if note and note not in notes else []
        found, left_out = _on_layers(part, arguments, teacher, student, layers)
        terms += found
        notes += [each for each in left_out if each not in notes]
    return terms, notes


def _on_layers(
    part: Part, arguments: dict[str, Argument], teacher: Teacher, student: keras.Model, layers: Layers
) -> tuple[list[Term], list[str]]:
    """A part on each of its pairs of layers that it can compare, and why others are left out."""
    terms, errors = [], []
    for theirs, mine in pairs_of(part.where, teacher, student, layers):
        named = {} if theirs is mine is None else {"teacher_layer": theirs, "student_layer": mine}
        try:
            term = Term(part.objective, {"weight": part.weight, **arguments, **named})
            shapes = _compared(term, teacher, student)
            terms.append(_weighted(term, part, arguments, shapes))
        except ValueError as error:
            errors.append((theirs, mine, str(error)))
    if not terms:
        raise ValueError(errors[0][-1])
    return terms, [f"{theirs} and {mine} are left out: {error}" for theirs, mine, error in errors]


def _weighted(term: Term, part: Part, arguments: dict[str, Argument], shapes: tuple[Shape, Shape]) -> Term:
    """A term whose weight is divided by the number of positions that it compares, where its part says so."""
    if not part.per_position or "weight" in arguments:
        return term
    sizes = [min(pair) for pair in zip(*(shape[1:-1] for shape in shapes)) if None not in pair]
    if len(sizes) < len(shapes[0]) - 2:
        raise ValueError(
            "the positions of the maps are not known, by which the published weight is divided; pass weight"
        )
    return term.changed(weight=part.weight / math.prod(sizes))


def pairs_of(where: str, teacher: Teacher, student: keras.Model, layers: Layers) -> list[tuple[Any, Any]]:
    """The pairs of layers that a part compares, as names.

    Raises:
        ValueError: Where there are none.
    """
    if where == "outputs":
        if layers is not None:
            raise ValueError("compares the models' outputs and takes no layers")
        return [(None, None)]
    given = layers is not None
    chosen = [_named(pair, teacher, student) for pair in layers or ()] if given else _chosen(where, teacher, student)
    if not chosen:
        raise ValueError(
            f"no layers to compare are found in {_described(teacher)} and {_described(student)}; "
            "pass layers=[(teacher's layer, student's layer), ...]"
        )
    if where == "stage lists":
        return [(tuple(pair[0] for pair in chosen), tuple(pair[1] for pair in chosen))]
    return chosen


def _chosen(where: str, teacher: Teacher, student: keras.Model) -> list[tuple[str, str]]:
    if not isinstance(teacher, keras.Model) or not has_graph(teacher) or not has_graph(student):
        return []
    if where in ("penultimate", "last"):
        found = penultimate if where == "penultimate" else last_block
        theirs, mine = found(teacher), found(student)
        return [(theirs, mine)] if theirs is not None and mine is not None else []
    pairs = stage_pairs(teacher, student)
    if where == "last stage":
        return pairs[-1:]
    return pairs[len(pairs) // 2 :][:1] if where == "middle" else pairs


def _named(pair: tuple[LayerRef, LayerRef], teacher: Teacher, student: keras.Model) -> tuple[str, str]:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise ValueError(f"layers must be pairs (teacher's layer, student's layer), got {pair!r}")
    theirs = pair[0] if isinstance(teacher, Supplied) else name_of(teacher, pair[0])
    return str(theirs), name_of(student, pair[1])


def _described(model: Teacher) -> str:
    if not isinstance(model, keras.Model):
        return f"the {type(model).__name__}"
    if not has_graph(model):
        return f"{model.name!r}, which shows no graph of its layers"
    maps, vectors = stages(model)
    found = ", ".join(f"{place.path} {place.shape[1:]}" for place in (*maps, *vectors))
    return f"{model.name!r} (blocks: {found or 'none before the last'})"


def _compared(term: Term, teacher: Teacher, student: keras.Model) -> tuple[Any, Any]:
    """Shapes of what a term compares, checked by its objective; its own warnings are the recipe's to give."""
    shapes: tuple[Any, Any] = ((), ())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for objective in by_output(term.made(), teacher, student):
            objective = prepare(objective, teacher, student)
            shapes = _shapes(objective, teacher, student)
            objective.check(*shapes)
    return shapes


def _shapes(objective: Objective, teacher: Teacher, student: keras.Model) -> tuple[Any, Any]:
    """Shapes of what an objective compares on both sides."""
    return _shape(teacher, objective.teacher_layer), _shape(student, objective.student_layer)


def _shape(model: Teacher, layer: LayerName) -> Any:
    if isinstance(model, Supplied):
        return side(supplied_shapes(model), layer)
    captured = captured_shapes(Tap(model, named_layers([layer])), None)
    if captured is None:
        raise ValueError(f"the shapes of {model.name!r} are not known: build it by calling it on a batch first")
    return side(captured, layer)


def task_of(student: keras.Model) -> Task:
    """What the student's output is; nothing is known of several."""
    outputs = list(getattr(student, "outputs", None) or [])
    return Task(outputs[0].shape[-1], activation_of(student)) if len(outputs) == 1 else Task(None, None)


def _warmup(method: Method, steps_per_epoch: int, epochs: int | None) -> int:
    per_epoch = require_number(steps_per_epoch, "steps_per_epoch", minimum=1.0)
    if epochs is None:
        return round(method.warmup_epochs * per_epoch)
    fraction = require_number(epochs, "epochs", minimum=1.0) / method.of_epochs
    return max(1, round(method.warmup_epochs * min(1.0, fraction) * per_epoch))
