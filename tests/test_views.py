"""Teacher and student that get different parts of a batch: keys, layers, functions, augmentations, other sizes."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from support import later

import keras_kd

CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def net(*shape, units=5, outputs=3, name=None):
    flat = [keras.Input(shape), layers.Flatten(), layers.Dense(units, activation="tanh"), layers.Dense(outputs)]
    return keras.Sequential(flat, name=name)


@pytest.fixture
def recordings():
    """Two sensors, (44, 9, 2), the first alone with noise, (44, 9, 1), and labels of three classes."""
    rng = np.random.default_rng(7)
    both = rng.normal(size=(44, 9, 2)).astype("float32")
    return {"both": both, "noisy": both[..., :1] + 0.1 * rng.normal(size=(44, 9, 1)).astype("float32")}, rng.integers(
        0, 3, 44
    )


def by_hand(teacher, student, theirs, mine):
    return float(
        np.mean(keras_kd.SoftTarget(3.0)(teacher.predict(theirs, verbose=0), student.predict(mine, verbose=0)))
    )


@pytest.mark.parametrize("made_from", [later("dict"), "list", "function", later("layer")])
def test_each_model_gets_its_own_part(recordings, made_from):
    x, y = recordings
    teacher, student = net(9, 2, units=9), net(9, 1)
    views = {"teacher_inputs": "both", "student_inputs": "noisy"}
    given = x
    if made_from == "list":
        given, views = [x["both"], x["noisy"]], {"teacher_inputs": 0, "student_inputs": -1}
    elif made_from == "function":
        given, views = x["both"], {"student_inputs": lambda x: x[..., :1]}
    elif made_from == "layer":
        given, views = x["both"], {"student_inputs": FirstSensor()}
    mine = x["both"][..., :1] if made_from in ("function", "layer") else x["noisy"]
    distiller = keras_kd.Distiller(teacher, student, keras_kd.SoftTarget(3.0), hard_weight=0.5, **views)
    distiller.compile(keras.optimizers.Adam(0.01), CROSS_ENTROPY, metrics=["accuracy"])
    logs = distiller.evaluate(given, y, batch_size=44, verbose=0, return_dict=True)
    assert logs["soft_target"] == pytest.approx(by_hand(teacher, student, x["both"], mine), rel=1e-5)
    losses = distiller.fit(given, y, batch_size=11, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(distiller.predict(given, verbose=0), student.predict(mine, verbose=0), rtol=1e-5)
    assert student.input_shape == (None, 9, 1)


@keras.saving.register_keras_serializable("test_views")
class FirstSensor(layers.Layer):
    def call(self, x):
        return x[..., :1]


@keras.saving.register_keras_serializable("test_views")
def last_four(x):
    """The end of a longer window."""
    return x[:, -4:]


def test_a_teacher_that_has_a_longer_window(recordings):
    x, y = recordings
    student = net(4, 2)
    distiller = keras_kd.Distiller(net(9, 2, units=9), student, keras_kd.LogitMatching(), student_inputs=last_four)
    distiller.compile("adam", CROSS_ENTROPY)
    distiller.fit(x["both"], y, epochs=1, verbose=0)
    np.testing.assert_allclose(
        distiller.predict(x["both"], verbose=0), student.predict(x["both"][:, -4:], verbose=0), rtol=1e-5
    )


def test_several_keys_are_a_list_of_inputs(recordings):
    x, y = recordings
    sides = [keras.Input((9, 2)), keras.Input((9, 1))]
    teacher = keras.Model(sides, layers.Dense(3)(layers.Flatten()(layers.Concatenate()(sides))))
    views = {"teacher_inputs": ["both", "noisy"], "student_inputs": "noisy"}
    distiller = keras_kd.Distiller(teacher, net(9, 1), keras_kd.SoftTarget(3.0), **views)
    distiller.compile("adam", CROSS_ENTROPY)
    found = distiller.evaluate(x, y, batch_size=44, verbose=0, return_dict=True)["soft_target"]
    theirs = teacher.predict([x["both"], x["noisy"]], verbose=0)
    mine = distiller.student.predict(x["noisy"], verbose=0)
    assert found == pytest.approx(float(np.mean(keras_kd.SoftTarget(3.0)(theirs, mine))), rel=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="values of a traced layer cannot be kept")
def test_augmentations_work_in_training_alone_and_the_weak_and_strong_view_differ(recordings):
    x, y = recordings
    seen = {"teacher": [], "student": []}

    class Watched(layers.Layer):
        def __init__(self, who, **kwargs):
            super().__init__(**kwargs)
            self.who, self.noise, self.built = who, layers.GaussianNoise(1.0, seed=3), True

        def call(self, x, training=False):
            out = self.noise(x, training=training)
            seen[self.who].append((bool(training), np.array(out)))
            return out

    teacher, student = net(9, 2), net(9, 2)
    views = {"teacher_inputs": Watched("teacher"), "student_inputs": Watched("student")}
    distiller = keras_kd.Distiller(teacher, student, keras_kd.SoftTarget(3.0), **views)
    distiller.compile("adam", CROSS_ENTROPY, run_eagerly=True)
    distiller.fit(x["both"], y, batch_size=44, epochs=1, shuffle=False, verbose=0)
    (in_training, strong), (_, weak) = seen["student"][-1], seen["teacher"][-1]
    assert in_training
    assert np.abs(strong - x["both"]).max() > 0.5
    assert np.abs(weak - x["both"]).max() > 0.5
    for who in seen:
        seen[who].clear()
    distiller.evaluate(x["both"], y, batch_size=44, verbose=0)
    for who in seen:
        training, out = seen[who][-1]
        assert not training
        np.testing.assert_array_equal(out, x["both"])


def test_one_view_for_both_is_called_once_a_step_so_that_both_see_the_same(recordings):
    x, _ = recordings
    teacher = net(9, 2)
    student = keras.models.clone_model(teacher)
    student.set_weights(teacher.get_weights())
    noise = layers.GaussianNoise(1.0)
    distiller = keras_kd.Distiller(
        teacher, student, keras_kd.LogitMatching(), teacher_inputs=noise, student_inputs=noise
    )
    distiller.compile(keras.optimizers.SGD(0.0))
    logs = distiller.fit(x["both"], batch_size=44, epochs=1, verbose=0).history
    assert logs["logit_matching"] == [0.0]
    apart = keras_kd.Distiller(
        teacher, student, keras_kd.LogitMatching(), teacher_inputs=noise, student_inputs=layers.GaussianNoise(1.0)
    )
    apart.compile(keras.optimizers.SGD(0.0))
    assert apart.fit(x["both"], batch_size=44, epochs=1, verbose=0).history["logit_matching"][0] > 0.1


def test_a_moving_average_sees_a_view_of_its_own(recordings):
    x, y = recordings
    student = net(9, 1)
    teacher = keras_kd.MovingAverage(student, decay=0.5)
    distiller = keras_kd.Distiller(
        teacher, student, keras_kd.SoftTarget(3.0), teacher_inputs=FirstSensor(), student_inputs="noisy"
    )
    distiller.compile("adam", CROSS_ENTROPY)
    with pytest.raises(ValueError, match="student_inputs: no 'noisy' in the inputs, which are one array"):
        distiller.fit(x["both"], y, verbose=0)
    distiller = keras_kd.Distiller(
        teacher, student, keras_kd.SoftTarget(3.0), teacher_inputs=lambda x: x["both"][..., :1], student_inputs="noisy"
    )
    distiller.compile(keras.optimizers.SGD(0.1), CROSS_ENTROPY)
    before = student.get_weights()
    distiller.fit(x, y, batch_size=44, epochs=2, verbose=0)
    assert any(np.abs(a - b).max() > 0 for a, b in zip(before, student.get_weights()))
    found = distiller.evaluate(x, y, batch_size=44, verbose=0, return_dict=True)["soft_target"]
    assert found == pytest.approx(by_hand(teacher, student, x["both"][..., :1], x["noisy"]), rel=1e-4)


@pytest.mark.parametrize(
    ("views", "says"),
    [
        ({"teacher_inputs": "bith"}, "teacher_inputs: no 'bith' in the inputs, which have 'both', 'noisy'"),
        ({"student_inputs": ["noisy", "quiet"]}, "student_inputs: no 'quiet' in the inputs, which have"),
    ],
)
def test_a_key_that_is_not_there_is_named_before_training(recordings, views, says):
    x, y = recordings
    student = net(9, 1)
    before = student.get_weights()
    whole = {"teacher_inputs": "both", "student_inputs": "noisy", **views}
    distiller = keras_kd.Distiller(net(9, 2), student, keras_kd.SoftTarget(3.0), **whole)
    distiller.compile("adam", CROSS_ENTROPY)
    with pytest.raises(ValueError, match=says):
        distiller.fit(x, y, verbose=0)
    for a, b in zip(before, student.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_what_is_no_view_is_refused():
    for view in (3.5, [], ["a", 2.0], {"a": 1}):
        with pytest.raises(ValueError, match="student_inputs must be a key of the inputs, a list of keys, a layer or"):
            keras_kd.Distiller(net(4), net(4), student_inputs=view)
    with pytest.raises(ValueError, match="teacher_inputs: targets of a Function come with the batches"):
        keras_kd.Distiller(keras_kd.Function(lambda x: x, (3,), "linear"), net(4), teacher_inputs="a")
    with pytest.raises(ValueError, match="say by teacher_inputs and student_inputs what each gets"):
        keras_kd.Distiller(net(4), net(5))


def test_a_supplied_teacher_gets_its_part_of_the_batches(recordings, tmp_path):
    x, y = recordings
    teacher, student = net(9, 2), net(9, 1)
    keras_kd.record(teacher, x["both"], tmp_path)
    recorded = keras_kd.Recorded(tmp_path, teacher)
    function = keras_kd.Function(lambda part: teacher.predict_on_batch(part), (3,), "linear")
    expected = by_hand(teacher, student, x["both"], x["noisy"])
    for supplied in (recorded, function):
        distiller = keras_kd.Distiller(supplied, student, keras_kd.SoftTarget(3.0), student_inputs="noisy")
        distiller.compile("adam", CROSS_ENTROPY)
        batches = supplied.batches(x, y, batch_size=44, teacher_inputs="both")
        assert distiller.evaluate(batches, verbose=0, return_dict=True)["soft_target"] == pytest.approx(
            expected, rel=1e-5
        )
    with pytest.raises(keras_kd.RecordError, match="is not the one that was recorded there"):
        recorded.batches(x, y, teacher_inputs=lambda x: x["both"] + 1)
    with pytest.raises(ValueError, match="teacher_inputs: no 'left' in the inputs, which have 'both', 'noisy'"):
        recorded.batches(x, y, teacher_inputs="left")


def test_models_without_shapes_are_built_on_their_own_part(recordings):
    x, y = recordings
    teacher = keras.Sequential([layers.Flatten(), layers.Dense(3)])
    student = keras.Sequential([layers.Flatten(), layers.Dense(3)])
    distiller = keras_kd.Distiller(
        teacher, student, keras_kd.SoftTarget(3.0), teacher_inputs="both", student_inputs="noisy"
    )
    distiller.compile("adam", CROSS_ENTROPY)
    distiller.fit(x, y, epochs=1, verbose=0)
    assert (teacher.count_params(), student.count_params()) == (18 * 3 + 3, 9 * 3 + 3)


@pytest.mark.parametrize(
    "view",
    ["noisy", FirstSensor(), last_four, layers.GaussianNoise(0.5)],
    ids=["key", "layer", "function", "augmentation"],
)
def test_saved_and_loaded_it_gives_the_same(recordings, view, tmp_path):
    x, y = recordings
    given = x if isinstance(view, str) else x["both"]
    mine = keras_kd.views.seen(view, given, False, "a view")
    teacher, student = net(9, 2), net(*mine.shape[1:])
    teacher_view = "both" if isinstance(view, str) else None
    distiller = keras_kd.Distiller(
        teacher, student, keras_kd.SoftTarget(3.0), teacher_inputs=teacher_view, student_inputs=view
    )
    distiller.compile("adam", CROSS_ENTROPY)
    distiller.fit(given, y, epochs=1, verbose=0)
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.saving.load_model(tmp_path / "distiller.keras", safe_mode=True)
    assert loaded.evaluate(given, y, verbose=0) == pytest.approx(distiller.evaluate(given, y, verbose=0))
    configs = [keras_kd.views.view_config(each, "") for each in (loaded.student_inputs, view)]
    before, after = (each["config"] if isinstance(each, dict) else each for each in configs)
    assert before == after


def test_a_function_that_keras_could_not_find_again_is_refused_when_it_is_saved(tmp_path):
    distiller = keras_kd.Distiller(net(4), net(2), keras_kd.SoftTarget(), student_inputs=lambda x: x[:, :2])
    distiller.compile("adam", CROSS_ENTROPY)
    with pytest.raises(ValueError, match="student_inputs is a function that Keras cannot find again"):
        distiller.save(tmp_path / "distiller.keras")


def test_nothing_flows_into_a_view(recordings):
    """A view's weights are the user's: they are no part of what is trained, or of the student."""
    x, y = recordings
    projection = layers.Dense(1, use_bias=False)
    projection.build((None, 9, 2))
    before = ops.convert_to_numpy(projection.kernel)
    distiller = keras_kd.Distiller(net(9, 2), net(9, 1), keras_kd.SoftTarget(3.0), student_inputs=projection)
    distiller.compile(keras.optimizers.SGD(1.0), CROSS_ENTROPY)
    distiller.fit(x["both"], y, epochs=2, verbose=0)
    np.testing.assert_array_equal(before, ops.convert_to_numpy(projection.kernel))
    assert all(variable is not projection.kernel for variable in distiller.trainable_variables)


def test_a_key_and_what_is_applied_to_it_in_turn(recordings, tmp_path):
    """Layers of a list are told of training, which those inside a function of one's own would not be."""
    x, y = recordings
    noise = layers.GaussianNoise(1.0)
    teacher, student = net(4, 2), net(9, 1)
    chains = {"teacher_inputs": ["both", last_four], "student_inputs": ["noisy", noise]}
    distiller = keras_kd.Distiller(teacher, student, keras_kd.SoftTarget(3.0), **chains)
    distiller.compile(keras.optimizers.SGD(0.0), CROSS_ENTROPY)
    quiet = distiller.evaluate(x, y, batch_size=44, verbose=0, return_dict=True)["soft_target"]
    assert quiet == pytest.approx(by_hand(teacher, student, x["both"][:, -4:], x["noisy"]), rel=1e-5)
    assert distiller.fit(x, y, batch_size=44, verbose=0).history["soft_target"][0] != pytest.approx(quiet, rel=1e-3)
    distiller.save(tmp_path / "chains.keras")
    loaded = keras.saving.load_model(tmp_path / "chains.keras", safe_mode=True)
    assert [type(step) for step in loaded.student_inputs] == [str, layers.GaussianNoise]
    assert loaded.evaluate(x, y, verbose=0) == pytest.approx(distiller.evaluate(x, y, verbose=0))


def test_a_function_that_takes_training_is_told(recordings):
    x, y = recordings
    told = []

    def view(x, training):
        told.append(bool(training))
        return x

    distiller = keras_kd.Distiller(net(9, 2), net(9, 2), keras_kd.SoftTarget(3.0), student_inputs=view)
    distiller.compile("adam", CROSS_ENTROPY, run_eagerly=True)
    distiller.fit(x["both"], y, batch_size=44, verbose=0)
    assert told[-1]
    distiller.evaluate(x["both"], y, batch_size=44, verbose=0)
    assert not told[-1]


def test_keys_of_a_model_that_takes_a_dict_go_by_name(recordings):
    x, y = recordings
    sides = {name: keras.Input((9, width), name=name) for name, width in (("noisy", 1), ("both", 2))}
    scaled = [2.0 * sides["noisy"], sides["both"]]
    teacher = keras.Model(sides, layers.Dense(3)(layers.Flatten()(layers.Concatenate()(scaled))))
    views = {"teacher_inputs": ["both", "noisy"], "student_inputs": "noisy"}
    distiller = keras_kd.Distiller(teacher, net(9, 1), keras_kd.SoftTarget(3.0), **views)
    distiller.compile("adam", CROSS_ENTROPY)
    found = distiller.evaluate(x, y, batch_size=44, verbose=0, return_dict=True)["soft_target"]
    assert found == pytest.approx(by_hand(teacher, distiller.student, x, x["noisy"]), rel=1e-5)


def test_a_teacher_of_full_precision_gets_its_inputs_in_full(recordings):
    """70,000 is infinite in the student's float16."""
    x = np.full((8, 9, 1), 70_000.0, "float32")
    teacher = keras.Sequential([keras.Input((9, 1)), layers.Rescaling(1e-5), layers.Flatten(), layers.Dense(3)])
    dtype = keras.DTypePolicy("mixed_float16")
    inner = [layers.Rescaling(1e-9, dtype="float32"), layers.Flatten(dtype=dtype), layers.Dense(3, dtype=dtype)]
    both = ("teacher_inputs", "student_inputs")
    for views in ({}, dict.fromkeys(both, "k"), dict.fromkeys(both, Same())):
        student = keras.Sequential([keras.Input((9, 1)), *inner, layers.Activation("linear", dtype="float32")])
        distiller = keras_kd.Distiller(teacher, student, keras_kd.LogitMatching(), **views)
        distiller.compile("adam")
        given = {"k": x} if views.get("teacher_inputs") == "k" else x
        assert np.isfinite(distiller.evaluate(given, verbose=0)).all(), views


class Same(layers.Layer):
    def __init__(self):
        super().__init__(autocast=False)

    def call(self, x):
        return x


def test_a_view_with_weights_of_its_own_is_built_before_a_step(recordings):
    x, y = recordings
    view = layers.Dense(1, use_bias=False)
    distiller = keras_kd.Distiller(net(9, 1), net(9, 2), keras_kd.SoftTarget(3.0), teacher_inputs=view)
    distiller.compile("adam", CROSS_ENTROPY)
    distiller.fit(x["both"], y, verbose=0)
    assert view.built
