"""Which layers and outputs of two models an objective compares, decided before training."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras

from keras_kd.checks import same_sizes
from keras_kd.layers import Captured, Tap, activation_of, find_layer, name_of
from keras_kd.objectives.base import Objective
from keras_kd.objectives.keras_losses import Objectives, listed
from keras_kd.objectives.top_k import TopK
from keras_kd.per_output import output_layer
from keras_kd.supplied import Supplied, Teacher
from keras_kd.types import LayerName, LayerRef, Shape, Shapes
from keras_kd.views import symbolic


def expanded(objectives: Objectives, teacher: Teacher, student: keras.Model) -> list[Objective]:
    """The objectives as a list: those of a dict on the outputs that its keys name, others one per pair of outputs."""
    if not isinstance(objectives, Mapping):
        return [part for one in listed(objectives) for part in by_output(one, teacher, student)]
    if not objectives:
        return listed([])
    made = []
    for key, given in objectives.items():
        mine = output_layer(student, key)
        for objective in listed(given):
            if objective.student_layer is not None:
                raise ValueError(f"{objective.message_name} for the output {key!r} names a student_layer; leave it out")
            theirs = objective.teacher_layer
            if theirs is None and not isinstance(teacher, Supplied) and len(teacher.outputs) > 1:
                theirs = output_layer(teacher, key)
            made.append(objective.changed(name=f"{objective.name}_{key}", teacher_layer=theirs, student_layer=mine))
    return made


def by_output(objective: Objective, teacher: Teacher, student: keras.Model) -> list[Objective]:
    """One objective per pair of outputs, where the models have several and the objective names no layers."""
    if objective.teacher_layer is not None or objective.student_layer is not None:
        return [objective]
    if isinstance(teacher, Supplied):
        return [objective]
    named = [_output_layers(model) for model in (teacher, student)]
    if all(len(layers) <= 1 for layers in named):
        return [objective]
    if len(named[0]) != len(named[1]):
        raise ValueError(
            f"{objective.message_name}: teacher has {len(named[0])} outputs, student has {len(named[1])}; "
            "name the layers to compare with teacher_layer, student_layer"
        )
    keys = [sorted(model.output) if isinstance(model.output, dict) else None for model in (teacher, student)]
    if keys[0] != keys[1]:
        raise ValueError(f"{objective.message_name}: teacher gives {keys[0]}, student gives {keys[1]}")
    return [objective.changed(name=f"{objective.name}_{s}", teacher_layer=t, student_layer=s) for t, s in zip(*named)]


def _output_layers(model: keras.Model) -> list[str]:
    """Names of the layers that give a Functional model's outputs, in the order of their keys where they have keys."""
    outputs = getattr(model, "outputs", None) or []
    return [output._keras_history.operation.name for output in outputs] if len(outputs) > 1 else []


def prepare(objective: Objective, teacher: Teacher, student: keras.Model) -> Objective:
    """The objective for these two models, with its layers as names and its activations set."""
    named: dict[str, Any] = {}
    for side, model in (("teacher", teacher), ("student", student)):
        ref = getattr(objective, f"{side}_layer")
        refs = tuple(ref) if isinstance(ref, (tuple, list)) else (ref,)
        if objective.layers_a_side == 1:
            refs = _without_inner(refs)
        if len(refs) != objective.layers_a_side:
            wanted = "one layer" if objective.layers_a_side == 1 else f"{objective.layers_a_side} layers, as a tuple"
            raise ValueError(f"{objective.message_name}: {side}_layer must name {wanted}, got {ref!r}")
        try:
            names = tuple(name for one in refs for name in _with_inner(objective, model, one))
        except ValueError as error:
            raise ValueError(f"{objective.message_name}: {side} {error}") from None
        named[side] = names[0] if len(names) == 1 else names
    if top_k(teacher) and not objective.takes_top_k and named["teacher"] is None:
        raise ValueError(objective.top_k_refusal())
    if (named["teacher"], named["student"]) != (objective.teacher_layer, objective.student_layer):
        objective = copy.copy(objective)
        objective.teacher_layer, objective.student_layer = named["teacher"], named["student"]
    if isinstance(named["teacher"], tuple):
        return objective.resolve(None, None)
    return objective.resolve(_activation(teacher, named["teacher"]), activation_of(student, named["student"]))


def _with_inner(objective: Objective, model: Teacher, ref: LayerRef) -> tuple[str | None, ...]:
    """The name of a layer, and the paths of the layers inside it that the objective compares along with it."""
    if ref is None:
        return (None,)
    name = _layer_name(model, ref)
    layer = None if isinstance(model, Supplied) else find_layer(model, name)
    inner = objective.inside(layer)
    path = name_of(model, layer) if inner and isinstance(model, keras.Model) else name
    return (path, *(_layer_name(model, f"{path}/{part}") for part in inner))


def _without_inner(refs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The layer alone where a saved objective names it and layers inside it."""
    if len(refs) > 1 and all(isinstance(ref, str) for ref in refs):
        return refs[:1] if all(ref.startswith(f"{refs[0]}/") for ref in refs[1:]) else refs
    return refs


def _layer_name(model: Teacher, ref: LayerRef) -> str:
    if not isinstance(model, Supplied):
        return name_of(model, ref)
    if ref not in model.shapes:
        raise ValueError(
            f"layer {ref!r} is not among what the {type(model).__name__} supplies: {', '.join(model.shapes)}"
        )
    return ref


def _activation(teacher: Teacher, layer: str | None) -> str | None:
    if isinstance(teacher, Supplied):
        return teacher.activations.get(layer or "outputs")
    return activation_of(teacher, layer)


def named_layers(refs: Iterable[LayerName]) -> list[str]:
    """Every layer name among None, names and tuples of names."""
    return [name for name in keras.tree.flatten(list(refs)) if name is not None]


def supplied_shapes(teacher: Supplied) -> Captured:
    """Shapes of what a supplied teacher gives, with a batch axis of unknown size."""
    shapes = {name: (None, *shape) for name, shape in teacher.shapes.items()}
    return Captured(shapes.get("outputs"), shapes)


def supplied_outputs(features: dict[str, Any]) -> Any:
    """A supplied teacher's outputs: all of them, or the highest logits."""
    if "outputs.values" not in features:
        return features.get("outputs")
    return TopK(*(features[f"outputs.{part}"] for part in TopK._fields))


def captured_shapes(tap: Tap | None, input_shape: Shapes | None) -> Captured | None:
    """Shapes of a model's outputs and tapped layers; None where they are unknown until the model has seen data."""
    assert tap is not None
    model = tap.model
    if not tap.has_hooks and getattr(model, "outputs", None):
        shapes = keras.tree.map_structure(lambda tensor: tuple(tensor.shape), list(model.outputs))
        features = {name: tuple(find_layer(model, name).output.shape) for name in tap.layers}
        return Captured(shapes[0] if len(shapes) == 1 else shapes, features)
    if getattr(model, "inputs", None):
        inputs = model.inputs[0] if len(model.inputs) == 1 else model.input
    elif input_shape is not None:
        inputs = symbolic(input_shape)
    else:
        return None
    return keras.tree.map_structure(lambda tensor: tuple(tensor.shape), tap.shapes(inputs))


def compatible(teacher: Sequence[Shape], student: Sequence[Shape]) -> bool:
    """Whether two models take inputs of the same shapes, as far as these are known."""
    return len(teacher) == len(student) and all(map(same_sizes, teacher, student))


def named_apart(objectives: Sequence[Objective]) -> list[Objective]:
    """The objectives with log keys that differ: a second `soft_target` becomes `soft_target_1`."""
    taken: set[str] = {"loss", "hard_loss"}
    apart = []
    for objective in objectives:
        name, number = objective.name, 0
        while name in taken:
            number += 1
            name = f"{objective.name}_{number}"
        taken.add(name)
        # Its own layers too: what two objectives share would be saved once and looked for twice.
        apart.append(objective if name == objective.name else objective.fresh().changed(name=name))
    return apart


def side(captured: Captured, layer: LayerName) -> Any:
    """What an objective compares on one side: the model's output, one layer, or several layers as a tuple."""
    if isinstance(layer, tuple):
        return tuple(captured.features[name] for name in layer)
    if layer is not None:
        return captured.features[layer]
    outputs = captured.outputs
    # A dict or list of one output stands for that output; a tuple of numbers is a shape.
    if isinstance(outputs, (dict, list)) and len(outputs) == 1:
        return next(iter(outputs.values() if isinstance(outputs, dict) else outputs))
    return outputs


def top_k(teacher: Teacher) -> int | None:
    """How many logits of each example a supplied teacher gives, None for all."""
    return teacher.top_k if isinstance(teacher, Supplied) else None
