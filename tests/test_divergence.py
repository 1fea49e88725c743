"""The family of divergences beside formulas written from the papers in NumPy."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from scipy import special
from support import gradient

import keras_kd
from keras_kd.objectives.top_k import TopK

KINDS = {
    "forward": {},
    "reverse": {},
    "jensen_shannon": {"beta": 0.5},
    "jensen_shannon, 0.1": {"beta": 0.1},
    "skewed_forward": {"skew": 0.1},
    "skewed_reverse": {"skew": 0.1},
    "skewed_reverse, 0.7": {"skew": 0.7},
    "alpha_beta": {"alpha": 0.2, "beta": 0.7},
    "alpha_beta, 0 0": {"alpha": 0.0, "beta": 0.0},
    "alpha_beta, 0.5 0": {"alpha": 0.5, "beta": 0.0},
    "alpha_beta, 0 0.5": {"alpha": 0.0, "beta": 0.5},
    "alpha_beta, 0.3 -0.3": {"alpha": 0.3, "beta": -0.3},
    "alpha_beta, -0.2 0.6": {"alpha": -0.2, "beta": 0.6},
    "alpha_beta, 1 1": {"alpha": 1.0, "beta": 1.0},
}


def made(name, temperature=1.0, /, **more):
    return keras_kd.Divergence(name.partition(",")[0], temperature, **KINDS[name], **more)


def kl(p, q):
    return np.sum(p * np.log(p / q), -1)


def by_paper(name, teacher, student, temperature=1.0):
    """(..., classes), (..., classes) -> (...)."""
    p, q = (special.softmax(np.asarray(x, float) / temperature, -1) for x in (teacher, student))
    kind, own = name.partition(",")[0], KINDS[name]
    a, b = own.get("alpha"), own.get("beta")
    if kind == "forward":
        value = kl(p, q)
    elif kind == "reverse":
        value = kl(q, p)
    elif kind == "jensen_shannon":
        m = b * p + (1 - b) * q
        value = b * kl(p, m) + (1 - b) * kl(q, m)
    elif kind == "skewed_forward":
        value = kl(p, own["skew"] * p + (1 - own["skew"]) * q)
    elif kind == "skewed_reverse":
        value = kl(q, (1 - own["skew"]) * p + own["skew"] * q)
    elif a == b == 0:
        value = 0.5 * np.sum((np.log(p) - np.log(q)) ** 2, -1)
    elif a == 0:
        value = np.sum(q**b * np.log(q**b / p**b) - q**b + p**b, -1) / b**2
    elif b == 0:
        value = np.sum(p**a * np.log(p**a / q**a) - p**a + q**a, -1) / a**2
    elif a + b == 0:
        value = np.sum(np.log(q**a / p**a) + p**a / q**a - 1, -1) / a**2
    else:
        s = a + b
        value = -np.sum(p**a * q**b - a / s * p**s - b / s * q**s, -1) / (a * b)
    return temperature**2 * value


def slopes(name, teacher, student, step=1e-6):
    found = np.zeros_like(student)
    for index in np.ndindex(student.shape):
        up, down = student.copy(), student.copy()
        up[index] += step
        down[index] -= step
        found[index] = (by_paper(name, teacher, up).sum() - by_paper(name, teacher, down).sum()) / (2 * step)
    return found


@pytest.mark.parametrize("name", KINDS)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(2, 10), st.floats(0.5, 8.0), st.integers(0, 2**31)
)
@settings(max_examples=8)
def test_values_are_the_papers(name, sizes, classes, temperature, seed):
    t, s = np.random.default_rng(seed).normal(size=(2, *sizes, classes)) * 3.0
    found = keras.ops.convert_to_numpy(made(name, temperature)(t, s))
    expected = by_paper(name, t, s, temperature).reshape(sizes[0], -1).mean(-1)
    assert found.shape == (sizes[0],)
    np.testing.assert_allclose(found, expected, rtol=5e-4, atol=2e-6 * temperature**2)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("classes", [2, pytest.param(3, marks=pytest.mark.slow), 10])
def test_gradients_are_the_formulas_and_do_not_vanish(name, classes):
    t, s = np.random.default_rng(classes).normal(size=(2, 4, classes)) * 2.0
    found = gradient(lambda x: made(name)(t, x), s)
    np.testing.assert_allclose(found, slopes(name, t, s), rtol=2e-3, atol=2e-5)
    assert (np.abs(found).max(-1) > 1e-4).all()


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("k", [None, 1, *(pytest.param(k, marks=pytest.mark.slow) for k in range(2, 5)), 5])
def test_equals_have_no_loss_and_no_gradient(name, k):
    logits = (np.random.default_rng(1).normal(size=(3, 4, 6)) * 3.0).astype("float32")
    teacher = logits if k is None else highest(logits, k)
    objective = made(name, 2.0)
    np.testing.assert_allclose(objective(teacher, logits), 0.0, atol=2e-6)
    np.testing.assert_allclose(gradient(lambda x: objective(teacher, x), logits), 0.0, atol=2e-6)
    other = logits + np.arange(6) * (np.arange(12).reshape(3, 4, 1) % 3 - 1.0)
    assert (np.abs(gradient(lambda x: objective(teacher, x), other)).max((1, 2)) > 1e-5).all()


def highest(logits, k):
    order = np.argsort(-logits, -1)
    rest = special.logsumexp(np.take_along_axis(logits, order[..., k:], -1), axis=-1, keepdims=True)
    return TopK(np.take_along_axis(logits, order[..., :k], -1), order[..., :k], rest)


def test_a_teacher_of_highest_logits_is_compared_on_them_and_the_rest():
    t, s = np.random.default_rng(0).normal(size=(2, 5, 6)) * 3.0
    order = np.argsort(-t, -1)[:, :2]

    def coarse(x):
        p = special.softmax(x, -1)
        kept = np.take_along_axis(p, order, -1)
        return np.log(np.concatenate([kept, 1 - kept.sum(-1, keepdims=True)], -1))

    for name in KINDS:
        found = keras.ops.convert_to_numpy(made(name)(highest(t, 2), s))
        np.testing.assert_allclose(found, by_paper(name, coarse(t), coarse(s)), rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", KINDS)
def test_extreme_logits_stay_finite(name):
    t = np.array([[1e4, -1e4, 0.0], [0.0, 1e4, 1e4], [-1e4, -1e4, -1e4], [0.0, 0.0, 0.0]])
    for student in (t[::-1].copy(), t[:, ::-1].copy(), t):
        assert np.isfinite(keras.ops.convert_to_numpy(made(name)(t, student))).all()
        assert np.isfinite(gradient(lambda x: made(name)(t, x), student)).all()
    certain = keras_kd.Divergence(teacher_activation="softmax", student_activation="softmax")
    assert np.isfinite(keras.ops.convert_to_numpy(certain(np.eye(3), np.eye(3)[::-1]))).all()


def test_limits():
    t, s = np.random.default_rng(0).normal(size=(2, 6, 5))
    forward, reverse = by_paper("forward", t, s), by_paper("reverse", t, s)
    close = {"rtol": 5e-3}
    for beta, expected, over in ((1e-4, forward, 1e-4), (1 - 1e-4, reverse, 1e-4)):
        found = keras.ops.convert_to_numpy(keras_kd.Divergence("jensen_shannon", beta=beta)(t, s)) / over
        np.testing.assert_allclose(found, expected, **close)
    np.testing.assert_allclose(keras_kd.Divergence("skewed_forward", skew=1e-4)(t, s), forward, **close)
    np.testing.assert_allclose(keras_kd.Divergence("skewed_reverse", skew=1e-4)(t, s), reverse, **close)

    def ab(alpha, beta):
        return keras.ops.convert_to_numpy(keras_kd.Divergence("alpha_beta", alpha=alpha, beta=beta)(t, s))

    np.testing.assert_allclose(ab(1, 0), forward, rtol=1e-4)
    np.testing.assert_allclose(ab(0, 1), reverse, rtol=1e-4)
    for alpha, beta in ((0.0, 0.7), (0.7, 0.0), (0.5, -0.5), (0.0, 0.0), (-0.4, 0.0)):
        np.testing.assert_allclose(ab(alpha + 1e-3, beta + 2e-3), ab(alpha, beta), rtol=2e-2)
    # The same as SoftTarget, from logits and from probabilities.
    np.testing.assert_allclose(keras_kd.Divergence(temperature=3.0)(t, s), keras_kd.SoftTarget(3.0)(t, s), rtol=1e-4)
    probable = keras_kd.Divergence("reverse", student_activation="softmax")(t, special.softmax(s, -1))
    np.testing.assert_allclose(probable, reverse, rtol=1e-4)


@pytest.mark.parametrize(
    "name", [name if number < 2 else pytest.param(name, marks=pytest.mark.slow) for number, name in enumerate(KINDS)]
)
def test_masked_and_weighed_positions_in_a_fit(name):
    inputs = keras.Input((None,), dtype="int32")

    def net(width):
        return keras.Model(inputs, layers.Dense(7)(layers.Embedding(20, width, mask_zero=True)(inputs)))

    tokens = np.random.default_rng(0).integers(1, 20, (12, 5))
    tokens[::2, 3:] = 0
    teacher, student = net(8), net(3)
    objective = keras_kd.Divergence(name.partition(",")[0], keras_kd.Ramp(2.0, 1.0, 4), **KINDS[name])
    distiller = keras_kd.Distiller(teacher, student, objective)
    distiller.compile(keras.optimizers.Adam(1e-2))
    found = distiller.evaluate(tokens, batch_size=12, verbose=0, return_dict=True)["divergence"]
    t, s = (model.predict(tokens, verbose=0) for model in (teacher, student))
    assert found == pytest.approx(by_paper(name, t, s, 2.0)[tokens > 0].mean(), rel=1e-3)
    values = distiller.fit(tokens, epochs=10, batch_size=4, verbose=0).history["divergence"]
    assert values[-1] < 0.9 * found


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: keras_kd.Divergence("backward"), "kind must be one of 'forward', 'reverse'"),
        (lambda: keras_kd.Divergence("forward", beta=0.5), "does not use beta; it takes no parameter"),
        (lambda: keras_kd.Divergence("jensen_shannon", skew=0.5), "does not use skew; it takes beta"),
        (lambda: keras_kd.Divergence("skewed_reverse", alpha=0.5), "does not use alpha; it takes skew"),
        (lambda: keras_kd.Divergence("jensen_shannon", beta=0.0), "between 0 and 1, got 0; at its ends it is 0"),
        (lambda: keras_kd.Divergence("skewed_forward", skew=1.0), "got 1; without a skew take kind 'forward'"),
        (lambda: keras_kd.Divergence("alpha_beta", alpha=float("inf")), "alpha must be finite"),
        (lambda: keras_kd.Divergence(temperature=0.0), "temperature must be above 0"),
        (lambda: keras_kd.Divergence(student_activation="sigmoid"), "must be one of linear, softmax"),
        (lambda: keras_kd.Divergence()(np.zeros((2, 3)), np.zeros((2, 4))), "same shape"),
        (lambda: keras_kd.Divergence()(np.zeros((2, 1)), np.zeros((2, 1))), "at least 2 classes"),
    ],
)
def test_bad_arguments_say_what_is_wrong(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize("name", KINDS)
def test_they_survive_serialization(name):
    objective = made(name, keras_kd.Ramp(4.0, 1.0, 5), weight=0.5, name="own")
    revived = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(objective))
    mine, its = objective.get_config(), revived.get_config()
    assert {**mine, "temperature": mine["temperature"]["config"]} == {
        **its,
        "temperature": its["temperature"]["config"],
    }
