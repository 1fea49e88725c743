"""A teacher recorded on disk: the same lesson as the live one, whole after a kill, refused when anything differs."""

import json
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from scipy.special import logsumexp
from support import gradient

import keras_kd
from keras_kd.fingerprint import fingerprint
from keras_kd.objectives.top_k import TopK
from keras_kd.record_files import RecordError
from keras_kd.recorder import record, top_parts


def net(units, name):
    inputs = keras.Input((16,))
    h = layers.Dense(units, activation="relu", name="body")(inputs)
    return keras.Model(inputs, layers.Dense(4, name="head")(h), name=name)


@pytest.fixture
def teacher():
    keras.utils.set_random_seed(0)
    return net(12, "teacher")


def fitted(teacher, student, x, y):
    objectives = [keras_kd.SoftTarget(2.0), keras_kd.SimilarityPreserving(teacher_layer="body", student_layer="body")]
    distiller = keras_kd.Distiller(teacher, student, objectives)
    distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    if isinstance(teacher, keras_kd.Recorded):
        distiller.fit(teacher.batches(x, y, batch_size=50, shuffle=False), shuffle=False, epochs=2, verbose=0)
    else:
        distiller.fit(x, y, batch_size=50, shuffle=False, epochs=2, verbose=0)
    return student.get_weights()


def test_a_recorded_teacher_teaches_what_the_live_one_would(tmp_path, teacher, blobs):
    x, y = blobs
    recorded = record(teacher, x, tmp_path / "r", layers=["body"], shard_size=130)
    assert len(recorded) == len(x)
    student = net(6, "student")
    other = keras.models.clone_model(student)
    other.set_weights(student.get_weights())
    for mine, its in zip(fitted(recorded, student, x, y), fitted(teacher, other, x, y)):
        np.testing.assert_allclose(mine, its, atol=1e-5)


@given(
    count=st.integers(1, 90),
    batch=st.integers(1, 40),
    shard=st.integers(1, 50),
    seed=st.integers(0, 100),
    dtype=st.sampled_from(["float32", "float16"]),
)
@settings(max_examples=15)
def test_any_sharding_gives_back_what_the_teacher_gave(tmp_path_factory, blobs, count, batch, shard, seed, dtype):
    teacher = net(5, "teacher")
    x = blobs[0][:count]
    folder = tmp_path_factory.mktemp("r") / "r"
    recorded = record(teacher, x, folder, dtype=dtype, batch_size=batch, shard_size=shard)
    indices = np.random.default_rng(seed).permutation(count)[: max(1, count // 2)]
    expected = keras.ops.convert_to_numpy(teacher(x))[indices]
    np.testing.assert_allclose(
        recorded.targets(indices)["outputs"], expected, atol=1e-6 if dtype == "float32" else 5e-3
    )


def test_top_k_keeps_the_highest_and_the_mass_of_the_rest(tmp_path, teacher, blobs):
    x = blobs[0][:40]
    recorded = record(teacher, x, tmp_path / "r", top_k=2)
    logits, kept = keras.ops.convert_to_numpy(teacher(x)), recorded.targets(np.arange(40))
    for row, values, places, rest in zip(logits.astype(float), *(kept[f"outputs.{part}"] for part in TopK._fields)):
        top = np.argsort(-row)[:2]
        np.testing.assert_array_equal(places, top)
        np.testing.assert_allclose(values, row[top], rtol=1e-5)
        assert rest[0] == pytest.approx(logsumexp(np.delete(row, top)), rel=1e-5)
    with pytest.raises(ValueError, match="top_k must be from 1 to 3, got 4"):
        record(teacher, x, tmp_path / "r4", top_k=4)


def coarse(logits, places):
    """Logits of the classes at `places`, and of all others as one, a row at a time."""
    return np.array([[*row[top], logsumexp(np.delete(row, top))] for row, top in zip(logits.astype(float), places)])


@pytest.mark.parametrize(
    "objective",
    [
        keras_kd.SoftTarget(1.0),
        keras_kd.SoftTarget(4.0),
        keras_kd.SoftTarget(2.0, standardize=True),
        keras_kd.LogitMatching(),
    ],
    ids=["T 1", "T 4", "standardized", "logits"],
)
@pytest.mark.parametrize("k", [2, 5])
@pytest.mark.parametrize("shape", [(6, 9), (3, 4, 9)])
def test_a_student_that_equals_a_top_k_teacher_has_nothing_to_learn(objective, k, shape):
    rng = np.random.default_rng(0)
    t, s = 3 * rng.normal(size=(2, *shape)).astype("float32")
    parts = top_parts(t, k)
    given = TopK(*(parts[f"outputs.{part}"] for part in TopK._fields))
    np.testing.assert_allclose(objective(given, t), 0, atol=1e-4)
    np.testing.assert_allclose(gradient(lambda z: objective(given, z), t), 0, atol=1e-4)
    # Between others it is the objective on k + 1 classes.
    flat = [coarse(side.reshape(-1, 9), given.indices.reshape(-1, k)) for side in (t, s)]
    by_hand = keras.ops.convert_to_numpy(objective(*flat)).reshape(shape[0], -1).mean(1)
    np.testing.assert_allclose(objective(given, s), by_hand, rtol=1e-4)
    assert (np.abs(gradient(lambda z: objective(given, z), s)).sum(-1) > 0).all()


@pytest.mark.parametrize("ending", ["linear", "softmax"])
def test_a_top_k_record_teaches_in_a_fit(tmp_path, teacher, blobs, ending):
    x, _ = blobs
    recorded = record(teacher, x, tmp_path / "r", top_k=2)
    student = net(12, "student") if ending == "linear" else keras.Sequential([net(12, "body"), layers.Softmax()])
    student.set_weights(teacher.get_weights())
    distiller = keras_kd.Distiller(recorded, student, [keras_kd.SoftTarget(2.0)])
    distiller.compile("adam")
    logs = distiller.evaluate(recorded.batches(x, batch_size=100), verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(0, abs=1e-5)
    other = net(6, "other")
    distiller = keras_kd.Distiller(recorded, other, keras_kd.SoftTarget(2.0))
    distiller.compile(keras.optimizers.Adam(1e-2))
    losses = distiller.fit(recorded.batches(x, batch_size=100), epochs=4, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize(
    "objective",
    [
        keras_kd.Dist(),
        keras_kd.DecoupledKD(),
        keras_kd.SimilarityPreserving(),
        keras_kd.Reconstruction(),
        keras_kd.Contrastive(),
    ],
    ids=lambda o: o.name,
)
def test_objectives_that_need_all_outputs_refuse_a_top_k_record(tmp_path, teacher, blobs, objective):
    recorded = record(teacher, blobs[0], tmp_path / "r", layers=["body"], top_k=2)
    with pytest.raises(ValueError, match=r"record without top_k, or use SoftTarget or LogitMatching"):
        keras_kd.Distiller(recorded, net(4, "s"), [objective])
    one = record(teacher, blobs[0], tmp_path / "one", top_k=1)
    with pytest.raises(ValueError, match="standardize=True has nothing to teach with 2 classes"):
        keras_kd.Distiller(one, net(4, "s"), keras_kd.SoftTarget(standardize=True))


# What is one teacher and what is another


def built(kind, activation, renamed=False, trainable=True):
    def layer(units, name):
        return layers.Dense(units, activation=activation, name=None if renamed else name)

    if kind == "functional":
        inputs = keras.Input((16,))
        model = keras.Model(inputs, layers.Dense(4)(layer(6, "relu")(inputs)))
    elif kind == "named for it":
        inputs = keras.Input((16,))
        h = layers.Activation(activation, name=None if renamed else activation)(layers.Dense(6)(inputs))
        model = keras.Model(inputs, layers.Dense(4)(h))
    elif kind == "sequential":
        model = keras.Sequential([keras.Input((16,)), layer(6, "a"), layers.Dense(4)])
    elif kind == "nested":
        inner = keras.Sequential([keras.Input((16,)), layer(6, "a")])
        inputs = keras.Input((16,))
        model = keras.Model(inputs, layers.Dense(4)(inner(inputs)))
    elif kind == "ensemble":
        model = keras_kd.Ensemble([built("functional", activation), built("sequential", "relu")])
    else:
        model = Own(activation)
        model(np.zeros((1, 16)))
    model.trainable = trainable
    return model


@keras.saving.register_keras_serializable("tests")
class Own(keras.Model):
    """A subclassed model that does not tell its settings."""

    def __init__(self, activation, **kwargs):
        super().__init__(**kwargs)
        self.first, self.last = layers.Dense(6, activation=activation), layers.Dense(4)

    def call(self, x):
        return self.last(self.first(x))


@pytest.mark.parametrize("kind", ["functional", "named for it", "sequential", "nested", "ensemble", "subclassed"])
def test_a_fingerprint_sees_architecture_and_weights_and_no_names(kind, tmp_path):
    model, other, again = built(kind, "relu"), built(kind, "tanh"), built(kind, "relu", renamed=True, trainable=False)
    for copy in (other, again):
        copy.set_weights(model.get_weights())
    assert fingerprint(model) == fingerprint(again)
    assert fingerprint(model) != fingerprint(other)
    if kind != "subclassed":
        model.save(tmp_path / "m.keras")
        assert fingerprint(keras.saving.load_model(tmp_path / "m.keras", compile=False)) == fingerprint(model)
    weights = again.get_weights()
    weights[0].flat[0] += 1e-6
    again.set_weights(weights)
    assert fingerprint(again) != fingerprint(model)


def test_the_same_layers_joined_another_way_are_another_teacher():
    def joined(deep):
        inputs = keras.Input((4,))
        first, second = layers.Dense(4)(inputs), layers.Dense(4)
        out = layers.Add()([first, second(first if deep else inputs)])
        return keras.Model(inputs, out)

    one, other = joined(True), joined(False)
    other.set_weights(one.get_weights())
    assert fingerprint(one) != fingerprint(other)


def test_a_record_of_the_same_weights_under_another_activation_is_refused(tmp_path, blobs):
    model, other = built("functional", "relu"), built("functional", "tanh")
    other.set_weights(model.get_weights())
    record(model, blobs[0], tmp_path / "r")
    with pytest.raises(RecordError, match="other weights or other layers"):
        keras_kd.Recorded(tmp_path / "r", other)
    with pytest.raises(RecordError, match=r"another recording \(other teacher\)"):
        record(other, blobs[0], tmp_path / "r")


@pytest.mark.slow
def test_a_killed_recording_goes_on_where_it_stopped(tmp_path, blobs):
    script = tmp_path / "killed.py"
    np.save(tmp_path / "x.npy", blobs[0])
    script.write_text(
        textwrap.dedent(
            f"""
            import os, sys, keras, numpy as np
            from keras_kd import recorder
            keras.utils.set_random_seed(0)
            teacher = keras.Sequential([keras.Input((16,)), keras.layers.Dense(4)], name="t")
            x = np.load({str(tmp_path / "x.npy")!r})
            passes = 0
            run = recorder._run
            def counted(*args):
                global passes
                passes += 1
                if len(sys.argv) > 1 and passes > 4:
                    os._exit(9)
                return run(*args)
            recorder._run = counted
            recorder.record(teacher, x, {str(tmp_path / "r")!r}, batch_size=50, shard_size=100)
            print(passes)
            """
        )
    )
    assert subprocess.run([sys.executable, script, "kill"], capture_output=True).returncode == 9
    assert json.loads((tmp_path / "r" / "index.json").read_text())["finished"] is False
    with pytest.raises(RecordError, match="unfinished; call record"):
        keras_kd.Recorded(tmp_path / "r")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) == 8  # 12 batches, 4 of them kept from before
    assert len(keras_kd.Recorded(tmp_path / "r")) == 600


def test_other_teacher_data_order_or_damage_are_refused(tmp_path, teacher, blobs):
    x, y = blobs
    recorded = record(teacher, x, tmp_path / "r", shard_size=200)
    with pytest.raises(RecordError, match="recorded from another teacher than 'other': other weights or other layers"):
        keras_kd.Recorded(tmp_path / "r", teacher=net(12, "other"))
    with pytest.raises(RecordError, match="example 0 is not the one that was recorded there"):
        recorded.batches(x[::-1], y)
    changed = x.copy()
    changed[417, 3] += 1e-3
    with pytest.raises(RecordError, match="example 417 is not the one"):
        recorded.batches(changed, y)
    with pytest.raises(RecordError, match="holds 600 examples, the data 599"):
        recorded.batches(x[:-1], y[:-1])
    with pytest.raises(RecordError, match="other data or in another order"):
        record(teacher, x[::-1], tmp_path / "r", shard_size=200)
    with pytest.raises(RecordError, match="another recording \\(other dtype\\)"):
        record(teacher, x, tmp_path / "r", shard_size=200, dtype="float16")
    before = sorted(p.stat().st_mtime_ns for p in (tmp_path / "r").glob("0*.npy"))
    record(teacher, x, tmp_path / "r", shard_size=200)
    assert before == sorted(p.stat().st_mtime_ns for p in (tmp_path / "r").glob("0*.npy"))
    file = tmp_path / "r" / "00001.outputs.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(RecordError, match=r"00001.outputs.npy is missing or damaged"):
        keras_kd.Recorded(tmp_path / "r")


def test_a_stream_of_batches_is_followed_and_checked(tmp_path, teacher, blobs):
    x, y = blobs
    stream = [(x[i : i + 70], y[i : i + 70]) for i in range(0, 600, 70)]
    recorded = record(teacher, iter(stream), tmp_path / "r", shard_size=256)
    followed = list(recorded.join_targets(stream))
    together = np.concatenate([given["teacher"]["outputs"] for given, _ in followed])
    np.testing.assert_allclose(together, keras.ops.convert_to_numpy(teacher(x)), atol=1e-5)
    with pytest.raises(RecordError, match="example 0 is not"):
        list(recorded.join_targets(stream[1:]))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"dtype": "int8"}, "dtype must be one of"),
        ({"shard_size": 0}, "shard_size must be at least 1"),
        ({"outputs": False}, "nothing to record"),
        ({"layers": ["bodi"]}, "nearest: 'body'"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, teacher, blobs, arguments, says):
    with pytest.raises(ValueError, match=says):
        record(teacher, blobs[0], tmp_path / "r", **arguments)
    assert not (tmp_path / "r").exists()


def test_an_objective_on_a_layer_that_was_not_recorded_is_refused(tmp_path, teacher, blobs):
    recorded = record(teacher, blobs[0], tmp_path / "r")
    with pytest.raises(ValueError, match="layer 'body' is not among what the Recorded supplies: outputs"):
        keras_kd.Distiller(recorded, net(4, "s"), [keras_kd.Hint(teacher_layer="body", student_layer="body")])
