"""Which layer of a model feeds which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_kd.layers import functional

END = "<output>"


@dataclass
class Wiring:
    """For each layer by name, the layers that it takes tensors from and gives tensors to, call by call.

    The model's inputs come from their InputLayers; its outputs go to `END`.
    """

    taken: dict[str, list[str]] = field(default_factory=dict)
    given: dict[str, list[str]] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)

    def only_reader(self, name: str) -> str | None:
        """The one layer that reads what a layer gives; None where several do, or it is called more than once."""
        readers = self.given.get(name, [])
        return readers[0] if len(readers) == 1 and self.calls.get(name) == 1 else None


def wiring(model: keras.Model) -> Wiring:
    """The wiring of a Functional or Sequential model."""
    found = Wiring()
    made_by: dict[int, str] = {}
    alive: list[Any] = []  # Tensors are known by their id, so none may go.

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        outputs = layer(*args, **kwargs)
        found.calls[layer.name] = found.calls.get(layer.name, 0) + 1
        for tensor in keras.tree.flatten((args, kwargs)):
            if isinstance(tensor, keras.KerasTensor):
                source = made_by.get(id(tensor)) or tensor._keras_history.operation.name
                found.taken.setdefault(layer.name, []).append(source)
                found.given.setdefault(source, []).append(layer.name)
        for tensor in keras.tree.flatten(outputs):
            alive.append(tensor)
            made_by[id(tensor)] = layer.name
        return outputs

    clone = keras.models.clone_model(functional(model), call_function=call)
    for tensor in clone.outputs:
        source = made_by.get(id(tensor)) or tensor._keras_history.operation.name
        found.given.setdefault(source, []).append(END)
    return found


def rebuilt(
    model: keras.Model, make: Callable[[keras.Layer], keras.Layer], skipped: set[str] | frozenset[str] = frozenset()
) -> keras.Model:
    """A copy of the model's graph with the layers that `make` gives, some of them left out; weights are not set."""

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        return args[0] if layer.name in skipped else layer(*args, **kwargs)

    return keras.models.clone_model(functional(model), clone_function=make, call_function=call)
