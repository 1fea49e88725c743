"""What a new operator of static C must have: its kernels' needs, its place in the docs, and refusals that name it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import wired_graphs
from int8_graphs import Builder
from test_aot import outputs_of, require_equal
from test_wired_graphs import drawn_inputs, outputs_in_c

import micro
from micro.aot import kernel_files
from micro.aot.generate import static_files
from micro.aot.kernel_files import read_kernel
from micro.aot.operators import OPERATORS, elementwise
from micro.emission.resolver import resolver_method
from micro.tflite.interpreter import all_outputs

ROOT = Path(__file__).parents[1]
KERNELS = {path.stem: read_kernel(path.stem) for path in sorted((ROOT / "micro/aot/kernels").glob("*.c"))}
# Kernels of 16 bits that are made of others, as far as a file needs them.
KERNELS |= {need: read_kernel(need) for needs, _ in [*KERNELS.values()] for need in needs if need not in KERNELS}
DEFINED = {
    name: kernel
    for kernel, (_, source) in KERNELS.items()
    for name in re.findall(r"^static (?:inline )?(?:__attribute__\(\(\w+\)\) )?\w+ (\w+)\(", source, re.MULTILINE)
}


def code(source):
    return re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_s_first_line_names_the_kernels_that_it_calls(kernel):
    needs, source = KERNELS[kernel]
    called = {DEFINED[name] for name in re.findall(r"\b(\w+)\(", code(source)) if name in DEFINED} - {kernel}
    assert set(needs) == called
    assert len(needs) == len(set(needs))


def test_every_kernel_is_called_by_an_operator_or_a_kernel():
    text = "".join(path.read_text() for path in (ROOT / "micro/aot").rglob("*.py"))
    named = {kernel for kernel in KERNELS if f'"{kernel}"' in text} | {"conv_2d_sparse", "conv_2d_clustered"}
    assert named | {need for needs, _ in KERNELS.values() for need in needs} == set(KERNELS)


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_is_in_the_docs(name):
    assert re.search(rf"\b{name}\b", (ROOT / "docs/firmware.md").read_text())


@pytest.mark.parametrize("name", OPERATORS)
def test_tflite_micro_has_an_operator_that_static_c_has(name):
    assert resolver_method(name).startswith("Add")


@pytest.mark.parametrize("name", OPERATORS)
def test_too_many_inputs_and_missing_options_are_refused_by_name(name):
    b = Builder(np.random.default_rng(0))
    x, y = (b.tensor((1, 2, 2, 1), scale=0.05, zero=0) for _ in range(2))
    fewest, most = OPERATORS[name].inputs
    b.op(name, [x] * (most + 1), y)
    with pytest.raises(micro.ConversionError, match=rf"\({name}, 't1'\) has {most + 1} inputs"):
        static_files(b.build([x], [y]), "net")
    if OPERATORS[name].options:
        b.operators.clear()
        b.op(name, [x] * fewest, y)
        with pytest.raises(
            micro.ConversionError, match=rf"\({name}, 't1'\) lacks the option {OPERATORS[name].options[0]}"
        ):
            static_files(b.build([x], [y]), "net")


def test_the_worked_operator_of_contributing_gives_tflite_micro_s_bytes(tmp_path, monkeypatch):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    section = (ROOT / "CONTRIBUTING.md").read_text().split("## Add an operator to static C\n")[1].split("\n## ")[0]
    (kernel,) = re.findall(r"```c\n(.*?)```", section, flags=re.DOTALL)
    lowering, drawing = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    ours, theirs = dict(vars(elementwise)), dict(vars(wired_graphs))
    exec(lowering, ours)
    exec(drawing, theirs)
    monkeypatch.setitem(OPERATORS, "MAXIMUM", ours["maximum"])
    monkeypatch.setattr(
        kernel_files, "read_kernel", lambda name: ((), kernel) if name == "maximum" else read_kernel(name)
    )
    models = []
    for seed in range(4):
        net = wired_graphs.Net(seed)
        x = net.wire((2, 3, 4, 2), 1.0)
        models.append(net.file([x], [theirs["larger"](net, x)]))
    inputs = [drawn_inputs(model, seed) for seed, model in enumerate(models)]
    for model, x, (found,) in zip(models, inputs, outputs_in_c(models, inputs, tmp_path, "auto")):
        np.testing.assert_array_equal(found, all_outputs(model, x)["output0"].reshape(found.shape))


@pytest.mark.parametrize("name", ["MEAN", "SOFTMAX", "MAX_POOL_2D"])
def test_a_constant_may_be_the_input(name, tmp_path):
    b = Builder(np.random.default_rng(0))
    x = b.tensor((1, 4, 4, 2), scale=0.1, zero=0, data=np.arange(32).astype(np.int8))
    if name == "MEAN":
        y = b.op(name, [x, b.numbers([1, 2])], b.value((1, 1, 1, 2), 1.0), "ReducerOptions", keepDims=True)
    elif name == "SOFTMAX":
        y = b.op(name, [x], b.tensor((1, 4, 4, 2), scale=1 / 256, zero=-128), "SoftmaxOptions", beta=1.0)
    else:
        options = {"padding": 1, "strideH": 2, "strideW": 2, "filterHeight": 2, "filterWidth": 2}
        y = b.op(name, [x], b.like(x, (1, 2, 2, 2)), "Pool2DOptions", **options)
    given = b.value((1, 2), 1.0)
    model = b.build([given], [y])
    require_equal([model], tmp_path, "gcc", count=1)


def test_inputs_of_floats_are_refused_by_name():
    b = Builder(np.random.default_rng(0))
    given, unused = b.value((1, 2), 1.0), b.tensor((1, 3), "float32")
    with pytest.raises(micro.ConversionError, match="'t1' is float32; inputs and outputs of static C are int8"):
        static_files(b.build([given, unused], [b.op("RELU", [given], b.like(given))]), "net")


def test_a_softmax_of_many_equal_values_gives_nothing_to_each(tmp_path):
    """600 equal values leave 0.4 of a step each; TFLite Micro shifts by 32 bits there and gives no answer."""
    b = Builder(np.random.default_rng(0))
    x, y = b.tensor((1, 600), scale=0.1, zero=0), b.tensor((1, 600), scale=1 / 256, zero=-128)
    model = b.build([x], [b.op("SOFTMAX", [x], y, "SoftmaxOptions", beta=1.0)])
    (ours,) = outputs_of([model], [np.full((1, 1, 600), 5, np.int8)], tmp_path, "gcc")
    assert (ours == -128).all()
