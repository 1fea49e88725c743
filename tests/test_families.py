"""The networks that a config names: each converts to int8, runs in TFLite Micro and has static C."""

import keras
import numpy as np
import pytest

import micro
from micro.aot import static_size
from micro.config import CONVOLUTIONAL, parse_config
from micro.runs.models import build


@pytest.mark.parametrize("family", CONVOLUTIONAL)
@pytest.mark.parametrize(("window", "channels", "kernel", "stride"), [(50, 3, 5, 2), (33, 1, 4, 3)])
def test_a_convolutional_family_becomes_a_model_for_a_chip(family, window, channels, kernel, stride):
    model = build(family, [6, 9, 12], (window, channels), 5, "student", kernel=kernel, stride=stride)
    assert model.output_shape == (None, 5)
    x = np.random.default_rng(0).normal(size=(64, window, channels)).astype("float32")
    tflite = micro.convert(model, x, anomaly_detector=False)
    assert micro.verify(tflite, x).max_abs_difference <= 1
    assert static_size(tflite) is not None
    assert micro.measure(tflite).macs > 0


def test_separable_convolutions_take_fewer_weights_and_residual_ones_more():
    sizes = [build(family, [8, 16, 24], (64, 2), 4, "s").count_params() for family in ("ds_cnn", "conv1d", "resnet")]
    assert sizes == sorted(sizes)
    assert sizes[0] < 0.5 * sizes[1]


@pytest.mark.parametrize("family", ["dense", *CONVOLUTIONAL])
def test_a_family_that_classifies_does_not_detect_anomalies(family, tmp_path):
    with pytest.raises(
        ValueError, match=f"family '{family}' does not suit this task; anomaly detection takes 'autoencoder'"
    ):
        build(family, [4], (16, 2), None, "student")
    with pytest.raises(
        ValueError, match="classification and regression take one of 'dense', 'conv1d', 'ds_cnn', 'resnet'"
    ):
        build("autoencoder", [4], (16, 2), 3, "student")
    raw = {"job": "table", "task": "classification", "data": {"files": "*.csv", "sample_rate": 1.0}}
    config = parse_config({**raw, "teacher": {"family": family}, "student": {"family": family}}, tmp_path)
    assert config.student.family == family


@pytest.mark.parametrize("family", ["dense", *CONVOLUTIONAL])
@pytest.mark.parametrize("outputs", [1, 3])
def test_dropout_is_for_training_alone(family, outputs):
    x = np.random.default_rng(0).normal(size=(64, 24, 2)).astype("float32")
    keras.utils.set_random_seed(0)
    plain = build(family, [6, 9], (24, 2), outputs, "student")
    dropped = build(family, [6, 9], (24, 2), outputs, "student", dropout=0.5)
    dropped.set_weights(plain.get_weights())
    assert sum(isinstance(layer, keras.layers.Dropout) for layer in dropped.layers) == 2
    made = [micro.convert(model, x, anomaly_detector=False) for model in (plain, dropped)]
    assert len({tflite.content for tflite in made}) == 1
    assert dropped.output_shape == (None, outputs)
    assert not np.allclose(dropped(x, training=True), plain(x, training=True), atol=1e-3)


@pytest.mark.parametrize("family", CONVOLUTIONAL)
def test_features_without_a_time_axis_are_refused(family):
    with pytest.raises(ValueError, match=f"family '{family}' needs features.kind = \"raw\""):
        build(family, [4], (16,), 3, "student")
