"""Smaller models of a teacher's architecture."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import Any

import keras

from keras_kd.checks import require_number
from keras_kd.layers import children_of, functional
from keras_kd.types import Structure

# What layers call their width in their configs.
WIDTHS = ("units", "filters", "output_dim", "key_dim", "value_dim", "head_dim")


def derive(teacher: keras.Model, width: float = 1.0, depth: float = 1.0, *, name: str = "student") -> keras.Model:
    """A student with the teacher's layers, but narrower and with fewer repeats, for the same inputs and outputs.

    Dense units, convolution filters, recurrent units, embedding and attention widths are multiplied by `width` and rounded up,
    except in the layers that determine the size of the outputs. This includes layers inside others: those that
    TimeDistributed, Bidirectional and RNN wrap, and those of nested models. Where layers or groups of layers with the same
    configuration follow each other and keep their shape, a fraction `depth` of them stays, at least one. Weights are copied
    where all shapes of a layer agree; other layers get new weights.

    Args:
        teacher: A built Functional or Sequential model.
        width: Fraction of each width, in (0, 1].
        depth: Fraction of the repeated layers, in (0, 1].
        name: Of the student.

    Returns:
        A Functional model, built and not trained.

    Raises:
        ValueError: For a model without a graph, numbers out of range, a depth below 1 where layers branch or nothing
            repeats, or layers whose sizes depend on each other so that the narrower ones do not fit together.

    Examples:
        >>> layers = [keras.layers.Dense(32, activation="relu") for _ in range(4)]
        >>> teacher = keras.Sequential([keras.Input((8,)), *layers, keras.layers.Dense(3)])
        >>> student = keras_kd.students.derive(teacher, width=0.25, depth=0.5)
        >>> [layer.units for layer in student.layers[1:]]
        [8, 8, 3]
    """
    require_number(width, "derive: width", above=0.0, maximum=1.0)
    require_number(depth, "derive: depth", above=0.0, maximum=1.0)
    if not getattr(teacher, "inputs", None):
        raise ValueError(f"derive: {teacher.name!r} is no Functional or Sequential model with known inputs")
    dropped = _surplus(teacher, depth) if depth < 1 else set()
    student = _narrower(teacher, width, dropped, keep_outputs=True)
    given = [tuple(output.shape) for output in student.outputs]
    wanted = [tuple(output.shape) for output in teacher.outputs]
    if given != wanted:
        raise ValueError(f"derive: {teacher.name!r} gives {wanted}, narrower it would give {given}; leave width at 1")
    student = keras.Model(student.inputs[0] if len(student.inputs) == 1 else student.input, student.output, name=name)
    _copy_weights(teacher, student)
    return student


def _narrower(
    model: keras.Model, width: float, dropped: set[str], *, keep_outputs: bool, inputs: Structure | None = None
) -> keras.Model:
    """A narrower copy of a Functional or Sequential model, on inputs of other shapes where those are given."""
    graph = functional(model)
    kept = _sizing(graph) if keep_outputs else set()
    made: dict[int, keras.Layer] = {}

    def called(layer: keras.Layer, *args: Structure, **kwargs: object) -> Any:
        if layer.name in dropped:
            return args[0]
        if id(layer) not in made:
            made[id(layer)] = _smaller(layer, width, keep=id(layer) in kept, inputs=args[0] if args else None)
        try:
            return made[id(layer)](*args, **kwargs)
        except Exception as error:
            shapes = ", ".join(str(tuple(part.shape)) for part in keras.tree.flatten(args) if hasattr(part, "shape"))
            reason = _reason(error)
            raise ValueError(
                f"derive: layer {layer.name!r} ({type(layer).__name__}) does not fit behind narrower layers, which give "
                f"{shapes}: {reason}; leave width at 1, or write the student by hand"
            ) from None

    # Layers are made where they are called, when the shapes that reach them are known: nested models are built on those.
    return keras.models.clone_model(
        graph, input_tensors=inputs, clone_function=lambda layer: layer, call_function=called
    )


def _smaller(layer: keras.Layer, width: float, *, keep: bool, inputs: Structure | None) -> keras.Layer:
    """A new layer with its width, and those of all layers inside it, multiplied; `keep` keeps the size of its output."""
    if isinstance(layer, keras.Model) and getattr(layer, "inputs", None):
        shaped = keras.tree.map_structure(
            lambda own, given: keras.Input(batch_shape=given.shape, dtype=own.dtype, name=own.name),
            layer.inputs[0] if len(layer.inputs) == 1 else layer.input,
            inputs,
        )
        return _narrower(layer, width, set(), keep_outputs=keep, inputs=shaped)
    config = layer.get_config()
    inner = getattr(layer, "layer", None)
    if isinstance(layer, keras.layers.TimeDistributed) and isinstance(inner, keras.Model):
        sequence = keras.tree.flatten(inputs)[0]
        step = keras.KerasTensor((sequence.shape[0], *sequence.shape[2:]), dtype=sequence.dtype)
        return type(layer)(_smaller(inner, width, keep=keep, inputs=step), name=layer.name)
    return type(layer).from_config(_multiplied(config, 1.0 if keep else width))


def _multiplied(config: object, width: float) -> Any:
    """A layer's configuration with all widths in it multiplied, including those of layers that it wraps.

    The shapes that wrapped layers were built for are left out, because they no longer hold.
    """
    if isinstance(config, dict):
        config = {key: value for key, value in config.items() if key != "build_config"}
        return {
            key: max(1, math.ceil(value * width))
            if key in WIDTHS and isinstance(value, int) and not isinstance(value, bool)
            else _multiplied(value, width)
            for key, value in config.items()
        }
    return [_multiplied(value, width) for value in config] if isinstance(config, list) else config


def _reason(error: Exception) -> str:
    """The sentence of a Keras error that says what is wrong, without location, escape codes and arguments."""
    parts = [part.strip() for part in re.sub(r"\x1b\[\d+m", "", str(error)).split("\n\n") if part.strip()]
    reasons = [part for part in parts if not part.startswith(("Exception encountered", "Arguments received"))]
    return (reasons or parts or [type(error).__name__])[0].split("\n")[0].rstrip(".")


def _sizing(model: keras.Model) -> set[int]:
    """Ids of the layers that determine the size of a model's outputs: the last ones with a width, whatever follows them."""
    sizing: set[int] = set()
    waiting, seen = [output._keras_history.operation for output in model.outputs], set()
    while waiting:
        operation = waiting.pop()
        if id(operation) in seen:
            continue
        seen.add(id(operation))
        if isinstance(operation, keras.Layer) and _has_width(operation):
            sizing.add(id(operation))
            continue
        for node in operation._inbound_nodes:
            waiting += [tensor._keras_history.operation for tensor in node.input_tensors]
    return sizing


def _has_width(layer: keras.Layer) -> bool:
    config = layer.get_config() if not isinstance(layer, keras.Model) else {}
    return any(isinstance(config.get(key), int) for key in WIDTHS) or any(map(_has_width, children_of(layer)))


def _surplus(teacher: keras.Model, depth: float) -> set[str]:
    """Names of the layers to drop, so that a fraction `depth` of each run of repeated layers stays."""
    chain = [layer for layer in children_of(teacher) if not isinstance(layer, keras.layers.InputLayer)]
    for before, layer in pairwise(chain):
        if not isinstance(layer.input, keras.KerasTensor) or layer.input._keras_history.operation is not before:
            raise ValueError(
                f"derive: depth below 1 needs layers in a chain, {layer.name!r} does not follow {before.name!r} alone; "
                "for models of keras_kd.schemes.encoder use distilbert_student"
            )
    kinds = [_kind(layer) for layer in chain]
    surplus: set[str] = set()
    start = 0
    while start < len(chain):
        period, repeats = _repeats(kinds, start)
        if repeats < 2:
            start += 1
            continue
        groups = [chain[start + n * period : start + (n + 1) * period] for n in range(repeats)]
        # The first group may change the shape; only those that keep it can be dropped.
        removable = [group for group in groups if tuple(group[0].input.shape) == tuple(group[-1].output.shape)]
        keep = max(1 if len(removable) == repeats else 0, math.ceil(repeats * depth) - (repeats - len(removable)))
        surplus |= {layer.name for group in removable[keep:] for layer in group}
        start += period * repeats
    if not surplus:
        raise ValueError(f"derive: nothing in {teacher.name!r} repeats and keeps its shape; leave depth at 1")
    return surplus


def _kind(layer: keras.Layer) -> tuple[str, str]:
    config = {key: value for key, value in layer.get_config().items() if key != "name"}
    return type(layer).__name__, repr(config)


def _repeats(kinds: list[tuple[str, str]], start: int) -> tuple[int, int]:
    """The length of the shortest group that repeats from `start`, and the number of repeats."""
    for period in range(1, (len(kinds) - start) // 2 + 1):
        group, repeats = kinds[start : start + period], 1
        while kinds[start + repeats * period : start + (repeats + 1) * period] == group:
            repeats += 1
        if repeats > 1:
            return period, repeats
    return 1, 1


def _copy_weights(teacher: keras.Layer, student: keras.Layer) -> None:
    """Copy weights to each layer of the student, inner ones too, from the teacher's layer of that name where shapes agree."""
    theirs = {layer.name: layer for layer in children_of(teacher)}
    for layer in children_of(student):
        source = theirs.get(layer.name)
        if source is None:
            continue
        weights = source.get_weights()
        if [w.shape for w in weights] == [w.shape for w in layer.get_weights()]:
            layer.set_weights(weights)
        else:
            _copy_weights(source, layer)
