"""Which layers of a model are compared where nobody says: the ends of its blocks, read from its graph."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras

from keras_kd.layers import functional
from keras_kd.types import Shape

# Weights that only scale and shift: such a layer belongs to the block before it.
SCALING = (keras.layers.BatchNormalization, keras.layers.LayerNormalization, keras.layers.GroupNormalization)
# They change a model's features in training alone, or not at all.
PASSING = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.GaussianNoise,
    keras.layers.GaussianDropout,
    keras.layers.Identity,
    keras.layers.ActivityRegularization,
)
# The most pairs of layers that are chosen; the published methods compare three or four stages.
MOST_PAIRS = 4

Pair = tuple[str, str]
"""A teacher's layer and the student's that is compared with it, by name or path."""


@dataclass(frozen=True)
class Place:
    """A point of a model's graph that everything passes.

    `path` names its layer, None for an operation that is no layer; `computes` says whether something with weights, scaling
    apart, lies between the point before and this one.
    """

    path: str | None
    layer: object
    shape: Shape
    computes: bool


def stages(model: keras.Model) -> tuple[list[Place], list[Place]]:
    """The ends of a model's blocks before its last one: those with positions, before each change of resolution, and those
    without positions. Where the resolution never changes, each block with positions is a stage."""
    ends = [place for place in _blocks(model) if place.path is not None]
    maps = [end for end in ends if len(end.shape) > 2]
    changes = [n for n, end in enumerate(maps) if n + 1 == len(maps) or maps[n + 1].shape[1:-1] != end.shape[1:-1]]
    return ([maps[n] for n in changes] if len(changes) > 1 else maps), [end for end in ends if len(end.shape) == 2]


def stage_pairs(teacher: keras.Model, student: keras.Model) -> list[Pair]:
    """Stages of both models, paired from the end by relative depth; empty where none can be compared."""
    for theirs, mine in zip(stages(teacher), stages(student)):
        if theirs and mine and len(theirs[-1].shape) == len(mine[-1].shape):
            count = min(len(theirs), len(mine), MOST_PAIRS)
            return [(_at(theirs, n, count), _at(mine, n, count)) for n in range(1, count + 1)]
    return []


def last_block(model: keras.Model) -> str | None:
    """The end of the last block before the layer that gives the outputs, with positions or without."""
    ends = [place.path for place in _blocks(model) if place.path is not None]
    return ends[-1] if ends else None


def penultimate(model: keras.Model) -> str | None:
    """The layer whose output the model's last layer with weights takes; with several outputs, what all of them are made of."""
    places = _places(model)
    last = max((n for n, place in enumerate(places) if place.computes), default=0)
    before = places if len(model.outputs) > 1 else places[:last]
    named = [place for place in before if place.path is not None and not isinstance(place.layer, PASSING)]
    return named[-1].path if named and any(place.computes for place in before) else None


def has_graph(model: object) -> bool:
    """Whether a model's layers can be read from its graph."""
    return isinstance(model, keras.Model) and bool(getattr(model, "inputs", None) and getattr(model, "outputs", None))


def _at(places: list[Place], number: int, count: int) -> str:
    path = places[math.ceil(number * len(places) / count) - 1].path
    assert path is not None
    return path


def _blocks(model: keras.Model) -> list[Place]:
    """The last point of each block at the block's own shape, without the block that gives a model's only output."""
    ends: list[Place] = []
    is_open = False
    for place in _places(model):
        if place.computes:
            ends.append(place)
            is_open = True
        elif is_open and place.shape[1:] != ends[-1].shape[1:]:
            is_open = False
        elif is_open and place.path is not None and not isinstance(place.layer, PASSING):
            ends[-1] = place
    return ends if len(model.outputs) > 1 else ends[:-1]


def _places(model: keras.Model, prefix: str = "") -> list[Place]:
    """The points that every path from inputs to outputs passes, in order; those of models inside the model among them."""
    model = functional(model)
    nodes = [node for depth in sorted(model._nodes_by_depth, reverse=True) for node in model._nodes_by_depth[depth]]
    numbers = {id(node): number for number, node in enumerate(nodes)}
    reach = _reach(model, nodes, numbers)
    uses = [id(node.operation) for node in nodes]
    places: list[Place] = []
    computes = False
    furthest = 0
    for number, node in enumerate(nodes):
        operation = node.operation
        computes = computes or _computes(operation)
        if number >= furthest and not isinstance(operation, keras.layers.InputLayer):
            if has_graph(operation) and uses.count(id(operation)) == 1:
                places += _places(operation, f"{prefix}{operation.name}/")
            else:
                once = isinstance(operation, keras.Layer) and uses.count(id(operation)) == 1
                shapes = [tuple(tensor.shape) for tensor in node.output_tensors]
                path = f"{prefix}{operation.name}" if once and len(shapes) == 1 else None
                places.append(Place(path, operation, shapes[0], computes))
            computes = False
        furthest = max(furthest, reach[number])
    return places


def _reach(model: keras.Model, nodes: list[Any], numbers: dict[int, int]) -> list[int]:
    """By node, the number of the last one that takes its output; one past the end for the model's outputs."""
    reach = [0] * len(nodes)
    several = len(model.inputs) > 1
    for number, node in enumerate(nodes):
        for parent in node.parent_nodes:
            if id(parent) in numbers and not (several and isinstance(parent.operation, keras.layers.InputLayer)):
                reach[numbers[id(parent)]] = max(reach[numbers[id(parent)]], number)
    for output in model.outputs:
        history = output._keras_history
        made_by = numbers[id(history.operation._inbound_nodes[history.node_index])]
        reach[made_by] = len(nodes)
    return reach


def _computes(operation: object) -> bool:
    return isinstance(operation, keras.Layer) and bool(operation.weights) and not isinstance(operation, SCALING)
