"""`advise`: recommends what teaches, says why, and warns of what stands in the way."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_kd


def net(width, classes=4, last=None, constant=False):
    inputs = keras.Input((5,))
    h = layers.Dense(width, activation="relu", name="body")(inputs)
    if constant:
        h = layers.Dense(width, kernel_initializer="zeros", name="still")(h)
    return keras.Model(inputs, layers.Dense(classes, activation=last, name="out")(h))


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(120, 5)).astype("float32")


def test_what_is_recommended_trains(x):
    y = np.arange(120) % 4
    for teacher, student in ((net(16), net(8)), (net(16, last="softmax"), net(8, last="softmax")), (net(900), net(4))):
        advice = keras_kd.advise(teacher, student, x, y, validation=(x, y))
        for made in (advice.recipe, *advice.alternatives):
            distiller = made.distiller(teacher, student)
            distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(), run_eagerly=True)
            distiller.fit(x[:32], y[:32], verbose=0)
        assert "at" not in [made.name for made in advice.alternatives]
        assert advice.recipe.name in str(advice)


@pytest.mark.parametrize(
    ("classes", "last", "labels", "name"),
    [
        (2, None, 2, "kd"),
        (1, "sigmoid", 2, "kd"),
        (3, "sigmoid", 0, "kd"),
        (1, None, 0, "reconstruction"),
        (5, None, 0, "kd"),
    ],
    ids=["two classes", "one sigmoid", "flags", "a value", "no labels"],
)
def test_tasks_get_what_teaches_them(classes, last, labels, name, x):
    rng = np.random.default_rng(1)
    y = np.arange(120) % labels if labels else None
    if (classes, last) == (1, None):
        y = rng.normal(size=(120, 1))
    advice = keras_kd.advise(net(16, classes, last), net(4, classes, last), x, y)
    assert advice.recipe.name == name
    named = [made.name for made in (advice.recipe, *advice.alternatives)]
    assert "kd_standardized" not in named or classes > 2
    assert y is not None or "dkd" not in named
    assert any("two classes" in each for each in advice.warnings) == (classes == 2)


def test_a_saturated_teacher_gets_dkd_and_a_warning(x):
    teacher = net(16)
    teacher.get_layer("out").set_weights([w * 1000 for w in teacher.get_layer("out").get_weights()])
    advice = keras_kd.advise(teacher, net(4), x, np.arange(120) % 4)
    assert advice.recipe.name == "dkd"
    assert any("raise the temperature" in each for each in advice.warnings)
    few = keras_kd.advise(teacher, net(4), x, np.arange(120) % 4, unlabeled=1000)
    assert few.recipe.name == "kd"
    assert few.reasons[0].startswith("11 % of the inputs have labels")


def test_a_teacher_that_is_no_better_one_class_and_constant_features_are_told(x):
    student = net(16)
    y = student.predict(x, verbose=0).argmax(-1)
    advice = keras_kd.advise(net(16), student, x, y, validation=(x, y))
    assert "the teacher is no better than the student" in advice.warnings[0]
    assert any("all of one class" in each for each in keras_kd.advise(net(16), net(4), x, np.zeros(120, int)).warnings)
    still = keras_kd.advise(net(16, constant=True), net(4), x, np.arange(120) % 4)
    assert any("layer 'still' of the teacher gives the same for all examples" in each for each in still.warnings)


def test_what_it_cannot_look_into_is_refused(x):
    with pytest.raises(ValueError, match=r"looks into the teacher, a keras.Model, got Function"):
        keras_kd.advise(keras_kd.Function(len, (3,)), net(4), x)
    same = net(4)
    twin = keras.models.clone_model(same)
    twin.set_weights(same.get_weights())
    with pytest.raises(ValueError, match="batch_size must be at least 2"):
        keras_kd.advise(same, twin, x, batch_size=1)
