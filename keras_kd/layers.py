"""Reading a model: its layers by name, their outputs in one pass, the activation an output went through."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras


class Captured(NamedTuple):
    """What one forward pass gave: the model's outputs, and the outputs of the layers that were asked for."""

    outputs: Any
    features: dict[str, Any]


class Tap:
    """A model together with the layers whose outputs it should give beside its own, in one forward pass.

    Args:
        model: Functional or Sequential where layers are named; any Keras model where none are.
        layers: Names of layers of the model.

    Raises: ValueError if a layer is not in the model (the nearest names are told), is used more than once, or the
        model has no graph to read layers from.
    """

    def __init__(self, model: keras.Model, layers: Sequence[str] = ()) -> None:
        self.model = model
        self.layers = tuple(dict.fromkeys(layers))
        self._graph = None
        if self.layers:
            features = {name: output_of(model, name) for name in self.layers}
            inputs, self._structure = _ends(model)
            self._graph = keras.Model(inputs, {"outputs": list(model.outputs), "features": features})

    def __call__(self, x: Any, training: bool = False) -> Captured:
        """Outputs and features on a batch."""
        if self._graph is None:
            return Captured(self.model(x, training=training), {})
        given = self._graph(x, training=training)
        outputs = keras.tree.pack_sequence_as(self._structure, given["outputs"])
        return Captured(outputs, given["features"])


def find_layer(model: keras.Model, name: str) -> keras.Layer:
    """The layer of that name; ValueError with the nearest names if there is none."""
    names = [layer.name for layer in model.layers]
    if name in names:
        return model.layers[names.index(name)]
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names[:8]
    raise ValueError(
        f"layer {name!r} is not in {model.name!r}; nearest: {', '.join(map(repr, near))}"
        if near
        else f"layer {name!r} is not in {model.name!r}, which exposes no layers"
    )


def output_of(model: keras.Model, name: str) -> Any:
    """Symbolic output of a named layer."""
    layer = find_layer(model, name)
    if not getattr(model, "inputs", None):
        raise ValueError(
            f"layer {name!r}: model {model.name!r} has no graph to read it from; build it as a Functional or "
            "Sequential model with a known input shape"
        )
    try:
        return layer.output
    except AttributeError as error:
        raise ValueError(f"layer {name!r} of {model.name!r} has no single output: {error}") from None


def activation_of(model: keras.Model, layer: str | None = None) -> str | None:
    """'linear', 'softmax' or 'sigmoid': what made the output of a model or of one of its layers; None if not to be told.

    Shape-only and inactive layers (Reshape, Flatten, Dropout, Identity) are looked through.
    """
    found = find_layer(model, layer) if layer else last_layer(model)
    while _passes(found) and _previous(found) is not None:
        found = _previous(found)
    if isinstance(found, keras.Model):
        return activation_of(found)
    if isinstance(found, keras.layers.TimeDistributed):
        found = found.layer
    if isinstance(found, keras.layers.Softmax):
        return "softmax"
    if found is None or isinstance(found, RECURRENT):
        return None
    activation = getattr(getattr(found, "activation", None), "__name__", None)
    return activation if activation in ("linear", "softmax", "sigmoid") else None


PASSING = (
    keras.layers.Reshape,
    keras.layers.Flatten,
    keras.layers.Dropout,
    keras.layers.Identity,
    keras.layers.Permute,
)
# Their `activation` is that of a cell, applied before a gate, and says nothing of the output.
RECURRENT = (keras.layers.RNN, keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN)


def last_layer(model: keras.Model) -> keras.Layer | None:
    """The layer that made a single-output model's output, None where there is no graph or more than one output."""
    outputs = getattr(model, "outputs", None)
    if outputs and len(outputs) == 1:
        made_by = outputs[0]._keras_history.operation
        return made_by if isinstance(made_by, keras.Layer) else None
    if isinstance(model, keras.Sequential) and model.layers:
        return model.layers[-1]
    return None


def _ends(model: keras.Model) -> tuple[Any, Any]:
    """Symbolic inputs and outputs in the structure that the model takes and gives."""
    if isinstance(model, keras.Sequential):
        return model.inputs[0], model.outputs[0]
    return model.input, model.output


def _passes(layer: keras.Layer | None) -> bool:
    """Whether a layer leaves values as they are (at inference)."""
    if isinstance(layer, keras.layers.Activation):
        return getattr(layer.activation, "__name__", None) == "linear"
    return isinstance(layer, PASSING)


def _previous(layer: keras.Layer | None) -> keras.Layer | None:
    """The layer before one that has a single input."""
    if layer is None:
        return None
    try:
        made_by = layer.input._keras_history.operation
    except AttributeError:
        return None
    return made_by if isinstance(made_by, keras.Layer) else None
