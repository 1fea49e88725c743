"""Deviation beside its formula written apart, and in an ordinary fit with a few known faults."""

import keras
import numpy as np
import pytest
from formulas import finite_difference
from hypothesis import given
from hypothesis import strategies as st
from support import gradient

import keras_kd


def numpy_deviation(faulty, student, y, margin, pull, level=None, spread=None):
    """Example by example; level and spread are those of the healthy ones unless given."""
    logs = [np.log(np.mean((a - b) ** 2) + 1e-6) for a, b in zip(y, student)]
    healthy = [value for value, fault in zip(logs, faulty) if not fault]
    if level is None and healthy:
        level, spread = np.mean(healthy), max(np.std(healthy), 0.05)
    values = []
    for value, fault in zip(logs, faulty):
        if not fault:
            values.append(np.exp(value) - 1e-6)
        elif level is None:
            values.append(0.0)
        else:
            values.append(pull * max(0.0, margin - (value - level) / spread))
    return np.array(values)


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.lists(st.booleans(), min_size=1, max_size=8),
    st.integers(0, 2**32 - 1),
    st.floats(0.5, 20.0),
    st.floats(0.01, 3.0),
)
def test_deviation_is_its_formula(shape, faulty, seed, margin, pull):
    rng = np.random.default_rng(seed)
    y, student = rng.normal(size=(len(faulty), *shape)), rng.normal(size=(len(faulty), *shape))
    objective = keras_kd.Deviation(margin=margin, pull=pull)
    found = keras.ops.convert_to_numpy(objective(np.array(faulty, float)[:, None], student, y))
    np.testing.assert_allclose(found, numpy_deviation(faulty, student, y, margin, pull), rtol=2e-3, atol=1e-3)


def test_gradient_of_deviation_goes_through_each_examples_own_error_alone():
    rng = np.random.default_rng(3)
    y, student, faulty = rng.normal(size=(6, 5)), rng.normal(size=(6, 5)), np.array([0, 0, 0, 1, 0, 1])
    student[3] = y[3] + 0.3
    logs = np.log(np.mean((y - student) ** 2, axis=1) + 1e-6)[faulty == 0]
    level, spread = logs.mean(), logs.std()
    found = gradient(lambda s: keras_kd.Deviation()(faulty[:, None], s, y), student)
    expected = finite_difference(lambda s: numpy_deviation(faulty, s, y, 5.0, 0.3, level, spread), student)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_a_fault_beyond_the_margin_is_left_alone():
    y, student = np.zeros((4, 6)), np.repeat([[0.5], [0.52], [0.48], [3.0]], 6, axis=1)
    found = gradient(lambda s: keras_kd.Deviation()(np.array([[0], [0], [0], [1]]), s, y), student)
    assert np.abs(found[:3]).min() > 0
    assert not found[3].any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: keras_kd.Deviation(margin=0.0), "margin must be above 0"),
        (lambda: keras_kd.Deviation(pull=-1.0), "pull must be above 0"),
        (lambda: keras_kd.Deviation()(np.zeros((2, 3)), np.zeros((2, 4)), np.zeros((2, 4))), "one number an example"),
        (lambda: keras_kd.Deviation()(np.zeros((2, 1)), np.zeros((2, 4)), np.zeros((2, 5))), "must reconstruct them"),
        (lambda: keras_kd.Deviation()(np.zeros((2, 1)), np.zeros((2, 4))), "needs labels"),
    ],
)
def test_deviation_refuses_what_it_cannot_compare(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_deviation_comes_back_from_its_config():
    one = keras_kd.Deviation(keras_kd.Ramp(0.0, 1.0, 10), margin=4.0, pull=0.1, teacher_layer="faults")
    other = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(one))
    assert other.get_config() == one.get_config()


def test_a_few_known_faults_move_away_and_healthy_examples_stay():
    rng = np.random.default_rng(5)
    mixing = rng.normal(size=(3, 8))
    healthy = (rng.normal(size=(512, 3)) @ mixing + 0.3 * rng.normal(size=(512, 8))).astype("float32")
    # Faults that lie in the directions in which healthy examples vary, only a little further: an autoencoder knows them well.
    faults, others = ((0.5 * rng.normal(size=(count, 3)) + [0, 0, 4]) @ mixing for count in (8, 200))
    x = np.concatenate([healthy, np.tile(faults, (7, 1))]).astype("float32")
    known = np.repeat([0.0, 1.0], [512, 56])[:, None].astype("float32")
    errors = {}
    for name, objectives, hard_weight in (
        ("plain", keras_kd.Deviation(weight=0.0), 1.0),
        ("deviation", keras_kd.Deviation(), 0.0),
    ):
        keras.utils.set_random_seed(0)
        student = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(8)])
        labels = keras_kd.Supplied({"outputs": (1,)}, {"outputs": "linear"})
        distiller = keras_kd.Distiller(labels, student, objectives, hard_weight=hard_weight)
        distiller.compile(keras.optimizers.Adam(0.01), "mse")
        rows = slice(512) if name == "plain" else slice(None)
        batches = {"inputs": x[rows], "teacher": {"outputs": known[rows]}}
        distiller.fit(batches, x[rows], epochs=30, batch_size=64, verbose=0)
        errors[name] = [np.mean((part - student.predict(part, verbose=0)) ** 2, axis=1) for part in (healthy, others)]

    def overlap(name):
        return np.mean(errors[name][0][:, None] > errors[name][1][None])

    assert overlap("plain") > 0.3
    assert overlap("deviation") < 0.05
    assert errors["deviation"][0].mean() < 2 * errors["plain"][0].mean()
