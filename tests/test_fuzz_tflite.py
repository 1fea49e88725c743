"""Damaged .tflite files end in a sentence, or in valid C that is equal to TFLite Micro."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from int8_graphs import random_graph
from support import data_folder, invoke
from wired_graphs import wired_graph

import micro
from micro.tflite.graph import packed, read, schema_module

ROOT = Path(__file__).parents[1]


def tally_of(first, count, seconds):
    """What became of so many files; any traceback, hang, wrong result or sanitizer's word is a failure that names its seed."""
    bases = data_folder("peer_models").parent
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz_tflite", str(first), str(count), str(bases)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.stdout, done.stderr[-3000:]
    tally = json.loads(done.stdout.splitlines()[-1])
    assert not tally["faults"], tally["faults"]
    return tally


def test_damaged_models_are_refused_or_computed_right():
    tally = tally_of(0, 55, 600)
    assert tally["read: refused"] > 10
    assert tally["aot: refused"] > 5
    assert tally["C: equal"] > 5


@pytest.mark.parametrize("seed", [1412])  # TFLite made another shape of it than TFLite Micro
def test_files_that_once_ended_in_a_traceback_no_longer_do(seed):
    tally_of(seed, 1, 600)


def test_a_constant_that_is_variable_is_refused():
    # TFLite Micro sets what is variable to 0 when it starts, weights too; static C would keep them.
    model = schema_module().ModelT.InitFromPackedBuf(random_graph(0), 0)
    graph = model.subgraphs[0]
    constant = next(tensor for tensor in graph.tensors if model.buffers[tensor.buffer].data is not None)
    constant.isVariable = True
    for step in (read, micro.measure, micro.verify):
        with pytest.raises(micro.ModelError, match="holds a constant and is variable at once"):
            step(packed(model))


def changed(content, change):
    """A file after `change(its model, its tensors)`."""
    model = schema_module().ModelT.InitFromPackedBuf(content, 0)
    change(model, model.subgraphs[0].tensors)
    return packed(model)


@pytest.mark.parametrize("name", ["CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_an_operator_of_windows_on_a_shape_of_other_axes_is_refused(name):
    # TFLite Micro reads four sizes of it all the same, and with what lies behind them may run for hours, or seem to be done.
    content = next(
        file
        for file in map(wired_graph, range(200))
        if name in read(file).op_counts and "CONV_2D" in read(file).op_counts
    )
    graph = read(content)
    op = next(op for op in graph.ops if op.name == name)
    maps = [i for i in (*op.inputs, *op.outputs) if i >= 0 and len(graph.tensors[i].shape) == 4]
    assert len(maps) >= 2
    for index in maps:
        n, *others = graph.tensors[index].shape
        for shape in ([n * math.prod(others)], [n * others[0], *others[1:]], [n, *others, 1]):

            def reshaped(model, tensors, index=index, shape=shape):
                tensors[index].shape = shape

            with pytest.raises(micro.ModelError, match=rf"has {len(shape)} axes in '.*', where 4 are right"):
                read(changed(content, reshaped))


NOISE = "w5\x00\n\u2028" + "\U0001f980" * 3000


def open_shape(model, tensors):
    tensors[0].shape = [-1, *tensors[0].shape[1:]]


def negative(model, tensors):
    tensors[0].shape = [-2, *tensors[0].shape[1:]]


def huge(model, tensors):
    tensors[0].shape = [1 << 28, *tensors[0].shape[1:]]


def both(model, tensors):
    next(tensor for tensor in tensors if model.buffers[tensor.buffer].data is not None).isVariable = True


def real(model, tensors):
    for index in (*model.subgraphs[0].inputs, *model.subgraphs[0].outputs):
        tensors[index].type = schema_module().TensorType.FLOAT32


def no_scale(model, tensors):
    for index in (*model.subgraphs[0].inputs, *model.subgraphs[0].outputs):
        tensors[index].quantization = None


def custom(model, tensors):
    for code in model.operatorCodes:
        code.builtinCode = code.deprecatedBuiltinCode = schema_module().BuiltinOperator.CUSTOM
        code.customCode = NOISE


@pytest.mark.parametrize("damage", [open_shape, negative, huge, both, real, no_scale, custom])
def test_names_of_any_length_and_letters_leave_an_error_one_short_line(damage, tmp_path):
    def spoilt(model, tensors):
        for tensor in tensors:
            tensor.name = NOISE
        damage(model, tensors)

    path = tmp_path / "m.tflite"
    path.write_bytes(changed(random_graph(0), spoilt))
    refused = 0
    for arguments in (
        ["inspect"],
        ["check", "--flash", "1B"],
        ["verify"],
        ["aot", "--name", "net", "--out", tmp_path / "c"],
    ):
        result = invoke(arguments[0], path, *arguments[1:])
        assert result.exit_code in (0, 1, 2), result.exception
        lines = result.output.splitlines()
        if result.exit_code == 2:
            refused += 1
            assert len(lines) == 1, result.output
            assert len(lines[0]) < 900
    assert refused


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_ten_thousand_damaged_models_are_refused_or_computed_right(block):
    tally_of(1000 + 500 * block, 500, 7200)
