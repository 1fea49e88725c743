"""Teachers recorded under augmentation, and recordings of a part of the inputs."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_kd
from keras_kd.recorded_views import augmented

COUNT = 300  # more than a block, and no multiple of one


def net(units, name, steps=9):
    return keras.Sequential(
        [keras.Input((steps, 2)), layers.Flatten(), layers.Dense(units, activation="relu"), layers.Dense(3)], name=name
    )


def augmentation():
    return keras.Sequential(
        [keras_kd.augmentations.RandomNoise((5.0, 20.0)), keras_kd.augmentations.RandomShift(0.2)], name="augmentation"
    )


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(COUNT, 9, 2)).astype("float32")


def test_each_epoch_shows_another_view_with_what_the_teacher_gave_on_it(x, tmp_path):
    teacher = net(16, "teacher")
    keras_kd.record_views(teacher, x, tmp_path / "r", augmentation(), views=3, seed=5)
    # Made anew by another process: other layers, the same views.
    recorded = keras_kd.RecordedViews(tmp_path / "r", augmentation(), 3, teacher, seed=5)
    y = np.arange(COUNT)
    batches = recorded.batches(x, y, batch_size=64, seed=1)
    views = []
    for epoch in range(4):
        seen = np.zeros_like(x)
        for index in range(len(batches)):
            given, labels = batches[index]
            expected = teacher.predict(given["inputs"], verbose=0)
            np.testing.assert_allclose(given["teacher"]["outputs"], expected, atol=1e-5)
            seen[labels] = given["inputs"]
        views.append(seen)
        assert not np.allclose(seen, x), epoch
        batches.on_epoch_end()
    np.testing.assert_array_equal(views[0], views[3])
    assert not np.allclose(views[0], views[1])
    assert not np.allclose(views[1], views[2])


def test_a_view_does_not_depend_on_what_was_drawn_before_and_leaves_the_seeds_alone(x):
    one = augmentation()
    before = [np.array(layer.seed_generator.state) for layer in one.layers]
    first = np.concatenate(list(augmented(one, x, 2, 0)))
    for layer, state in zip(one.layers, before):
        np.testing.assert_array_equal(np.array(layer.seed_generator.state), state)
    one(x[:7], training=True)
    np.testing.assert_array_equal(np.concatenate(list(augmented(one, x, 2, 0))), first)
    assert not np.allclose(np.concatenate(list(augmented(one, x, 2, 1))), first)


def test_a_student_fits_and_an_interrupted_recording_goes_on(x, tmp_path):
    teacher, student = net(16, "teacher"), net(4, "student")
    calls = []
    whole = teacher.call

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) > 4:
            raise KeyboardInterrupt
        return whole(*args, **kwargs)

    teacher.call = interrupted
    with pytest.raises(KeyboardInterrupt):
        keras_kd.record_views(teacher, x, tmp_path / "r", augmentation(), views=3, shard_size=100)
    teacher.call = whole
    recorded = keras_kd.record_views(teacher, x, tmp_path / "r", augmentation(), views=3, shard_size=100)
    distiller = keras_kd.Distiller(recorded, student, keras_kd.SoftTarget(2.0))
    distiller.compile(keras.optimizers.Adam(0.02))
    history = distiller.fit(recorded.batches(x), epochs=6, verbose=0).history["soft_target"]
    assert history[-1] < history[0]


def test_what_does_not_fit_is_named(x, tmp_path):
    teacher = net(16, "teacher")
    recorded = keras_kd.record_views(teacher, x, tmp_path / "r", augmentation(), views=2)
    with pytest.raises(ValueError, match="2 views of 300 examples, the data 299 examples"):
        recorded.batches(x[:-1])
    with pytest.raises(keras_kd.RecordError, match="example 0 is not the one that was recorded"):
        recorded.batches(x + 1.0)
    with pytest.raises(keras_kd.RecordError, match="example 0 is not the one"):
        keras_kd.RecordedViews(tmp_path / "r", augmentation(), 2, seed=1).batches(x)
    with pytest.raises(ValueError, match="no multiple of 7 views"):
        keras_kd.RecordedViews(tmp_path / "r", augmentation(), 7)
    with pytest.raises(ValueError, match="must be a Keras layer"):
        keras_kd.record_views(teacher, x, tmp_path / "s", lambda x: x, views=2)
    with pytest.raises(ValueError, match="teacher_inputs cannot be given"):
        recorded.batches(x, teacher_inputs="a")


def test_layers_of_keras_draw_the_same_again_and_others_are_refused(tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 6, 6, 1)).astype("float32")
    inputs = keras.Input((6, 6, 1))
    teacher = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(inputs)))
    flip = layers.RandomFlip()
    recorded = keras_kd.record_views(teacher, x, tmp_path / "r", flip, views=2)
    batches = recorded.batches(x, batch_size=20)
    (given,) = batches[0]
    np.testing.assert_allclose(given["teacher"]["outputs"], teacher.predict(given["inputs"], verbose=0), atol=1e-5)
    assert not np.allclose(recorded.view_of(x, 0), recorded.view_of(x, 1))

    class Elsewhere(keras.layers.Layer):
        def call(self, inputs, training=False):
            return inputs + keras.ops.convert_to_tensor(np.random.default_rng().normal(), inputs.dtype)

    with pytest.raises(ValueError, match="gives another view each time"):
        keras_kd.record_views(teacher, x, tmp_path / "s", Elsewhere(), views=2)


def test_targets_are_joined_to_a_stream_of_which_the_teacher_saw_a_part(x, tmp_path):
    teacher = net(16, "teacher")
    recorded = keras_kd.record(teacher, x, tmp_path / "r")
    stream = [({"both": x[i : i + 50], "other": np.ones((50, 1))}, np.zeros(50)) for i in range(0, COUNT, 50)]
    joined = list(recorded.join_targets(stream, teacher_inputs="both"))
    assert len(joined) == 6
    given, _ = joined[1]
    assert sorted(given["inputs"]) == ["both", "other"]
    np.testing.assert_allclose(given["teacher"]["outputs"], teacher.predict(x[50:100], verbose=0), atol=1e-5)
    with pytest.raises(ValueError, match="'bth'"):
        list(recorded.join_targets(stream, teacher_inputs="bth"))
