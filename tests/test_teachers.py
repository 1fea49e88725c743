"""Teachers that are not a single Keras model."""

import keras
import numpy as np
import pytest
from keras import layers
from scipy.special import softmax

import keras_kd


def net(units, name, activation=None):
    inputs = keras.Input((16,))
    h = layers.Dense(units, activation="relu", name="body")(inputs)
    return keras.Model(inputs, layers.Dense(4, activation=activation, name="head")(h), name=name)


def compiled(teacher, student, objectives=None, **kwargs):
    distiller = keras_kd.Distiller(teacher, student, objectives or [keras_kd.SoftTarget(2.0)], **kwargs)
    distiller.compile(keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return distiller


def test_an_ensemble_averages_in_the_space_it_was_told(blobs):
    x = blobs[0][:20]
    models = [net(8, "a"), net(12, "b")]
    logits = [model.predict(x, verbose=0) for model in models]
    mean = keras_kd.Ensemble(models, [3, 1])
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(mean(x)), 0.75 * softmax(logits[0], -1) + 0.25 * softmax(logits[1], -1), atol=1e-6
    )
    geometric = keras_kd.Ensemble(models, space="logit")
    np.testing.assert_allclose(keras.ops.convert_to_numpy(geometric(x)), (logits[0] + logits[1]) / 2, atol=1e-6)
    assert (mean.output_activation, geometric.output_activation) == ("softmax", "linear")


def test_an_ensemble_teaches_and_saves(tmp_path, blobs):
    x, y = blobs
    keras.utils.set_random_seed(0)
    distiller = compiled(keras_kd.Ensemble([net(8, "a"), net(12, "b")]), net(6, "student"))
    losses = distiller.fit(x, y, epochs=5, verbose=0).history["soft_target"]
    assert losses[-1] < losses[0]
    distiller.save(tmp_path / "d.keras")
    again = keras.saving.load_model(tmp_path / "d.keras")
    assert again.evaluate(x, y, verbose=0) == pytest.approx(distiller.evaluate(x, y, verbose=0), rel=1e-5)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: keras_kd.Ensemble([]), "at least one model"),
        (lambda: keras_kd.Ensemble([net(4, "a")], [1, 2]), "2 weights for 1 models"),
        (lambda: keras_kd.Ensemble([net(4, "a")], [-1]), "weight must be at least 0"),
        (lambda: keras_kd.Ensemble([net(4, "a")], [0]), "all weights are zero"),
        (lambda: keras_kd.Ensemble([net(4, "a", "softmax")], space="logit"), "needs linear outputs"),
        (lambda: keras_kd.Ensemble([net(4, "a")], space="votes"), "space must be"),
        (lambda: keras_kd.MovingAverage(net(4, "a"), 1.0), "decay must be below 1"),
        (lambda: keras_kd.Function("url", (4,)), "needs a callable"),
        (lambda: compiled(lambda x: x, net(4, "s")), "wrap a function in keras_kd.Function"),
    ],
)
def test_bad_teachers_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize("jit", [False, True])
def test_a_moving_average_follows_the_student(blobs, jit):
    x, _ = blobs
    student = net(6, "student")
    teacher = keras_kd.MovingAverage(student, 0.9)
    distiller = keras_kd.Distiller(teacher, student, [keras_kd.SoftTarget(2.0)])
    distiller.compile(
        keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=jit
    )
    expected = [w.copy() for w in student.get_weights()]
    for start in range(0, 96, 32):
        expected = [0.9 * mine + 0.1 * its for mine, its in zip(expected, student.get_weights())]
        distiller.train_on_batch(x[start : start + 32], blobs[1][start : start + 32])
    for mine, its in zip(teacher.average.get_weights(), expected):
        np.testing.assert_allclose(mine, its, atol=1e-6)
    assert len(distiller.trainable_variables) == len(student.trainable_variables)
    distiller.evaluate(x, verbose=0)
    for mine, its in zip(teacher.average.get_weights(), expected):
        np.testing.assert_allclose(mine, its, atol=1e-6)


def test_a_plain_function_teaches_what_the_same_model_would(blobs):
    x, y = blobs
    teacher = net(12, "teacher")

    def served(batch):
        return teacher.predict(batch, verbose=0)

    function = keras_kd.Function(served, (4,), "linear")
    student = net(6, "student")
    other = keras.models.clone_model(student)
    other.set_weights(student.get_weights())
    compiled(function, student).fit(
        function.batches(x, y, batch_size=60, shuffle=False), epochs=2, shuffle=False, verbose=0
    )
    compiled(teacher, other).fit(x, y, batch_size=60, shuffle=False, epochs=2, verbose=0)
    for mine, its in zip(student.get_weights(), other.get_weights()):
        np.testing.assert_allclose(mine, its, atol=1e-5)


def test_batches_carry_weights_cover_every_example_and_repeat(blobs):
    x, y = blobs
    function = keras_kd.Function(lambda batch: batch[:, :4], (4,), "linear")
    weights = np.linspace(0, 1, len(x)).astype("float32")
    batches = function.batches(x, y, weights, batch_size=64, seed=3)
    seen = [batches[i] for i in range(len(batches))]
    assert sum(len(part[1]) for part in seen) == len(x)
    for given, label, weight in seen:
        rows = [int(np.flatnonzero(weights == w)[0]) for w in weight]
        np.testing.assert_array_equal(given["inputs"], x[rows])
        np.testing.assert_array_equal(given["teacher"]["outputs"], x[rows, :4])
        np.testing.assert_array_equal(label, y[rows])
    again = function.batches(x, y, weights, batch_size=64, seed=3)
    np.testing.assert_array_equal(again[0][1], seen[0][1])
    batches.on_epoch_end()
    assert not np.array_equal(batches[0][1], seen[0][1])
    distiller = compiled(function, net(6, "s"))
    distiller.fit(batches, verbose=0)
    assert distiller.predict(x[:5], verbose=0).shape == (5, 4)
    with pytest.raises(ValueError, match=r"fit and evaluate on teacher.batches"):
        distiller.evaluate(x, y, verbose=0)
