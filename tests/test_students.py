"""Students derived from a teacher: narrower, shallower, with its weights where they fit."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_kd


def test_a_derived_student_is_narrower_shallower_and_fits():
    inputs = keras.Input((32, 2))
    h = inputs
    for n in range(4):
        h = layers.Conv1D(16, 3, padding="same", name=f"conv_{n}")(h)
        h = layers.BatchNormalization(name=f"norm_{n}")(h)
        h = layers.ReLU(name=f"relu_{n}")(h)
    h = layers.GlobalAveragePooling1D(name="pool")(h)
    teacher = keras.Model(inputs, layers.Dense(5, name="head")(h), name="teacher")
    student = keras_kd.students.derive(teacher, width=0.25, depth=0.5)
    assert student.output_shape == teacher.output_shape
    assert [layer.name for layer in student.layers if layer.name.startswith("conv")] == ["conv_0", "conv_1"]
    assert student.get_layer("conv_1").filters == 4
    same_width = keras_kd.students.derive(teacher, depth=0.5)
    for name in ("conv_0", "norm_1", "head"):
        for a, b in zip(same_width.get_layer(name).get_weights(), teacher.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    keras_kd.Distiller(teacher, student, [keras_kd.SoftTarget()])
    with pytest.raises(ValueError, match="nothing in 'flat' repeats"):
        keras_kd.students.derive(keras.Sequential([keras.Input((4,)), layers.Dense(3)], name="flat"), depth=0.5)


def test_a_sequential_and_a_branching_teacher_can_be_narrowed():
    body = [layers.Dense(20, activation="relu", name=f"d{n}") for n in range(5)]
    teacher = keras.Sequential([keras.Input((4,)), *body, layers.Dense(3, name="out")], name="t")
    assert [layer.name for layer in keras_kd.students.derive(teacher, 0.5, 0.4).layers[1:]] == ["d0", "d1", "out"]
    inputs = keras.Input((8,))
    h = layers.Dense(10, name="a")(inputs)
    h = layers.Add(name="sum")([h, layers.Dense(10, name="b")(h)])
    branching = keras.Model(inputs, layers.Dense(2, name="o")(h), name="branching")
    assert keras_kd.students.derive(branching, 0.5).get_layer("b").units == 5
    with pytest.raises(ValueError, match="needs layers in a chain"):
        keras_kd.students.derive(branching, 0.5, 0.5)


def wrapped_models():
    """Models whose layers stand inside others, and for each the widths at a quarter."""
    inputs = keras.Input((5, 8))
    h = layers.TimeDistributed(layers.Dense(20), name="each")(inputs)
    h = layers.Bidirectional(layers.LSTM(12, return_sequences=True), name="both")(h)
    yield "wrappers", keras.Model(inputs, layers.TimeDistributed(layers.Dense(4))(h)), {"each": 5, "both": 6}
    h = layers.RNN([layers.LSTMCell(12), layers.GRUCell(8)], name="cells")(inputs)
    yield "cells", keras.Model(inputs, layers.Dense(3)(h)), {"cells": 2}
    inner_in = keras.Input((12,))
    inner = layers.Dense(16, name="second")(layers.Dense(40, activation="relu", name="first")(inner_in))
    inner = keras.Model(inner_in, inner, name="encoder")
    inputs = keras.Input((6,))
    yield "nested", keras.Model(inputs, layers.Dense(3)(inner(layers.Dense(12)(inputs)))), {"encoder": 4}
    last = keras.Sequential([keras.Input((20,)), layers.Dense(8, name="first"), layers.Dense(4)], name="last")
    yield (
        "nested last",
        keras.Model(inputs, layers.Softmax()(last(layers.Dense(20, name="before")(inputs)))),
        {"before": 5},
    )
    camera = [keras.Input((6, 6, 1)), layers.Conv2D(8, 3), layers.GlobalAveragePooling2D()]
    video = keras.Input((4, 6, 6, 1))
    h = layers.TimeDistributed(keras.Sequential(camera), name="camera")(video)
    yield "video", keras.Model(video, layers.Dense(3)(layers.LSTM(8, name="time")(h))), {"camera": 2, "time": 2}
    sequence = keras.Input((6, 8))
    h = layers.MultiHeadAttention(2, 8, name="attention")(sequence, sequence)
    yield "attention", keras.Model(sequence, layers.Dense(3)(h)), {"attention": 8}
    body = [layers.Dense(16, name="a"), layers.BatchNormalization(), layers.Dense(6), layers.Dropout(0.1)]
    yield "softmax last", keras.Sequential([keras.Input((4,)), *body, layers.Softmax()]), {"a": 4}


@pytest.mark.parametrize("case", wrapped_models(), ids=lambda case: case[0])
def test_layers_inside_others_are_narrowed_and_the_outputs_kept(case):
    _, teacher, widths = case
    student = keras_kd.students.derive(teacher, 0.25)
    assert student.output_shape == teacher.output_shape
    assert student.count_params() < 0.6 * teacher.count_params()
    assert {name: student.get_layer(name).output.shape[-1] for name in widths} == widths
    x = np.random.default_rng(0).normal(size=(3, *teacher.input_shape[1:])).astype("float32")
    made = keras_kd.Distiller(teacher, student, keras_kd.Reconstruction())
    made.compile("adam")
    assert np.isfinite(made.fit(x, verbose=0).history["loss"]).all()
    same = keras_kd.students.derive(teacher, 1.0)
    np.testing.assert_allclose(same.predict(x, verbose=0), teacher.predict(x, verbose=0), atol=1e-6)


def test_attention_values_are_narrowed_with_their_keys():
    inputs = keras.Input((6, 8))
    teacher = keras.Model(inputs, layers.Dense(3)(layers.MultiHeadAttention(2, 8, name="attention")(inputs, inputs)))
    config = keras_kd.students.derive(teacher, 0.5).get_layer("attention").get_config()
    assert (config["key_dim"], config["value_dim"]) == (4, 4)


def test_sizes_that_are_tied_are_named():
    teacher = keras.Sequential(
        [keras.Input((4,)), layers.Dense(16), layers.Reshape((4, 4)), layers.Flatten(), layers.Dense(2)]
    )
    with pytest.raises(ValueError, match=r"layer 'reshape\w*' \(Reshape\) does not fit .*total size.*leave width at 1"):
        keras_kd.students.derive(teacher, 0.5)
