"""What a config lets the student learn from its teacher, as a recipe of `keras_kd`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from keras_kd import SoftTarget, recipes
from keras_kd.objectives.logits import OnActivations
from micro.config import AUTO, OF_CLASSES, Config, DistillConfig, Task, with_candidate

if TYPE_CHECKING:
    from keras_kd import Supplied

# Classes of the objectives that a config may name by a word.
WORDS = {
    "soft_target": "SoftTarget",
    "logit_matching": "LogitMatching",
    "reconstruction": "Reconstruction",
    "score_matching": "ScoreMatching",
    "output_matching": "LogitMatching",
    "teacher_bounded": "TeacherBounded",
}


def recipe_of(
    config: Config, teacher: keras.Model | Supplied, student: keras.Model, steps_per_epoch: int
) -> recipes.Recipe:
    """The recipe of a config for two models.

    Args:
        teacher: Its model, or its recorded outputs.
        student: The model to train.
        steps_per_epoch: Batches an epoch, by which a recipe's warm-up is counted.

    Raises:
        ValueError: For an unknown recipe, class or argument, and for what does not fit the models.
    """
    distill = config.distill
    try:
        if distill.recipe is not None:
            made = _published(distill, teacher, student, steps_per_epoch, config.student.epochs)
        else:
            made = _own(distill)
        if config.task == "multilabel":
            made = _of_labels(made)
        _require_classes(made, config.task)
        if distill.recipe is None:
            made.distiller(teacher, student)
        return made
    except ValueError as error:
        raise ValueError(f"distill: {error}") from None


def candidates_of(config: Config) -> tuple[Config, ...]:
    """The config with each recipe that it may be trained by: one, or the candidates of "auto"."""
    if config.distill.recipe != AUTO:
        return (config,)
    return tuple(with_candidate(config, name) for name in config.distill.candidates)


def on_outputs(recipe: recipes.Recipe) -> recipes.Recipe | None:
    """A recipe's objectives on outputs alone, which suit any model of the same outputs; None where it has none."""
    kept = tuple(
        term for term in recipe.terms if not any(term.arguments.get(f"{side}_layer") for side in ("teacher", "student"))
    )
    return recipe.changed(terms=kept) if kept else None


def _require_classes(recipe: recipes.Recipe, task: Task) -> None:
    """ValueError for what compares class probabilities where outputs are none: features reconstructed, or a number."""
    if task in OF_CLASSES or task == "multilabel":
        return
    for term in recipe.terms:
        layers = any(term.arguments.get(f"{side}_layer") for side in ("teacher", "student"))
        if not layers and isinstance(term.made(), OnActivations):
            takes = "reconstruction" if task == "anomaly" else "output_matching or teacher_bounded"
            raise ValueError(
                f"{term.objective} compares probabilities of classes, and task {task!r} has none; take objective {takes}, or "
                "[[distill.objectives]] that compare layers"
            )


def _of_labels(recipe: recipes.Recipe) -> recipes.Recipe:
    """A recipe whose soft targets compare each label by itself, as a yes or no.

    Raises:
        ValueError: For what compares outputs of which one holds at a time, or takes each example's class.
    """
    terms = []
    for term in recipe.terms:
        layers = any(term.arguments.get(f"{side}_layer") for side in ("teacher", "student"))
        made = term.made()
        of_classes = isinstance(made, OnActivations) and not layers
        if made.needs_labels or (of_classes and not isinstance(made, SoftTarget)):
            raise ValueError(
                f"{term.objective} is of classes, of which an example has one, and task 'multilabel' has several labels at "
                "once; take objective soft_target or logit_matching, or [[distill.objectives]] that compare layers"
            )
        if of_classes and isinstance(made, SoftTarget):
            if made.standardize:
                raise ValueError("logits of independent labels cannot be standardized; take recipe 'kd'")
            term = term.changed(form="bernoulli")
        terms.append(term)
    return recipe.changed(terms=tuple(terms))


def _published(
    distill: DistillConfig, teacher: keras.Model | Supplied, student: keras.Model, steps_per_epoch: int, epochs: int
) -> recipes.Recipe:
    assert distill.recipe is not None
    changes: dict[str, Any] = {
        name: value for name in ("temperature", "weight") if (value := getattr(distill, name)) is not None
    }
    return recipes.recipe(
        distill.recipe,
        teacher,
        student,
        steps_per_epoch=steps_per_epoch,
        epochs=max(1, epochs),
        layers=distill.layers or None,
        hard_weight=distill.hard_weight,
        **changes,
    )


def _own(distill: DistillConfig) -> recipes.Recipe:
    """The objectives that a config spells out, or names by a word."""
    if distill.objectives:
        tables = [dict(each) for each in distill.objectives]
        terms = tuple(recipes.Term(table.pop("class"), table) for table in tables)
        return recipes.Recipe("own", terms, 1.0 if distill.hard_weight is None else distill.hard_weight)
    assert distill.objective is not None
    assert distill.weight is not None
    assert distill.hard_weight is not None
    arguments: dict[str, Any] = {"weight": distill.weight}
    if distill.objective == "soft_target":
        arguments["temperature"] = distill.temperature
    return recipes.Recipe(distill.objective, (recipes.Term(WORDS[distill.objective], arguments),), distill.hard_weight)
