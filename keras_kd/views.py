"""What of a batch's inputs a model gets: some of its keys, or what layers and functions make of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeGuard

import keras

from keras_kd.types import Shapes, Structure

Step: TypeAlias = "keras.layers.Layer | Callable[[Structure], Structure]"
View: TypeAlias = "str | int | Step | Sequence[str | int | Step] | None"
"""A key of the batch's inputs, a layer, or a function from them to a model's input; a list of keys, for a model of several
inputs; or a list of a key and what is applied to it in turn. None is all as they are."""


def require_view(view: View, what: str) -> None:
    """ValueError for what is no view; `what` names the argument."""
    steps = list(view) if isinstance(view, list | tuple) else [view]
    if view is None or (len(steps) and (all(map(_is_key, steps)) or all(map(callable, steps[_is_key(steps[0]) :])))):
        return
    raise ValueError(
        f"{what} must be a key of the inputs, a list of keys, a layer or a function of the inputs, or a list of a key and "
        f"such layers and functions, got {view!r}"
    )


def inputs_of(model: keras.Model | object, view: View, x: Structure, training: bool, what: str) -> Any:
    """What `model` gets of the inputs through its view; see `seen`."""
    return seen(view, x, training, what, by_name=takes_dict(model))


def seen(view: View, x: Structure, training: bool, what: str, *, by_name: bool = False) -> Any:
    """What a model gets of the inputs; layers, and functions with an argument `training`, are given whether it is training.

    Args:
        by_name: Whether several keys become a dict, for a model that takes one, and not a list.

    Raises:
        ValueError: For a key that the inputs do not have, with those that they have.
    """
    if view is None:
        return x
    if not isinstance(view, list | tuple):
        return _part(x, view, what) if _is_key(view) else _applied(view, x, training)
    if all(map(_is_key, view)):
        parts = {key: _part(x, key, what) for key in view}
        return parts if by_name else [parts[key] for key in view]
    for step in view:
        x = seen(step, x, training, what)
    return x


def seen_shape(view: View, shape: Shapes | None, what: str, *, by_name: bool = False) -> Any:
    """The shape of what a model gets of inputs of a shape, nothing being computed; layers of the view are built."""
    if view is None or shape is None:
        return shape
    given = seen(view, symbolic(shape), False, what, by_name=by_name)
    return keras.tree.map_structure(lambda tensor: tuple(tensor.shape), given)


def takes_dict(model: object) -> bool:
    """Whether a model takes its inputs as a dict, by their names."""
    return isinstance(getattr(model, "_inputs_struct", None), dict)


def are_built(*views: View) -> bool:
    """Whether every layer of the views is built; on JAX none can be while a step is traced."""
    steps = [step for view in views for step in (view if isinstance(view, list | tuple) else [view])]
    return all(getattr(step, "built", True) for step in steps)


def symbolic(shape: Shapes) -> Any:
    """Symbolic float32 inputs of a shape, or of shapes nested in dicts and lists."""
    if isinstance(shape, Mapping):
        return {key: symbolic(value) for key, value in shape.items()}
    parts: list[Any] = list(shape)
    if parts and isinstance(parts[0], (tuple, list)):
        return [symbolic(part) for part in parts]
    return keras.KerasTensor(shape, dtype="float32")


def view_config(view: View, what: str) -> Any:
    """A view as it is saved.

    Raises:
        ValueError: For a function that is not registered with Keras, which could not be loaded safely.
    """
    if isinstance(view, list | tuple):
        return [view_config(step, what) for step in view]
    if view is None or _is_key(view):
        return view
    if not isinstance(view, keras.layers.Layer) and not _is_registered(view):
        raise ValueError(
            f"{what} is a function that Keras cannot find again: register it by "
            "@keras.saving.register_keras_serializable(), or save distiller.student"
        )
    return keras.saving.serialize_keras_object(view)


def view_from_config(config: Any, custom_objects: dict[str, Any] | None = None) -> View:
    """The view that `view_config` described."""
    if isinstance(config, list):
        return [view_from_config(step, custom_objects) for step in config]
    return keras.saving.deserialize_keras_object(config, custom_objects) if isinstance(config, dict) else config


def _applied(step: Step, x: Structure, training: bool) -> Any:
    if isinstance(step, keras.layers.Layer) or "training" in inspect.signature(step).parameters:
        return step(x, training=training)  # type: ignore[call-arg]
    return step(x)


def _is_key(value: object) -> TypeGuard[str | int]:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _is_registered(function: object) -> bool:
    name = getattr(function, "__name__", None)
    return name is not None and keras.saving.get_registered_name(function) != name


def _part(x: Structure, key: str | int, what: str) -> Any:
    if isinstance(x, Mapping) and key in x:
        return x[key]  # type: ignore[index]
    if isinstance(x, list | tuple) and isinstance(key, int) and -len(x) <= key < len(x):
        return x[key]
    if isinstance(x, Mapping):
        has = f"which have {', '.join(map(repr, x))}"
    elif isinstance(x, list | tuple):
        has = f"which are {len(x)} arrays, 0 to {len(x) - 1}"
    else:
        has = "which are one array"
    raise ValueError(f"{what}: no {key!r} in the inputs, {has}")
