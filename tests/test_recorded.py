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

import keras_kd
from keras_kd.recorded import RecordError, record


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
    logits, kept = keras.ops.convert_to_numpy(teacher(x)), recorded.targets(np.arange(40))["outputs"]
    for row, found in zip(logits.astype(float), kept):
        top = np.argsort(-row)[:2]
        np.testing.assert_allclose(found[top], row[top], rtol=1e-5)
        assert logsumexp(found) == pytest.approx(logsumexp(row), rel=1e-5)
        assert len(set(np.delete(found, top))) == 1
    with pytest.raises(ValueError, match="top_k must be from 1 to 3, got 4"):
        record(teacher, x, tmp_path / "r4", top_k=4)


def test_a_killed_recording_goes_on_where_it_stopped(tmp_path, blobs):
    script = tmp_path / "killed.py"
    np.save(tmp_path / "x.npy", blobs[0])
    script.write_text(
        textwrap.dedent(
            f"""
            import os, sys, keras, numpy as np
            from keras_kd import recorded
            keras.utils.set_random_seed(0)
            teacher = keras.Sequential([keras.Input((16,)), keras.layers.Dense(4)], name="t")
            x = np.load({str(tmp_path / "x.npy")!r})
            passes = 0
            run = recorded._run
            def counted(*args):
                global passes
                passes += 1
                if len(sys.argv) > 1 and passes > 4:
                    os._exit(9)
                return run(*args)
            recorded._run = counted
            recorded.record(teacher, x, {str(tmp_path / "r")!r}, batch_size=50, shard_size=100)
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
    with pytest.raises(RecordError, match="recorded from another teacher than 'other', or other weights"):
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
    followed = list(recorded.follow(stream))
    together = np.concatenate([given["teacher"]["outputs"] for given, _ in followed])
    np.testing.assert_allclose(together, keras.ops.convert_to_numpy(teacher(x)), atol=1e-5)
    with pytest.raises(RecordError, match="example 0 is not"):
        list(recorded.follow(stream[1:]))


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
