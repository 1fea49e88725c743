"""What to begin with: a recipe for two models and their data, with the reasons and what stands in the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_kd.checks import require_number
from keras_kd.layers import Tap, activation_of
from keras_kd.objectives.logits import to_logits
from keras_kd.recipes.making import recipe
from keras_kd.recipes.measuring import HARD, batches_of, measured
from keras_kd.recipes.plan import Recipe
from keras_kd.types import Structure

# A teacher whose mean highest probability on training data is above this says little besides the label.
SATURATED = 0.99
# Ratios to the student, of weights and of the standard deviation of logits, beyond which a teacher is far from it.
FAR, SPREAD = 20.0, 3.0
# The most examples that are looked at.
MOST = 2048


@dataclass(frozen=True)
class Advice:
    """What `advise` recommends; printed, a short text.

    `recipe` is what to begin with, `alternatives` are recipes that teach between these models too, best first; `reasons` and
    `warnings` are sentences.

    Examples:
        >>> net = lambda units: keras.Sequential([keras.Input((4,)), keras.layers.Dense(units), keras.layers.Dense(2)])
        >>> advice = keras_kd.advise(net(32), net(4), np.random.default_rng(0).normal(size=(64, 4)), np.arange(64) % 2)
        >>> advice.recipe.name, "kd_standardized" in [other.name for other in advice.alternatives]
        ('kd', False)
    """

    recipe: Recipe
    alternatives: tuple[Recipe, ...]
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"Begin with {self.recipe}"]
        lines += [f"Because {each[0].lower()}{each[1:]}" for each in self.reasons]
        lines += [f"Warning: {each}" for each in self.warnings]
        return "\n".join([*lines, f"Then try {', '.join(each.name for each in self.alternatives) or 'nothing else'}."])


@dataclass(frozen=True)
class _Seen:
    """What was found out about models and data; None where it could not be."""

    kind: str
    classes: int | None
    labels: int | None
    labeled: float
    best: float | None
    spread: float | None
    times: float
    scores: tuple[float, float] | None
    constant: tuple[str, ...]


def advise(
    teacher: keras.Model,
    student: keras.Model,
    x: Structure,
    y: Structure | None = None,
    *,
    validation: tuple[Structure, Structure] | None = None,
    unlabeled: int = 0,
    steps_per_epoch: int | None = None,
    epochs: int | None = None,
    batch_size: int = 32,
) -> Advice:
    """Recommend a recipe for two models and their data, and say why.

    Looks at the number of classes, the outputs' activations, the models' sizes and layers, the fraction of labels, how sure the
    teacher is on the training data, how far its logits spread, and on validation data at how much better it is. Every recipe
    that is named was made for these models and has a gradient in the student on a batch of these data. The rules are rules of
    thumb from what the methods were made for; `keras_kd.compare` decides. Nothing is trained or changed.

    Args:
        teacher: Trained, with the student's inputs.
        student: Best trained briefly on labels, so that the gap can be judged; built.
        x: Training inputs; at most 2,048 of them are looked at.
        y: Their labels, integers, one-hot or values; None if there are none.
        validation: (x, y), on which both models are judged.
        unlabeled: How many more inputs there are without labels, at least 0.
        steps_per_epoch: As for `recipe`.
        epochs: As for `recipe`.
        batch_size: Of the batch on which gradients are measured, at least 2.

    Returns:
        The recommended recipe, alternatives, reasons and warnings.

    Raises:
        ValueError: Where no recipe can teach anything between these models on these data, with what was tried.

    Examples:
        >>> net = lambda units: keras.Sequential([keras.Input((4,)), keras.layers.Dense(units), keras.layers.Dense(3)])
        >>> x, y = np.random.default_rng(0).normal(size=(64, 4)), np.arange(64) % 3
        >>> advice = keras_kd.advise(net(32), net(4), x, y, unlabeled=640)
        >>> advice.recipe.name
        'kd'
        >>> print(advice.reasons[0])
        9 % of the inputs have labels: soft targets teach on all of them.
    """
    _require(teacher, student, unlabeled, batch_size)
    seen = _look(teacher, student, x, y, validation, unlabeled)
    order, reasons, warnings = _order(seen)
    made: list[Recipe] = []
    refused: list[str] = []
    for name, changes in order:
        try:
            found = recipe(name, teacher, student, steps_per_epoch=steps_per_epoch, epochs=epochs, **changes)
            _require_lesson(found, teacher, student, x, y, batch_size)
            made.append(found)
        except ValueError as error:
            refused.append(str(error))
    if not made:
        raise ValueError(f"no recipe can teach anything here; tried: {'; '.join(refused)}")
    if made[0].name != order[0][0]:
        reasons = [*reasons, f"What would come first is refused here: {refused[0]}."]
    if made[0].note:
        reasons = [*reasons, f"The recipe differs from the published one: {made[0].note}."]
    return Advice(made[0], tuple(made[1:]), tuple(reasons), tuple(warnings))


def _require(teacher: object, student: object, unlabeled: int, batch_size: int) -> None:
    for model, who in ((teacher, "teacher"), (student, "student")):
        if not isinstance(model, keras.Model):
            raise ValueError(f"advise looks into the {who}, a keras.Model, got {type(model).__name__}")
        if not model.built or len(getattr(model, "outputs", None) or [0]) != 1:
            raise ValueError(f"advise takes built models with one output; {who} {model.name!r} is none")
    require_number(unlabeled, "unlabeled", minimum=0.0)
    require_number(batch_size, "batch_size", minimum=2.0)


def _require_lesson(
    found: Recipe, teacher: keras.Model, student: keras.Model, x: Structure, y: Structure | None, batch_size: int
) -> None:
    """ValueError where an objective of a recipe needs labels that are not there, or has no gradient on a batch."""
    distiller = found.changed(warmup_steps=0).distiller(teacher, student)
    needing = [each.name for each in distiller.objectives if each.needs_labels]
    if needing and y is None:
        raise ValueError(f"recipe {found.name!r}: {needing[0]} needs labels")
    for name, size in measured(distiller, batches_of(x, y, batch_size, 1)).items():
        if name != HARD and not (np.isfinite(size.gradient) and size.gradient > 0):
            raise ValueError(f"recipe {found.name!r}: {name} has no gradient in the student on these data")


def _look(
    teacher: keras.Model,
    student: keras.Model,
    x: Structure,
    y: Structure | None,
    validation: tuple[Structure, Structure] | None,
    unlabeled: int,
) -> _Seen:
    count = len(keras.tree.flatten(x)[0])
    ((some, labels, _),) = batches_of(x, y, min(count, MOST), 1)
    outputs = [_predicted(model, some) for model in (teacher, student)]
    kind, classes, number = _kind(outputs[0].shape, activation_of(teacher), labels)
    best = spread = None
    if kind == "classes":
        logits = [_logits(model, given) for model, given in zip((teacher, student), outputs)]
        best = float(np.mean(np.max(ops.convert_to_numpy(ops.softmax(logits[0], axis=-1)), axis=-1)))
        deviations = [float(np.mean(np.std(each, axis=-1))) for each in logits]
        spread = deviations[0] / deviations[1] if deviations[1] > 0 else None
    scores = None
    if validation is not None:
        scores = tuple(_score(model, *validation, kind) for model in (teacher, student))
    labeled = 0.0 if y is None else count / (count + unlabeled)
    times = teacher.count_params() / max(1, student.count_params())
    return _Seen(kind, classes, number, labeled, best, spread, times, scores, _constant(teacher, student, some))  # type: ignore[arg-type]


def _kind(shape: tuple[int, ...], activation: str | None, labels: Any) -> tuple[str, int | None, int | None]:
    """'classes', 'flags' or 'values'; how many classes there are, and how many occur in the labels."""
    given = None if labels is None else np.asarray(ops.convert_to_numpy(labels))
    if activation == "sigmoid":
        return "flags", shape[-1], None if given is None else len(np.unique(given))
    if activation == "softmax" or (shape[-1] > 1 and _are_classes(given, shape)):
        one_hot = given is not None and given.shape == shape
        numbers = None if given is None else np.unique(np.argmax(given, axis=-1) if one_hot else given)
        return "classes", shape[-1], None if numbers is None else len(numbers)
    return "values", shape[-1], None


def _are_classes(labels: np.ndarray | None, shape: tuple[int, ...]) -> bool:
    """Whether labels are class numbers or one-hot; without labels linear outputs are taken for logits."""
    if labels is None:
        return True
    if labels.shape != shape and np.issubdtype(labels.dtype, np.number):
        # A label outside the classes, such as 255 or -1, marks what has none.
        labels = labels[(labels >= 0) & (labels < shape[-1])] if np.mean(labels == np.round(labels)) == 1 else labels
    if labels.shape == shape:
        return bool(np.all(np.isin(labels, (0, 1))) and np.all(labels.sum(axis=-1) == 1))
    return (
        bool(labels.size)
        and bool(np.all(labels == np.round(labels)))
        and bool(labels.min() >= 0)
        and bool(labels.max() < shape[-1])
    )


def _order(seen: _Seen) -> tuple[list[tuple[str, dict[str, Any]]], list[str], list[str]]:
    """Recipes in the order in which they are recommended, the reasons, and the warnings."""
    warnings = _warnings(seen)
    if seen.kind == "values":
        return (
            [(name, {}) for name in ("reconstruction", "fitnets")],
            [f"The model gives {seen.classes} value{'s' * (seen.classes != 1)}."],
            warnings,
        )
    if seen.kind == "flags":
        reason = f"The model gives {seen.classes} sigmoid{'s' * (seen.classes != 1)}: soft targets compare each as a yes or no."
        return [(name, {}) for name in ("kd", "fitnets", "at", "rkd")], [reason], warnings
    later = ["kd", "dist", "kd_standardized", "dkd", "at", "fitnets", "rkd", "sp"]
    first, changes, reason = _first(seen)
    names = [first, *(name for name in later if name != first)]
    if seen.labeled < 1:
        names = [name for name in names if name != "dkd"]
    return [(name, changes if name == first else {}) for name in names], [reason], warnings


def _first(seen: _Seen) -> tuple[str, dict[str, Any], str]:
    """The recipe to begin with for classes, changes to it, and why."""
    if seen.labeled < 1:
        labeled = (
            f"{seen.labeled:.0%}".replace("%", " %") + " of the inputs have labels"
            if seen.labeled
            else "No input has labels"
        )
        return "kd", {}, f"{labeled}: soft targets teach on all of them."
    if seen.classes == 2:
        return "kd", {}, "Two classes have one soft number an example, which kd compares as it is."
    if seen.best is not None and seen.best > SATURATED:
        reason = f"The teacher gives its most likely class {seen.best:.4f} on average: dkd weighs the others apart."
        return "dkd", {}, reason
    if seen.spread is not None and not 1 / SPREAD < seen.spread < SPREAD:
        reason = f"The teacher's logits spread {seen.spread:.2g} times as far as the student's: only their shape is compared."
        return "kd_standardized", {}, reason
    if seen.times > FAR:
        reason = (
            f"The teacher has {seen.times:.0f} times the student's weights: dist asks for the order of classes alone."
        )
        return "dist", {}, reason
    return "kd", {}, f"The teacher is within {FAR:g} times the student's size and not too sure: plain soft targets."


def _warnings(seen: _Seen) -> list[str]:
    found = []
    if seen.scores is not None and seen.scores[0] <= seen.scores[1]:
        what = "accuracy" if seen.kind != "values" else "negative mean squared error"
        found.append(
            f"the teacher is no better than the student on validation data, {seen.scores[0]:.4g} and {seen.scores[1]:.4g} "
            f"({what}): train it longer, make it larger or let it see more, before anything is distilled"
        )
    if seen.labels == 1:
        found.append("the labels are all of one class, and teach nothing")
    if seen.kind == "classes" and seen.classes == 2:
        found.append("with two classes soft targets hold one number an example: expect less of them than of features")
    if seen.best is not None and seen.best > SATURATED:
        found.append(
            f"the teacher is sure of nearly all training data ({seen.best:.4f} for its most likely class): raise the "
            "temperature, or let both see augmented inputs"
        )
    for layer in seen.constant:
        found.append(f"{layer} gives the same for all examples: a method that compares it teaches nothing")
    return found


def _constant(teacher: keras.Model, student: keras.Model, x: Any) -> tuple[str, ...]:
    """Layers that recipes would compare and whose features do not differ between examples."""
    found: dict[str, None] = {}
    compared: dict[str, dict[str, None]] = {"teacher": {}, "student": {}}
    for name in ("vid", "rkd"):
        try:
            pairs = recipe(name, teacher, student).layers
        except ValueError:
            continue
        for theirs, mine in pairs:
            compared["teacher"][theirs], compared["student"][mine] = None, None
    for (who, layers), model in zip(compared.items(), (teacher, student)):
        features = Tap(model, tuple(layers))(x, training=False).features if layers else {}
        for layer, values in features.items():
            array = ops.convert_to_numpy(values)
            if len(array) > 1 and float(np.max(np.ptp(array, axis=0))) <= 1e-6 * max(1.0, float(np.abs(array).max())):
                found[f"layer {layer!r} of the {who}"] = None
    return tuple(found)


def _predicted(model: keras.Model, x: Any) -> np.ndarray:
    outputs = model(x, training=False)
    flat = keras.tree.flatten(outputs)
    return np.asarray(ops.convert_to_numpy(flat[0]), np.float32)


def _logits(model: keras.Model, outputs: np.ndarray) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(to_logits(ops.convert_to_tensor(outputs), activation_of(model))))


def _score(model: keras.Model, x: Structure, y: Structure, kind: str) -> float:
    """Accuracy, or for values the mean squared error with its sign turned, so that more is better."""
    parts = [(_predicted(model, a), np.asarray(ops.convert_to_numpy(b))) for a, b, _ in batches_of(x, y, 256, 10**6)]
    outputs, labels = (np.concatenate([part[n] for part in parts]) for n in (0, 1))
    if kind == "values":
        return -float(np.mean(np.square(outputs - labels.reshape(outputs.shape))))
    if kind == "flags":
        return float(np.mean((outputs > 0.5) == (labels.reshape(outputs.shape) > 0.5)))
    numbers = np.argmax(labels, axis=-1) if labels.shape == outputs.shape else labels.reshape(outputs.shape[:-1])
    return float(np.mean(np.argmax(outputs, axis=-1) == numbers))
