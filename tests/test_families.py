"""The networks that a config names: each student converts to int8, runs in TFLite Micro and has static C of the same bytes."""

import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from configs import rig, toml
from support import invoke
from test_aot import require_equal

import micro
from micro.compress.prune import zeroed
from micro.config import AUTOENCODERS, CONVOLUTIONAL, PLANAR, RECURRENT, parse_config
from micro.firmware import emulate as emulation
from micro.runs.models import build

# Odd sizes, filters of an even number of taps, and a window shorter than a filter reaches.
WINDOWS = [((50, 3), 5, 2), ((33, 1), 4, 3), ((3, 4), 3, 1)]
PICTURES = [((17, 9, 3), 3, 2), ((7, 12, 1), 2, 1)]
JUDGES = [family for family in CONVOLUTIONAL if family not in AUTOENCODERS]
SHAPES = {family: (17, 9, 2) if family == "conv2d" else (24, 2) for family in CONVOLUTIONAL}


def student(family, shape, kernel=3, stride=2, sizes=(6, 9, 9), outputs=5):
    """A student of random weights whose normalizations and biases do something."""
    keras.utils.set_random_seed(0)
    model = build(
        family, sizes, shape, None if family in AUTOENCODERS else outputs, "student", kernel=kernel, stride=stride
    )
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.name in ("bias", "beta", "gamma", "moving_mean"):
            weight.assign(rng.normal(0.8 if weight.name == "gamma" else 0.1, 0.3, weight.shape))
    return model


def samples(shape, count=48):
    return np.random.default_rng(1).normal(size=(count, *shape)).astype("float32")


def everyday(family, case):
    """One case of each family is tried each day, the others among the long tests."""
    return case[0] == ((17, 9, 3) if family == "conv2d" else (33, 1))


CASES = [(family, *case) for family in CONVOLUTIONAL if family != "conv2d" for case in WINDOWS]
CASES += [(family, *case) for family in PLANAR for case in PICTURES]
CASES = [pytest.param(*case, marks=() if everyday(case[0], case[1:]) else pytest.mark.slow) for case in CASES]


@pytest.fixture(scope="module")
def gcc():
    if shutil.which("gcc") is None:
        pytest.skip("no gcc: emitted C cannot be compiled")
    return "gcc"


@pytest.mark.parametrize(("family", "shape", "kernel", "stride"), CASES)
def test_a_family_becomes_a_model_for_a_chip_and_the_same_bytes_in_c(family, shape, kernel, stride, tmp_path, gcc):
    model = student(family, shape, kernel, stride)
    assert model.output_shape == (None, *(shape if family in AUTOENCODERS else (5,)))
    x = samples(shape)
    tflite = micro.convert(model, x, weights="per_channel", anomaly_detector=False)
    assert micro.verify(tflite, x).max_abs_difference <= 1
    assert micro.measure(tflite).macs > 0
    require_equal([tflite.content], tmp_path, gcc)


@pytest.mark.slow
@pytest.mark.parametrize("family", CONVOLUTIONAL)
def test_every_stage_of_compression_takes_every_family(family, tmp_path, gcc):
    """Channels removed, weights zero, normalization folded, int8 simulated in training: and still the same bytes in C."""
    model, x = student(family, SHAPES[family], kernel=5), samples(SHAPES[family])
    small = micro.shrink(model, 0.5)
    assert small.count_params() < 0.7 * model.count_params()
    sparse = zeroed(small, 0.5)
    folded = micro.fold_batchnorm(sparse)
    kept = [layer.name for layer in folded.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert not kept
    np.testing.assert_allclose(folded(x), sparse(x), atol=1e-3)
    aware = micro.quantize_aware(sparse, x, weights="per_channel")
    aware.compile("adam", "mse")
    aware.fit(x, np.zeros((len(x), *model.output_shape[1:])), epochs=1, verbose=0)
    tflite = micro.convert(aware)
    assert micro.verify(tflite, x).max_abs_difference <= 1
    require_equal([tflite.content], tmp_path, gcc)


@pytest.mark.parametrize(("family", "shape"), [*SHAPES.items(), *((family, (24, 2)) for family in RECURRENT)])
def test_every_weight_learns(family, shape):
    """On a CPU too, where TensorFlow lacks the gradients of some dilated convolutions."""
    model, x = student(family, shape, kernel=5, stride=1), samples(shape, 8)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(model(x, training=True) * samples(model.output_shape[1:], 8))
    for weight, gradient in zip(
        model.trainable_weights, tape.gradient(value, [w.value for w in model.trainable_weights])
    ):
        assert np.any(gradient.numpy()), weight.path


def test_separable_convolutions_take_fewer_weights_and_residual_ones_more():
    sizes = [build(family, [8, 16, 24], (64, 2), 4, "s").count_params() for family in ("ds_cnn", "conv1d", "resnet")]
    assert sizes == sorted(sizes)
    assert sizes[0] < 0.5 * sizes[1]


def test_inverted_residuals_add_where_filters_are_as_many_and_have_a_stride_where_not():
    model = build("mobilenet", [8, 8, 12, 12], (64, 2), 4, "s", kernel=3, stride=2)
    shapes = {layer.name: layer.output.shape[1:] for layer in model.layers}
    assert [name for name in shapes if name.startswith("add")] == ["add_1", "add_3"]
    assert [shapes[f"norm_{number}"] for number in range(4)] == [(32, 8), (32, 8), (16, 12), (16, 12)]
    assert shapes["depth_1"] == (32, 48)
    assert {layer.max_value for layer in model.layers if isinstance(layer, keras.layers.ReLU)} == {6.0}


def test_a_temporal_network_sees_as_far_as_its_dilations_reach():
    """Two filters of 3 taps 1, 2, 4 and 8 apart reach 2 * (1 + 2 + 4 + 8) steps to either side."""
    model = student("tcn", (101, 1), stride=1, sizes=(4, 4, 4, 4))
    maps = keras.Model(model.inputs, model.get_layer("relu_3b").output)
    x = np.zeros((2, 101, 1), "float32")
    x[1, 50] = 100.0
    quiet, loud = maps.predict(x, verbose=0)
    reached = np.flatnonzero(np.any(quiet != loud, axis=-1))
    assert (reached.min(), reached.max()) == (50 - 30, 50 + 30)


@pytest.mark.parametrize("family", ["dense", *JUDGES, *RECURRENT])
def test_a_family_that_classifies_does_not_detect_anomalies(family, tmp_path):
    says = f"family '{family}' does not suit this task; anomaly detection takes 'autoencoder' or 'conv_autoencoder'"
    with pytest.raises(ValueError, match=says):
        build(family, [4], (16, 2), None, "student")
    raw = {"job": "table", "task": "classification", "data": {"files": "*.csv", "sample_rate": 1.0}}
    config = parse_config({**raw, "teacher": {"family": family}, "student": {}}, tmp_path)
    assert config.teacher.family == family


@pytest.mark.parametrize("family", AUTOENCODERS)
def test_a_family_that_detects_anomalies_does_not_classify(family):
    with pytest.raises(
        ValueError, match="classification and regression take one of 'dense', 'conv1d', 'conv2d', 'ds_cnn'"
    ):
        build(family, [4, 2], (16, 2), 3, "student")


@pytest.mark.parametrize(("family", "outputs"), [("dense", 1), ("conv1d", 3), ("mobilenet", 1)])
def test_dropout_is_for_training_alone(family, outputs):
    shape = SHAPES.get(family, (24, 2))
    x = samples(shape)
    keras.utils.set_random_seed(0)
    plain = build(family, [6, 9], shape, outputs, "student")
    dropped = build(family, [6, 9], shape, outputs, "student", dropout=0.5)
    dropped.set_weights(plain.get_weights())
    made = [micro.convert(model, x, weights="per_channel", anomaly_detector=False) for model in (plain, dropped)]
    assert len({tflite.content for tflite in made}) == 1
    assert dropped.output_shape == (None, outputs)


@pytest.mark.parametrize("family", ["dense", *CONVOLUTIONAL, *RECURRENT])
def test_dropout_leaves_values_out_behind_each_layer(family):
    shape = SHAPES.get(family, (24, 2))
    model = build(family, [6, 9], shape, None if family in AUTOENCODERS else 3, "student", dropout=0.5)
    wanted = 1 if family == "conv_autoencoder" else 2  # its code is no such layer
    assert sum(isinstance(layer, keras.layers.Dropout) for layer in model.layers) == wanted
    x = samples(shape, 4)
    assert not np.allclose(model(x, training=True), model(x, training=True), atol=1e-3)


@pytest.mark.parametrize("family", [*CONVOLUTIONAL, *RECURRENT])
def test_inputs_of_other_axes_are_refused_with_what_takes_them(family):
    outputs = None if family in AUTOENCODERS else 3
    says = (
        "takes pictures, .*; take 'dense' or 'autoencoder'"
        if family == "conv2d"
        else 'features.kind = "raw" .* features.frame'
    )
    with pytest.raises(ValueError, match=f"family '{family}' .*{says}"):
        build(family, [4, 2], (16,), outputs, "student")
    if family == "conv2d":
        with pytest.raises(ValueError, match=r"\(height, width, channels\), got \(16, 2\); take 'conv1d'"):
            build(family, [4], (16, 2), outputs, "student")
    elif family not in PLANAR:
        with pytest.raises(
            ValueError,
            match=r"pictures, and raw samples in frames, .*; take 'conv2d', 'ds_cnn', 'resnet' or 'mobilenet'",
        ):
            build(family, [4], (16, 9, 2), outputs, "student")


@pytest.mark.parametrize("family", RECURRENT)
def test_a_recurrent_network_teaches_and_an_lstm_learns(family, tmp_path):
    model = build(family, [8, 5], (30, 2), 3, "teacher")
    assert [layer.output.shape[1:] for layer in model.layers[1:]] == [(30, 8), (5,), (3,)]
    raw = {"job": "cwru", "data": {"folder": "."}, "features": {"kind": "raw"}, "teacher": {"family": family}}
    assert parse_config({**raw, "student": {"family": "tcn"}}, tmp_path).teacher.family == family
    if family == "lstm":
        assert parse_config({**raw, "student": {"family": family}}, tmp_path).student.family == family
    else:
        with pytest.raises(ValueError, match=f"student: family '{family}' is for a teacher: .* takes 'lstm', 'tcn'"):
            parse_config({**raw, "student": {"family": family}}, tmp_path)


def test_an_autoencoder_of_convolutions_needs_a_code(tmp_path):
    raw = {"job": "rig", "features": {"kind": "raw"}, "teacher": {"family": "conv_autoencoder", "sizes": [16, 24, 8]}}
    assert parse_config({**raw, "student": {}}, tmp_path).teacher.sizes == (16, 24, 8)
    for side in ({"sizes": [8]}, {}):
        with pytest.raises(ValueError, match=r"student: sizes of a 'conv_autoencoder' are .* such as \[16, 24, 8\]"):
            parse_config({**raw, "student": {"family": "conv_autoencoder", **side}}, tmp_path)


@pytest.mark.slow
def test_an_autoencoder_of_convolutions_detects_in_firmware(tmp_path):
    sides = {"family": "conv_autoencoder", "kernel": 5, "stride": 3, "epochs": 2}
    raw = rig(
        seeds=1,
        features={"kind": "raw", "window": 256, "hop": 256},
        teacher={**sides, "sizes": [12, 16, 8]},
        student={**sides, "sizes": [6, 8, 5]},
        distill={"compare": False},
    )
    (tmp_path / "a.toml").write_text(toml(raw))
    result = invoke("run", tmp_path / "a.toml", "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["parity"]["max_abs_difference"] <= 1
    project = ["--board", "cmake", "--out", tmp_path / "project", "--runtime", "static"]
    result = invoke("new-firmware", tmp_path / "run", *project)
    assert result.exit_code == 0, result.output


def two_tones(folder):
    """A folder of recordings for each of two tones in noise."""
    rng = np.random.default_rng(0)
    for name, frequency in (("slow", 2.0), ("fast", 7.0)):
        (folder / name).mkdir()
        for number in range(6):
            times = np.arange(1500) / 50
            samples = np.sin(2 * np.pi * frequency * times + number) + 0.3 * rng.normal(size=len(times))
            np.savetxt(folder / name / f"{number}.csv", samples, header="a", comments="", fmt="%.4f")


@pytest.mark.slow
def test_a_recurrent_teacher_teaches_a_student_for_a_chip(tmp_path):
    """Two tones and noise: an LSTM teaches a MobileNet, which is shrunk, pruned and quantized in training."""
    two_tones(tmp_path)
    (tmp_path / "a.toml").write_text(
        """job = "table"
task = "classification"
seeds = 1
[data]
files = ["*/*.csv"]
sample_rate = 50.0
[features]
kind = "raw"
window = 50
hop = 25
[teacher]
family = "lstm"
sizes = [12]
epochs = 10
[student]
family = "mobilenet"
sizes = [6, 8, 8]
kernel = 3
stride = 2
epochs = 20
learning_rate = 0.01
[[compress]]
stage = "shrink"
rate = 0.25
epochs = 5
[[compress]]
stage = "prune"
target_sparsity = 0.3
epochs = 3
[[compress]]
stage = "quantize_aware"
epochs = 2
"""
    )
    result = invoke("run", tmp_path / "a.toml", "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["summary"]["student_int8"]["accuracy"]["mean"] > 0.9
    assert report["parity"]["max_abs_difference"] <= 1
    assert keras.saving.load_model(tmp_path / "run" / "teacher.keras", compile=False).layers[1].units == 12


@pytest.mark.slow
def test_a_recurrent_student_runs_on_a_chip(tmp_path):
    """Two tones and noise: an LSTM teaches a smaller one, which is quantized in training and becomes static C."""
    two_tones(tmp_path)
    (tmp_path / "a.toml").write_text(
        """job = "table"
task = "classification"
seeds = 1
[data]
files = ["*/*.csv"]
sample_rate = 50.0
[features]
kind = "raw"
window = 25
hop = 25
[teacher]
family = "lstm"
sizes = [12]
epochs = 20
learning_rate = 0.005
[student]
family = "lstm"
sizes = [6]
epochs = 20
learning_rate = 0.01
[[compress]]
stage = "quantize_aware"
epochs = 2
"""
    )
    result = invoke("run", tmp_path / "a.toml", "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["summary"]["student_int8"]["accuracy"]["mean"] > 0.8
    assert report["parity"]["max_abs_difference"] <= 1
    for runtime in ("static", "tflm"):
        project = ["--board", "cmake", "--out", tmp_path / runtime, "--runtime", runtime]
        result = invoke("new-firmware", tmp_path / "run", *project)
        assert result.exit_code == 0, result.output
    if not emulation.missing_tools():
        assert invoke("emulate", tmp_path / "run", "--core", "m4f").exit_code == 0
