"""ScoreMatching beside its formula written apart, and in an ordinary fit under any function that scores."""

import keras
import numpy as np
import pytest
from formulas import finite_difference
from hypothesis import given
from hypothesis import strategies as st
from support import gradient

import keras_kd

RNG = np.random.default_rng(5)


def numpy_score_matching(teacher, student, y, spread):
    error = ((y - student) ** 2).reshape(len(y), -1).mean(-1)
    off = np.abs(np.log(error + 1e-6) / spread - teacher[:, 0])
    return np.where(off <= 1, off**2 / 2, off - 0.5)


@given(st.lists(st.integers(1, 5), min_size=2, max_size=4), st.integers(0, 2**32 - 1), st.floats(0.05, 2.0))
def test_score_matching_is_its_formula(shape, seed, spread):
    rng = np.random.default_rng(seed)
    y, student = rng.normal(size=shape), rng.normal(size=shape)
    teacher = rng.normal(size=(shape[0], 1)) * 4
    found = keras.ops.convert_to_numpy(keras_kd.ScoreMatching(spread=spread)(teacher, student, y))
    np.testing.assert_allclose(found, numpy_score_matching(teacher, student, y, spread), rtol=2e-3, atol=1e-3)


def test_gradient_of_score_matching_matches_finite_differences():
    rng = np.random.default_rng(3)
    y, student, teacher = rng.normal(size=(4, 5)), rng.normal(size=(4, 5)), np.array([[0.5], [9.0], [-3.0], [2.0]])
    objective = keras_kd.ScoreMatching()
    np.testing.assert_allclose(
        gradient(lambda s: objective(teacher, s, y), student),
        finite_difference(lambda s: numpy_score_matching(teacher, s, y, 0.2), student),
        atol=2e-3,
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: keras_kd.ScoreMatching(spread=0.0), "spread must be above 0"),
        (
            lambda: keras_kd.ScoreMatching()(np.zeros((2, 3)), np.zeros((2, 4)), np.zeros((2, 4))),
            "one score an example",
        ),
        (
            lambda: keras_kd.ScoreMatching()(np.zeros((2, 1)), np.zeros((2, 4)), np.zeros((2, 5))),
            "must reconstruct them",
        ),
        (lambda: keras_kd.ScoreMatching()(np.zeros((2, 1)), np.zeros((2, 4))), "needs labels"),
    ],
)
def test_score_matching_refuses_what_it_cannot_compare(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_student_follows_any_function_of_scores_in_ordinary_fit():
    x = RNG.normal(size=(512, 6)).astype("float32")
    scores = (np.linalg.norm(x, axis=1, keepdims=True) - 2.3).astype("float32")
    teacher = keras_kd.Function(lambda rows: np.linalg.norm(rows, axis=1, keepdims=True) - 2.3, shape=(1,))
    keras.utils.set_random_seed(0)
    student = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(6)])
    distiller = keras_kd.Distiller(teacher, student, keras_kd.ScoreMatching(), hard_weight=0.0)
    distiller.compile(keras.optimizers.Adam(0.01), "mse")
    history = distiller.fit(teacher.batches(x, x), epochs=60, verbose=0).history["score_matching"]
    error = np.mean((x - student.predict(x, verbose=0)) ** 2, axis=1)
    assert history[-1] < history[0] / 4
    assert np.corrcoef(np.log(error), scores[:, 0])[0, 1] > 0.9
