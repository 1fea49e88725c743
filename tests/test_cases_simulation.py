"""Layers that quantize_aware once got wrong: simulated to the step as TFLite Micro computes them."""

import keras
import numpy as np
import pytest
from conversion_cases import later, lively, relative_error, steps_apart
from keras import layers, ops
from keras.src.backend.tensorflow import numpy as tensorflow_numpy
from support import case_folder

import micro
from micro.quantize.aware import quantize_aware
from micro.tflite.graph import read


@pytest.mark.parametrize("use_bias", [True, later(False)])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("flat", "window", "stride"), [(True, 7, 2), later(True, 2, 3), (False, (3, 2), (2, 1))])
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
    "square": ((4, 4), (4, 1)),
}
QUICK = [("channels", False), ("square", True)]


@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize(
    ("pair", "skip"),
    [
        *QUICK,
        *(later(pair, skip) for skip in (True, False) for pair in PAIRS if (pair, skip) not in QUICK),
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
