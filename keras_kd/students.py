"""A smaller model of a teacher's family."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import keras

from keras_kd.layers import children_of, functional
from keras_kd.objectives.base import require_number

# What a layer's config calls its width.
WIDTHS = ("units", "filters", "output_dim", "key_dim")


def derive(teacher: keras.Model, width: float = 1.0, depth: float = 1.0, *, name: str = "student") -> keras.Model:
    """A model of the same layers, narrower and with fewer repeats, that takes and gives what the teacher does.

    Dense units, convolution filters, recurrent units, embedding and attention widths are multiplied by `width`, rounded up,
    except in layers that make the outputs. Of layers or groups of layers that follow each other with one configuration and
    keep their shape, the share `depth` stays, at least one. Weights are copied where all shapes of a layer agree; the others
    are new.

    Args:
        teacher: A built Functional or Sequential model.
        width, depth: In (0, 1].

    Raises:
        ValueError: For a model without a graph, numbers out of range, or a depth below 1 where layers branch or
            nothing repeats.
    """
    require_number(width, "derive: width", above=0.0, maximum=1.0)
    require_number(depth, "derive: depth", above=0.0, maximum=1.0)
    if not getattr(teacher, "inputs", None):
        raise ValueError(f"derive: {teacher.name!r} is no Functional or Sequential model with known inputs")
    dropped = _surplus(teacher, depth) if depth < 1 else set()
    last = {id(output._keras_history.operation) for output in teacher.outputs}

    def smaller(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if id(layer) not in last:
            for key in WIDTHS:
                if isinstance(config.get(key), int):
                    config[key] = max(1, math.ceil(config[key] * width))
        return type(layer).from_config(config)

    def called(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        return args[0] if layer.name in dropped else layer(*args, **kwargs)

    student = keras.models.clone_model(functional(teacher), clone_function=smaller, call_function=called)
    student = keras.Model(student.inputs[0] if len(student.inputs) == 1 else student.input, student.output, name=name)
    _copy_weights(teacher, student)
    return student


def _surplus(teacher: keras.Model, depth: float) -> set[str]:
    """Names of layers to leave out."""
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
        # The first group may change the shape; only those that keep it can go.
        spare = [group for group in groups if tuple(group[0].input.shape) == tuple(group[-1].output.shape)]
        keep = max(1 if len(spare) == repeats else 0, math.ceil(repeats * depth) - (repeats - len(spare)))
        surplus |= {layer.name for group in spare[keep:] for layer in group}
        start += period * repeats
    if not surplus:
        raise ValueError(f"derive: nothing in {teacher.name!r} repeats with its shape kept; leave depth at 1")
    return surplus


def _kind(layer: keras.Layer) -> tuple[str, str]:
    config = {key: value for key, value in layer.get_config().items() if key != "name"}
    return type(layer).__name__, repr(config)


def _repeats(kinds: list[tuple[str, str]], start: int) -> tuple[int, int]:
    """The shortest group that repeats from `start`, and how often it does."""
    for period in range(1, (len(kinds) - start) // 2 + 1):
        group, repeats = kinds[start : start + period], 1
        while kinds[start + repeats * period : start + (repeats + 1) * period] == group:
            repeats += 1
        if repeats > 1:
            return period, repeats
    return 1, 1


def _copy_weights(teacher: keras.Model, student: keras.Model) -> None:
    theirs = {layer.name: layer.get_weights() for layer in teacher.layers}
    for layer in student.layers:
        weights = theirs.get(layer.name, [])
        if [w.shape for w in weights] == [w.shape for w in layer.get_weights()]:
            layer.set_weights(weights)
