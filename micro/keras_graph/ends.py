"""What a model takes and what it gives: one tensor, or several in a list or a dict, by name and in Keras's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from micro.tflite.layer_names import unique_name

if TYPE_CHECKING:
    import keras

    from keras_kd.types import Structure


@dataclass(frozen=True)
class Ends:
    """The inputs or the outputs of a model.

    Attributes:
        names: One for each, in the order of `model.inputs` or `model.outputs`: the keys of a dict, or names of layers.
        kind: What holds them: 'one' tensor by itself, a 'list' or a 'dict'.
    """

    names: tuple[str, ...]
    kind: Literal["one", "list", "dict"] = "one"

    def packed(self, values: Sequence[Any]) -> Any:
        """The values as the model takes or gives them."""
        if self.kind == "dict":
            return dict(zip(self.names, values, strict=True))
        return list(values) if self.kind == "list" else values[0]

    def flat(self, structure: Any, what: str) -> list[Any]:
        """The values in order, of a dict by name, of a list as they come.

        Raises:
            ValueError: Names what is missing, or how many values are right.
        """
        if isinstance(structure, Mapping):
            if len(self.names) == len(structure) == 1:
                return list(structure.values())
            for name in self.names:
                if name not in structure:
                    raise ValueError(f"{what}: {name!r} is missing; the model has {', '.join(map(repr, self.names))}")
            return [structure[name] for name in self.names]
        values = list(structure) if isinstance(structure, (list, tuple)) else [structure]
        if len(values) != len(self.names):
            raise ValueError(
                f"{what}: the model has {len(self.names)} ({', '.join(map(repr, self.names))}), got {len(values)}"
            )
        return values


def inputs_of(model: keras.Model) -> Ends:
    """The inputs of a model that has a graph or a Sequential's one input."""
    return _ends(model.inputs, _structure(model, "input"))


def outputs_of(model: keras.Model) -> Ends:
    """The outputs, as `inputs_of`."""
    return _ends(model.outputs, _structure(model, "output"))


def packed_inputs(model: keras.Model, values: Sequence[Any]) -> Structure:
    """The inputs, in order, in the structure that the model takes them in."""
    import keras

    structure = _structure(model, "input")
    return values[0] if structure is None else keras.tree.pack_sequence_as(structure, list(values))


def _structure(model: keras.Model, side: str) -> Any:
    import keras

    return None if isinstance(model, keras.Sequential) else getattr(model, side, None)


def _ends(tensors: Sequence[keras.KerasTensor], structure: Any) -> Ends:
    taken: set[str] = set()
    keyed = isinstance(structure, Mapping) and all(hasattr(value, "_keras_history") for value in structure.values())
    if keyed:
        import keras

        # A dict is flattened in the order of its keys, and not in that in which they were put in.
        places = keras.tree.pack_sequence_as(structure, list(range(len(tensors))))
        found = sorted(map(str, places), key=lambda name: places[name])
    else:
        found = [tensor._keras_history.operation.name for tensor in tensors]
    kind: Literal["one", "list", "dict"] = "one" if len(tensors) == 1 else "dict" if keyed else "list"
    return Ends(tuple(unique_name(name, taken) for name in found), kind)
