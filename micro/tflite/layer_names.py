"""Which Keras layer a tensor or operator of a converted graph came from, by tensor names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from micro.tflite.graph import Graph, Op

if TYPE_CHECKING:
    import keras


def all_layers(model: keras.Model) -> Iterator[Any]:
    """The model's layers; layers inside a nested model come after that model."""
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from all_layers(layer)


def mentioned_layers(text: str, model: keras.Model) -> list[Any]:
    """Layers that a tensor's name mentions, in order: the converter joins the names of everything fused into an operator."""
    by_name = {layer.name: layer for layer in all_layers(model)}
    # When a model is traced a second time, a number follows each layer's name.
    numbered = re.search(r"(^|[/;:\s\"'])static_\d+/", text) is not None
    layers: list[Any] = []
    for part in re.split(r"[/;:@\s\"']+", text):
        bare = re.sub(r"_\d+$", "", part)
        for name in (bare, part) if numbered else (part, bare):
            if name in by_name:
                if by_name[name] not in layers:
                    layers.append(by_name[name])
                break
    return layers


def layer_phrase(op: Op, graph: Graph, model: keras.Model) -> str:
    """`layer 'name' (Type)` of the Keras layer whose output an operator gives, the innermost where models are nested."""
    for output, layer in zip(graph.outputs, output_layers(model)):
        if op.outputs == (output,) and not mentioned_layers(graph.tensors[output].name, model):
            return phrase(layer)
    for index in (*op.outputs, *op.inputs):
        # The first part of a name is the operator itself, what follows was fused into it.
        for part in graph.tensors[index].name.split(";") if index >= 0 else ():
            mentioned = mentioned_layers(part, model)
            if mentioned:
                return phrase(mentioned[-1])
    return f"operator {op.index} of model {model.name!r}"


def output_layers(model: keras.Model) -> list[Any]:
    """The layers that compute a model's outputs, in order; the converter does not name them in the graph."""
    return [output._keras_history.operation for output in model.outputs]


def phrase(layer: keras.layers.Layer) -> str:
    """`layer 'name' (Type)`."""
    return f"layer {layer.name!r} ({type(layer).__name__})"


def unique_name(name: str, taken: set[str]) -> str:
    """The name, with a number if it is taken already; adds it to `taken`."""
    chosen, number = name, 2
    while chosen in taken:
        chosen, number = f"{name}_{number}", number + 1
    taken.add(chosen)
    return chosen
