"""Random Keras nets for properties, and weights as a trained model has them."""

import keras
import numpy as np
from hypothesis import strategies as st
from keras import layers


def lively(model, seed=0):
    """Weights, biases and statistics as a trained model has them."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
        elif layer.weights:
            layer.set_weights([w + 0.1 * rng.normal(size=w.shape) for w in layer.get_weights()])
    return model


ACTIVATIONS = (None, "relu", "relu6", "sigmoid", "tanh", "hard_swish")


@st.composite
def graphs(draw):
    """Random nets of convolutions, branches, pooling and Dense layers, over windows or images."""
    keras.utils.set_random_seed(draw(st.integers(0, 999)))
    flat = draw(st.booleans())
    dims = 1 if flat else 2
    conv, depthwise, separable, pool, mean, pad, all_mean, all_max = (
        getattr(layers, f"{name}{dims}D")
        for name in (
            *("Conv", "DepthwiseConv", "SeparableConv", "MaxPooling", "AveragePooling"),
            *("ZeroPadding", "GlobalAveragePooling", "GlobalMaxPooling"),
        )
    )
    # At one channel TensorFlow's converter stumbles over its own transposition.
    inputs = keras.Input((24, draw(st.integers(2, 3))) if flat else (10, 8, draw(st.integers(2, 3))))
    h = inputs
    for _ in range(draw(st.integers(1, 4))):
        width, size, stride = draw(st.integers(2, 6)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
        padding, activation = draw(st.sampled_from(["same", "valid"])), draw(st.sampled_from(ACTIVATIONS))
        if min(h.shape[1:-1]) < 3:
            padding = "same"
        kind = draw(
            st.sampled_from(["conv", "norm", "depthwise", "separable", "add", "concat", "pool", "mean", "pad", "scale"])
        )
        if kind == "conv":
            h = conv(width, size, strides=stride, padding=padding, activation=activation)(h)
        elif kind == "norm":
            h = layers.BatchNormalization()(conv(width, size, padding="same", use_bias=False)(h))
            h = layers.Activation(activation)(h) if activation else h
        elif kind == "depthwise":
            multiplier = draw(st.integers(1, 2))
            h = depthwise(size, strides=stride, padding=padding, depth_multiplier=multiplier, activation=activation)(h)
        elif kind == "separable":
            h = separable(width, size, padding=padding, activation=activation)(h)
        elif kind == "add":
            h = layers.Add()([h, conv(h.shape[-1], size, padding="same", activation=activation)(h)])
            h = layers.ReLU()(h) if draw(st.booleans()) else h
        elif kind == "concat":
            h = layers.Concatenate()([h, conv(width, size, padding="same", activation=activation)(h)])
        elif kind == "pool":
            h = pool(2, padding="same")(h)
        elif kind == "mean":
            h = mean(2, padding="same")(h)
        elif kind == "pad":
            h = pad(1)(h)
        else:
            h = layers.Rescaling(0.5, 0.2)(h)
    end = draw(st.sampled_from([all_mean, all_max, layers.Flatten]))
    h = end()(h)
    if draw(st.booleans()):
        h = layers.Dense(draw(st.integers(1, 8)), activation=draw(st.sampled_from(ACTIVATIONS)))(h)
    h = layers.Dense(3, activation=draw(st.sampled_from([None, "softmax", "sigmoid"])))(h)
    return lively(keras.Model(inputs, h, name="random"), draw(st.integers(0, 99)))
