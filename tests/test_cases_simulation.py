"""Layers that quantize_aware once got wrong: simulated to the step as TFLite Micro computes them."""

import keras
import numpy as np
import pytest
from conversion_cases import lively, relative_error, steps_apart
from keras import layers, ops
from keras.src.backend.tensorflow import numpy as tensorflow_numpy
from support import case_folder, later

import micro
from micro.quantize.aware import quantize_aware
from micro.tflite.graph import read

TRANSPOSED = [
    (flat, window, stride, padding, use_bias)
    for flat, window, stride in ((True, 7, 2), (True, 2, 3), (False, (3, 2), (2, 1)))
    for padding in ("same", "valid")
    for use_bias in (True, False)
]
QUICK_TRANSPOSED = [(True, 7, 2, "same", True), (False, (3, 2), (2, 1), "valid", True)]


@pytest.mark.parametrize(
    ("flat", "window", "stride", "padding", "use_bias"),
    [each if each in QUICK_TRANSPOSED else later(*each) for each in TRANSPOSED],
)
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
        quantize_aware(
            lively(keras.Sequential([keras.Input((9, 2)), up])), np.random.default_rng(0).normal(size=(20, 9, 2))
        )


@pytest.mark.parametrize(
    "cut", [np.s_[:, -1, :], later(np.s_[:, 2]), np.s_[:, -3:-1], np.s_[:, ::2, -1], later(np.s_[:, 1:, :1])]
)
def test_slices_are_simulated_to_the_step(cut):
    case_folder("37-qat-without-transposed-convolution")
    inputs = keras.Input((6, 3))
    model = lively(keras.Model(inputs, layers.Dense(4)(inputs)[cut]))
    assert steps_apart(model, np.random.default_rng(1).normal(size=(50, 6, 3)).astype("float32")) <= 1


@pytest.mark.parametrize("last", [layers.Dense, layers.Conv2D])
@pytest.mark.parametrize(("shape", "size"), [((5, 4, 2), (2, 3)), later((1, 3, 1), (4, 1)), later((7, 6, 3), (3, 2))])
def test_bilinear_upsampling_is_simulated_to_the_step(shape, size, last):
    end = last(3) if last is layers.Dense else last(2, 1)
    first = layers.Conv2D(3, 1, activation="relu")
    model = lively(
        keras.Sequential([keras.Input(shape), first, layers.UpSampling2D(size, interpolation="bilinear"), end])
    )
    x = np.random.default_rng(1).normal(size=(60, *shape)).astype("float32")
    assert steps_apart(model, x) <= 1
    converted = micro.convert(model, x)
    assert "RESIZE_BILINEAR" in read(converted).op_counts
    assert relative_error(converted, model, x) < 0.05


NORMALIZATIONS = [layers.LayerNormalization, *filter(None, [getattr(layers, "RMSNormalization", None)])]


@pytest.mark.parametrize(
    ("normalization", "shape", "width"),
    [
        (NORMALIZATIONS[0], (7, 3), 16),
        (NORMALIZATIONS[-1], (7, 3), 16),
        later(NORMALIZATIONS[0], (5,), 8),
        later(NORMALIZATIONS[0], (3, 4, 2), 24),
        later(NORMALIZATIONS[0], (7, 3), 64),
        later(NORMALIZATIONS[-1], (3, 4, 2), 8),
    ],
)
def test_rows_are_normalized_as_in_float_and_simulated_to_the_step(normalization, shape, width):
    inputs = keras.Input(shape)
    model = lively(keras.Model(inputs, normalization()(layers.Dense(width)(inputs))))
    x = np.random.default_rng(1).normal(size=(100, *shape)).astype("float32")
    assert steps_apart(model, x) <= 1
    converted = micro.convert(model, x)
    assert relative_error(converted, model, x) < 0.04
    # In silence the row is far smaller than epsilon, and is not blown up.
    silence = np.zeros_like(x[:1])
    assert np.abs(converted.predict(silence) - model.predict(silence, verbose=0)).max() < 0.2


def test_normalization_over_other_axes_is_refused_by_name():
    inputs = keras.Input((6, 3))
    model = keras.Model(inputs, layers.LayerNormalization(axis=1, name="over_time")(layers.Dense(4)(inputs)))
    with pytest.raises(micro.ConversionError, match=r"layer 'over_time' \(LayerNormalization\) becomes"):
        quantize_aware(model, np.random.default_rng(0).normal(size=(20, 6, 3)))


@pytest.mark.parametrize(("heads", "steps"), [(2, 6), later(1, 1), later(3, 9)])
def test_attention_is_simulated_to_the_step(heads, steps):
    inputs = keras.Input((steps, 4))
    h = layers.Dense(8)(inputs)
    h = layers.Add()([h, layers.MultiHeadAttention(heads, 4)(h, h)])
    h = layers.LayerNormalization()(h)
    h = layers.Add()([h, layers.Dense(8)(layers.Dense(12, activation="relu")(h))])
    model = lively(keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(h))))
    x = np.random.default_rng(1).normal(size=(100, steps, 4)).astype("float32")
    assert steps_apart(model, x) <= 1
    converted = micro.convert(model, x)
    assert read(converted).op_counts["BATCH_MATMUL"] == 2
    assert relative_error(converted, model, x) < 0.05


MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
# Shapes of two operands; the second is stretched where it has an axis of size 1.
PAIRS = {
    "vectors": ((8,), (8,)),
    "one wide": ((1,), (1,)),
    "channels": ((3, 4, 2), (1, 1, 2)),
    "maps": ((4, 3), (4, 1)),
    "square": ((4, 4), (4, 1)),
}
# Each merge daily, some with operands of one rule of stretching and some of another.
QUICK = {
    **dict.fromkeys(("Add", "Multiply", "Maximum"), ("channels", False)),
    **dict.fromkeys(("Subtract", "Average", "Minimum"), ("square", True)),
    "Concatenate": ("vectors", False),
}


@pytest.mark.parametrize(
    ("merge", "pair", "skip"),
    [
        (merge, pair, skip) if QUICK[merge] == (pair, skip) else later(merge, pair, skip)
        for merge in MERGES
        for skip in (True, False)
        for pair in PAIRS
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
    # TensorFlow's converter gives Maximum and Minimum the range of one operand: what it cuts off is then written as simulated.
    converted = micro.convert(model, x)
    assert relative_error(converted, model, x) < 0.15
    # Keras squeezes a batch of 1 for its addition; nothing of that is left.
    assert all(len(read(converted).tensors[op.outputs[0]].shape) > 1 for op in read(converted).ops)


class AddedWeight(layers.Layer):
    """Adds a weight, which Keras aligns as a bias at every batch where it has a single long axis."""

    def __init__(self, shape, **kwargs):
        super().__init__(**kwargs)
        self.shape_of_weight = shape

    def build(self, input_shape):
        self.weight = self.add_weight(shape=self.shape_of_weight, initializer="normal", name="weight")

    def call(self, inputs):
        return ops.add(inputs, self.weight)


def columns_and_rows(inputs):
    return layers.Add()([layers.Reshape((5, 1))(inputs), layers.Reshape((1, 5))(layers.Dense(5)(inputs))])


def maps_and_channels(inputs):
    return layers.Add()([layers.Reshape((5, 1, 1))(inputs), layers.Reshape((1, 1, 5))(layers.Dense(5)(inputs))])


@pytest.mark.parametrize(
    ("shape", "added"),
    [
        ((4, 4), AddedWeight((4, 1))),
        ((4, 4), AddedWeight((1, 4, 1))),
        ((4, 3), AddedWeight((3,))),
        ((5,), columns_and_rows),
        ((5,), maps_and_channels),
        ((4, 4), lambda inputs: inputs + layers.Dense(1)(inputs)),
    ],
)
def test_sums_are_along_the_axes_that_they_are_in_a_batch_of_several(shape, added):
    inputs = keras.Input(shape)
    model = lively(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(added(inputs)))))
    x = np.random.default_rng(1).normal(size=(60, *shape)).astype("float32")
    assert steps_apart(model, x) <= 1
    assert relative_error(micro.convert(model, x), model, x) < 0.05
    own = tensorflow_numpy.add
    assert own.__module__.startswith("keras.")


def test_maximum_of_convolutions_is_called_what_it_is():
    inputs = keras.Input((6, 6, 2))
    branches = [layers.Conv2D(3, 3, activation=kind)(inputs) for kind in (None, "relu")]
    model = lively(keras.Model(inputs, layers.Maximum()(branches)))
    x = np.random.default_rng(1).normal(size=(60, 6, 6, 2)).astype("float32")
    converted = micro.convert(model, x)
    assert converted.weights == "per_channel"
    assert relative_error(converted, model, x) < 0.05
