"""Which layers and outputs of two models an objective compares, settled before training."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import keras

from keras_kd.layers import Captured, Tap, activation_of, find_layer, name_of
from keras_kd.objectives.base import Objective
from keras_kd.teachers import Supplied


def by_output(objective: Objective, teacher: Any, student: keras.Model) -> list[Objective]:
    """One objective for each pair of outputs, where the models have several and the objective names no layers."""
    if objective.teacher_layer is not None or objective.student_layer is not None:
        return [objective]
    if isinstance(teacher, Supplied):
        return [objective]
    named = [_output_layers(model) for model in (teacher, student)]
    if all(len(layers) <= 1 for layers in named):
        return [objective]
    if len(named[0]) != len(named[1]):
        raise ValueError(
            f"objective {type(objective).__name__}: teacher has {len(named[0])} outputs, student has {len(named[1])}; "
            "name the layers to compare with teacher_layer, student_layer"
        )
    keys = [sorted(model.output) if isinstance(model.output, dict) else None for model in (teacher, student)]
    if keys[0] != keys[1]:
        raise ValueError(f"objective {type(objective).__name__}: teacher gives {keys[0]}, student gives {keys[1]}")
    return [objective.changed(name=f"{objective.name}_{s}", teacher_layer=t, student_layer=s) for t, s in zip(*named)]


def _output_layers(model: keras.Model) -> list[str]:
    """Names of the layers that give a Functional model's outputs, in the order of their keys where they have keys."""
    outputs = getattr(model, "outputs", None) or []
    return [output._keras_history.operation.name for output in outputs] if len(outputs) > 1 else []


def prepare(objective: Objective, teacher: Any, student: keras.Model) -> Objective:
    """The objective with its layers named and its activations settled for these two models."""
    label = f"objective {type(objective).__name__}"
    named: dict[str, Any] = {}
    for side, model in (("teacher", teacher), ("student", student)):
        ref = getattr(objective, f"{side}_layer")
        refs = tuple(ref) if isinstance(ref, (tuple, list)) else (ref,)
        if len(refs) != objective.layers_a_side:
            wanted = "one layer" if objective.layers_a_side == 1 else f"{objective.layers_a_side} layers, as a tuple"
            raise ValueError(f"{label}: {side}_layer must name {wanted}, got {ref!r}")
        try:
            names = tuple(None if one is None else _layer_name(model, one) for one in refs)
        except ValueError as error:
            raise ValueError(f"{label}: {side} {error}") from None
        named[side] = names[0] if objective.layers_a_side == 1 else names
    if top_k(teacher) and not objective.takes_top_k and named["teacher"] is None:
        raise ValueError(objective.top_k_refusal())
    if (named["teacher"], named["student"]) != (objective.teacher_layer, objective.student_layer):
        objective = copy.copy(objective)
        objective.teacher_layer, objective.student_layer = named["teacher"], named["student"]
    if objective.layers_a_side > 1:
        return objective.resolve(None, None)
    return objective.resolve(_activation(teacher, named["teacher"]), activation_of(student, named["student"]))


def _layer_name(model: Any, ref: Any) -> str:
    if not isinstance(model, Supplied):
        return name_of(model, ref)
    if ref not in model.shapes:
        raise ValueError(
            f"layer {ref!r} is not among what the {type(model).__name__} supplies: {', '.join(model.shapes)}"
        )
    return ref


def _activation(teacher: Any, layer: str | None) -> str | None:
    if isinstance(teacher, Supplied):
        return teacher.activations.get(layer or "outputs")
    return activation_of(teacher, layer)


def named_layers(refs: Any) -> list[str]:
    """Every layer name in a series of None, names and tuples of names."""
    return [name for name in keras.tree.flatten(list(refs)) if name is not None]


def supplied_shapes(teacher: Supplied) -> Captured:
    shapes = {name: (None, *shape) for name, shape in teacher.shapes.items()}
    return Captured(shapes.get("outputs"), shapes)


def captured_shapes(tap: Tap | None, input_shape: Any) -> Captured | None:
    """Shapes of a model's outputs and tapped layers, None where they are not known before the model has seen data."""
    assert tap is not None
    model = tap.model
    if not tap.listens and getattr(model, "outputs", None):
        shapes = keras.tree.map_structure(lambda tensor: tuple(tensor.shape), list(model.outputs))
        features = {name: tuple(find_layer(model, name).output.shape) for name in tap.layers}
        return Captured(shapes[0] if len(shapes) == 1 else shapes, features)
    if getattr(model, "inputs", None):
        inputs = model.inputs[0] if len(model.inputs) == 1 else model.input
    elif input_shape is not None:
        inputs = _symbolic(input_shape)
    else:
        return None
    return keras.tree.map_structure(lambda tensor: tuple(tensor.shape), tap.shapes(inputs))


def _symbolic(shape: Any) -> Any:
    if isinstance(shape, dict):
        return {key: _symbolic(value) for key, value in shape.items()}
    if shape and isinstance(shape[0], (tuple, list)):
        return [_symbolic(value) for value in shape]
    return keras.KerasTensor(shape, dtype="float32")


def compatible(teacher: list[tuple[int | None, ...]], student: list[tuple[int | None, ...]]) -> bool:
    return len(teacher) == len(student) and all(
        len(t) == len(s) and all(a == b or a is None or b is None for a, b in zip(t, s))
        for t, s in zip(teacher, student)
    )


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
        apart.append(objective if name == objective.name else objective.changed(name=name))
    return apart


def side(captured: Captured, layer: Any) -> Any:
    """What an objective compares of one model: its output, one layer, or several as a tuple."""
    if isinstance(layer, tuple):
        return tuple(captured.features[name] for name in layer)
    if layer is not None:
        return captured.features[layer]
    outputs = captured.outputs
    # A dict or list of a single output is that output; a tuple of numbers is a shape.
    if isinstance(outputs, (dict, list)) and len(outputs) == 1:
        return next(iter(outputs.values() if isinstance(outputs, dict) else outputs))
    return outputs


def top_k(teacher: Any) -> int | None:
    """How many of each output's logits a supplied teacher gives, None for all."""
    return teacher.top_k if isinstance(teacher, Supplied) else None
