"""Which channels of a model are coupled: removing one removes it wherever it goes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers
from scipy.cluster.hierarchy import DisjointSet

from keras_kd.layers import functional

PASSING = (
    layers.Activation,
    layers.ReLU,
    layers.LeakyReLU,
    layers.ELU,
    layers.Dropout,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.GaussianNoise,
    layers.Identity,
    layers.MaxPooling1D,
    layers.MaxPooling2D,
    layers.AveragePooling1D,
    layers.AveragePooling2D,
    layers.GlobalAveragePooling1D,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling1D,
    layers.GlobalMaxPooling2D,
    layers.ZeroPadding1D,
    layers.ZeroPadding2D,
    layers.UpSampling1D,
    layers.UpSampling2D,
)
MERGING = (layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum)
CONVOLUTIONS = (layers.Conv1D, layers.Conv2D)
SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
MAKING = (layers.Dense, *CONVOLUTIONS, *SEPARABLE)


@dataclass(frozen=True)
class Channels:
    """A model's channels by number: which of them each layer reads and writes, which are coupled, which must stay.

    Coupled channels can only be removed together. They form a group, whose number is that of its first channel.

    Attributes:
        inputs, outputs: For each layer by name, the number of each channel of its input and its output.
        makers: Layers whose kernels make channels, in the order in which they run.
        norms: The BatchNormalizations, in the order in which they run.
        group_of: The group of each channel.
        kept: For each group that cannot be removed, why.
    """

    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    makers: tuple[str, ...]
    norms: tuple[str, ...]
    group_of: np.ndarray
    kept: dict[int, str]

    def groups(self, channels: np.ndarray) -> np.ndarray:
        """The group of each channel, int."""
        return self.group_of[channels]

    def groups_made(self, layer: str) -> np.ndarray:
        """The group of each channel that a layer makes, int."""
        return self.groups(self.outputs[layer])


def trace(model: keras.Model) -> Channels:
    """Follow the channels of a Functional or Sequential model, last axis, through its layers.

    What a layer that is not known here reads and writes must stay; so must the model's inputs and outputs.
    """
    tracer = _Tracer()
    clone = keras.models.clone_model(functional(model), call_function=tracer.call)
    for tensor in clone.outputs:
        tracer.keep(tracer.of(tensor), "makes an output of the model")
    return tracer.finished()


class _Tracer:
    """Channels while a model is called layer by layer."""

    def __init__(self) -> None:
        self.inputs: dict[str, np.ndarray] = {}
        self.outputs: dict[str, np.ndarray] = {}
        self.makers: list[str] = []
        self.norms: list[str] = []
        self.coupled = DisjointSet()
        self.must_stay: list[tuple[np.ndarray, str]] = []
        self.by_tensor: dict[int, np.ndarray] = {}
        self.alive: list[keras.KerasTensor] = []  # Tensors are known by their id, so none may go.

    def new(self, count: int) -> np.ndarray:
        """Numbers for channels that are coupled with nothing yet."""
        channels = np.arange(len(self.coupled), len(self.coupled) + count)
        for channel in channels.tolist():
            self.coupled.add(channel)
        return channels

    def couple(self, one: np.ndarray, other: np.ndarray) -> None:
        """Channels that can only be removed together, pair by pair."""
        for a, b in zip(one.tolist(), other.tolist(), strict=True):
            self.coupled.merge(a, b)

    def keep(self, channels: np.ndarray, reason: str) -> None:
        """Channels that must stay, and why."""
        self.must_stay.append((channels, reason))

    def of(self, tensor: keras.KerasTensor) -> np.ndarray:
        """The channels of a tensor; those of one that no layer made are an input's."""
        if id(tensor) not in self.by_tensor:
            self.set(tensor, self.new(tensor.shape[-1] or 1))
            self.keep(self.by_tensor[id(tensor)], "is an input of the model")
        return self.by_tensor[id(tensor)]

    def set(self, tensor: keras.KerasTensor, channels: np.ndarray) -> None:
        self.alive.append(tensor)
        self.by_tensor[id(tensor)] = channels

    def call(self, layer: keras.Layer, *args: object, **kwargs: object) -> object:
        """Call a layer as `clone_model` asks for, and note its channels."""
        results = layer(*args, **kwargs)
        tensors = [tensor for tensor in keras.tree.flatten((args, kwargs)) if isinstance(tensor, keras.KerasTensor)]
        made = keras.tree.flatten(results)
        channels = _follow(self, layer, tensors, [self.of(tensor) for tensor in tensors], made)
        if layer.name in self.outputs:
            # A layer that is called twice has one set of weights.
            if len(self.outputs[layer.name]) == len(channels):
                self.couple(self.outputs[layer.name], channels)
            self.couple(self.inputs[layer.name], self.of(tensors[0]))
        else:
            self.inputs[layer.name], self.outputs[layer.name] = self.of(tensors[0]), channels
        for tensor in made:
            self.set(tensor, channels)
        return results

    def finished(self) -> Channels:
        group_of = np.zeros(len(self.coupled), int)
        for subset in self.coupled.subsets():
            group_of[list(subset)] = min(subset)
        kept: dict[int, str] = {}
        for channels, reason in self.must_stay:
            for group in group_of[channels].tolist():
                kept.setdefault(group, reason)
        return Channels(self.inputs, self.outputs, tuple(self.makers), tuple(self.norms), group_of, kept)


def _follow(
    tracer: _Tracer,
    layer: keras.Layer,
    tensors: Sequence[keras.KerasTensor],
    inputs: Sequence[np.ndarray],
    made: Sequence[keras.KerasTensor],
) -> np.ndarray:
    """Channels of a layer's output."""
    if len(made) == 1 and getattr(layer, "data_format", "channels_last") == "channels_last":
        if isinstance(layer, MAKING) and getattr(layer, "groups", 1) == 1:
            return _made(tracer, layer, made[0].shape[-1])
        if isinstance(layer, layers.BatchNormalization) and layer.axis in (-1, len(made[0].shape) - 1):
            tracer.norms.append(layer.name)
            return inputs[0]
        if isinstance(layer, (*MERGING, layers.Concatenate)):
            channels = _merged(tracer, layer, inputs, len(made[0].shape))
        else:
            channels = _passed(layer, inputs[0], tensors[0].shape)
        if channels is not None:
            return channels
    reason = f"goes through {layer.name!r} ({type(layer).__name__}), which is not known to keep channels apart"
    for channels in inputs:
        tracer.keep(channels, reason)
    unknown = tracer.new(made[0].shape[-1] or 1)
    tracer.keep(unknown, reason)
    return unknown


def _made(tracer: _Tracer, layer: keras.Layer, count: int) -> np.ndarray:
    """New channels, which a kernel makes."""
    if layer.name not in tracer.makers:
        tracer.makers.append(layer.name)
    channels = tracer.new(count)
    if _across_channels(layer):
        tracer.keep(channels, f"goes through the {layer.activation.__name__} of {layer.name!r} together")
    return channels


def _merged(tracer: _Tracer, layer: keras.Layer, inputs: Sequence[np.ndarray], rank: int) -> np.ndarray | None:
    """Channels of several inputs: one after the other, or coupled; None where they do not match."""
    if isinstance(layer, layers.Concatenate) and layer.axis in (-1, rank - 1):
        return np.concatenate(inputs)
    if not isinstance(layer, layers.Concatenate) and len({len(channels) for channels in inputs}) > 1:
        return None
    for other in inputs[1:]:
        tracer.couple(inputs[0], other)
    return inputs[0]


def _passed(layer: keras.Layer, channels: np.ndarray, shape: tuple[int | None, ...]) -> np.ndarray | None:
    """Channels of an input of this shape behind a layer that keeps them apart; None behind any other."""
    if isinstance(layer, DEPTHWISE):
        return np.repeat(channels, layer.depth_multiplier)
    if isinstance(layer, PASSING) and not _across_channels(layer):
        return channels
    if isinstance(layer, layers.Flatten):
        return np.tile(channels, math.prod(size or 1 for size in shape[1:-1]))
    if isinstance(layer, layers.Reshape) and layer.target_shape[-1] == len(channels):
        return channels
    return None


def _across_channels(layer: keras.Layer) -> bool:
    """Whether a layer's activation mixes channels, as softmax does."""
    return getattr(getattr(layer, "activation", None), "__name__", "") in ("softmax", "log_softmax", "sparsemax", "glu")
