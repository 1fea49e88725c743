"""Reading a model: its layers by name, their outputs in one pass, the activation of an output, a copy of the model."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import keras

from keras_kd.types import LayerRef, Structure, Tensor


class Captured(NamedTuple):
    """What one forward pass gave, or its shapes."""

    outputs: Any
    """The model's outputs, structured as the model gives them."""
    features: dict[str, Any]
    """Outputs of the tapped layers, by name."""
    inputs: Any = ()
    """What the model got, where a Distiller keeps it for the other model."""


# Where hooked layers put their outputs while a tap's forward pass runs, by the id of the layer.
_recording: ContextVar[dict[int, list[Any]] | None] = ContextVar("keras_kd_recording", default=None)


class Tap:
    """A model that gives the outputs of some of its layers along with its own, in one forward pass.

    Layers of a Functional or Sequential model are read from its graph. Those inside nested or subclassed models get a hook
    while the model runs.

    Args:
        model: Any Keras model.
        layers: Names or paths of layers of the model, as `find_layer` takes them.

    Raises:
        ValueError: If a layer is not in the model (the message names the nearest) or is used more than once.
    """

    def __init__(self, model: keras.Model, layers: Sequence[str] = ()) -> None:
        self.model = model
        self.layers = tuple(dict.fromkeys(layers))
        self._graph = None
        tapped = {name: find_layer(model, name) for name in self.layers}
        in_graph = {name: layer for name, layer in tapped.items() if _in_graph(model, layer)}
        self._hooked = {name: layer for name, layer in tapped.items() if name not in in_graph}
        if in_graph:
            features = {name: output_of(model, layer) for name, layer in in_graph.items()}
            inputs, self._structure = ends_of(model)
            self._graph = keras.Model(inputs, {"outputs": list(model.outputs), "features": features})

    def __call__(self, x: Structure, training: bool = False) -> Captured:
        """Outputs and features on a batch."""
        with _hooks_on(self._hooked.values()) as recorded:
            if self._graph is None:
                outputs, features = self.model(x, training=training), {}
            else:
                given = self._graph(x, training=training)
                outputs = keras.tree.pack_sequence_as(self._structure, given["outputs"])
                features = dict(given["features"])
        for name, layer in self._hooked.items():
            features[name] = _only(recorded[id(layer)], name, self.model)
        return Captured(outputs, features)

    @property
    def has_hooks(self) -> bool:
        """Whether some layer is not in the model's graph and is hooked while the model runs."""
        return bool(self._hooked)

    def shapes(self, x: Structure) -> Captured:
        """Symbolic outputs and features for symbolic inputs: nothing is computed."""
        return _Probe(self).compute_output_spec(x)


class MaskOf(keras.Layer):
    """The mask that Keras carries with a tensor, or None: Keras passes it to any layer whose `call` takes one."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Structure, mask: Tensor | None = None) -> Tensor | None:
        return mask

    def compute_mask(self, inputs: Structure, previous_mask: Tensor | None = None) -> None:
        return None


class _Probe(keras.Layer):
    """A tap as a layer, so that Keras can trace it on symbolic inputs."""

    def __init__(self, tap: Tap) -> None:
        super().__init__()
        self._tap = tap
        self.built = True

    def call(self, inputs: Structure) -> Captured:
        return self._tap(inputs)


@contextmanager
def _hooks_on(layers: Iterable[keras.Layer]) -> Iterator[dict[int, list[Any]]]:
    """Record the layers' outputs by id while the context lasts; afterwards each layer is as it was."""
    layers = list(layers)
    recorded: dict[int, list[Any]] = {id(layer): [] for layer in layers}
    for layer in layers:
        if "call" not in vars(layer):
            object.__setattr__(layer, "call", _Hook(layer))
    token = _recording.set(recorded)
    try:
        yield recorded
    finally:
        _recording.reset(token)
        for layer in layers:
            if isinstance(vars(layer).get("call"), _Hook):
                object.__delattr__(layer, "call")


class _Hook:
    """A layer's `call` that also records its outputs."""

    def __init__(self, layer: keras.Layer) -> None:
        self._layer = layer
        self._call = layer.call

    def __call__(self, *args: object, **kwargs: object) -> Any:
        outputs = self._call(*args, **kwargs)
        recorded = _recording.get()
        if recorded is not None and id(self._layer) in recorded:
            recorded[id(self._layer)].append(outputs)
        return outputs


def _only(recorded: list[Structure], name: str, model: keras.Model) -> Tensor:
    """The one tensor that a layer gave in one pass of its model."""
    if len(recorded) != 1:
        raise ValueError(
            f"layer {name!r} of {model.name!r} ran {len(recorded)} times in one pass of the model; its output is ambiguous"
        )
    tensors = keras.tree.flatten(recorded[0])
    if len(tensors) != 1:
        raise ValueError(
            f"layer {name!r} of {model.name!r} gives {len(tensors)} tensors; name one that gives a single one"
        )
    return tensors[0]


def find_layer(model: keras.Model, name: str) -> keras.Layer:
    """The layer of that name or path; ValueError with the nearest names if there is none.

    A path 'encoder/block_2' leads into nested models and layers. A bare name is searched among the model's own layers first,
    then inside them, where it must occur once.
    """
    own = [layer.name for layer in children_of(model)]
    if name in own:
        return children_of(model)[own.index(name)]
    inner = dict(_walk(model))
    if name in inner:
        return inner[name]
    matches = [path for path in inner if path.rpartition("/")[2] == name]
    if len(matches) == 1:
        return inner[matches[0]]
    if matches:
        raise ValueError(
            f"layer {name!r} is in {model.name!r} {len(matches)} times; name one by its path: {', '.join(matches)}"
        )
    near = difflib.get_close_matches(name, [*own, *inner], n=3, cutoff=0.4) or own[:8]
    near = list(dict.fromkeys(near))
    raise ValueError(
        f"layer {name!r} is not in {model.name!r}; nearest: {', '.join(map(repr, near))}"
        if near
        else f"layer {name!r} is not in {model.name!r}, which exposes no layers"
    )


def name_of(model: keras.Model, ref: LayerRef) -> str:
    """The name or path by which `find_layer` finds what `ref` means: a name, a layer, or a callable from model to layer.

    Raises:
        ValueError: If it is not a layer of the model.
    """
    if isinstance(ref, str):
        find_layer(model, ref)
        return ref
    layer = ref
    if not isinstance(ref, keras.Layer):
        if not callable(ref):
            raise ValueError(f"layer must be a name, a layer or a callable from model to layer, got {ref!r}")
        layer = ref(model)
        if isinstance(layer, str):
            return name_of(model, layer)
    for path, candidate in _walk(model):
        if candidate is layer:
            return path
    raise ValueError(f"layer {getattr(layer, 'name', layer)!r} is not in {model.name!r}")


def copied(model: keras.Model) -> keras.Model:
    """A copy of a model with its weights, but without its optimizer, loss and metrics."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def functional(model: keras.Model) -> keras.Model:
    """A Sequential model as a Functional one over the same layers; others as they are."""
    if isinstance(model, keras.Sequential):
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    return model


def children_of(layer: keras.Layer) -> list[keras.Layer]:
    """The layers directly inside a model or layer."""
    return list(
        layer.layers if isinstance(layer, keras.Model) else layer._flatten_layers(include_self=False, recursive=False)
    )


def _walk(layer: keras.Layer, prefix: str = "") -> Iterator[tuple[str, keras.Layer]]:
    """Every layer inside another with its path, the outer ones first."""
    children = children_of(layer)
    yield from ((prefix + child.name, child) for child in children)
    for child in children:
        yield from _walk(child, f"{prefix}{child.name}/")


def _in_graph(model: keras.Model, layer: keras.Layer) -> bool:
    return bool(getattr(model, "inputs", None)) and any(child is layer for child in children_of(model))


def output_of(model: keras.Model, layer: keras.Layer) -> Any:
    """Symbolic output of a layer of a Functional or Sequential model."""
    try:
        output = layer.output
    except AttributeError as error:
        raise ValueError(f"layer {layer.name!r} of {model.name!r} has no single output: {error}") from None
    if not isinstance(output, keras.KerasTensor):
        raise ValueError(
            f"layer {layer.name!r} of {model.name!r} gives several tensors; name one that gives a single one"
        )
    return output


def activation_of(model: keras.Model, layer: str | None = None) -> str | None:
    """'linear', 'softmax' or 'sigmoid': the activation of a model's output or of one of its layers; None where it is unknown.

    Layers that only reshape or do nothing at inference (Reshape, Flatten, Dropout, Identity) are skipped; sums and means of
    linear outputs are linear.
    """
    declared = getattr(model, "output_activation", None)
    if declared is not None and layer is None:
        return declared
    return _activation_made_by(find_layer(model, layer) if layer else last_layer(model))


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


def ends_of(model: keras.Model) -> tuple[Any, Any]:
    """Symbolic inputs and outputs, structured as the model takes and gives them."""
    if isinstance(model, keras.Sequential):
        return model.inputs[0], model.outputs[0]
    return model.input, model.output


def _passes(layer: keras.Layer | None) -> bool:
    """Whether a layer passes values on unchanged at inference."""
    if isinstance(layer, keras.layers.Activation):
        return getattr(layer.activation, "__name__", None) == "linear"
    return isinstance(layer, PASSING)


def _activation_made_by(made_by: Any) -> str | None:
    """The activation of what a layer gives; None where it is unknown."""
    while _passes(made_by) and _previous(made_by) is not None:
        made_by = _previous(made_by)
    if isinstance(made_by, (keras.layers.Add, keras.layers.Average)):
        merged = {_activation_made_by(tensor._keras_history.operation) for tensor in made_by.input}
        return "linear" if merged == {"linear"} else None
    if isinstance(made_by, keras.Model):
        return activation_of(made_by)
    if isinstance(made_by, keras.layers.TimeDistributed):
        made_by = made_by.layer
    if isinstance(made_by, keras.layers.Softmax):
        return "softmax"
    if made_by is None or isinstance(made_by, RECURRENT):
        return None
    activation = getattr(getattr(made_by, "activation", None), "__name__", None)
    return activation if activation in ("linear", "softmax", "sigmoid") else None


def _previous(layer: keras.Layer | None) -> keras.Layer | None:
    """The layer before one that has a single input."""
    if layer is None:
        return None
    try:
        made_by = layer.input._keras_history.operation
    except AttributeError:
        return None
    return made_by if isinstance(made_by, keras.Layer) else None
