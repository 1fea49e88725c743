"""What of a batch's inputs a model gets: some of its keys, or what a layer or a function makes of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import keras

from keras_kd.types import Shapes, Structure

View: TypeAlias = "str | int | Sequence[str | int] | keras.layers.Layer | Callable[[Structure], Structure] | None"
"""A key of the batch's inputs or a list of keys, a layer, a function from them to a model's input; None for all as they are."""


def require_view(view: View, what: str) -> None:
    """ValueError for what is no view; `what` names the argument."""
    keys = (view,) if isinstance(view, str | int) else view
    named = isinstance(keys, list | tuple) and bool(keys) and all(isinstance(key, str | int) for key in keys)
    if not (view is None or named or callable(view)):
        raise ValueError(
            f"{what} must be a key of the inputs, a list of keys, a layer or a function of the inputs, got {view!r}"
        )


def seen(view: View, x: Structure, training: bool, what: str) -> Any:
    """What a model gets of the inputs; layers that behave otherwise in training, such as augmentations, are told of it.

    Raises:
        ValueError: For a key that the inputs do not have, with those that they have.
    """
    if view is None:
        return x
    if isinstance(view, str | int):
        return _part(x, view, what)
    if isinstance(view, list | tuple):
        return [_part(x, key, what) for key in view]
    assert callable(view)
    if isinstance(view, keras.layers.Layer) and "training" in inspect.signature(view.call).parameters:
        return view(x, training=training)
    return view(x)


def seen_shape(view: View, shape: Shapes | None) -> Any:
    """The shape of what a model gets of inputs of a shape, nothing being computed."""
    if view is None or shape is None:
        return shape
    given = seen(view, symbolic(shape), False, "a view")
    return keras.tree.map_structure(lambda tensor: tuple(tensor.shape), given)


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
    if view is None or isinstance(view, str | int | list | tuple):
        return view
    if not isinstance(view, keras.layers.Layer) and keras.saving.get_registered_name(view) == getattr(
        view, "__name__", None
    ):
        raise ValueError(
            f"{what} is a function that Keras cannot find again: register it by "
            "@keras.saving.register_keras_serializable(), or save distiller.student"
        )
    return keras.saving.serialize_keras_object(view)


def view_from_config(config: Any, custom_objects: dict[str, Any] | None = None) -> View:
    """The view that `view_config` described."""
    return keras.saving.deserialize_keras_object(config, custom_objects) if isinstance(config, dict) else config


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
