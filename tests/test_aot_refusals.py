"""Static C refuses what it does not have, by name, and damaged files in one line."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from damage import senseless
from int8_graphs import random_graph
from test_aot import line, negated, outputs_of, random_inputs

import micro
from micro.aot import generate
from micro.aot.generate import static_files
from micro.tflite.graph import read


def test_what_static_c_lacks_is_named(tmp_path):
    def powered(b, x):
        return b.op("EXP", [x], b.like(x), "ExpOptions")

    with pytest.raises(
        micro.ConversionError, match=r"operator 1 \(EXP, 't\d+'\) is not among the \d+ operators of static C"
    ):
        generate(line(negated, powered), tmp_path, "net")

    def joined(b, x):
        other = b.tensor(b.shape(x), scale=0.07, data=np.zeros(b.shape(x), np.int8))
        return b.op("CONCATENATION", [x, other], b.like(x, (1, 4, 3, 4)), "ConcatenationOptions", axis=3)

    with pytest.raises(micro.ConversionError, match="joins tensors with different scales"):
        generate(line(joined), tmp_path, "net")
    with pytest.raises(ValueError, match="net-1"):
        generate(line(negated), tmp_path, "net-1")
    assert not list(tmp_path.iterdir())


def test_damaged_files_are_refused_in_one_line_in_bounded_time_and_memory():
    """Missing bytes, wrong offsets, noise, senseless fields: 2 GiB of address space and 2 minutes for 700 of them."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.damage", "0", "700", "2048"],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 700
    assert 0 < said.count("made") < 200  # a field spoilt without harm, such as an operator's name for another
    assert all(1 < len(line) < 400 for line in said)


def test_what_is_made_of_damaged_files_stays_within_its_memory(tmp_path):
    survivors = []
    for seed in range(200):
        damaged = senseless(random_graph(seed), np.random.default_rng(seed))
        with contextlib.suppress(micro.MicroError):
            static_files(damaged, "net")
            graph = read(damaged)
            if len(graph.inputs) == len(graph.outputs) == 1:
                survivors.append(damaged)
    assert len(survivors) > 20
    inputs = [random_inputs(model, 1, seed) for seed, model in enumerate(survivors)]
    outputs_of(survivors, inputs, tmp_path, "gcc", ("-O1", "-fsanitize=address"), "auto")
