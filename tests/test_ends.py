"""Models of several inputs and outputs: the same through every step, by Keras's names and in its order."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import keras
import numpy as np
import pytest
from keras import layers
from keras_graphs import lively
from support import SANITIZERS, WARNINGS, invoke

import micro
from micro.aot import generate
from micro.keras_graph.calibration_data import check_inputs
from micro.keras_graph.ends import Ends
from micro.quantize.aware import quantize_aware
from micro.tflite.graph import read
from micro.tflite.integers import quantize_inputs
from micro.tflite.interpreter import all_outputs

# Neither the order of names nor that of sizes is the order in which Keras has them.
SHAPES = {"zeta": (6,), "alpha": (5, 3), "mid": (1,)}
X = {
    name: np.random.default_rng(number).normal(size=(140, *shape)).astype("float32")
    for number, (name, shape) in enumerate(SHAPES.items())
}


def ends(kind):
    """A model of three inputs and three outputs in dicts or lists, and samples in the same."""
    keras.utils.set_random_seed(0)
    inputs = {name: keras.Input(shape, name=name) for name, shape in SHAPES.items()}
    seen = layers.GlobalAveragePooling1D()(layers.Conv1D(4, 3, activation="relu", name="conv")(inputs["alpha"]))
    h = layers.Concatenate()([layers.Dense(4, name="first")(inputs["zeta"]), seen, inputs["mid"]])
    kind_of = layers.Dense(3, activation="softmax", name="kind")(h)
    outputs = {
        "score": layers.Dense(1, name="head")(h),
        "kind": kind_of,
        "map": layers.Reshape((5, 2))(layers.Dense(10)(h)),
    }
    if kind == "dict":
        return lively(keras.Model(inputs, outputs, name="ends")), X
    return lively(keras.Model(list(inputs.values()), list(outputs.values()), name="ends")), list(X.values())


def apart(one, other):
    """The largest difference of each output, in order."""
    pairs = zip(keras.tree.flatten(one), keras.tree.flatten(other), strict=True)
    return [float(np.abs(a - b).max()) for a, b in pairs]


@pytest.fixture(scope="module")
def converted():
    model, x = ends("dict")
    return model, micro.convert(model, x)


@pytest.fixture(scope="module")
def aware():
    return quantize_aware(*ends("dict"))


def test_converted_they_keep_their_names_and_give_what_keras_gives(converted):
    model, tflite = converted
    graph = read(tflite)
    assert [graph.tensors[index].name for index in graph.inputs] == ["alpha", "mid", "zeta"] == sorted(SHAPES)
    assert [graph.tensors[index].name for index in graph.outputs] == ["kind", "map", "score"]
    outputs = tflite.predict(X)
    assert outputs["map"].shape == (140, 5, 2)
    assert max(apart(outputs, model.predict(X, verbose=0))) < 0.2
    assert len(tflite.errors) == 3
    assert min(tflite.errors) <= tflite.error <= max(tflite.errors)
    assert micro.verify(tflite, [X[name] for name in sorted(SHAPES)]).values == 140 * 14
    assert micro.verify(tflite, X) == micro.verify(tflite, [X[name] for name in sorted(SHAPES)])
    with pytest.raises(ValueError, match="the model's inputs are alpha, mid, zeta, samples were given for mid"):
        micro.verify(tflite, {"mid": X["mid"]})


def test_simulated_they_are_what_tflite_micro_computes(aware, tmp_path):
    tflite = micro.convert(aware, X)
    scales = [float(aware.grid(number).parameters()[0]) for number in aware.program.outputs]
    simulated = aware.predict(X, verbose=0)
    assert list(simulated) == ["kind", "map", "score"]
    assert all(most <= 1.01 * scale for most, scale in zip(apart(tflite.predict(X), simulated), scales, strict=True))
    graph = read(tflite)
    assert [graph.tensors[index].name for index in graph.inputs + graph.outputs] == [*sorted(SHAPES), *simulated]
    aware.save(tmp_path / "aware.keras")
    assert micro.convert(keras.saving.load_model(tmp_path / "aware.keras")).content == tflite.content


def test_simulated_they_take_losses_by_the_names_of_layers():
    """Where the Keras model gives a list, as it does itself."""
    model, x = ends("list")
    aware = quantize_aware(model, x)
    assert aware.output_names == model.output_names
    aware.compile("sgd", dict.fromkeys(model.output_names, "mse"))
    assert np.all(np.isfinite(aware.evaluate(x, dict(zip(model.output_names, model.predict(x, verbose=0))), verbose=0)))


@pytest.mark.slow
def test_simulated_they_learn_from_labels_by_name():
    model, x = ends("dict")
    aware = quantize_aware(model, x)
    y = {"kind": np.arange(140) % 3, "score": X["zeta"][:, :1], "map": np.zeros((140, 5, 2))}
    losses = {"kind": keras.losses.SparseCategoricalCrossentropy(), "score": "mse", "map": "mse"}
    aware.compile(keras.optimizers.Adam(0.01), losses)
    history = aware.fit(x, y, epochs=4, verbose=0).history["loss"]
    assert history[-1] < history[0]
    corrected = micro.correct_bias(aware, x)
    assert set(corrected.predict(x, verbose=0)) == set(y)


@pytest.mark.slow
def test_in_lists_they_keep_keras_s_order():
    model, x = ends("list")
    exact = model.predict(x, verbose=0)
    aware = quantize_aware(model, x)
    for tflite in (micro.convert(model, x), micro.convert(aware, x)):
        graph = read(tflite)
        assert [graph.tensors[index].name for index in graph.inputs] == list(SHAPES)
        assert [graph.tensors[index].name for index in graph.outputs][:2] == ["head", "kind"]
        outputs = tflite.predict(x)
        assert isinstance(outputs, list)
        assert [each.shape for each in outputs] == [each.shape for each in exact]
        assert max(apart(outputs, exact)) < 0.2


@pytest.mark.slow
def test_integers_and_indices_are_inputs_among_others():
    words, pixels = keras.Input((4,), dtype="int32", name="words"), keras.Input((6,), name="pixels")
    looked_up = layers.Flatten()(layers.Embedding(20, 3)(words))
    model = keras.Model([words, pixels], layers.Dense(2)(layers.Concatenate()([looked_up, pixels])))
    rng = np.random.default_rng(0)
    x = [rng.integers(0, 20, (140, 4)), rng.normal(size=(140, 6)).astype("float32")]
    tflite = micro.convert(model, x)
    graph = read(tflite)
    assert [graph.tensors[index].dtype for index in graph.inputs] == ["int32", "int8"]
    assert apart(tflite.predict(x), model.predict(x, verbose=0))[0] < 0.1


def test_in_c_they_have_headers_and_arguments_of_their_own(converted, tmp_path):
    _, tflite = converted
    micro.emit(tflite, tmp_path / "tflm", "ends")
    header = (tmp_path / "tflm" / "ends.h").read_text()
    assert re.search(r"Input2, zeta: int8, shape 1 x 6\..*\n#define ENDS_INPUT2_RANK 2", header)
    assert "#define ENDS_OUTPUT1_SIZE 10" in header
    with pytest.raises(ValueError, match="class_names are for a model of one output, this has 3"):
        micro.emit(tflite, tmp_path, "ends", class_names=["a", "b", "c"])
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("no gcc")
    generate(tflite, tmp_path, "ends")
    assert "input2 (zeta): int8" in (tmp_path / "ends.h").read_text()
    (tmp_path / "main.c").write_text(
        '#include "ends.h"\n#include <stdio.h>\nstatic int8_t a[15], m[1], z[6], kind[3], map[10], score[1];\n'
        "int main(void) { if (fread(a, 1, 15, stdin) + fread(m, 1, 1, stdin) + fread(z, 1, 6, stdin) != 22) return 1;"
        " ends_invoke(a, m, z, kind, map, score); fwrite(kind, 1, 3, stdout); fwrite(map, 1, 10, stdout);"
        " fwrite(score, 1, 1, stdout); return 0; }\n"
    )
    subprocess.run([gcc, *WARNINGS, *SANITIZERS, "ends.c", "main.c", "-o", "ends"], cwd=tmp_path, check=True)
    taken = [each[:1] for each in quantize_inputs(read(tflite), [X[name] for name in sorted(SHAPES)])]
    given = b"".join(each.tobytes() for each in taken)
    done = subprocess.run([tmp_path / "ends"], input=given, capture_output=True, check=True)
    theirs = all_outputs(tflite, taken)
    assert done.stdout == b"".join(theirs[f"output{k}"].tobytes() for k in range(3))


def test_on_the_command_line_their_arrays_go_by_name(tmp_path):
    model, x = ends("dict")
    model.save(tmp_path / "ends.keras")
    np.savez(tmp_path / "x.npz", **x, labels=np.arange(3))
    np.savez(tmp_path / "less.npz", zeta=x["zeta"], alpha=x["alpha"])
    command = ("convert", tmp_path / "ends.keras", "--out", tmp_path, "--json", "--calibration")
    done = invoke(*command, tmp_path / "x.npz")
    assert done.exit_code == 0, done.output
    path = json.loads(done.stdout)["path"]
    verified = invoke("verify", path, "--samples", tmp_path / "x.npz", "--json")
    assert json.loads(verified.stdout)["samples"] == 140
    for arguments in ((*command, tmp_path / "less.npz"), ("verify", path, "--samples", tmp_path / "less.npz")):
        wrong = invoke(*arguments)
        assert wrong.exit_code == 2
        assert "less.npz holds the arrays zeta, alpha; the model's inputs are alpha, mid, zeta" in wrong.output


NAMED = Ends(("a", "b"), "dict")
A, B = np.zeros((4, 3)), np.ones((4, 2, 2))


def batches():
    yield {"a": A[:3], "b": B[:3]}
    yield {"a": A[3], "b": B[3]}


@pytest.mark.parametrize(
    "given",
    [
        {"b": B, "a": A},
        [A, B],
        (A, B),
        batches,
        lambda: iter([((A, B), np.arange(4))]),
        lambda: iter([({"a": A, "b": B}, np.arange(4), np.ones(4))]),
        lambda: iter([[one, other] for one, other in zip(A, B)]),
        [[one, other] for one, other in zip(A, B)],
    ],
)
def test_samples_are_taken_in_whatever_holds_one_array_for_each_input(given):
    one, other = check_inputs(NAMED, [(3,), (2, 2)], given)
    np.testing.assert_array_equal(one, A)
    np.testing.assert_array_equal(other, B)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"a": A}, "calibration data: 'b' is missing; the model has 'a', 'b'"),
        ([A], "calibration data: the model has 2 .* got 1"),
        (A, "calibration data: the model has 2 .* got 1"),
        ({"a": A, "b": B[:2]}, "as many samples, got 4 of 'a', 2 of 'b'"),
        ({"a": A, "b": A}, r"calibration data of input 'b' must have shape \(n, 2, 2\), got \(4, 3\)"),
        (lambda: iter(()), "calibration data is empty"),
        (None, "no calibration data"),
        ("x.npz", "got the path 'x.npz': load it first"),
    ],
)
def test_samples_that_do_not_fit_are_refused_by_the_input_s_name(given, says):
    with pytest.raises(ValueError, match=says):
        check_inputs(NAMED, [(3,), (2, 2)], given)
