"""Labels and sample weights of one of a student's outputs, as Keras takes them: by key, by name or by position."""

from __future__ import annotations

from typing import Any, TypeGuard

import keras
from keras import ops

from keras_kd.objectives.base import IgnoredClass
from keras_kd.types import Compiled, LayerName, Structure, Tensor


def output_number(student: keras.Model, layer: LayerName) -> int | None:
    """Which of a student's outputs a layer makes, counted as `keras.tree.flatten` does; None for one inside the model.

    `layer` is a name as objectives hold it, None for the only output, or a tuple of names.
    """
    outputs = getattr(student, "outputs", None) or []
    if layer is None:
        return 0
    if isinstance(layer, tuple):
        return None
    made_by = [output._keras_history.operation.name for output in outputs]
    return made_by.index(layer) if made_by.count(layer) == 1 else None


def labels_of(y: Structure | None, student: keras.Model, number: int | None) -> Any:
    """The labels that belong to one output; all of them for a layer inside the model."""
    return y if number is None or not keras.tree.is_nested(y) else _part(y, student, number, "y")


def weights_of(sample_weight: Structure | None, student: keras.Model, number: int | None) -> Any:
    """The sample weights of one output; for a layer inside the model, which serves all outputs, their mean by example."""
    if not keras.tree.is_nested(sample_weight):
        return sample_weight
    if number is not None:
        return _part(sample_weight, student, number, "sample_weight")
    given = [ops.cast(part, "float32") for part in keras.tree.flatten(sample_weight) if part is not None]
    by_example = [ops.mean(ops.reshape(part, (ops.shape(part)[0], -1)), axis=-1) for part in given]
    return sum(by_example[1:], by_example[0]) / len(by_example) if by_example else None


def by_place(values: Structure | None, student: keras.Model, outputs: Structure, what: str) -> Any:
    """Labels or weights by name as a list in the order of the outputs, where the outputs are a list; others as they are.

    Keras sorts the names of such a dict, or looks positions up in it, so one output's labels would go to another's loss.
    """
    if not isinstance(values, dict) or not isinstance(outputs, list | tuple):
        return values
    return [_part(values, student, number, what) for number in range(len(outputs))]


def hard_weights(loss: Compiled, y: Structure | None, outputs: Structure, sample_weight: Structure | None) -> Any:
    """Sample weights for Keras's compiled loss, so that weights of examples apply to examples.

    Keras broadcasts (batch,) against the last axis of a loss of (batch, steps). That fails, or where both sizes agree, applies
    the weights to steps. Weights of fewer axes than the loss's values therefore get trailing axes of length 1.
    """
    if sample_weight is None or not _is_single(sample_weight):
        return sample_weight
    if _is_single(outputs):
        return _as_examples(loss, y, outputs, sample_weight)
    flat = keras.tree.flatten(outputs)
    losses, labels = (_by_output(part, outputs) for part in (loss, y))
    shaped = [_as_examples(*parts, sample_weight) for parts in zip(losses, labels, flat)]
    changed = any(weights is not sample_weight for weights in shaped)
    return keras.tree.pack_sequence_as(outputs, shaped) if changed else sample_weight


def output_layer(model: keras.Model, key: str) -> str:
    """Name of the layer that makes the output which a key, an output's name or a layer's name means.

    Raises:
        ValueError: If no output has that name.
    """
    keys = _keys(model)
    for number, names in enumerate(keys):
        if key in names:
            return model.outputs[number]._keras_history.operation.name
    known = ", ".join(repr(names[0]) for names in keys) or "without names"
    raise ValueError(f"objectives for the output {key!r}; the outputs of {model.name!r} are {known}")


def ignored_class(
    given: IgnoredClass, loss: Compiled, model: keras.Model, number: int | None, y: Tensor | None
) -> int | None:
    """The label that an objective on an output leaves out: its own, or the compiled loss's where labels have positions."""
    if given != "loss":
        return given
    if y is None or keras.tree.is_nested(y) or len(y.shape) < 2 or (len(y.shape) == 2 and y.shape[-1] == 1):
        return None
    if isinstance(loss, (dict, list, tuple)):
        loss = None if number is None else _part(loss, model, number, "loss")
    return getattr(loss, "ignore_class", None)


def _is_single(values: Structure) -> TypeGuard[Tensor]:
    """Whether values are one tensor or array."""
    return not keras.tree.is_nested(values)


def _as_examples(loss: Compiled, y: Structure | None, output: Tensor, weights: Tensor) -> Tensor:
    """Weights with as many axes as the values of a loss."""
    if len(weights.shape) >= len(output.shape) - 1:
        return weights
    missing = _rank_of_values(loss, y, output) - len(weights.shape)
    return ops.reshape(weights, (*ops.shape(weights), *(1 for _ in range(missing)))) if missing > 0 else weights


def _rank_of_values(loss: Compiled, y: Structure | None, output: Tensor) -> int:
    """Number of axes of a loss before it is averaged: from calling the loss, else all but the last of the output's."""
    function = keras.losses.get(loss) if isinstance(loss, str) else loss
    function = getattr(function, "call", function)
    if not callable(function) or y is None:
        return len(output.shape) - 1
    return len(function(y, output).shape)


def _by_output(values: Structure | Compiled, outputs: Structure) -> list[Any]:
    """One value per output where the structures agree, else None for each."""
    try:
        keras.tree.assert_same_structure(values, outputs)
    except (ValueError, TypeError):
        return [None] * len(keras.tree.flatten(outputs))
    return keras.tree.flatten(values)


def _part(values: Structure | None, student: keras.Model, number: int, what: str) -> Any:
    """One output's part of a dict, list or tuple; None where a dict has none for it."""
    keys = _keys(student)
    if isinstance(values, dict):
        known = [key for key in (keys[number] if number < len(keys) else ()) if key in values]
        if not known and not any(key in values for names in keys for key in names):
            raise ValueError(
                f"{what} has the keys {', '.join(map(repr, values))}; the outputs of {student.name!r} are "
                f"{', '.join(repr(names[0]) for names in keys) or 'without names'}"
            )
        return values[known[0]] if known else None
    flat = keras.tree.flatten(values)
    if number >= len(flat):
        raise ValueError(f"{what} has {len(flat)} parts for the {max(1, len(keys))} outputs of {student.name!r}")
    return flat[number]


def _keys(student: keras.Model) -> list[tuple[str, ...]]:
    """By output, the keys that may mean it: the key of a dict of outputs, and the output's name."""
    outputs = getattr(student, "outputs", None) or []
    names = list(getattr(student, "output_names", None) or [])
    structure = student.output if isinstance(getattr(student, "output", None), dict) else None
    order = list(structure) if structure is not None and len(structure) == len(outputs) else []
    # The keys in the order in which the outputs are flattened.
    order = [order[place] for place in keras.tree.flatten({key: place for place, key in enumerate(order)})]
    made_by = [output._keras_history.operation.name for output in outputs]
    return [
        tuple(dict.fromkeys(str(given[n]) for given in (order, names, made_by) if n < len(given)))
        for n in range(len(outputs))
    ]
