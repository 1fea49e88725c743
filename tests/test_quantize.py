"""Quantization-aware models: what training simulates is what TFLite Micro computes."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from keras_graphs import graphs, lively

import keras_kd
import micro
from micro.datasets import cwru
from micro.datasets.recording import windows
from micro.quantize.aware import quantize_aware
from micro.tflite.graph import read
from micro.tflite.interpreter import raw_outputs, run

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def steps_apart(aware, tflite, x):
    """How many steps of the output's scale simulation and TFLite Micro differ by, value by value."""
    scale, _ = aware.grid(len(aware.program.nodes)).parameters()
    return np.abs(np.round((run(tflite, x) - aware.predict(x, verbose=0)) / float(scale)))


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
    model.compile(keras.optimizers.Adam(0.01), LOSS)
    model.optimizer.build(model.trainable_variables)
    model.fit(*waves, epochs=12, verbose=0)
    return model


def apart_on(model, weights, ranges):
    """By how many steps simulation and TFLite Micro differ on each output of 200 windows."""
    x = np.random.default_rng(0).normal(size=(200, *model.input_shape[1:])).astype("float32")
    try:
        aware = quantize_aware(model, x, weights=weights, ranges=ranges)
    except ValueError as error:
        if "leaves its range empty" in str(error):  # a ReLU that never fires
            return np.zeros(0)
        raise
    tflite = micro.convert(aware, x)
    apart = steps_apart(aware, tflite, x)
    assert np.array_equal(run(tflite, x).argmax(-1), aware.predict(x, verbose=0).argmax(-1)) or apart.any()
    return apart.reshape(-1)


def agree_on_random_graphs(examples):
    """Over all graphs 99.9 % of outputs are at most one step apart; in each, all but a window that lies on an edge."""
    seen = []

    @given(graphs(), *GRIDS)
    @settings(max_examples=examples)
    def each(model, weights, ranges):
        seen.append(apart_on(model, weights, ranges))
        # float32 holds a tie in a convolution to a few in a million, and a softmax behind it makes two steps of one.
        assert np.sum(seen[-1] > 1) <= 3

    each()
    assert np.mean(np.concatenate(seen) > 1) <= 0.001


# Where branches meet that a fault was found at, and a kind of each operator.
DAILY = (
    ("Add", "input"),
    ("Subtract", "scaled"),
    ("Multiply", "convolved"),
    ("Minimum", "scaled"),
    ("excite", "input"),
)
GRIDS = (st.sampled_from(["auto", "per_channel", "per_tensor"]), st.sampled_from(["minmax", "percentile", "mse"]))


@pytest.mark.parametrize(
    ("merge", "before"),
    [
        pytest.param(merge, before, marks=[] if (merge, before) in DAILY else pytest.mark.slow)
        for merge in ("Add", "Subtract", "Multiply", "Maximum", "Minimum", "excite")
        for before in ("input", "scaled", "convolved")
    ],
)
def test_what_a_convolution_over_time_gives_is_merged_with_what_it_took(merge, before):
    """TensorFlow drops the axis of height behind a Conv1D; 100 windows are more than a batch of the calibration."""
    keras.utils.set_random_seed(0)
    h = inputs = keras.Input((24, 3))
    if before != "input":
        h = layers.Rescaling(0.5, 0.2)(h) if before == "scaled" else layers.Conv1D(3, 3, padding="same")(h)
    if merge == "excite":
        pooled = layers.GlobalAveragePooling1D(keepdims=True)(h)
        h = layers.Multiply()([h, layers.Conv1D(3, 1, activation="sigmoid")(pooled)])
    else:
        h = getattr(layers, merge)()([h, layers.Conv1D(3, 3, padding="same")(h)])
    model = lively(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(h)), name="merged"))
    x = np.random.default_rng(0).normal(size=(100, 24, 3)).astype("float32")
    aware = quantize_aware(model, x)
    tflite = micro.convert(aware)
    assert aware.predict(x, verbose=0).shape == (100, 3)
    assert steps_apart(aware, tflite, x).max() <= 1
    wide = np.abs(model.predict(x, verbose=0)).max()
    assert np.abs(run(tflite, x) - model.predict(x, verbose=0)).max() < 0.1 * wide


@pytest.mark.slow
def test_random_graphs_compute_in_tflite_micro_what_training_simulates():
    agree_on_random_graphs(8)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_random_graphs_compute_in_tflite_micro_what_training_simulates():
    agree_on_random_graphs(150)


@pytest.mark.slow
def test_on_real_windows_the_chip_says_what_was_simulated(cwru_folder):
    """A Conv1D net trained a little while quantized, on raw windows of ten bearing states; every window of the test at 2 hp."""

    def raw(loads):
        recordings = cwru.load(cwru_folder, loads)
        parts = [windows(recording.samples, 512, 512) for recording in recordings]
        labels = [cwru.CLASSES.index(recording.label) for recording in recordings]
        return np.concatenate(parts), np.repeat(labels, [len(part) for part in parts])

    (x, y), (test, _) = raw((0, 1)), raw((2,))
    keras.utils.set_random_seed(0)
    hidden = inputs = keras.Input((512, 1))
    for filters in (8, 12, 12):
        hidden = layers.Conv1D(filters, 9, strides=4, padding="same", use_bias=False)(hidden)
        hidden = layers.ReLU()(layers.BatchNormalization()(hidden))
    model = keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling1D()(hidden)))
    model.compile(keras.optimizers.Adam(0.01), LOSS)
    model.fit(x, y, epochs=3, verbose=0)
    aware = quantize_aware(model, x[::10])
    aware.compile(keras.optimizers.Adam(1e-3), LOSS)
    aware.fit(x, y, epochs=1, verbose=0)
    tflite = micro.convert(aware)
    assert np.mean(steps_apart(aware, tflite, test) <= 1) >= 0.999
    assert np.mean(run(tflite, test).argmax(-1) == aware.predict(test, verbose=0).argmax(-1)) >= 0.999


def test_what_was_trained_is_what_runs(trained, waves):
    x, y = waves
    aware = quantize_aware(trained, x)
    before = aware.get_weights()
    aware.compile(keras.optimizers.Adam(1e-3), LOSS)
    aware.fit(x, y, epochs=2, verbose=0)
    assert all(not np.array_equal(old, new) for old, new in zip(before, aware.get_weights()) if old.ndim > 1)
    assert any(np.any(np.asarray(grid.stretch) != 0) for grid in aware.grids)
    tflite = micro.convert(aware)
    assert steps_apart(aware, tflite, x).max() <= 1
    assert tflite.error < 1e-6
    graph = read(tflite)
    assert {tensor.dtype for tensor in graph.tensors} <= {"int8", "int32"}
    assert np.mean(run(tflite, x).argmax(-1) == y) == pytest.approx(
        np.mean(aware.predict(x, verbose=0).argmax(-1) == y), abs=0.003
    )


def test_a_distiller_trains_it_on_soft_targets_and_features(trained, waves):
    x, y = waves
    before = [w.copy() for w in trained.get_weights()]
    aware = quantize_aware(trained, x)
    objectives = [
        keras_kd.SoftTarget(2.0),
        keras_kd.Hint(teacher_layer="relu_2", student_layer="relu_2"),
        keras_kd.AttentionTransfer(teacher_layer="relu", student_layer="relu"),
    ]
    distiller = keras_kd.Distiller(trained, aware, objectives)
    distiller.compile(keras.optimizers.Adam(1e-3), LOSS)
    losses = distiller.fit(x, y, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert steps_apart(aware, micro.convert(aware), x).max() <= 1
    for old, new in zip(before, trained.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_saved_and_loaded_it_writes_the_same_bytes(trained, waves, tmp_path):
    aware = quantize_aware(trained, waves[0], weights={"conv": "per_tensor"}, bits={"logits": 4}, ranges="mse")
    aware.save(tmp_path / "aware.keras")
    loaded = keras.saving.load_model(tmp_path / "aware.keras", safe_mode=True)
    assert micro.convert(loaded).content == micro.convert(aware).content


def test_weights_have_the_granularity_and_width_that_were_asked_for(trained, waves):
    aware = quantize_aware(trained, waves[0], weights={"conv": "per_tensor"}, bits={"logits": 3})
    graph = read(micro.convert(aware))
    kernels = {tensor.name: tensor for tensor in graph.tensors if tensor.name.endswith("kernel")}
    assert len(kernels["relu/kernel"].quantization.scale) == 1  # convolution, norm and ReLU are one operator
    assert len(kernels["separable/kernel"].quantization.scale) == 12
    assert len(kernels["logits/kernel"].quantization.scale) == 1
    assert len(np.unique(np.frombuffer(kernels["logits/kernel"].data, np.int8))) <= 8
    assert len(np.unique(np.frombuffer(kernels["relu/kernel"].data, np.int8))) > 8


def test_the_last_rule_that_matches_a_layer_counts_and_what_it_leaves_out_stays(trained, waves):
    rules = [micro.Rule("*", bits=4), micro.Rule("conv*", weights="per_tensor"), micro.Rule("logits", bits=8)]
    aware = quantize_aware(trained, waves[0], bits={"logits": 2}, rules=rules)
    asked = {node.source: (node.bits, node.per_channel) for node in aware.program.nodes if node.kernel}
    assert asked == {"conv": (4, False), "separable": (4, False), "logits": (8, False)}
    by_name = quantize_aware(
        trained, waves[0], weights={"separable": "per_channel"}, rules=[micro.Rule("log?ts", bits=3)]
    )
    asked = {node.source: (node.bits, node.per_channel) for node in by_name.program.nodes if node.kernel}
    assert asked == {"conv": (8, True), "separable": (8, True), "logits": (3, False)}


def test_a_rule_that_can_do_nothing_is_refused(trained, waves):
    with pytest.raises(ValueError, match="bits must be 2 to 8, got 9 for 'conv'"):
        quantize_aware(trained, waves[0], bits={"conv": 9})
    with pytest.raises(ValueError, match="weights must be 'auto', 'per_channel' or 'per_tensor', got 'per_row'"):
        micro.Rule("conv", weights="per_row")
    with pytest.raises(ValueError, match=r"bits must be an integer from 2 to 8, got 4\.5 for 'conv'"):
        micro.Rule("conv", bits=4.5)
    with pytest.raises(ValueError, match="that for 'conv' sets neither"):
        micro.Rule("conv")
    assert type(micro.Rule("conv", bits=np.int64(4)).bits) is int
    with pytest.raises(ValueError, match="got None"):
        quantize_aware(trained, waves[0], weights={"conv": None})
    with pytest.raises(ValueError, match="bits: no layer 'conv\\*' with a kernel"):  # a mapping's keys are names
        quantize_aware(trained, waves[0], bits={"conv*": 4})
    for asked, what in (({"bits": {"cnov": 4}}, "bits"), ({"rules": [micro.Rule("c?nov", 4, "auto")]}, "rules")):
        with pytest.raises(ValueError, match=f"{what}: no layer 'c.?nov' with a kernel; there are: conv, "):
            quantize_aware(trained, waves[0], **asked)


@pytest.mark.slow
def test_sixteen_bit_activations_lose_almost_nothing(trained, waves):
    x, _ = waves
    exact = trained.predict(x, verbose=0)
    errors = {}
    for activations in ("int8", "int16"):
        aware = quantize_aware(trained, x, activations=activations, weights="per_channel")
        assert np.mean(steps_apart(aware, micro.convert(aware), x) > 4) <= 0.001
        errors[activations] = np.sqrt(np.mean((run(micro.convert(aware), x) - exact) ** 2))
    # What remains is the rounding of the weights.
    assert errors["int16"] < 0.75 * errors["int8"]


@pytest.mark.slow
def test_pruned_and_clustered_weights_stay_so(trained, waves):
    x, y = waves
    pruned = micro.prune(trained, 0.5, x, y, loss=LOSS, epochs=2)
    clustered = micro.cluster(pruned, 16, x, y, loss=LOSS, epochs=2)
    aware = quantize_aware(clustered, x, weights="per_tensor")
    aware.compile(keras.optimizers.Adam(1e-3), LOSS)
    held = [micro.ClusterWeights(aware, 16)]
    aware.fit(x, y, epochs=2, callbacks=held, verbose=0)
    tflite = micro.convert(aware)
    kernels = {
        t.name: np.frombuffer(t.data, np.int8)
        for t in read(tflite).tensors
        if t.name.endswith("kernel") and t.shape[0] > 1
    }
    assert len(kernels) == 3
    for values in kernels.values():
        assert len(np.unique(values)) <= 16
        assert np.mean(values == 0) >= 0.45
    assert steps_apart(aware, tflite, x).max() <= 1


def test_narrow_kernels_start_at_the_least_error_and_learn_their_scales(trained, waves):
    x, _ = waves
    exact = trained.predict(x, verbose=0)
    aware = quantize_aware(trained, x, bits=3)
    kernel = next(operator for operator in aware.operators if operator.name == "separable")
    widest = np.abs(kernel.kernel.numpy()).max() / 3
    starts = np.exp(kernel.step.numpy())
    assert starts < widest
    # What the scale of the largest weight would lose.
    rounded = [
        np.clip(np.round(kernel.kernel.numpy() / s), -4, 3) * s - kernel.kernel.numpy() for s in (starts, widest)
    ]
    assert np.sum(rounded[0] ** 2) < np.sum(rounded[1] ** 2)
    before = np.mean((aware.predict(x, verbose=0) - exact) ** 2)
    aware.compile(keras.optimizers.Adam(3e-3), "mse")
    aware.fit(x, exact, epochs=3, verbose=0)
    assert np.mean((aware.predict(x, verbose=0) - exact) ** 2) < before
    assert np.exp(kernel.step.numpy()) != starts
    assert steps_apart(aware, micro.convert(aware), x).max() <= 1


def test_narrow_weights_pack():
    model = keras.Sequential([keras.Input((64,)), layers.Dense(128, activation="relu"), layers.Dense(64)])
    aware = quantize_aware(model, np.random.default_rng(0).normal(size=(100, 64)), bits=4)
    tflite = micro.convert(aware)
    packed = micro.pack(tflite)
    assert len(packed.tensors) == 2
    assert packed.flash_after < 0.7 * packed.flash_before
    np.testing.assert_array_equal(raw_outputs(packed.content, 8)["output0"], raw_outputs(tflite, 8)["output0"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"ranges": "median"}, "ranges must be one of 'minmax', 'percentile', 'mse', got 'median'"),
        ({"weights": "channel"}, "weights must be 'auto', 'per_channel' or 'per_tensor', got 'channel'"),
        (
            {"weights": {"con": "per_tensor"}},
            "weights: no layer 'con' with a kernel; there are: conv, separable, logits",
        ),
        ({"bits": 1}, "bits must be 2 to 8, got 1"),
        ({"bits": {"conv": 9}}, "bits must be 2 to 8, got 9 for 'conv'"),
        ({"activations": "int4"}, "activations must be one of 'int8', 'int16', got 'int4'"),
    ],
)
def test_bad_arguments_are_refused(trained, waves, arguments, says):
    with pytest.raises(ValueError, match=says):
        quantize_aware(trained, waves[0], **arguments)


def test_calibration_that_leaves_a_range_empty_or_infinite_is_refused(trained, waves):
    x, _ = waves
    with pytest.raises(ValueError, match="the model's input is 0 for all 400 samples, which leaves its range empty"):
        quantize_aware(trained, np.zeros_like(x))
    with pytest.raises(ValueError, match="not finite"):
        quantize_aware(trained, np.full_like(x, np.inf))
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="vast")])
    model.layers[0].set_weights([np.full((4, 3), 3e38), np.zeros(3)])
    with pytest.raises(ValueError, match=r"'vast' \(FULLY_CONNECTED\) gives values that are not finite"):
        quantize_aware(model, np.ones((5, 4)))


def test_a_layer_that_cannot_be_simulated_is_named():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Activation("gelu", name="bend")])
    with pytest.raises(micro.ConversionError, match=r"layer 'bend' \(Activation\) becomes \w+, which quantization"):
        quantize_aware(model, np.ones((5, 4)))
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Activation("hard_swish", name="swish")])
    with pytest.raises(micro.ConversionError, match="'swish' becomes HARD_SWISH, which TFLite Micro lacks with int16"):
        quantize_aware(model, np.random.default_rng(0).normal(size=(5, 4)), activations="int16")


def test_conversion_of_a_simulated_model_takes_no_other_scales(trained, waves):
    with pytest.raises(ValueError, match="has its scales already; choose them in quantize_aware"):
        micro.convert(quantize_aware(trained, waves[0]), waves[0], weights="per_tensor")
    with pytest.raises(ValueError, match="give a few hundred typical inputs"):
        micro.convert(trained)


def test_the_model_handed_in_is_not_changed(trained, waves):
    before, names = [w.copy() for w in trained.get_weights()], [layer.name for layer in trained.layers]
    quantize_aware(trained, waves[0])
    assert names == [layer.name for layer in trained.layers]
    for old, new in zip(before, trained.get_weights()):
        np.testing.assert_array_equal(old, new)


@pytest.mark.slow
def test_channels_keep_their_scales_where_the_arena_has_room(trained, waves):
    x, _ = waves
    aware = {
        weights: micro.measure(micro.convert(quantize_aware(trained, x, weights=weights))).ram_bytes
        for weights in ("per_channel", "per_tensor")
    }
    assert set(micro.choose_weights(trained, x, "64KiB").values()) == {"per_channel"}
    budget = (aware["per_channel"] + aware["per_tensor"]) // 2
    chosen = micro.choose_weights(trained, x, budget)
    assert set(chosen.values()) == {"per_channel", "per_tensor"}
    fitted = micro.convert(quantize_aware(trained, x, weights=chosen))
    assert micro.check(fitted, ram=budget, runtime="tflm").fits
    with pytest.raises(ValueError, match=f"ram: 500 bytes cannot be met: .* still takes {aware['per_tensor']:,} bytes"):
        micro.choose_weights(trained, x, 500)
