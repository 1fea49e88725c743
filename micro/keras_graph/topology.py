"""Which layer of a model feeds which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import keras

from keras_kd.layers import functional

END = "<output>"


@dataclass
class Topology:
    """How the layers of a model are connected, by name.

    Attributes:
        producers: For each layer, those whose outputs it reads, call by call; the model's inputs come from InputLayers.
        consumers: For each layer, those that read its output; `END` for an output of the model.
        calls: How often each layer is called.
    """

    producers: dict[str, list[str]] = field(default_factory=dict)
    consumers: dict[str, list[str]] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)

    def only_consumer(self, name: str) -> str | None:
        """The one layer that reads a layer's output; None where several do, or the layer is called more than once."""
        consumers = self.consumers.get(name, [])
        return consumers[0] if len(consumers) == 1 and self.calls.get(name) == 1 else None


def topology_of(model: keras.Model) -> Topology:
    """The topology of a Functional or Sequential model."""
    topology = Topology()
    made_by: dict[int, str] = {}
    alive: list[keras.KerasTensor] = []  # Tensors are known by their id, so none may go.

    def producer(tensor: keras.KerasTensor) -> str:
        return made_by.get(id(tensor)) or tensor._keras_history.operation.name

    def call(layer: keras.Layer, *args: object, **kwargs: object) -> object:
        outputs = layer(*args, **kwargs)
        topology.calls[layer.name] = topology.calls.get(layer.name, 0) + 1
        for tensor in keras.tree.flatten((args, kwargs)):
            if isinstance(tensor, keras.KerasTensor):
                source = producer(tensor)
                topology.producers.setdefault(layer.name, []).append(source)
                topology.consumers.setdefault(source, []).append(layer.name)
        for tensor in keras.tree.flatten(outputs):
            alive.append(tensor)
            made_by[id(tensor)] = layer.name
        return outputs

    clone = keras.models.clone_model(functional(model), call_function=call)
    for tensor in clone.outputs:
        topology.consumers.setdefault(producer(tensor), []).append(END)
    return topology


def rebuilt(
    model: keras.Model, make: Callable[[keras.Layer], keras.Layer], skipped: set[str] | frozenset[str] = frozenset()
) -> keras.Model:
    """A copy of the model's graph with the layers that `make` gives, some of them left out; weights are not set."""

    def call(layer: keras.Layer, *args: object, **kwargs: object) -> object:
        return args[0] if layer.name in skipped else layer(*args, **kwargs)

    return keras.models.clone_model(functional(model), clone_function=make, call_function=call)
