"""Models on which conversion once failed: each converts now, or is refused in a sentence that helps."""

import warnings

import keras
import numpy as np
import pytest
from conversion_cases import X, dense, lively, relative_error, steps_apart
from keras import layers
from support import case_folder, later

import keras_kd
import micro
from micro.quantize.aware import quantize_aware
from micro.tflite.graph import read
from micro.tflite.interpreter import run


@pytest.mark.parametrize("policy", ["mixed_float16", later("float16"), "bfloat16", later("mixed_bfloat16")])
def test_what_was_trained_in_16_bits_is_converted_in_float32(policy):
    case_folder("21-mixed-precision")
    hidden = layers.Dense(6, activation="relu", dtype=policy)
    model = lively(keras.Sequential([keras.Input((8,)), hidden, layers.Dense(2, dtype="float32")]))
    assert relative_error(micro.convert(model, X), model, X) < 0.05
    assert steps_apart(model, X) <= 1
    assert hidden.dtype_policy.name == policy


class EncoderDecoder(keras.Model):
    def __init__(self):
        super().__init__(name="enc_dec")
        self.encoder = keras.Sequential([layers.Dense(4, activation="relu")])
        self.decoder = keras.Sequential([layers.Dense(8)])

    def call(self, x):
        return self.decoder(self.encoder(x))


def test_a_subclassed_model_takes_its_shape_from_the_calibration_data():
    case_folder("22-subclassed-model")
    model = EncoderDecoder()
    with pytest.raises(
        ValueError, match=r"'enc_dec' has no known input shape and no weights yet: .* call or fit it first"
    ):
        micro.convert(model, X)
    model.compile("adam", "mse")
    model.fit(X, X, verbose=0)
    assert relative_error(micro.convert(model, micro.calibration_data(X)), model, X) < 0.2
    assert steps_apart(model, X) <= 1


@pytest.mark.parametrize(
    ("activations", "case"),
    [
        *(("int8", case) for case in ("up 1", "up 2", "repeat")),
        ("int16", "repeat"),
        *(later("int16", case) for case in ("up 1", "up 2")),
    ],
)
def test_layers_that_repeat_become_a_resize_that_tflite_micro_has(case, activations):
    case_folder("23-upsampling")
    repeating = {"up 1": layers.UpSampling1D(3), "up 2": layers.UpSampling2D((2, 3)), "repeat": layers.RepeatVector(5)}
    shape = {"up 1": (6, 2), "up 2": (3, 4, 2), "repeat": (8,)}[case]
    first = layers.Dense(3) if case == "repeat" else layers.Dense(2)
    last = layers.Conv2D(2, 2) if case == "up 2" else layers.Conv1D(2, 2)
    model = lively(keras.Sequential([keras.Input(shape), first, repeating[case], last]))
    x = np.random.default_rng(1).normal(size=(60, *shape)).astype("float32")
    # Of 65,536 steps, which float32 simulates to a few.
    assert steps_apart(model, x, activations=activations) <= (1 if activations == "int8" else 4)
    assert "call" not in vars(repeating[case])
    if activations == "int8":
        converted = micro.convert(model, x)
        assert "RESIZE_NEAREST_NEIGHBOR" in read(converted).op_counts
        assert relative_error(converted, model, x) < 0.05
        assert micro.verify(converted, x).max_abs_difference <= 1


def test_what_is_no_keras_model_is_refused_by_what_it_is():
    import tf_keras

    case_folder("24-representative-dataset")
    old = tf_keras.Sequential([tf_keras.layers.Dense(2, input_shape=(8,))])
    for call in (micro.convert, quantize_aware):
        with pytest.raises(ValueError, match=r"is one of tf_keras \(Keras 2\): save it by model.save\('model.h5'\)"):
            call(old, X)
        with pytest.raises(ValueError, match=r"model is the path 'm.keras': load it first"):
            call("m.keras", X)
        with pytest.raises(ValueError, match=r"must be a Keras model, got builtins.int"):
            call(3, X)


def test_the_way_told_for_tf_keras_works(tmp_path):
    import tf_keras

    case_folder("24-representative-dataset")
    old = tf_keras.Sequential([tf_keras.layers.Dense(2, input_shape=(8,))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old.save(tmp_path / "model.h5")
    loaded = keras.saving.load_model(tmp_path / "model.h5", compile=False)
    np.testing.assert_allclose(micro.convert(loaded, X).predict(X), old.predict(X, verbose=0), atol=0.1)


def test_a_distiller_stands_for_its_student():
    student = lively(dense(4))
    distiller = keras_kd.Distiller(dense(4), student, [keras_kd.SoftTarget()])
    assert micro.convert(distiller, X).content == micro.convert(student, X).content
    peers = keras_kd.MutualDistiller([dense(4), dense(4)])
    with pytest.raises(ValueError, match=r"holds 2 peers: convert one, such as peers\[0\]"):
        micro.convert(peers, X)


def test_integers_are_numbers_or_indices():
    pixels = np.random.default_rng(0).integers(0, 256, (80, 5, 4, 1))
    model = keras.Sequential(
        [keras.Input((5, 4, 1), dtype="uint8"), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(3)]
    )
    assert relative_error(micro.convert(model, pixels), model, pixels) < 0.05
    words = np.random.default_rng(0).integers(0, 20, (80, 6))
    model = keras.Sequential(
        [keras.Input((6,), dtype="int32"), layers.Embedding(20, 4), layers.Flatten(), layers.Dense(3)]
    )
    converted = micro.convert(model, words)
    assert relative_error(converted, model, words) < 0.1
    assert micro.measure(converted).ops["GATHER"] == 1
    with pytest.raises(ValueError, match="takes int32; the calibration data has fractions"):
        micro.convert(model, words + 0.5)


def test_ends_in_a_dict_are_plain_ends():
    case_folder("26-dict-output")
    inputs = keras.Input((8,), name="x")
    output = layers.Dense(2)(inputs)
    named, plain = keras.Model({"x": inputs}, {"y": output}), keras.Model(inputs, output)
    assert micro.convert(named, {"x": X}).content == micro.convert(plain, X).content
    assert steps_apart(keras.Model(inputs, {"y": output}), X) <= 1


ACTIVATIONS = [
    *("relu", "relu6", "leaky_relu", "sigmoid", "tanh", "silu", "hard_silu", "hard_sigmoid", "softmax", "softsign"),
    *("softplus", "mish", "gelu", "selu", "elu", "celu", "exponential", "squareplus", "log_softmax", "hard_tanh"),
    *("soft_shrink", "hard_shrink", "tanh_shrink", "log_sigmoid", "sparse_plus", "sparsemax", "linear"),
]


@pytest.mark.parametrize("name", [*ACTIVATIONS[::2], *(later(name) for name in ACTIVATIONS[1::2])])
def test_each_activation_converts_or_its_layer_is_named(name):
    case_folder("28-softplus-names-no-layer")
    middle = layers.Dense(4, activation=name, name="curve")
    model = lively(keras.Sequential([keras.Input((8,)), middle, layers.Dense(2, name="end")]))
    refusal = None
    try:
        converted = micro.convert(model, X)
    except micro.ConversionError as error:
        refusal = str(error)
    if refusal is None:
        assert relative_error(converted, model, X) < 0.15
    else:
        assert refusal.startswith("layer 'curve' (Dense) becomes ")
        assert "replace the layer" in refusal
        assert "\n" not in refusal


def test_a_conversion_saves_predicts_and_shows_itself_in_a_line(tmp_path):
    model = lively(dense(4))
    converted = micro.convert(model, X)
    path = converted.save(tmp_path / "new" / "model.tflite")
    assert path.read_bytes() == converted.content
    assert converted.predict(X).shape == (200, 4)
    np.testing.assert_array_equal(converted.predict(X), run(path, X))
    np.testing.assert_array_equal(converted.predict(X.astype("float64")), converted.predict(list(X)))
    with pytest.raises(ValueError, match=r"x must have shape \(n, 8\)"):
        converted.predict(X[:, :7])
    assert repr(converted) == (
        f"Converted({len(converted.content):,} bytes, int8[1, 8] -> int8[1, 4], weights {converted.weights}, "
        f"error {converted.error:.3g})"
    )


def test_values_that_no_microcontroller_holds_are_refused_before_work():
    up = layers.UpSampling1D(100_000_000, name="vast")
    model = keras.Sequential([keras.Input((8, 1)), up])
    with pytest.raises(
        micro.ConversionError, match=r"layer 'vast' \(UpSampling1D\) makes a value of 800,000,000 elements"
    ):
        micro.convert(model, X[..., None])
