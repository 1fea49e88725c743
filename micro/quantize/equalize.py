"""Cross-layer equalization: neighboring kernels get equal ranges, so that one scale for each kernel wastes less."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import keras
import numpy as np

from micro.keras_graph.channels import CONVOLUTIONS, DEPTHWISE, SEPARABLE
from micro.keras_graph.fold_batchnorm import fold_batchnorm
from micro.keras_graph.topology import Topology, topology_of

ROUNDS = 50
# A factor on a channel in front of these layers is the same factor behind them.
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
    """One kernel of a layer, by its index among the layer's weights."""

    layer: keras.Layer
    index: int

    @property
    def depthwise(self) -> bool:
        return isinstance(self.layer, DEPTHWISE) or (isinstance(self.layer, SEPARABLE) and self.index == 0)

    def made(self, values: np.ndarray) -> np.ndarray:
        """The kernel as (rest, output channels)."""
        return values.reshape(-1, values.shape[-2] * values.shape[-1] if self.depthwise else values.shape[-1])

    def largest_made(self) -> np.ndarray:
        return np.abs(self.made(self.layer.get_weights()[self.index])).max(axis=0)

    def largest_taken(self, channels: int) -> np.ndarray:
        """The largest weight on each input channel; behind a Flatten several rows belong to one channel."""
        values = np.abs(self.layer.get_weights()[self.index])
        rows = np.moveaxis(values, -2, 0).reshape(values.shape[-2], -1).max(axis=1)
        return rows.reshape(-1, channels).max(axis=0)

    def scale(self, taken: np.ndarray | None = None, made: np.ndarray | None = None) -> None:
        """Multiply each input channel (`taken`), or each output channel (`made`) and its bias."""
        weights = self.layer.get_weights()
        values = weights[self.index]
        if taken is not None:
            weights[self.index] = values * np.tile(taken, values.shape[-2] // len(taken))[:, None]
        if made is not None:
            weights[self.index] = values * (made.reshape(values.shape[-2:]) if self.depthwise else made)
            if self.layer.use_bias and self.index == len(weights) - 2:
                weights[-1] = weights[-1] * made
        self.layer.set_weights(weights)


def equalize(model: keras.Model) -> keras.Model:
    """The same function, BatchNormalization folded, kernels of neighboring layers equal in range, channel by channel.

    Neighbors are Dense layers, convolutions and depthwise convolutions with nothing but ReLU, pooling, padding and Flatten
    between them, where the first feeds the second alone. It helps where weights are quantized per tensor; per channel it
    changes little. The model passed in is not changed.

    Args:
        model: A built Functional or Sequential model.

    Returns: A new model with the same inputs and outputs.

    Raises:
        ValueError: Where no two layers are neighbors in that sense.

    Examples:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2)])
        >>> first, second = (layer.kernel.numpy() for layer in micro.equalize(model).layers if layer.weights)
        >>> bool(np.allclose(abs(first).max(axis=0), abs(second).max(axis=1), rtol=1e-2))
        True

    Source: Nagel et al. 2019, Data-Free Quantization, equation 11, https://arxiv.org/abs/1906.04721.
    """
    folded = fold_batchnorm(model)
    pairs = _pairs(folded, topology_of(folded))
    if not pairs:
        raise ValueError(f"equalize: no two kernels of {model.name!r} have only ReLU, pooling or padding between them")
    for _ in range(ROUNDS):
        largest = 0.0
        for first, second in pairs:
            made = first.largest_made()
            taken = second.largest_taken(len(made))
            alive = (made > 0) & (taken > 0)
            factor = np.sqrt(np.where(alive, taken, 1.0) / np.where(alive, made, 1.0))
            first.scale(made=factor)
            second.scale(taken=1.0 / factor)
            largest = max(largest, float(np.abs(np.log(factor)).max()))
        if largest < 1e-3:
            break
    return folded


def _pairs(model: keras.Model, topology: Topology) -> list[tuple[_Kernel, _Kernel]]:
    pairs: list[tuple[_Kernel, _Kernel]] = []
    for layer in model.layers:
        kernels = _kernels(layer)
        pairs += pairwise(kernels)
        if not kernels or topology.calls.get(layer.name) != 1:
            continue
        following = _following(model, topology, layer)
        if following is not None:
            pairs.append((kernels[-1], _kernels(following)[0]))
    return pairs


def _following(model: keras.Model, topology: Topology, layer: keras.Layer) -> keras.Layer | None:
    """The next layer with a kernel, where every layer between passes a factor on."""
    while _passes_factors(layer):
        consumer = topology.only_consumer(layer.name)
        if consumer is None or topology.calls.get(consumer) != 1 or len(topology.producers[consumer]) != 1:
            return None
        layer = model.get_layer(consumer)
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
