"""Quantization-aware models: what training simulates is what TFLite Micro computes."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import keras_kd
import micro
from micro.graph import read
from micro.quantize.aware import quantize_aware
from micro.quantize.grids import Grid
from micro.quantize.program import Range
from micro.tflm import raw_outputs, run
from tests.conftest import gradient

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def steps_apart(aware, tflite, x):
    """How many steps of the output's grid simulation and TFLite Micro differ by, value by value."""
    scale, _ = aware.grid(len(aware.program.nodes)).parameters()
    return np.abs(np.round((run(tflite, x) - aware.predict(x, verbose=0)) / float(scale)))


def lively(model, seed=0):
    """Weights, biases and statistics as a trained model has them."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
        elif layer.weights:
            layer.set_weights([w + 0.1 * rng.normal(size=w.shape) for w in layer.get_weights()])
    return model


@pytest.fixture(scope="module")
def waves():
    """Four classes of two-channel windows: (x, y), 400 examples."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, 4, 400)
    time = np.arange(32) / 32
    tone = np.sin(2 * np.pi * (y[:, None] + 1) * time + rng.uniform(0, 6, (400, 1)))
    x = np.stack([tone, 0.5 * tone], -1) + rng.normal(0, 0.7, (400, 32, 2))
    return x.astype("float32"), y


@pytest.fixture(scope="module")
def trained(waves):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((32, 2))
    h = layers.Conv1D(12, 5, strides=2, padding="same", use_bias=False, name="conv")(inputs)
    h = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(h))
    h = layers.SeparableConv1D(12, 3, padding="same", name="separable")(h)
    h = layers.ReLU(name="relu_2")(layers.BatchNormalization(name="norm_2")(h))
    h = layers.Dropout(0.1)(layers.GlobalAveragePooling1D(name="pool")(h))
    model = keras.Model(inputs, layers.Dense(4, name="logits")(h), name="model")
    model.compile(keras.optimizers.Adam(0.01), LOSS, metrics=["accuracy"])
    model.fit(*waves, epochs=12, verbose=0)
    return model


ACTIVATIONS = (None, "relu", "relu6", "sigmoid", "tanh", "hard_swish")


@st.composite
def graphs(draw):
    """Random nets of convolutions, branches, pooling and Dense layers, over windows or images."""
    keras.utils.set_random_seed(draw(st.integers(0, 999)))
    flat = draw(st.booleans())
    dims = 1 if flat else 2
    conv, depthwise, separable, pool, mean, largest, pad, all_mean, all_max = (
        getattr(layers, f"{name}{dims}D")
        for name in (
            *("Conv", "DepthwiseConv", "SeparableConv", "MaxPooling", "AveragePooling", "GlobalMaxPooling"),
            *("ZeroPadding", "GlobalAveragePooling", "GlobalMaxPooling"),
        )
    )
    inputs = keras.Input((24, draw(st.integers(1, 3))) if flat else (10, 8, draw(st.integers(1, 3))))
    h = inputs
    for _ in range(draw(st.integers(1, 4))):
        width, size, stride = draw(st.integers(1, 6)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
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


@given(
    graphs(), st.sampled_from(["auto", "per_channel", "per_tensor"]), st.sampled_from(["minmax", "percentile", "mse"])
)
@settings(max_examples=25)
def test_random_graphs_compute_in_tflite_micro_what_training_simulates(model, weights, ranges):
    x = np.random.default_rng(0).normal(size=(200, *model.input_shape[1:])).astype("float32")
    aware = quantize_aware(model, x, weights=weights, ranges=ranges)
    tflite = micro.convert(aware, x)
    apart = steps_apart(aware, tflite, x)
    assert np.mean(apart > 1) <= 0.001
    assert np.mean(run(tflite, x).argmax(-1) == aware.predict(x, verbose=0).argmax(-1)) >= 0.99
    assert micro.verify(tflite, x[:20]).max_abs_difference <= 1
