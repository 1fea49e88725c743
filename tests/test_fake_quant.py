"""Fake quantization by itself: rounding, ranges and HARD_SWISH as TFLite Micro's int8 kernels compute them."""

import keras
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from int8_graphs import Builder
from keras import layers
from support import gradient

from micro.quantize.aware import quantize_aware
from micro.quantize.fake_quant import Grid
from micro.quantize.hard_swish import hard_swish_steps
from micro.quantize.program import Range
from micro.tflite.interpreter import all_outputs


@given(st.floats(-3, 3), st.floats(0, 1))
@settings(max_examples=40)
def test_hard_swish_is_simulated_to_the_step(reach, share):
    high = 10.0**reach
    scale = np.float32(high * (1 + share) / 255)
    zero = int(np.round(-128 + high * share / scale))
    steps = (np.arange(-128, 128) - zero).astype("float32")
    exact = steps * scale * np.clip(steps * scale + 3, 0, 6) / 6
    out_scale = np.float32((exact.max() - min(exact.min(), 0)) / 255)
    out_zero = int(np.round(-128 - min(exact.min(), 0) / out_scale))
    graph = Builder(np.random.default_rng(0))
    x, y = graph.tensor((1, 256), scale=scale, zero=zero), graph.tensor((1, 256), scale=out_scale, zero=out_zero)
    graph.op("HARD_SWISH", [x], y)
    chip = all_outputs(graph.build([x], [y]), [np.arange(-128, 128, dtype=np.int8)[None, None]])["output0"]
    simulated = keras.ops.convert_to_numpy(
        hard_swish_steps(*map(keras.ops.convert_to_tensor, (steps, scale, out_scale)))
    )
    assert np.array_equal(chip.reshape(-1), np.clip(simulated + out_zero, -128, 127))


def test_percentile_leaves_out_what_is_rare():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8,)), layers.Dense(16, activation="relu"), layers.Dense(4)])
    x = np.random.default_rng(0).normal(size=(20_000, 8)).astype("float32")
    x[7, 3] = 60.0
    usual = np.delete(x, 7, axis=0)
    exact = model.predict(usual, verbose=0)
    errors = {}
    for ranges in ("minmax", "percentile"):
        aware = quantize_aware(model, x, ranges=ranges)
        errors[ranges] = np.sqrt(np.mean((aware.predict(usual, verbose=0) - exact) ** 2))
    assert errors["percentile"] < 0.5 * errors["minmax"]


@given(st.sampled_from(["laplace", "normal", "uniform", "exponential"]), st.integers(0, 99))
@settings(max_examples=10)
def test_the_least_error_is_no_more_than_that_of_other_ranges(kind, seed):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    x = getattr(np.random.default_rng(seed), kind)(size=(1500, 4)).astype("float32")
    errors = {}
    for ranges in ("minmax", "percentile", "mse"):
        aware = quantize_aware(model, x, ranges=ranges)
        errors[ranges] = float(np.mean((np.asarray(aware.grid(0).fake_quantize(x)) - x) ** 2))
    assert errors["mse"] <= 1.02 * min(errors.values())


@given(st.floats(-50, 0), st.floats(0.01, 50), st.integers(0, 99))
def test_fake_quantization_rounds_as_int8_does_and_passes_gradients_inside(low, high, seed):
    x = np.random.default_rng(seed).uniform(1.5 * low - 1, 1.5 * high + 1, 50).astype("float32")
    grid = Grid(Range(low, high), "int8")
    scale = np.float32(np.float32(high - low) / np.float32(255))
    zero = np.clip(np.round(-128 - np.float32(low) / scale), -128, 127)
    steps = x / scale
    ours = np.asarray(grid.fake_quantize(x))
    theirs = (np.clip(np.sign(steps) * np.floor(np.abs(steps) + 0.5) + zero, -128, 127) - zero) * scale
    near_tie = np.abs(np.abs(steps) % 1 - 0.5) < 1e-3
    np.testing.assert_allclose(ours[~near_tie], theirs[~near_tie], atol=1e-4 * scale)
    inside = (steps + zero > -128) & (steps + zero < 127)
    sure = (np.abs(steps + zero + 128) > 1) & (np.abs(steps + zero - 127) > 1)
    np.testing.assert_allclose(gradient(grid.fake_quantize, x)[sure], inside[sure].astype("float32"), atol=1e-5)
