"""Damaged .tflite files end in a sentence, or in valid C that is equal to TFLite Micro."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from int8_graphs import random_graph
from support import data_folder

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


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_ten_thousand_damaged_models_are_refused_or_computed_right(block):
    tally_of(1000 + 500 * block, 500, 7200)
