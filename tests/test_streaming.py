"""Models that take a hop at a time: after the warm-up every byte is that of the whole window's model, in TFLite Micro."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from int8_graphs import MAKERS, Builder
from keras import layers
from test_aot import gcc, outputs_of  # noqa: F401

import micro
from micro.errors import ConversionError, ModelError
from micro.streaming.step_model import stream
from micro.tflite.graph import read
from micro.tflite.interpreter import all_outputs, run

HOPS = 6


def windows_and_pushes(graph, streamed, seed=0):
    """Samples as whole windows, one a hop, and as the hops that lead to them; what is before the first is random as well."""
    rng = np.random.default_rng(seed)
    shape = graph.tensors[graph.inputs[0]].shape
    window, hop = shape[1], streamed.hop
    count = streamed.warm_up + HOPS
    samples = rng.integers(-128, 128, (1, window + count * hop, *shape[2:])).astype(np.int8)
    ends = [window + hop * number for number in range(1, count + 1)]
    pushes = np.stack([samples[:, end - hop : end] for end in ends])
    return np.stack([samples[:, end - window : end] for end in ends]), pushes


def require_equal(content, hop):
    """Outputs of a step model are those of the whole model from the end of the warm-up on. Returns the step model."""
    streamed = stream(content, hop)
    graph = read(content)
    windows, pushes = windows_and_pushes(graph, streamed)
    whole = all_outputs(content, [windows])
    stepped = all_outputs(streamed.content, [pushes])
    for number, index in enumerate(graph.outputs):
        right, found = whole[f"output{number}"], stepped[f"output{number}"]
        axis = next((i for i, (a, b) in enumerate(zip(found.shape, right.shape)) if a != b), None)
        if axis is not None:  # a series of frames, of which each hop gives the new ones
            right = np.take(right, range(right.shape[axis] - found.shape[axis], right.shape[axis]), axis)
        at = streamed.warm_up - 1
        np.testing.assert_array_equal(found[at:], right[at:], str(graph.tensors[index].name))
    return streamed


def over_time(seed):
    """One to five operators, of which some branch off and come back, on 5 to 20 frames of one to three rows."""
    rng = np.random.default_rng(seed)
    b = Builder(rng)
    b.paddings = (1, 1) if rng.random() < 0.7 else (0, 1)
    start = value = b.value((1, int(rng.integers(5, 21)), int(rng.integers(1, 4)), int(rng.integers(1, 4))), 2.0)
    for _ in range(rng.integers(1, 6)):
        before = value
        value = MAKERS[rng.integers(0, len(MAKERS))](b, value)
        if rng.random() < 0.3:
            value = rejoined(b, before, value)
    return b.build([start], [value])


def rejoined(b, one, two):
    """Two values joined along channels, the longer one cut to the other's rows and frames, at its beginning or its end."""
    shapes = [b.shape(one), b.shape(two)]
    least = [min(pair) for pair in zip(*(shape[:3] for shape in shapes))]
    cut = []
    for value, shape in zip((one, two), shapes):
        begins = [int(b.rng.choice([0, n - m])) for n, m in zip(shape, least)]
        numbers = [b.numbers(each) for each in ([*begins, 0], [*np.add(begins, least), shape[3]], [1] * 4)]
        made = (*least, shape[3])
        sliced = b.op("STRIDED_SLICE", [value, *numbers], b.like(value, made), "StridedSliceOptions")
        cut.append(b.op("QUANTIZE", [sliced], b.like(one, made)))
    y = b.like(one, (*least, shapes[0][3] + shapes[1][3]))
    return b.op("CONCATENATION", cut, y, "ConcatenationOptions", axis=3)


def blocks(first, last, slow_from):
    return [pytest.param(n, marks=pytest.mark.slow if n >= slow_from else []) for n in range(first, last)]


@pytest.mark.parametrize("seed", blocks(0, 300, 12))
def test_random_graphs_step_to_the_same_bytes(seed):
    content = over_time(seed)
    graph = read(content)
    window = graph.tensors[graph.inputs[0]].shape[1]
    require_equal(content, 1 + seed % min(window, 5))


def test_random_graphs_stream_often_enough_to_be_a_test():
    saved = stopped = 0
    for seed in range(200):
        streamed = stream(over_time(seed), 1)
        saved += streamed.macs < 0.7 * streamed.whole_macs
        stopped += bool(streamed.stops)
    assert saved > 25
    assert stopped > 40


@pytest.mark.parametrize("block", blocks(0, 8, 1))
def test_static_c_steps_as_tflite_micro_does(block, gcc, tmp_path):  # noqa: F811
    """From the first hop on, when variables still hold what they start from."""
    steps, pushes = [], []
    for seed in range(20 * block, 20 * block + 20):
        whole = over_time(seed)
        streamed = stream(whole, 1)
        steps.append(streamed.content)
        pushes.append(windows_and_pushes(read(whole), streamed, seed)[1])
    for number, (content, x, ours) in enumerate(zip(steps, pushes, outputs_of(steps, pushes, tmp_path, gcc))):
        np.testing.assert_array_equal(ours, all_outputs(content, [x])["output0"], err_msg=f"net {number}")


def converted(outputs, inputs):
    x = np.random.default_rng(0).normal(size=(64, *inputs.shape[1:])).astype("float32")
    return micro.convert(keras.Model(inputs, outputs), x, anomaly_detector=False)


def causal(inputs):
    """Dilated causal convolutions with a residual."""
    hidden = inputs
    for dilation in (1, 2, 4):
        more = layers.Conv1D(6, 3, padding="causal", dilation_rate=dilation, activation="relu")(hidden)
        hidden = more if hidden is inputs else layers.Add()([more, hidden])
    return hidden


def test_a_causal_net_that_takes_its_last_step_needs_its_receptive_field_alone():
    inputs = keras.Input((40, 3))
    model = converted(layers.Dense(3)(causal(inputs)[:, -1, :]), inputs)
    streamed = require_equal(model.content, 1)
    assert streamed.warm_up == 15
    assert streamed.macs * 35 < streamed.whole_macs
    # What a convolution reaches back to: two, four and eight frames of three, six and six channels.
    assert streamed.state_bytes == 2 * 3 + 4 * 6 + 8 * 6


def test_a_causal_net_whose_first_samples_count_says_why_it_does_not_stream():
    inputs = keras.Input((20, 2))
    model = converted(layers.Dense(3)(layers.GlobalAveragePooling1D()(causal(inputs))), inputs)
    streamed = require_equal(model.content, 2)
    assert streamed.macs == streamed.whole_macs
    assert any("pads time with 2 frames before" in stop for stop in streamed.stops)


def test_a_net_that_gives_a_series_gives_its_new_frames():
    inputs = keras.Input((20, 2))
    model = converted(layers.Softmax()(layers.Dense(3)(causal(inputs))), inputs)
    streamed = require_equal(model.content, 4)
    assert read(streamed.content).tensors[read(streamed.content).outputs[0]].shape == (1, 4, 3)
    assert streamed.stops == ()


def test_a_keyword_spotter_of_two_directions_streams():
    """Padded along frequency and not along time."""
    inputs = keras.Input((25, 10, 1))
    hidden = layers.Conv2D(8, (4, 3), strides=(1, 2), activation="relu")(layers.ZeroPadding2D(((0, 0), (1, 1)))(inputs))
    for _ in range(2):
        hidden = layers.ZeroPadding2D(((0, 0), (1, 1)))(hidden)
        hidden = layers.DepthwiseConv2D(3, activation="relu")(hidden)
        hidden = layers.Conv2D(8, 1, activation="relu")(hidden)
    model = converted(layers.Softmax()(layers.Dense(4)(layers.GlobalAveragePooling2D()(hidden))), inputs)
    streamed = require_equal(model.content, 1)
    assert streamed.macs * 15 < streamed.whole_macs


def test_an_lstm_is_computed_for_whole_windows_and_says_why():
    inputs = keras.Input((12, 2))
    hidden = layers.Conv1D(4, 3, activation="relu")(inputs)
    streamed = require_equal(converted(layers.Dense(3)(layers.LSTM(4)(hidden)), inputs).content, 2)
    assert streamed.macs < streamed.whole_macs
    assert any("begins each window with a state of zeros" in stop for stop in streamed.stops)


def test_a_series_gives_an_output_after_each_hop():
    inputs = keras.Input((16, 2))
    model = converted(layers.Dense(3)(layers.Conv1D(4, 3, activation="relu")(inputs)[:, -1]), inputs)
    streamed = stream(model, 2)
    series = np.random.default_rng(1).normal(size=(40, 2)).astype("float32")
    found = streamed.predict(series)
    assert found.shape == (20, 3)
    windows = np.stack([series[end - 16 : end] for end in range(16, 41, 2)])
    np.testing.assert_array_equal(found[7:], run(model, windows))
    integers = np.random.default_rng(1).integers(-128, 128, (40, 2)).astype(np.int8)
    whole = np.stack([integers[end - 16 : end] for end in range(16, 41, 2)])
    np.testing.assert_array_equal(streamed.predict(integers)[7:], all_outputs(model, [whole[:, None]])["output0"][:, 0])
    for wrong in (series[:39], series[:, :1], series[None], series[:0]):
        with pytest.raises(ValueError, match=r"\(time, 2\), time a multiple of the hop of 2, got"):
            streamed.predict(wrong)


def test_what_is_emitted_for_tflite_micro_counts_the_variables(tmp_path):
    inputs = keras.Input((16, 2))
    model = converted(layers.Conv1D(4, 3)(layers.Conv1D(4, 3)(inputs)), inputs)
    micro.emit(stream(model, 2), tmp_path, "step")
    micro.emit(model, tmp_path, "whole")
    assert "#define STEP_VARIABLES 2\n" in (tmp_path / "step.h").read_text()
    assert "MicroResourceVariables" not in (tmp_path / "whole.h").read_text()


def test_strides_need_a_hop_that_they_divide():
    inputs = keras.Input((32, 2))
    hidden = layers.MaxPooling1D(2)(layers.Conv1D(4, 4, strides=2, activation="relu")(inputs))
    model = converted(layers.Dense(3)(layers.Flatten()(hidden)), inputs)
    assert require_equal(model.content, 4).macs < 0.4 * require_equal(model.content, 3).macs
    assert any("gives a frame every 2 samples, of which 3 is no multiple" in stop for stop in stream(model, 3).stops)
    assert require_equal(model.content, 32).warm_up == 1


@pytest.mark.parametrize("hop", [0, -1, 17, 1.0, True])
def test_a_hop_is_within_the_window(hop):
    inputs = keras.Input((16, 2))
    with pytest.raises(ValueError, match="hop must be an integer from 1 to the window of 16 samples"):
        stream(converted(layers.Conv1D(2, 3)(inputs), inputs), hop)


def test_what_is_no_series_of_samples_is_named():
    inputs = keras.Input((8,))
    with pytest.raises(ConversionError, match=r"has shape \[1, 8\]; a window of samples is \(1, time, channels\)"):
        stream(converted(layers.Dense(2)(inputs), inputs), 1)
    b = Builder(np.random.default_rng(0))
    ends = [b.value((1, 4, 2), 1.0) for _ in range(2)]
    with pytest.raises(ConversionError, match="has 2 inputs"):
        stream(b.build(ends, [b.op("ADD", ends, b.value((1, 4, 2), 2.0), "AddOptions")]), 1)
    with pytest.raises(ModelError):
        stream(b"\0\0\0\0TFL3" + bytes(100), 1)
    with pytest.raises(ValueError, match=r"a \.tflite is needed"):
        stream(keras.Sequential([inputs]), 1)


def test_a_model_that_keeps_values_or_has_floats_is_refused():
    inputs = keras.Input((16, 2))
    step = stream(converted(layers.Conv1D(2, 3)(inputs), inputs), 2)
    with pytest.raises(ConversionError, match="keeps values from one inference to the next"):
        stream(step, 1)
    b = Builder(np.random.default_rng(0))
    x, y = (b.tensor((1, 6, 2), "float32") for _ in range(2))
    with pytest.raises(ConversionError, match="is float32; only an int8 model can be streamed"):
        stream(b.build([x], [b.op("RELU", [x], y)]), 1)


def test_ram_of_a_step_model_is_arena_ends_and_state():
    inputs = keras.Input((40, 3))
    step = stream(converted(layers.Dense(3)(causal(inputs)[:, -1, :]), inputs), 2)
    size = micro.aot.static_size(step)
    assert size.state == step.state_bytes == 78
    found = micro.check(step, ram="1KiB", runtime="static", latency="1s@64MHz")
    assert found.fits
    assert found.program.ram == size.arena + 2 * 3 + 3 + size.state
    (broken,) = micro.check(step, ram=str(found.program.ram - 1), runtime="static").broken
    assert "1 over" in broken
    assert "state 78" in broken
