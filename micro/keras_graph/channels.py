"""Which channels of a model belong together: removing one removes it wherever it goes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import layers

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


@dataclass
class Channels:
    """A model's channels by number: what each layer takes and gives, which numbers stand and fall together, which must stay.

    `taken` and `given` hold a number for each channel of a layer's input and output, by layer name. `makers` are the layers
    whose kernels make channels, `norms` the BatchNormalizations, in the order in which they run. `kept` says why channels
    of a group must stay.
    """

    taken: dict[str, np.ndarray] = field(default_factory=dict)
    given: dict[str, np.ndarray] = field(default_factory=dict)
    makers: list[str] = field(default_factory=list)
    norms: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    kept: dict[int, str] = field(default_factory=dict)

    def new(self, count: int) -> np.ndarray:
        """Numbers for channels that belong to nothing yet."""
        start = len(self.parents)
        self.parents.extend(range(start, start + count))
        return np.arange(start, start + count)

    def group(self, channel: int) -> int:
        """The number that stands for all that fall with this channel."""
        while self.parents[channel] != channel:
            self.parents[channel] = self.parents[self.parents[channel]]
            channel = self.parents[channel]
        return channel

    def groups(self, channels: np.ndarray) -> np.ndarray:
        """`group` of each."""
        return np.array([self.group(int(channel)) for channel in channels], int)

    def join(self, one: np.ndarray, other: np.ndarray) -> None:
        """Channels that stand and fall together, pair by pair."""
        for a, b in zip(self.groups(one), self.groups(other), strict=True):
            a, b = sorted((self.group(int(a)), self.group(int(b))))
            if a != b:
                self.parents[b] = a
                if b in self.kept:
                    self.kept.setdefault(a, self.kept.pop(b))

    def keep(self, channels: np.ndarray, reason: str) -> None:
        """Channels that must stay, and why."""
        for channel in self.groups(channels):
            self.kept.setdefault(int(channel), reason)


def trace(model: keras.Model) -> Channels:
    """Follow the channels of a Functional or Sequential model, last axis, through its layers.

    What a layer that is not known here takes and gives must stay; so must the model's inputs and outputs.
    """
    found = Channels()
    by_tensor: dict[int, np.ndarray] = {}
    alive: list[Any] = []  # Tensors are known by their id, so none may go.

    def of(tensor: Any) -> np.ndarray:
        if id(tensor) not in by_tensor:
            alive.append(tensor)
            by_tensor[id(tensor)] = found.new(tensor.shape[-1] or 1)
            found.keep(by_tensor[id(tensor)], "is an input of the model")
        return by_tensor[id(tensor)]

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        outputs = layer(*args, **kwargs)
        given = [tensor for tensor in keras.tree.flatten((args, kwargs)) if isinstance(tensor, keras.KerasTensor)]
        made = keras.tree.flatten(outputs)
        channels = _follow(found, layer, given, [of(tensor) for tensor in given], made)
        if layer.name in found.given:
            # A layer that is called twice has one set of weights.
            if len(found.given[layer.name]) == len(channels):
                found.join(found.given[layer.name], channels)
            found.join(found.taken[layer.name], of(given[0]))
        else:
            found.taken[layer.name], found.given[layer.name] = of(given[0]), channels
        for tensor in made:
            alive.append(tensor)
            by_tensor[id(tensor)] = channels
        return outputs

    clone = keras.models.clone_model(functional(model), call_function=call)
    for tensor in clone.outputs:
        found.keep(of(tensor), "makes an output of the model")
    return found


def _follow(
    found: Channels, layer: keras.Layer, tensors: Sequence[Any], taken: Sequence[np.ndarray], made: Sequence[Any]
) -> np.ndarray:
    """Channels of a layer's output."""
    if len(made) == 1 and getattr(layer, "data_format", "channels_last") == "channels_last":
        if isinstance(layer, MAKING) and getattr(layer, "groups", 1) == 1:
            if layer.name not in found.makers:
                found.makers.append(layer.name)
            channels = found.new(made[0].shape[-1])
            if _across_channels(layer):
                found.keep(channels, f"goes through the {layer.activation.__name__} of {layer.name!r} together")
            return channels
        if isinstance(layer, DEPTHWISE):
            return np.repeat(taken[0], layer.depth_multiplier)
        if isinstance(layer, layers.BatchNormalization) and layer.axis in (-1, len(made[0].shape) - 1):
            found.norms.append(layer.name)
            return taken[0]
        if isinstance(layer, PASSING) and not _across_channels(layer):
            return taken[0]
        if isinstance(layer, MERGING) and len({len(channels) for channels in taken}) == 1:
            for other in taken[1:]:
                found.join(taken[0], other)
            return taken[0]
        if isinstance(layer, layers.Concatenate):
            if layer.axis in (-1, len(made[0].shape) - 1):
                return np.concatenate(taken)
            for other in taken[1:]:
                found.join(taken[0], other)
            return taken[0]
        if isinstance(layer, layers.Flatten):
            return np.tile(taken[0], math.prod(tensors[0].shape[1:-1]))
        if isinstance(layer, layers.Reshape) and layer.target_shape[-1] == len(taken[0]):
            return taken[0]
    reason = f"goes through {layer.name!r} ({type(layer).__name__}), which is not known to keep channels apart"
    for channels in taken:
        found.keep(channels, reason)
    unknown = found.new(made[0].shape[-1] or 1)
    found.keep(unknown, reason)
    return unknown


def _across_channels(layer: keras.Layer) -> bool:
    """Whether a layer's activation mixes channels, as softmax does."""
    return getattr(getattr(layer, "activation", None), "__name__", "") in ("softmax", "log_softmax", "sparsemax", "glu")
