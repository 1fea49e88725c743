"""Static C with exchangeable weights: firmware of one model runs the numbers of another one of its layers, to the byte."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest
from emitted_c import taking_hops
from int8_graphs import random_graph
from other_models import redrawn
from repeated_graphs import repeated_graph
from support import SANITIZERS, WARNINGS
from wired_graphs import wired_graph

from micro.aot import generate, static_size, weights_of
from micro.aot.block import difference
from micro.aot.generate import static_files
from micro.errors import ConversionError
from micro.tflite.graph import read
from micro.tflite.interpreter import all_outputs

SAMPLES = 3
STRICT = (*WARNINGS, "-Wsign-conversion", "-Wshadow", "-Wcast-align", "-Wno-long-long")
MAIN = r"""
#include <stdio.h>
#include "m1.h"
static m1_weights other;
static int8_t x[M1_INPUT_COUNT], y[M1_OUTPUT_COUNT];
int main(void) {
  int n;
  if (fread(&other, 1, sizeof other, stdin) != sizeof other) return 2;
  other.architecture[0] ^= 1u;
  if (m1_use_weights(&other) != -1 || m1_weights_in_use() != &m1_default_weights) return 3;
  other.architecture[0] ^= 1u;
  for (n = 0; n < 2 * SAMPLES; ++n) {
    if (n == SAMPLES && (m1_use_weights(&other) != 0 || m1_weights_in_use() != &other)) return 4;
    if (fread(x, 1, sizeof x, stdin) != sizeof x) return 5;
    m1_invoke(x, y);
    (void)fwrite(y, 1, sizeof y, stdout);
  }
  return 0;
}
"""


def pairs(seeds):
    """Models and others of their layers, of random graphs with one int8 input and output that can be exchanged."""
    for seed in seeds:
        model = random_graph(seed)
        graph = read(model)
        if len(graph.inputs) == len(graph.outputs) == 1:
            try:
                other = redrawn(model, seed)
                both = weights_of(model), weights_of(other)
            except ConversionError:  # scales beyond what TFLite's kernels take
                continue
            yield seed, model, other, both


def run_both(folder, model, other, inputs, flags=SANITIZERS):
    """Outputs of firmware of `model` with its own numbers, then with those of `other`."""
    generate(model, folder, "m1", weights="exchangeable")
    (folder / "main.c").write_text(MAIN.replace("SAMPLES", str(SAMPLES)))
    command = ["gcc", *STRICT, *flags, "m1.c", "main.c", "-o", "net"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[:4000]
    given = weights_of(other).to_bytes() + 2 * inputs.tobytes()
    done = subprocess.run([folder / "net"], input=given, capture_output=True)
    assert done.returncode == 0, (done.returncode, done.stderr.decode()[:4000])
    return np.split(np.frombuffer(done.stdout, np.int8).reshape(2 * SAMPLES, -1), 2)


def require_equal(folder, seed, model, other, flags=SANITIZERS):
    if shutil.which("gcc") is None:
        pytest.skip("no gcc: emitted C cannot be compiled")
    graph = read(model)
    shape = graph.tensors[graph.inputs[0]].shape
    inputs = np.random.default_rng(0).integers(-128, 128, (SAMPLES, *shape)).astype(np.int8)
    for which, made, content in zip(
        ("its own", "other"), run_both(folder, model, other, inputs, flags), (model, other)
    ):
        wanted = all_outputs(content, [inputs])["output0"].reshape(SAMPLES, -1)
        ops = [op.name for op in graph.ops]
        assert np.array_equal(made, wanted), f"net {seed} of {ops} with {which} numbers"


def require_pairs(folder, seeds, flags=SANITIZERS):
    names = set()
    for seed, model, other, (one, two) in pairs(seeds):
        assert difference(one, two) is None, seed
        (folder / str(seed)).mkdir()
        require_equal(folder / str(seed), seed, model, other, flags)
        names |= {op.name for op in read(model).ops}
    return names


def test_numbers_of_another_model_give_its_outputs(tmp_path):
    assert len(require_pairs(tmp_path, range(3), ("-O0",))) > 4


def test_a_model_that_keeps_what_it_saw_starts_anew_with_other_numbers(tmp_path):
    model = taking_hops(1)
    other = redrawn(model, 3)
    assert difference(weights_of(model), weights_of(other)) is None
    require_equal(tmp_path, "of hops", model, other)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_numbers_of_another_model_give_its_outputs_in_many_graphs(tmp_path, part):
    require_pairs(tmp_path, range(100 + 40 * part, 140 + 40 * part))


def test_the_block_is_the_struct_that_the_c_has():
    model = random_graph(0)
    block = weights_of(model)
    content = block.to_bytes()
    source = static_files(model, "m1", weights="exchangeable")["m1.h"].decode()
    assert f"#define M1_WEIGHTS_SIZE {len(content)}\n" in source
    assert content[:8] == block.architecture
    assert len(content) % 4 == 0
    named = block.named(content)
    assert all(np.array_equal(named[each.name], each.values) for each in block.members)
    assert static_size(model, weights="exchangeable").constants >= len(content)


def test_other_layers_are_told_apart():
    blocks = [weights_of(random_graph(seed)) for seed in (0, 1)]
    assert blocks[0].architecture != blocks[1].architecture
    assert difference(*blocks)


def test_operators_that_cannot_be_exchanged_are_named():
    refused = 0
    for seed in range(8):
        try:
            weights_of(wired_graph(seed))
        except ConversionError as error:
            said, refused = str(error), refused + 1
            names = {op.name for op in read(wired_graph(seed)).ops}
            if "one int8 input and one int8 output" not in said and not any(f"({name}, " in said for name in names):
                pytest.fail(said)
    assert refused > 2
    with pytest.raises(ValueError, match="stored 'dense'"):
        static_files(random_graph(0), "m1", "small", weights="exchangeable")
    with pytest.raises(ValueError, match="weights must be one of constant, exchangeable"):
        static_files(random_graph(0), "m1", weights="none")


def test_steps_that_repeat_are_refused_by_operator_and_layer_before_anything_is_written(tmp_path):
    model = repeated_graph(3)
    with pytest.raises(ConversionError, match="is in steps that repeat, as those of a GRU do") as refused:
        generate(model, tmp_path / "new", "m1", weights="exchangeable")
    said = re.match(r"operator \d+ \(STRIDED_SLICE, '(.*)'\) is in steps", str(refused.value))
    assert said
    assert said[1] in {tensor.name for tensor in read(model).tensors}
    assert not (tmp_path / "new").exists()


def test_numbers_that_make_no_sense_end_an_inference_within_its_memory(tmp_path):
    # Whoever can make a record of these layers can make one of any numbers; its CRC and digests are right.
    model = random_graph(18)
    assert {op.name for op in read(model).ops} == {"HARD_SWISH", "PAD", "SOFTMAX"}
    generate(model, tmp_path, "m1", weights="exchangeable")
    (tmp_path / "main.c").write_text(MAIN.replace("2 * SAMPLES", "2").replace("SAMPLES", "1"))
    if shutil.which("gcc") is None:
        pytest.skip("no gcc: emitted C cannot be compiled")
    command = ["gcc", "-O1", "-fsanitize=address", "m1.c", "main.c", "-o", "net"]
    subprocess.run(command, cwd=tmp_path, check=True)
    own, inputs = weights_of(model).to_bytes(), bytes(4 * read(model).tensors[read(model).inputs[0]].size)
    count = len(own) - 16
    drawn = [np.random.default_rng(seed).bytes(count) for seed in range(8)]
    for numbers in (bytes(count), b"\xff" * count, b"\x7f" * count, b"\x80" * count, *drawn):
        done = subprocess.run([tmp_path / "net"], input=own[:16] + numbers + inputs, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr[:4000]


def test_two_models_with_numbers_of_their_own_are_in_one_firmware(tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("no gcc: emitted C cannot be compiled")
    models = {"one": random_graph(0), "two": taking_hops(1)}
    calls, wanted = [], b""
    for name, model in models.items():
        generate(model, tmp_path, name, weights="exchangeable")
        graph, upper = read(model), name.upper()
        calls.append(
            f"  static int8_t {name}_x[{upper}_INPUT_COUNT], {name}_y[{upper}_OUTPUT_COUNT];\n"
            f"  {name}_invoke({name}_x, {name}_y);\n"
            f"  (void)fwrite({name}_y, 1, sizeof {name}_y, stdout);\n"
            f"  if ({name}_weights_check(0, 0) == {upper}_WEIGHTS_OK) return 2;\n"
        )
        zeros = np.zeros((1, *graph.tensors[graph.inputs[0]].shape), np.int8)
        wanted += all_outputs(model, [zeros])["output0"].tobytes()
    includes = "#include <stdio.h>\n" + "".join(f'#include "{name}_weights.h"\n' for name in models)
    source = includes + "int main(void) {\n" + "".join(calls) + "  return 0;\n}\n"
    (tmp_path / "main.c").write_text(source)
    files = [f"{name}{end}.c" for name in models for end in ("", "_weights")]
    command = ["gcc", *STRICT, "-O0", *files, "main.c", "-o", "both"]
    built = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[:4000]
    assert subprocess.run([tmp_path / "both"], capture_output=True, check=True).stdout == wanted


@pytest.mark.slow
def test_trainings_of_one_keras_model_are_exchanged(tmp_path):
    import keras
    from keras import layers

    import micro

    nets = {
        "convolutions over time": ((16, 3), lambda: [
            layers.Conv1D(6, 3, padding="same", use_bias=False), layers.BatchNormalization(), layers.ReLU(),
            layers.SeparableConv1D(5, 3, strides=2), layers.GlobalAveragePooling1D(), layers.Dense(4, "softmax"),
        ]),
        "convolutions of images": ((8, 6, 1), lambda: [
            layers.Conv2D(4, 3, strides=2, padding="same", activation="relu6"),
            layers.DepthwiseConv2D(3, padding="same", use_bias=False), layers.LeakyReLU(), layers.MaxPooling2D(2),
            layers.Flatten(), layers.Dense(1, "tanh", use_bias=False),
        ]),
    }  # fmt: skip
    for name, (shape, made) in nets.items():
        both = []
        for seed in (0, 1):
            keras.utils.set_random_seed(seed)
            samples = (1 + seed) * np.random.default_rng(seed).normal(size=(64, *shape)).astype("float32")
            both.append(micro.convert(keras.Sequential([keras.Input(shape), *made()]), samples).content)
        assert difference(*map(weights_of, both)) is None, name
        (tmp_path / name).mkdir()
        require_equal(tmp_path / name, name, *both)
