"""Cross-layer equalisation: neighbouring kernels share out their range, which one scale for each then wastes less."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import keras
import numpy as np

from micro.keras_graph.channels import CONVOLUTIONS, DEPTHWISE, SEPARABLE
from micro.keras_graph.fold_batchnorm import fold_batchnorm
from micro.keras_graph.topology import Wiring, wiring

ROUNDS = 50
# What a channel that is multiplied before these layers comes out multiplied by the same.
SCALING = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.Identity,
    keras.layers.MaxPooling1D,
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling1D,
    keras.layers.AveragePooling2D,
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling1D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.ZeroPadding1D,
    keras.layers.ZeroPadding2D,
    keras.layers.Flatten,
)
SCALING_ACTIVATIONS = ("linear", "relu", "leaky_relu")


@dataclass(frozen=True)
class _Kernel:
    """One kernel of a layer, by its place among the layer's weights."""

    layer: keras.Layer
    place: int

    @property
    def depthwise(self) -> bool:
        return isinstance(self.layer, DEPTHWISE) or (isinstance(self.layer, SEPARABLE) and self.place == 0)

    def made(self, values: np.ndarray) -> np.ndarray:
        """The kernel as (rest, channels that it makes)."""
        return values.reshape(-1, values.shape[-2] * values.shape[-1] if self.depthwise else values.shape[-1])

    def largest_made(self) -> np.ndarray:
        return np.abs(self.made(self.layer.get_weights()[self.place])).max(axis=0)

    def largest_taken(self, channels: int) -> np.ndarray:
        """The largest weight on each channel; several rows belong to one where a Flatten is between."""
        values = np.abs(self.layer.get_weights()[self.place])
        rows = np.moveaxis(values, -2, 0).reshape(values.shape[-2], -1).max(axis=1)
        return rows.reshape(-1, channels).max(axis=0)

    def scale(self, taken: np.ndarray | None = None, made: np.ndarray | None = None) -> None:
        """Multiply what the kernel takes from each channel, or what it makes, the bias along with it."""
        weights = self.layer.get_weights()
        values = weights[self.place]
        if taken is not None:
            weights[self.place] = values * np.tile(taken, values.shape[-2] // len(taken))[:, None]
        if made is not None:
            weights[self.place] = values * (made.reshape(values.shape[-2:]) if self.depthwise else made)
            if self.layer.use_bias and self.place == len(weights) - 2:
                weights[-1] = weights[-1] * made
        self.layer.set_weights(weights)


def equalize(model: keras.Model) -> keras.Model:
    """The same function, BatchNormalization folded, kernels of neighbouring layers equal in range, channel by channel.

    Pairs of Dense, convolutions and depthwise convolutions between which there is nothing but ReLU, pooling, padding and
    Flatten, and that feed one another alone. It helps where weights have one scale for each kernel; with a scale
    for each channel it changes little. The model handed in is not changed.

    Raises:
        ValueError: Where no two layers are neighbours in that sense.

    Source: Nagel et al. 2019, Data-Free Quantization, equation 11.
    """
    folded = fold_batchnorm(model)
    pairs = _pairs(folded, wiring(folded))
    if not pairs:
        raise ValueError(f"equalize: no two kernels of {model.name!r} have only ReLU, pooling or padding between them")
    for _ in range(ROUNDS):
        moved = 0.0
        for first, second in pairs:
            made = first.largest_made()
            taken = second.largest_taken(len(made))
            alive = (made > 0) & (taken > 0)
            factor = np.sqrt(np.where(alive, taken, 1.0) / np.where(alive, made, 1.0))
            first.scale(made=factor)
            second.scale(taken=1.0 / factor)
            moved = max(moved, float(np.abs(np.log(factor)).max()))
        if moved < 1e-3:
            break
    return folded


def _pairs(model: keras.Model, wires: Wiring) -> list[tuple[_Kernel, _Kernel]]:
    pairs: list[tuple[_Kernel, _Kernel]] = []
    for layer in model.layers:
        kernels = _kernels(layer)
        pairs += pairwise(kernels)
        if not kernels or wires.calls.get(layer.name) != 1:
            continue
        following = _following(model, wires, layer)
        if following is not None:
            pairs.append((kernels[-1], _kernels(following)[0]))
    return pairs


def _following(model: keras.Model, wires: Wiring, layer: keras.Layer) -> keras.Layer | None:
    """The next layer with a kernel, where nothing on the way keeps a factor from passing."""
    while _passes_factors(layer):
        reader = wires.only_reader(layer.name)
        if reader is None or wires.calls.get(reader) != 1 or len(wires.taken[reader]) != 1:
            return None
        layer = model.get_layer(reader)
        if _kernels(layer):
            return layer
        if not isinstance(layer, (*SCALING, keras.layers.Activation, keras.layers.ReLU, keras.layers.LeakyReLU)):
            return None
    return None


def _passes_factors(layer: keras.Layer) -> bool:
    if isinstance(layer, keras.layers.ReLU):
        return layer.max_value is None and not layer.threshold
    activation = getattr(layer, "activation", None)
    return activation is None or getattr(activation, "__name__", "") in SCALING_ACTIVATIONS


def _kernels(layer: keras.Layer) -> list[_Kernel]:
    if getattr(layer, "groups", 1) != 1 or getattr(layer, "data_format", "channels_last") != "channels_last":
        return []
    if isinstance(layer, SEPARABLE):
        return [_Kernel(layer, 0), _Kernel(layer, 1)]
    return [_Kernel(layer, 0)] if isinstance(layer, (keras.layers.Dense, *CONVOLUTIONS, *DEPTHWISE)) else []
