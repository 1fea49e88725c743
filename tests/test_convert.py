"""Keras to int8: what converts, what it costs, and what is refused by name."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import micro
from micro.tflite.graph import read

SAMPLES = np.random.default_rng(0).normal(size=(64, 32, 1)).astype("float32")


def model_of(*middle):
    inputs = keras.Input((32, 1))
    h = layers.Dense(4, name="lift")(inputs)
    for layer in middle:
        h = layer(h)
    return keras.Model(inputs, layers.Dense(2, name="out")(layers.Flatten(name="flat")(h)))


def test_conversion_is_int8_throughout_with_a_batch_of_one(converted):
    graph = read(converted)
    assert {tensor.dtype for tensor in graph.tensors} <= {"int8", "int32"}
    assert graph.tensors[graph.inputs[0]].shape == (1, 32, 2)
    assert graph.tensors[graph.outputs[0]].shape == (1, 4)


def test_nothing_is_in_the_file_that_no_chip_reads(conv_model, converted):
    graph = read(converted)
    names = [tensor.name for tensor in graph.tensors]
    assert len(set(names)) == len(names)
    assert names[graph.inputs[0]] == "input"
    assert names[graph.outputs[0]] == "output"
    assert not any(";" in name or "static" in name for name in names)
    assert {name.split("/")[0] for name in names} >= {"conv", "hidden", "out"}
    assert b"serving_default" not in converted.content
    assert b"CONVERSION_METADATA" not in converted.content


def test_the_model_handed_in_is_not_changed(conv_model, conv_samples):
    before = [w.copy() for w in conv_model.get_weights()]
    layers_before = [layer.name for layer in conv_model.layers]
    micro.convert(conv_model, conv_samples)
    assert layers_before == [layer.name for layer in conv_model.layers]
    for old, new in zip(before, conv_model.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_error_is_the_distance_to_the_keras_model(conv_model, conv_samples, converted):
    from micro.tflite.interpreter import run

    expected = conv_model.predict(conv_samples, verbose=0)
    error = np.sqrt(np.mean((run(converted, conv_samples) - expected) ** 2))
    assert converted.error == pytest.approx(error, rel=0.2)
    assert converted.error < 0.01


@settings(max_examples=6)
@given(width=st.integers(1, 24), depth=st.integers(0, 2), features=st.integers(1, 20), seed=st.integers(0, 99))
def test_random_dense_nets_convert_and_agree_with_tflite(width, depth, features, seed):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((features,))
    h = inputs
    for _ in range(depth):
        h = layers.Dense(width, activation="relu")(h)
    model = keras.Model(inputs, layers.Dense(3)(h))
    x = np.random.default_rng(seed).normal(size=(50, features)).astype("float32")
    converted = micro.convert(model, x)
    parity = micro.verify(converted, x)
    assert parity.samples == 50
    assert parity.values == 150
    assert parity.max_abs_difference <= 2
    assert bool(parity.mismatches) == bool(parity.by_op)


def dense_autoencoder():
    keras.utils.set_random_seed(0)
    sizes = (64, 64, 8, 64)
    return keras.Sequential(
        [keras.Input((96,)), *(layers.Dense(n, activation="relu") for n in sizes), layers.Dense(96)]
    )


def test_auto_saves_the_arena_where_channels_do_not_earn_it():
    model = dense_autoencoder()
    x = np.random.default_rng(1).normal(size=(100, 96)).astype("float32")
    auto, channels = micro.convert(model, x), micro.convert(model, x, weights="per_channel")
    assert auto.weights == "per_tensor_dense"
    assert micro.measure(auto).arena_bytes < 0.8 * micro.measure(channels).arena_bytes
    assert len(auto.content) < len(channels.content)


def test_auto_keeps_channels_where_accuracy_needs_them():
    model = dense_autoencoder()
    x = np.random.default_rng(1).normal(size=(100, 96)).astype("float32")
    # One heavy weight on a faint input: it moves no activation, but widens a scale that the whole kernel would share.
    x[:, 0] *= 1e-3
    kernel, bias = model.layers[0].get_weights()
    kernel[0, 0] = 50.0
    model.layers[0].set_weights([kernel, bias])
    assert micro.convert(model, x).weights == "per_channel"


def test_per_tensor_leaves_one_scale_a_kernel(conv_model, conv_samples):
    graph = read(micro.convert(conv_model, conv_samples, weights="per_tensor"))
    kernels = [t for t in graph.tensors if t.data is not None and t.dtype == "int8"]
    assert kernels
    assert all(len(kernel.quantization.scale) == 1 for kernel in kernels)


@pytest.mark.parametrize(
    ("middle", "says"),
    [
        ([layers.Activation("gelu", name="curve")], r"layer 'curve' \(Activation\) becomes GELU"),
        ([layers.Activation("elu", name="curve")], r"layer 'curve' \(Activation\) becomes ELU in floating point"),
        ([layers.LayerNormalization(axis=1, name="ln")], r"layer 'ln' \(LayerNormalization\)"),
        ([layers.SimpleRNN(4, name="memory")], r"layer 'memory' \(SimpleRNN\) becomes WHILE"),
    ],
    ids=["gelu", "elu", "layernorm", "simple"],
)
def test_layers_that_do_not_fit_are_refused_by_name(middle, says):
    with pytest.raises(micro.ConversionError, match=says):
        micro.convert(model_of(*middle), SAMPLES)


def test_attention_is_refused_with_the_layers_named():
    inputs = keras.Input((32, 1))
    h = layers.Dense(4, name="lift")(inputs)
    h = layers.MultiHeadAttention(2, 2, name="attention")(h, h)
    model = keras.Model(inputs, layers.Dense(2, name="out")(layers.Flatten()(h)))
    with pytest.raises(micro.ConversionError, match="attention"):
        micro.convert(model, SAMPLES)


@pytest.mark.parametrize("mask", ["of attention", "of a softmax"])
def test_masks_that_leave_int8_nothing_are_refused_by_name(mask):
    inputs = keras.Input((6, 4))
    if mask == "of attention":
        h = layers.MultiHeadAttention(1, 4, name="masked")(inputs, inputs, use_causal_mask=True)
    else:
        scores = layers.Dot((2, 2))([inputs, inputs])
        h = layers.Softmax(name="masked")(scores, mask=np.tril(np.ones((1, 6, 6), bool)))
    model = keras.Model(inputs, layers.Dense(2, name="out")(layers.Flatten()(h)))
    samples = np.random.default_rng(0).normal(size=(64, 6, 4)).astype("float32")
    with pytest.raises(
        micro.ConversionError, match=r"layer 'masked' \(\w+\) computes with a constant of about .* as a mask has"
    ):
        micro.convert(model, samples)


@pytest.mark.parametrize(
    ("calibration", "says"),
    [
        (np.zeros((0, 32, 1)), "empty"),
        (np.zeros((4, 31, 1)), r"shape \(n, 32, 1\), got \(4, 31, 1\)"),
        (np.zeros((4, 32)), "shape"),
        (np.where(np.arange(128).reshape(4, 32, 1) == 40, np.nan, 0.0), "not finite, the first in row 1"),
        (np.full((2, 32, 1), np.inf), "64 values that are not finite"),
        (np.array(["a", "b"]), "must be numbers"),
    ],
)
def test_bad_calibration_is_refused(calibration, says):
    with pytest.raises(ValueError, match=says):
        micro.convert(model_of(), calibration)


def test_models_that_no_chip_can_hold_are_refused():
    with pytest.raises(ValueError, match="open shape"):
        micro.convert(keras.Sequential([keras.Input((None, 3)), layers.Conv1D(2, 3)]), np.zeros((2, 8, 3)))
    with pytest.raises(ValueError, match="no known input shape"):
        micro.convert(keras.Sequential([layers.Dense(3)]), np.zeros((2, 8)))
    with pytest.raises(ValueError, match="weights must be"):
        micro.convert(model_of(), SAMPLES, weights="best")
