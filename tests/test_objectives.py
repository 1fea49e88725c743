"""Response objectives beside formulas written independently in NumPy."""

import keras
import numpy as np
import pytest
from formulas import finite_difference
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from support import gradient

import keras_kd
from keras_kd.objectives.logits import to_logits

sizes = st.tuples(st.integers(1, 7), st.integers(2, 9))
seeds = st.integers(0, 2**32 - 1)
temperatures = st.floats(0.5, 20.0)


def draw(shape, seed, spread=3.0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) * spread, rng.normal(size=shape) * spread


def numpy_soft_target(teacher, student, temperature):
    p = np.exp(teacher / temperature) / np.exp(teacher / temperature).sum(-1, keepdims=True)
    q = np.exp(student / temperature) / np.exp(student / temperature).sum(-1, keepdims=True)
    return temperature**2 * (p * np.log(p / q)).sum(-1)


def numpy_bernoulli(teacher, student, temperature):
    p, q = special.expit(teacher / temperature), special.expit(student / temperature)
    return temperature**2 * (special.rel_entr(p, q) + special.rel_entr(1 - p, 1 - q)).mean(-1)


@given(sizes, seeds, temperatures)
def test_soft_target_is_the_papers_formula(shape, seed, temperature):
    teacher, student = draw(shape, seed)
    found = keras.ops.convert_to_numpy(keras_kd.SoftTarget(temperature)(teacher, student))
    assert found.shape == shape[:1]
    np.testing.assert_allclose(
        found, numpy_soft_target(teacher, student, temperature), rtol=1e-4, atol=1e-5 * temperature**2
    )


@given(sizes, seeds, temperatures)
def test_soft_target_of_sigmoids_is_the_bernoulli_divergence(shape, seed, temperature):
    teacher, student = draw(shape, seed)
    found = keras.ops.convert_to_numpy(keras_kd.SoftTarget(temperature, form="bernoulli")(teacher, student))
    np.testing.assert_allclose(
        found, numpy_bernoulli(teacher, student, temperature), rtol=1e-4, atol=1e-5 * temperature**2
    )


@pytest.mark.parametrize(
    ("objective", "formula"),
    [
        (keras_kd.SoftTarget(3.0), lambda t, s: numpy_soft_target(t, s, 3.0)),
        (keras_kd.SoftTarget(3.0, form="bernoulli"), lambda t, s: numpy_bernoulli(t, s, 3.0)),
        (keras_kd.LogitMatching(), lambda t, s: ((s - t) ** 2).mean(-1)),
        (keras_kd.Reconstruction(), lambda t, s: ((s - t) ** 2).mean(-1)),
    ],
    ids=["soft", "bernoulli", "logits", "reconstruction"],
)
def test_gradients_match_finite_differences(objective, formula):
    teacher, student = draw((3, 5), seed=11, spread=1.0)
    np.testing.assert_allclose(
        gradient(lambda s: objective(teacher, s), student),
        finite_difference(lambda s: formula(teacher, s), student),
        atol=2e-5,
    )


@given(st.lists(st.integers(1, 4), min_size=2, max_size=4), seeds)
def test_logit_matching_and_reconstruction_are_the_papers_formulas(shape, seed):
    teacher, student = draw(shape, seed)
    mean_square = ((student - teacher) ** 2).reshape(shape[0], -1).mean(-1)
    for objective in (keras_kd.LogitMatching(), keras_kd.Reconstruction()):
        found = keras.ops.convert_to_numpy(objective(teacher, student))
        np.testing.assert_allclose(found, mean_square, rtol=1e-5)


def test_probabilities_give_what_their_logits_give():
    teacher, student = draw((6, 5), seed=2)
    from_logits = keras_kd.SoftTarget(4.0)(teacher, student)
    mixed = keras_kd.SoftTarget(4.0, teacher_activation="softmax")(special.softmax(teacher, axis=-1), student)
    np.testing.assert_allclose(from_logits, mixed, rtol=1e-4)
    on_off = keras_kd.SoftTarget(4.0, form="bernoulli")(teacher, student)
    sigmoids = keras_kd.SoftTarget(4.0, teacher_activation="sigmoid", student_activation="sigmoid")
    np.testing.assert_allclose(on_off, sigmoids(special.expit(teacher), special.expit(student)), rtol=1e-3)


@given(seeds)
def test_soft_target_is_zero_between_equals_and_positive_between_others(seed):
    teacher, student = draw((4, 6), seed)
    assert np.allclose(keras_kd.SoftTarget(2.0)(teacher, teacher), 0.0, atol=1e-6)
    assert (np.asarray(keras_kd.SoftTarget(2.0)(teacher, student)) > 0).all()


def test_extreme_logits_and_hard_probabilities_stay_finite():
    teacher, student = np.array([[1e4, -1e4, 0.0]]), np.array([[-1e4, 1e4, 0.0]])
    assert np.isfinite(keras_kd.SoftTarget(1.0)(teacher, student)).all()
    assert np.isfinite(keras_kd.SoftTarget(1.0, form="bernoulli")(teacher, student)).all()
    certain = np.array([[1.0, 0.0, 0.0]])
    for activation in ("softmax", "sigmoid"):
        assert np.isfinite(to_logits(certain.astype("float32"), activation)).all()


def test_values_leave_the_weight_out():
    teacher, student = draw((4, 6), 0)
    light, heavy = keras_kd.LogitMatching(weight=0.1), keras_kd.LogitMatching(weight=10.0)
    np.testing.assert_array_equal(light(teacher, student), heavy(teacher, student))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: keras_kd.SoftTarget(temperature=0), "temperature must be above 0"),
        (lambda: keras_kd.SoftTarget(temperature=float("nan")), "temperature must be finite"),
        (lambda: keras_kd.SoftTarget(weight=-1), "weight must be at least 0"),
        (lambda: keras_kd.LogitMatching(weight=float("nan")), "weight must be finite"),
        (lambda: keras_kd.SoftTarget(temperature="hot"), "temperature must be a number"),
        (lambda: keras_kd.SoftTarget(teacher_activation="tanh"), "teacher_activation must be one of"),
        (lambda: keras_kd.SoftTarget(form="bernoulli", student_activation="softmax"), "softmax outputs cannot"),
        (lambda: keras_kd.SoftTarget()(np.zeros((2, 3)), np.zeros((2, 4))), "same shape"),
        (lambda: keras_kd.SoftTarget()(np.zeros((2, 1)), np.zeros((2, 1))), "softmax over one class"),
        (lambda: keras_kd.Reconstruction()(np.zeros((2, 3)), np.zeros((2, 3, 1))), "same shape"),
    ],
)
def test_bad_arguments_say_what_is_wrong(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize(
    "objective",
    [
        keras_kd.SoftTarget(3.0, 0.5, teacher_activation="softmax", name="soft"),
        keras_kd.LogitMatching(weight=2.0),
        keras_kd.Reconstruction(teacher_layer="a", student_layer="b"),
    ],
)
def test_objectives_survive_serialization(objective):
    revived = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(objective))
    assert type(revived) is type(objective)
    assert revived.get_config() == objective.get_config()
