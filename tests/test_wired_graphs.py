"""Static C beside TFLite Micro on nets whose values branch and meet: every output byte, under sanitizers."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter

import numpy as np
import pytest
from support import IN_C, SANITIZERS, SPANS, WARNINGS, data_folder
from wired_graphs import Net, tfl, wired_graph

from micro.aot import generate
from micro.aot.operators import OPERATORS
from micro.tflite.graph import read
from micro.tflite.interpreter import all_outputs

SAMPLES = 4
# The types that values have in C.


def drawn_inputs(model, seed):
    """Values over each input's whole range; indices that may lie beyond the end by none, truth values of 0 and 1."""
    graph = read(model)
    rng = np.random.default_rng(seed)
    return [
        rng.integers(*SPANS[tensor.dtype], (SAMPLES, *tensor.shape)).astype(tensor.dtype)
        for tensor in (graph.tensors[i] for i in graph.inputs)
    ]


def outputs_in_c(models, inputs, folder, storage, compiler="gcc", flags=SANITIZERS):
    """Outputs of each model's static C for its inputs, one program for all: a list of (samples, size) arrays a model."""
    main, samples, sizes = ["#include <stdio.h>\n#include <stdlib.h>\n"], b"", []
    for number, (model, given) in enumerate(zip(models, inputs)):
        generate(model, folder, f"m{number}", storage=storage)
        graph = read(model)
        takes, gives = ([graph.tensors[i] for i in side] for side in (graph.inputs, graph.outputs))
        sizes.append(gives)
        xs, ys = [f"x{n}" for n in range(len(takes))], [f"y{n}" for n in range(len(gives))]
        held = " ".join(f"static {IN_C[t.dtype]} {name}[{t.size}];" for name, t in zip(xs + ys, takes + gives))
        reads = "".join(f" if (fread({x}, 1, sizeof {x}, stdin) != sizeof {x}) exit(1);" for x in xs)
        writes = "".join(f" fwrite({y}, 1, sizeof {y}, stdout);" for y in ys)
        main.append(
            f'#include "m{number}.h"\nstatic void run{number}(void) {{ {held}\n'
            f"  for (int n = 0; n < {SAMPLES}; ++n) {{{reads} m{number}_invoke({', '.join(xs + ys)});{writes} }}\n}}\n"
        )
        samples += b"".join(array[sample].tobytes() for sample in range(SAMPLES) for array in given)
    main.append("int main(void) {" + "".join(f" run{n}();" for n in range(len(models))) + " return 0; }\n")
    (folder / "main.c").write_text("".join(main))
    sources = [f"m{number}.c" for number in range(len(models))]
    built = subprocess.run(
        [compiler, *WARNINGS, *flags, *sources, "main.c", "-o", "nets"], cwd=folder, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr[:4000]
    done = subprocess.run([folder / "nets"], input=samples, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[:4000]
    given, start = np.frombuffer(done.stdout, np.uint8), 0
    found = []
    for gives in sizes:
        widths = [tensor.size * np.dtype(tensor.dtype).itemsize for tensor in gives]
        whole = given[start : start + SAMPLES * sum(widths)].reshape(SAMPLES, sum(widths))
        start += whole.size
        parts = np.split(whole, np.cumsum(widths)[:-1], axis=1)
        found.append([np.ascontiguousarray(part).view(tensor.dtype) for part, tensor in zip(parts, gives)])
    return found


def require_equal(seeds, folder, storage, flags=SANITIZERS):
    if shutil.which("gcc") is None:
        pytest.skip("no gcc: emitted C cannot be compiled")
    models = [wired_graph(seed) for seed in seeds]
    inputs = [drawn_inputs(model, seed) for seed, model in zip(seeds, models)]
    for seed, model, x, ours in zip(seeds, models, inputs, outputs_in_c(models, inputs, folder, storage, flags=flags)):
        theirs = all_outputs(model, x)
        for number, array in enumerate(ours):
            wanted = theirs[f"output{number}"].reshape(SAMPLES, -1)
            ops = [op.name for op in read(model).ops]
            assert np.array_equal(array, wanted), (
                f"net {seed}, output {number} of {ops}: {np.count_nonzero(array != wanted)} of {wanted.size} bytes differ"
            )


@pytest.mark.parametrize("block", range(2))
def test_branching_nets_are_equal_to_the_byte(tmp_path, block):
    require_equal(range(9 * block, 9 * block + 9), tmp_path, ("auto", "small")[block])


@pytest.mark.parametrize("block", range(3))
def test_a_hundred_and_thirty_five_more_are_without_sanitizers(tmp_path, block):
    require_equal(range(100 + 45 * block, 145 + 45 * block), tmp_path, ("small", "auto", "dense")[block], ("-O0",))


@pytest.mark.slow
@pytest.mark.parametrize("block", range(80))
def test_two_thousand_branching_nets_are_equal_to_the_byte(tmp_path, block):
    require_equal(range(1000 + 25 * block, 1025 + 25 * block), tmp_path, ("auto", "small", "dense", "small")[block % 4])


@pytest.mark.parametrize("name", ["ADD", "SUB"])
def test_scales_are_divided_as_tflite_micro_divides_them(tmp_path, name):
    """Every pair of int8 values, on grids where multipliers of float32 give another byte than those of double precision."""
    net = Net(0)
    scales = (0.0405237078666687, 0.28161823749542236, 0.2820979654788971)
    a, b = (
        net.wire(shape, 1.0, (scale, zero))
        for shape, scale, zero in (((1, 256, 1), scales[0], 3), ((1, 1, 256), scales[1], -7))
    )
    options = tfl.AddOptionsT() if name == "ADD" else tfl.SubOptionsT()
    y = net.step(name, [a, b], net.wire((1, 256, 256), 1.0, (scales[2], 5)), options)
    model, every = net.file([a, b], [y]), np.arange(-128, 128).astype(np.int8)
    x = [np.broadcast_to(every.reshape(shape), (SAMPLES, *shape)) for shape in ((1, 256, 1), (1, 1, 256))]
    ((ours,),) = outputs_in_c([model], [x], tmp_path, "auto")
    np.testing.assert_array_equal(ours, all_outputs(model, x)["output0"].reshape(SAMPLES, -1))


def test_dense_layers_with_one_scale_are_equal_to_the_byte(tmp_path, monkeypatch):
    """MLPerf Tiny's autoencoder: its multipliers are made in double precision; by float32 one byte of 64,000 was another."""
    model = (data_folder("mlperf_tiny") / "ad01_int8.tflite").read_bytes()
    monkeypatch.setattr("test_wired_graphs.SAMPLES", 100)
    x = [np.random.default_rng(1702).integers(-128, 128, (100, 1, 640)).astype(np.int8)]
    ((ours,),) = outputs_in_c([model], [x], tmp_path, "auto", flags=("-O1",))
    np.testing.assert_array_equal(ours, all_outputs(model, x)["output0"].reshape(100, -1))


def test_the_nets_hold_every_operator_and_every_kind_of_wiring():
    graphs = [read(wired_graph(seed)) for seed in range(600)]
    counts = Counter(op.name for graph in graphs for op in graph.ops)
    # Variables are in the models of tests/test_streaming.py.
    assert set(counts) == set(OPERATORS) - {"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE"}
    assert min(counts.values()) >= 5
    assert sum(len(graph.inputs) > 1 for graph in graphs) > 60
    assert sum(len(graph.outputs) > 1 for graph in graphs) > 60
    assert sum(len(set(graph.outputs)) < len(graph.outputs) for graph in graphs) > 5
    assert sum(bool(set(graph.outputs) & set(graph.inputs)) for graph in graphs) > 5
    shared = [[t.buffer for t in graph.tensors if t.data is not None] for graph in graphs]
    assert sum(len(set(buffers)) < len(buffers) for buffers in shared) > 5
    uses = [Counter(i for op in graph.ops for i in set(op.inputs)) for graph in graphs]
    assert sum(max(count.values()) > 1 for count in uses) > 150
