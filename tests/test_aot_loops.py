"""Steps that a graph repeats as a loop in static C: every output byte that of TFLite Micro, one copy of code and constants."""

import re

import numpy as np
import pytest
from repeated_graphs import FLAWS, repeated_graph
from support import SANITIZERS
from test_aot import gcc, require_equal  # noqa: F401

from micro.aot import generate, static_size
from micro.tflite.graph import read

SLOW = [pytest.param(block, marks=pytest.mark.slow) for block in range(1, 11)]


def steps_of(model, folder):
    """Steps of each loop over steps in the C of a model."""
    source = generate(model, folder, "net")[0].with_suffix(".c").read_text()
    return [int(count) for count in re.findall(r"int32_t step = 0; step < (\d+);", source)]


@pytest.mark.parametrize("block", [0, *SLOW])
def test_repeated_steps_are_equal_to_the_byte(tmp_path, gcc, block):  # noqa: F811
    require_equal([repeated_graph(20 * block + n) for n in range(20 if block else 2)], tmp_path, gcc)


@pytest.mark.parametrize("block", [0, *SLOW])
def test_steps_that_only_nearly_repeat_are_equal_to_the_byte(tmp_path, gcc, block):  # noqa: F811
    flaws = [FLAWS[n % len(FLAWS)] for n in range(18)] if block else ["slice", "two steps back"]
    models = [repeated_graph(20 * block + n, flaw) for n, flaw in enumerate(flaws)]
    require_equal(models, tmp_path, gcc, flags=SANITIZERS if block else ("-O0",))


@pytest.mark.parametrize("past", [8, pytest.param(40, marks=pytest.mark.slow)])
def test_three_steps_or_more_become_one_loop_over_all_of_them(tmp_path, past):
    found = 0
    for seed in range(past):
        model = repeated_graph(seed)
        steps = sum(op.name == "STRIDED_SLICE" for op in read(model).ops)
        assert steps_of(model, tmp_path) == ([steps] if steps >= 3 else []), seed
        found += steps >= 3
    assert found > past // 3


@pytest.mark.parametrize("flaw", ["weights", "scale", "taken early", "reordered"])
@pytest.mark.parametrize("past", [1, pytest.param(8, marks=pytest.mark.slow)])
def test_a_step_unlike_the_others_is_in_no_loop_with_them(tmp_path, flaw, past):
    for seed in range(past):
        model = repeated_graph(seed, flaw)
        steps = sum(op.name == "STRIDED_SLICE" for op in read(model).ops)
        assert steps not in steps_of(model, tmp_path)


def test_constants_and_ram_do_not_grow_with_the_steps():
    sizes = {}
    for seed in range(4):
        graph = read(repeated_graph(seed))
        steps = sum(op.name == "STRIDED_SLICE" for op in graph.ops)
        if steps >= 3:
            size = static_size(repeated_graph(seed))
            per_step = sum(graph.tensors[op.outputs[0]].size for op in graph.ops[: len(graph.ops) // steps])
            sizes[seed] = size.arena <= 4 * per_step + 64 + graph.tensors[graph.outputs[0]].size
    assert sizes
    assert all(sizes.values())


def test_an_operator_of_a_loop_stands_for_those_of_all_steps():
    model = next(each for each in map(repeated_graph, range(40)) if len(read(each).ops) > 30)
    graph, called = read(model), static_size(model).called
    assert sum(times for _, times in called) == sum(op.name != "PACK" for op in graph.ops)
    assert len(called) < len(graph.ops) / 2
    assert np.all(np.diff([number for number, _ in called]) > 0)
