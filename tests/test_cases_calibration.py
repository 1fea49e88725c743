"""Calibration data on which conversion once failed: warned of with a remedy that works, or refused by what they are."""

from pathlib import Path

import keras
import numpy as np
import pytest
from conversion_cases import X, dense, lively, relative_error, silently
from keras import layers
from support import case_folder

import micro


def mixed_sizes():
    x = X * np.array([1e-3, 1e-2, 0.1, 1, 10, 100, 1e3, 1e4], "float32")
    scale = layers.Normalization(name="scale")
    scale.adapt(x)
    inputs = keras.Input((8,))
    return keras.Model(inputs, layers.Dense(8)(layers.Dense(8, activation="relu")(scale(inputs)))), x


def test_inputs_that_become_constants_are_named_with_the_remedy():
    case_folder("18-normalization-layer-inside")
    model, x = mixed_sizes()
    with pytest.warns(
        micro.ConversionWarning, match=r"inputs 0, 1, 2, 3, 4, 5 \(of 8\) vary by fewer than 4 steps"
    ) as warned:
        converted = micro.convert(model, x)
    assert converted.constant_inputs == (0, 1, 2, 3, 4, 5)
    assert converted.constant_outputs == tuple(range(8))
    said = [str(each.message) for each in warned if each.category is micro.ConversionWarning]
    assert [text.partition(": ")[2] for text in said] == list(converted.warnings)
    assert "layer 'scale' (Normalization) comes too late for them: take it out of the model" in converted.warnings[0]
    # The remedy works.
    scaled = silently(dense(), micro.fit_scaling(x)(x), anomaly_detector=False)
    assert scaled.constant_inputs == scaled.constant_outputs == scaled.warnings == ()


@pytest.mark.parametrize("rows", [[5], [5, 60]])
def test_an_outlier_that_sets_the_range_is_named_with_the_remedy(rows):
    case_folder("19-outlier-in-calibration")
    model = lively(dense(4))
    calibration = X.copy()
    calibration[rows, 2] = 1e6
    with pytest.warns(
        micro.ConversionWarning, match=r"sample 5 of 200, which holds 1e\+06; nearly all others lie within"
    ):
        converted = micro.convert(model, calibration)
    assert converted.constant_inputs == tuple(range(8))
    assert converted.constant_outputs == (0, 1, 2, 3)
    assert converted.error > 0.5 * model.predict(X, verbose=0).std()  # measured on samples without the outlier
    assert (
        "leave it out if it is a fault of the sensor, and clip inputs before they reach the model"
        in converted.warnings[0]
    )
    # Either remedy works.
    for mended in (np.delete(calibration, rows, axis=0), np.clip(calibration, -8, 8)):
        assert relative_error(silently(model, mended), model, X) < 0.15


def test_few_samples_are_said_and_zeros_refused():
    case_folder("19-outlier-in-calibration")
    with pytest.warns(micro.ConversionWarning, match="ranges are calibrated on 1 sample"):
        micro.convert(dense(4), X[:1])
    with pytest.raises(ValueError, match=r"calibration data is 0 throughout \(200 samples\)"):
        micro.convert(dense(4), np.zeros_like(X))


def test_features_at_rest_and_rare_flags_are_no_constants_to_complain_about():
    x = X.copy()
    x[:, 0] = 1.5
    x[:, 1] = np.random.default_rng(1).random(200) < 0.01
    assert silently(lively(dense(4)), x).warnings == ()


def test_the_error_is_measured_on_samples_apart():
    model = lively(dense(4))
    far = 10 * X[:40]
    narrow = micro.convert(model, X, validation=far)
    assert narrow.error > 20 * micro.convert(model, X).error
    expected = model.predict(far, verbose=0)
    assert narrow.error == pytest.approx(np.sqrt(np.mean((narrow.predict(far) - expected) ** 2)), rel=1e-5)
    with pytest.raises(ValueError, match=r"validation must have shape \(n, 8\), got \(40, 7\)"):
        micro.convert(model, X, validation=far[:, :7])


def test_a_detector_without_headroom_is_warned_of_and_one_with_it_is_not():
    model = lively(dense(8))
    with pytest.warns(micro.ConversionWarning, match=r"calibrate on micro\.calibration_data\(healthy\)"):
        micro.convert(model, X)
    with pytest.warns(micro.ConversionWarning, match="ends where the calibration data ends"):
        micro.convert(lively(dense(4)), X, anomaly_detector=True)
    silently(model, micro.calibration_data(X))
    silently(model, X, anomaly_detector=False)
    silently(lively(dense(4)), X)


def test_headroom_keeps_faults_from_looking_healthy():
    keras.utils.set_random_seed(0)
    model = lively(dense(8))
    faults = 2.5 * X[:50]
    cut_off, whole = micro.convert(model, X, anomaly_detector=False), micro.convert(model, micro.calibration_data(X))
    assert relative_error(whole, model, faults) < 0.5 * relative_error(cut_off, model, faults)


def test_calibration_data_is_what_a_run_calibrates_on():
    from micro.config import parse_config
    from micro.datasets.prepare import prepare
    from micro.datasets.prepared import calibration_windows

    raw = {"job": "rig", "data": {"train_recordings": 2, "validation_recordings": 1, "calibration_recordings": 1}}
    raw |= {"teacher": {"sizes": [8]}, "student": {"sizes": [4]}}
    raw["data"] |= {"test_recordings": 1, "fault_recordings": 1, "seconds": 0.5, "severities": [1.0]}
    data = prepare(parse_config(raw, Path()))
    public = micro.calibration_data(data.train.x, seed=3)
    np.testing.assert_array_equal(public, calibration_windows(data, 3))
    assert (public.min(), public.max()) == (-8.0, 8.0)


@pytest.mark.parametrize(
    ("healthy", "options", "says"),
    [
        (100 * X, {}, r"beyond -8 to 8: scale them \(micro\.fit_scaling\)"),
        (X, {"low": 1.0}, "must hold 0 between them"),
        (np.zeros((0, 8)), {}, "not be empty"),
        (np.zeros(8), {}, r"must have shape \(n, \*input\)"),
    ],
)
def test_calibration_data_that_cannot_be_is_refused(healthy, options, says):
    with pytest.raises(ValueError, match=says):
        micro.calibration_data(healthy, **options)


def sources():
    import tensorflow as tf

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 10

        def __getitem__(self, number):
            return X[20 * number : 20 * number + 20], np.zeros(20)

    return {
        "list": list(X),
        "generator of samples": (sample for sample in X),
        "generator of batches": (X[k : k + 50] for k in range(0, 200, 50)),
        "representative_dataset": lambda: ([X[k : k + 1]] for k in range(200)),
        "tf.data of samples": tf.data.Dataset.from_tensor_slices(X),
        "tf.data of pairs": tf.data.Dataset.from_tensor_slices((X, X[:, 0])).batch(32),
        "tf.data without end": tf.data.Dataset.from_tensor_slices(X).batch(200).repeat(),
        "PyDataset": Batches(),
        "dict": {"x": X},
        "tensor": tf.constant(X),
    }


@pytest.mark.parametrize("kind", list(sources()))
def test_samples_may_come_from_whatever_yields_them(kind):
    from micro.keras_graph.calibration_data import check_samples

    case_folder("24-representative-dataset")
    taken = check_samples((8,), sources()[kind])
    assert taken.dtype == np.float32
    np.testing.assert_array_equal(taken[:200], X)
    assert len(taken) <= 2200


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        ("x.npy", r"must be an array, got the path 'x.npy': load it first"),
        (iter(()), "gave no samples"),
        ({"a": X, "b": X}, "holds the entries 'a', 'b'"),
        (([X[:1], X[:1]] for _ in range(3)), "gives 2 inputs a sample; the model takes one"),
        ([[1, 2], [3]], "must be an array of numbers"),
        (X.astype(complex), "must be real numbers"),
        (np.full((4, 8), 1e300), "not finite"),
        (("a" for _ in range(3)), "must be numbers"),
    ],
)
def test_samples_that_cannot_be_taken_are_refused_by_what_they_are(samples, says):
    case_folder("24-representative-dataset")
    with pytest.raises(ValueError, match=says):
        micro.convert(dense(), samples)
