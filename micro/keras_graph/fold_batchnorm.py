"""BatchNormalization folded into the kernels before it, as the converter does, but in Keras."""

from __future__ import annotations

import keras
import numpy as np

from keras_kd.layers import copied, functional
from micro.keras_graph.channels import CONVOLUTIONS, DEPTHWISE, SEPARABLE
from micro.keras_graph.topology import rebuilt, topology_of

FOLDABLE = (keras.layers.Dense, *CONVOLUTIONS, *DEPTHWISE, *SEPARABLE)


def fold_batchnorm(model: keras.Model) -> keras.Model:
    """The same function at inference without the BatchNormalizations that directly follow a Dense layer or convolution.

    Their scale is multiplied into the kernel, their shift added to the bias. Those that follow another layer stay. The model
    passed in is not changed; one without a graph of layers is copied as it is.

    Args:
        model: A built Functional or Sequential model, nested models included.

    Returns: A new model with the same inputs and outputs.

    Examples:
        >>> layers = [keras.layers.Dense(8, use_bias=False), keras.layers.BatchNormalization()]
        >>> folded = micro.fold_batchnorm(keras.Sequential([keras.Input((4,)), *layers]))
        >>> [(type(layer).__name__, layer.use_bias) for layer in folded.layers if layer.weights]
        [('Dense', True)]

    Source: Jacob et al. 2018, section 3.2, https://arxiv.org/abs/1712.05877.
    """
    source = functional(model)
    if not getattr(source, "inputs", None):
        return copied(model)
    folded = _folded(source)

    def make(layer: keras.Layer) -> keras.Layer:
        if isinstance(layer, keras.Model):
            return fold_batchnorm(layer)
        config = layer.get_config()
        if layer.name in folded:
            config["use_bias"] = True
        return type(layer).from_config(config)

    copy = rebuilt(source, make, {norm.name for norm in folded.values()})
    for layer in source.layers:
        if layer.weights and not isinstance(layer, keras.Model) and layer not in folded.values():
            weights = layer.get_weights()
            if layer.name in folded:
                weights = _with_norm(layer, weights, folded[layer.name])
            copy.get_layer(layer.name).set_weights(weights)
    return copy


def _folded(model: keras.Model) -> dict[str, keras.layers.BatchNormalization]:
    """The BatchNormalizations that can be folded, by the name of the layer that takes them."""
    topology = topology_of(model)
    folded = {}
    for layer in model.layers:
        linear = getattr(getattr(layer, "activation", None), "__name__", "linear") == "linear"
        consumer = topology.only_consumer(layer.name)
        if not isinstance(layer, FOLDABLE) or not linear or consumer is None or topology.calls.get(consumer) != 1:
            continue
        norm = model.get_layer(consumer)
        last = (-1, len(layer.output.shape) - 1)
        if isinstance(norm, keras.layers.BatchNormalization) and norm.axis in last:
            folded[layer.name] = norm
    return folded


def _with_norm(
    layer: keras.Layer, weights: list[np.ndarray], norm: keras.layers.BatchNormalization
) -> list[np.ndarray]:
    """The layer's weights with scale and shift of the normalization in them, a bias last."""
    mean, variance = (keras.ops.convert_to_numpy(each) for each in (norm.moving_mean, norm.moving_variance))
    scale = 1.0 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        scale = scale * keras.ops.convert_to_numpy(norm.gamma)
    shift = keras.ops.convert_to_numpy(norm.beta) if norm.center else 0.0
    kernels, bias = (weights[:-1], weights[-1]) if layer.use_bias else (weights, 0.0)
    last = kernels[-1]
    # A depthwise kernel makes channels * multiplier outputs, in its last two axes.
    last = last * (scale.reshape(last.shape[-2:]) if isinstance(layer, DEPTHWISE) else scale)
    return [*kernels[:-1], last, (bias - mean) * scale + shift]
