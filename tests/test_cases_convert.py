"""Models and data on which conversion once failed: each converts rightly now, or is refused in a sentence that helps."""

import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from support import case_folder

import keras_kd
import micro
from micro.quantize.aware import quantize_aware
from micro.tflite.graph import read
from micro.tflite.interpreter import run

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 8)).astype("float32")


def dense(units=8, **kwargs):
    return keras.Sequential([keras.Input((8,)), layers.Dense(units, **kwargs)])


def lively(model, seed=0):
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([weight + 0.1 * rng.normal(size=weight.shape) for weight in layer.get_weights()])
    return model


def later(*values):
    """A parameter that is left to the nightly run."""
    return pytest.param(*values, marks=pytest.mark.slow)


def steps_apart(model, x, **options):
    """By how many steps of the output's grid simulation and TFLite Micro differ at most."""
    aware = quantize_aware(model, x, **options)
    scale, _ = aware.grid(len(aware.program.nodes)).parameters()
    outputs = run(micro.convert(aware, x), x)
    return float(np.abs(np.round((outputs - aware.predict(x, verbose=0)) / float(scale))).max())


def relative_error(converted, model, x):
    exact = keras.tree.flatten(model.predict(x, verbose=0))[0].astype("float64")
    return float(np.sqrt(np.mean((converted.predict(x) - exact) ** 2)) / exact.std())


def silently(model, calibration, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error", micro.ConversionWarning)
        return micro.convert(model, calibration, **options)


# --- what calibration tells, and what it hides


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
        micro.ConversionWarning, match=r"inputs 0, 1, 2, 3, 4, 5 \(of 8\) move by fewer than 4 steps"
    ) as told:
        converted = micro.convert(model, x)
    assert converted.constant_inputs == (0, 1, 2, 3, 4, 5)
    assert converted.constant_outputs == tuple(range(8))
    said = [str(each.message) for each in told if each.category is micro.ConversionWarning]
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
    assert "leave it out if it is a fault of the sensor, and clip inputs in front of the model" in converted.warnings[0]
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
    x[:, 1] = RNG.random(200) < 0.01
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


# --- head-room for what a detector has yet to see


def test_a_detector_without_head_room_is_warned_of_and_one_with_it_is_not():
    model = lively(dense(8))
    with pytest.warns(micro.ConversionWarning, match=r"calibrate on micro\.calibration_data\(healthy\)"):
        micro.convert(model, X)
    with pytest.warns(micro.ConversionWarning, match="ends where the calibration data ends"):
        micro.convert(lively(dense(4)), X, anomaly_detector=True)
    silently(model, micro.calibration_data(X))
    silently(model, X, anomaly_detector=False)
    silently(lively(dense(4)), X)


def test_head_room_keeps_faults_from_looking_healthy():
    keras.utils.set_random_seed(0)
    model = lively(dense(8))
    faults = 2.5 * X[:50]
    cut_off, whole = micro.convert(model, X, anomaly_detector=False), micro.convert(model, micro.calibration_data(X))
    assert relative_error(whole, model, faults) < 0.5 * relative_error(cut_off, model, faults)


def test_calibration_data_is_what_a_run_calibrates_on():
    from micro.config import parse_config
    from micro.datasets.prepare import calibration_windows, prepare

    told = {"job": "rig", "data": {"train_recordings": 2, "validation_recordings": 1, "calibration_recordings": 1}}
    told |= {"teacher": {"sizes": [8]}, "student": {"sizes": [4]}}
    told["data"] |= {"test_recordings": 1, "fault_recordings": 1, "seconds": 0.5, "severities": [1.0]}
    data = prepare(parse_config(told, Path()))
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


# --- models as their owners have them


@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "bfloat16", "mixed_bfloat16"])
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


@pytest.mark.parametrize("case", ["up 1", "up 2", "repeat"])
@pytest.mark.parametrize("activations", ["int8", "int16"])
def test_layers_that_repeat_become_a_resize_that_tflite_micro_has(case, activations):
    case_folder("23-upsampling")
    repeating = {"up 1": layers.UpSampling1D(3), "up 2": layers.UpSampling2D((2, 3)), "repeat": layers.RepeatVector(5)}
    shape = {"up 1": (6, 2), "up 2": (3, 4, 2), "repeat": (8,)}[case]
    first = layers.Dense(3) if case == "repeat" else layers.Dense(2)
    last = layers.Conv2D(2, 2) if case == "up 2" else layers.Conv1D(2, 2)
    model = lively(keras.Sequential([keras.Input(shape), first, repeating[case], last]))
    x = np.random.default_rng(1).normal(size=(60, *shape)).astype("float32")
    assert steps_apart(model, x, activations=activations) <= 1
    assert "call" not in vars(repeating[case])
    if activations == "int8":
        converted = micro.convert(model, x)
        assert "RESIZE_NEAREST_NEIGHBOR" in read(converted).op_counts
        assert relative_error(converted, model, x) < 0.05
        assert micro.verify(converted, x).max_abs_difference <= 1


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


# --- simulated as TFLite Micro computes it


@pytest.mark.parametrize("use_bias", [True, later(False)])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("flat", "window", "stride"), [(True, 7, 2), (True, 2, 3), (False, (3, 2), (2, 1))])
def test_transposed_convolutions_are_simulated_to_the_step(flat, window, stride, padding, use_bias):
    case_folder("37-qat-without-transposed-convolution")
    kind = layers.Conv1DTranspose if flat else layers.Conv2DTranspose
    shape = (9, 2) if flat else (5, 4, 2)
    up = kind(3, window, strides=stride, padding=padding, use_bias=use_bias, activation="relu")
    model = lively(keras.Sequential([keras.Input(shape), layers.Dense(2), up, layers.Dense(2)]))
    x = np.random.default_rng(1).normal(size=(60, *shape)).astype("float32")
    for options in ({}, {"weights": "per_tensor"}):
        assert steps_apart(model, x, **options) <= 1
    converted = micro.convert(model, x)
    assert relative_error(converted, model, x) < 0.1


def test_output_padding_is_refused_by_name():
    case_folder("37-qat-without-transposed-convolution")
    up = layers.Conv1DTranspose(3, 3, strides=2, output_padding=1, padding="valid", name="up")
    with pytest.raises(micro.ConversionError, match=r"layer 'up' \(Conv1DTranspose\) .* output_padding"):
        quantize_aware(lively(keras.Sequential([keras.Input((9, 2)), up])), RNG.normal(size=(20, 9, 2)))


@pytest.mark.parametrize("cut", [np.s_[:, -1, :], np.s_[:, 2], np.s_[:, -3:-1], np.s_[:, ::2, -1], np.s_[:, 1:, :1]])
def test_slices_are_simulated_to_the_step(cut):
    case_folder("37-qat-without-transposed-convolution")
    inputs = keras.Input((6, 3))
    model = lively(keras.Model(inputs, layers.Dense(4)(inputs)[cut]))
    assert steps_apart(model, np.random.default_rng(1).normal(size=(50, 6, 3)).astype("float32")) <= 1


MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
# Shapes of two operands; the second is stretched where it has an axis of size 1.
PAIRS = {
    "vectors": ((8,), (8,)),
    "one wide": ((1,), (1,)),
    "channels": ((3, 4, 2), (1, 1, 2)),
    "maps": ((4, 3), (4, 1)),
}


@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize(
    ("pair", "skip"),
    [
        ("vectors", False),
        ("channels", False),
        *(later(pair, skip) for skip in (True, False) for pair in PAIRS if skip or pair in ("one wide", "maps")),
    ],
)
def test_merged_branches_are_simulated_to_the_step(merge, pair, skip):
    case_folder("39-average-in-quantize-aware")
    case_folder("41-dense-skip-connection-in-quantize-aware")
    one, other = PAIRS[pair]
    if merge == "Concatenate" and one != other:
        pytest.skip("Concatenate does not stretch")
    inputs = keras.Input(one)
    first = inputs if skip else layers.Dense(one[-1], name="first")(inputs)
    second = layers.Dense(other[-1], activation="relu", name="second")(inputs)
    if one != other and pair == "channels":
        second = layers.GlobalAveragePooling2D(keepdims=True)(second)
    merged = getattr(layers, merge)()([first, second])
    model = lively(keras.Model(inputs, layers.Dense(2, name="end")(merged)))
    x = np.random.default_rng(1).normal(size=(60, *one)).astype("float32")
    assert steps_apart(model, x) <= 1
    converted = micro.convert(model, x)
    assert relative_error(converted, model, x) < 0.15
    # Keras squeezes a batch of 1 for its addition; nothing of that is left.
    assert all(len(read(converted).tensors[op.outputs[0]].shape) > 1 for op in read(converted).ops)


# --- what comes back


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


# --- callbacks leave the user's layers as they were


class Interrupt(keras.callbacks.Callback):
    """Ends a `fit` in the given way at the given moment."""

    def __init__(self, moment, how):
        super().__init__()
        setattr(self, moment, self._end)
        self.how = how

    def _end(self, *args, **kwargs):
        if self.how is None:
            self.model.stop_training = True
        else:
            raise self.how


def holders():
    return {
        "prune": lambda model: micro.PruneWeights(model, lambda step: (True, 0.5)),
        "keep zeros": micro.KeepZeros,
        "cluster": lambda model: micro.ClusterWeights(model, 4),
    }


@pytest.mark.parametrize("holder", list(holders()))
@pytest.mark.parametrize(
    ("moment", "how"),
    [
        ("on_train_begin", KeyboardInterrupt()),
        ("on_train_batch_begin", RuntimeError("other")),
        ("on_train_batch_end", KeyboardInterrupt()),
        ("on_epoch_end", None),
    ],
    ids=["ctrl-c first", "error", "ctrl-c", "stop"],
)
def test_a_fit_that_ends_early_leaves_the_layers_as_they_were(holder, moment, how):
    model = lively(dense(4, kernel_constraint=keras.constraints.MaxNorm(3.0)))
    kernel = model.layers[0].kernel
    before = kernel.constraint
    model.compile("sgd", "mse")
    callbacks = [holders()[holder](model), Interrupt(moment, how)]
    try:
        model.fit(X, X[:, :4], callbacks=callbacks, verbose=0)
    except (KeyboardInterrupt, RuntimeError):
        assert how is not None
    assert kernel.constraint is before
    kernel.assign(np.where(np.arange(8)[:, None] < 4, 0.0, 1.0) * np.ones((8, 4)))
    model.fit(X, X[:, :4], epochs=2, verbose=0)
    values = keras.ops.convert_to_numpy(kernel)
    assert len(np.unique(values)) == values.size  # nothing is held at zero, nothing shared


def test_an_error_inside_the_training_step_leaves_the_layers_as_they_were():
    model = dense(4)
    model.compile("sgd", "mse")

    def failing():
        yield X[:20], X[:20, :4]
        raise RuntimeError("the sensor is gone")

    with pytest.raises(Exception, match="the sensor is gone"):
        model.fit(failing(), callbacks=[micro.KeepZeros(model), micro.ClusterWeights(model, 4)], verbose=0)
    assert model.layers[0].kernel.constraint is None


def test_two_callbacks_hold_in_one_fit_and_let_go_after_it():
    model = keras.Sequential([keras.Input((8,)), layers.Dense(6, name="a"), layers.Dense(4, name="b")])
    model.compile("sgd", "mse")
    sparse = [
        micro.PruneWeights(model, lambda step, share=share: (True, share), layers=[n])
        for n, share in (("a", 0.5), ("b", 0.75))
    ]
    model.fit(X, X[:, :4], callbacks=sparse, epochs=2, verbose=0)
    shares = [float(np.mean(keras.ops.convert_to_numpy(layer.kernel) == 0)) for layer in model.layers]
    assert shares == [0.5, 0.75]
    model.fit(X, X[:, :4], epochs=1, verbose=0)
    assert not np.any(keras.ops.convert_to_numpy(model.layers[0].kernel) == 0)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 7, 64])
def test_pruning_reaches_the_target_whatever_one_execution_holds(steps):
    from micro.compress.prune import polynomial_schedule

    model = dense(16)
    model.compile("sgd", "mse", steps_per_execution=steps)
    y = np.zeros((200, 16))
    schedule = polynomial_schedule(0.75, end_step=18)  # 2 epochs of 10 steps
    model.fit(X, y, batch_size=20, epochs=2, callbacks=[micro.PruneWeights(model, schedule)], verbose=0)
    assert np.mean(keras.ops.convert_to_numpy(model.layers[0].kernel) == 0) == 0.75
