"""Each operator that the nets of wired_graphs.py draw by a step of its own, alone: a failure names it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess

import numpy as np
import pytest
from damage import senseless
from support import SANITIZERS, WARNINGS
from test_wired_graphs import SAMPLES, drawn_inputs, outputs_in_c
from tflite_micro import runtime
from wired_graphs import tfl
from wired_more import MORE
from wired_net import Net
from wired_products import PRODUCTS
from wired_rest import REST
from wired_wide import WIDE, wide

import micro
from micro.aot import generate
from micro.aot.generate import static_files
from micro.tflite.graph import read

EACH = 2
ALONE = MORE | PRODUCTS | WIDE | REST


def in_tflm(model, inputs):
    """Outputs of TFLite Micro in this process, (samples, size) each: quicker than one process a model."""
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=1 << 20)
    rows = []
    for sample in range(SAMPLES):
        for index, values in enumerate(inputs):
            interpreter.set_input(values[sample], index)
        interpreter.invoke()
        outputs = range(len(read(model).outputs))
        rows.append([np.array(interpreter.get_output(index)).reshape(-1) for index in outputs])
    return [np.stack(column) for column in zip(*rows)]


def nets_of(name, count):
    """So many nets in which the operator takes one input, with whatever else the step draws; from seeds that give one."""
    made, seed = [], 0
    while len(made) < count and seed < 400:
        net = Net(seed)
        axes = net.dice.choice((4, 4, 3, 2, 1))
        x = net.wire([net.dice.choice((1, 2, 4)), *(net.dice.randint(1, 6) for _ in range(axes - 1))], 2.0)
        net.wires.append(x)
        seed += 1
        if ALONE[name](net, x) is not None:
            made.append(net.file([x], net.wires[1:] + net.others))
    return made


def require_equal(results, name):
    for model, x, ours in results:
        assert name.split()[0] in {op.name for op in read(model).ops}
        for number, (array, wanted) in enumerate(zip(ours, in_tflm(model, x), strict=True)):
            assert np.array_equal(array, wanted), f"{name}, output {number}: {np.count_nonzero(array != wanted)} differ"


@pytest.mark.parametrize("name", [name for name in ALONE if name not in REST])
def test_an_operator_alone_is_equal_to_the_byte(tmp_path, name):
    if shutil.which("gcc") is None:
        pytest.skip("no gcc: emitted C cannot be compiled")
    models = nets_of(name, EACH)
    assert len(models) == EACH
    inputs = [drawn_inputs(model, seed) for seed, model in enumerate(models)]
    require_equal(zip(models, inputs, outputs_in_c(models, inputs, tmp_path, "auto")), name)


def test_operators_of_other_widths_and_truth_values_alone_are_equal_to_the_byte(tmp_path):
    """In one program, which compiles far sooner than one each."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc: emitted C cannot be compiled")
    models = [nets_of(name, 1)[0] for name in REST]
    inputs = [drawn_inputs(model, seed) for seed, model in enumerate(models)]
    results = zip(REST, models, inputs, outputs_in_c(models, inputs, tmp_path, "auto"), strict=True)
    for name, model, x, ours in results:
        require_equal([(model, x, ours)], name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALONE)
def test_forty_nets_of_an_operator_are_equal_to_the_byte(tmp_path, name):
    """By gcc with its sanitizers; by clang, whose runtime for them is often absent, with traps."""
    models = nets_of(name, 40)
    inputs = [drawn_inputs(model, seed) for seed, model in enumerate(models)]
    traps = ("-O2", "-fsanitize=undefined", "-fsanitize-trap=undefined")
    for compiler, flags in (("gcc", SANITIZERS), ("clang", traps)):
        if shutil.which(compiler) is not None:
            ours = outputs_in_c(models, inputs, tmp_path, "small", compiler, flags)
            require_equal(zip(models, inputs, ours), name)


def survivors(name, tries, wanted):
    """Damaged nets of an operator of which C can be made; all others are refused."""
    models, kept = nets_of(name, 3), []
    for seed in range(tries):
        damaged = senseless(models[seed % len(models)], np.random.default_rng(seed))
        with contextlib.suppress(micro.MicroError):
            static_files(damaged, "net")
            kept.append(damaged)
        if len(kept) == wanted:
            break
    return kept


def test_damaged_nets_of_each_operator_are_refused_or_stay_within_their_memory(tmp_path):
    kept = [model for name in ALONE for model in survivors(name, 20, 1)]
    assert len(kept) > len(ALONE) // 2
    inputs = [drawn_inputs(model, seed) for seed, model in enumerate(kept)]
    outputs_in_c(kept, inputs, tmp_path, "auto", flags=("-O1", "-fsanitize=address"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ALONE)
def test_a_hundred_damaged_nets_of_an_operator_are_refused_or_stay_within_their_memory(tmp_path, name):
    kept = survivors(name, 100, 40)
    inputs = [drawn_inputs(model, seed) for seed, model in enumerate(kept)]
    outputs_in_c(kept, inputs, tmp_path, "small", flags=SANITIZERS)


def test_what_an_operator_keeps_is_forgotten_by_a_reset(tmp_path):
    (model,) = nets_of("SVDF", 1)
    header, _ = generate(model, tmp_path, "net")
    graph = read(model)
    taken, given = (graph.tensors[side[0]].size for side in (graph.inputs, graph.outputs))
    (tmp_path / "main.c").write_text(
        f'#include "net.h"\n#include <stdio.h>\nstatic int8_t x[{taken}], y[3][{given}];\nint main(void) {{\n'
        "  if (fread(x, 1, sizeof x, stdin) != sizeof x) return 1;\n  net_invoke(x, y[0]);\n  net_invoke(x, y[1]);\n"
        "  net_reset();\n  net_invoke(x, y[2]);\n  fwrite(y, 1, sizeof y, stdout);\n  return 0;\n}\n"
    )
    subprocess.run(["gcc", *WARNINGS, *SANITIZERS, "net.c", "main.c", "-o", "net"], cwd=tmp_path, check=True)
    (x,) = drawn_inputs(model, 0)
    done = subprocess.run([tmp_path / "net"], input=x[0].tobytes(), capture_output=True, check=True)
    first, second, again = np.frombuffer(done.stdout, np.int8).reshape(3, given)
    (theirs,) = in_tflm(model, [np.stack([x[0]] * SAMPLES)])
    np.testing.assert_array_equal([first, second], theirs[:2])
    np.testing.assert_array_equal(again, first)
    assert (first != second).any()
    assert "} net_state;" in header.read_text()


@pytest.mark.parametrize("name", ["RELU", "ABS", "LEAKY_RELU"])
def test_multipliers_of_16_bit_slopes_are_made_in_double_precision(tmp_path, name):
    """Every value, on grids where multipliers of float32 give other results."""
    net, shape, options = Net(0), (1, (1 << 16) // SAMPLES), None
    if name == "LEAKY_RELU":
        options = tfl.LeakyReluOptionsT()
        options.alpha = 0.3
    x = wide(net, shape, 1.0, float(np.float32(0.005836874712258577)))
    y = net.step(name, [x], wide(net, shape, 1.0, float(np.float32(0.0046422905288636684))), options)
    model, every = net.file([x], [y]), np.arange(-(1 << 15), 1 << 15).astype(np.int16).reshape(SAMPLES, *shape)
    require_equal([(model, [every], outputs_in_c([model], [[every]], tmp_path, "auto")[0])], name)
