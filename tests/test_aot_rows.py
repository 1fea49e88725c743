"""Runs of operators that static C computes row by row: every byte as if each were computed by itself, in less RAM."""

from __future__ import annotations

import random

import numpy as np
import pytest
import wired_graphs
from avr import run_on_avr
from support import SANITIZERS
from test_wired_graphs import SAMPLES, drawn_inputs, outputs_in_c

from micro.aot import generate
from micro.aot.lower import lowered_graph
from micro.aot.memory import memory_of
from micro.aot.rows import height_of, kept_rows, row_bytes, run_distance, schedule
from micro.aot.validate import require_valid
from micro.tflite.graph import read
from micro.tflite.interpreter import all_outputs


def tall_net(seed):
    """A net of one batch whose large maps are made and reduced again, some of them added to the map before them."""
    net = wired_graphs.Net(seed)
    dice = random.Random(f"tall {seed}")
    x = value = net.wire((1, dice.randint(9, 17), dice.randint(3, 9), dice.randint(1, 5)), 2.0)
    steps = (wired_graphs.conv, wired_graphs.conv, wired_graphs.depthwise, wired_graphs.depthwise, wired_graphs.pool)
    for _ in range(dice.randint(3, 8)):
        made, before = dice.choice(steps)(net, value), value
        if made is not None and made.shape == before.shape and dice.random() < 0.5:
            net.wires = [before, made]
            made = wired_graphs.merge(net, made) or made
        value = made if made is not None and made.count <= 9000 else value
    return net.file([x], [value]) if net.steps else tall_net(seed + 1_000_000)


def planned(model):
    graph = read(model)
    require_valid(graph)
    graph, lowered = lowered_graph(graph, "auto")
    return graph, lowered, memory_of(graph, lowered)


def require_whole(graph, lowered, run):
    """Every row is computed once, from rows in their windows, and none is written over one that is still to be read."""
    inside = range(run.first, run.past)
    done = dict.fromkeys(inside, 0)
    oldest = dict.fromkeys(inside, 0)
    ops = graph.ops[run.first : run.past]
    y = graph.tensors[ops[-1].outputs[0]]
    outside = {i for op in ops for i in op.inputs if graph.tensors[i].data is None} - {
        i for op in ops for i in op.outputs
    }
    distances = {i: run_distance(graph, lowered, run, i) for i in outside}
    written = 0  # bytes of the output, from its first row on
    for number, row in schedule(graph, lowered, run):
        assert row == done[number]
        for i in (i for i in graph.ops[number].inputs if graph.tensors[i].data is None):
            first, past = lowered[number].slide.rows(row, graph.tensors[i].shape[1])
            if i in outside:
                assert written <= distances[i] + first * row_bytes(graph.tensors[i]) or past <= first
            else:
                assert oldest[number - 1] <= first
                assert past <= done[number - 1]
        done[number] += 1
        if number < run.past - 1:
            oldest[number] = max(oldest[number], done[number] - kept_rows(graph, lowered, run, number))
        else:
            written = done[number] * row_bytes(y)
    assert done[run.past - 1] == height_of(graph, run.past - 1)


def test_runs_take_rows_while_they_are_there():
    runs, saved = 0, 0
    for seed in range(60):
        graph, lowered, memory = planned(tall_net(seed))
        for run in memory.runs:
            require_whole(graph, lowered, run)
        runs += len(memory.runs)
        saved += bool(memory.runs)
    assert saved > 15
    assert runs > 20


def require_equal(seeds, folder, storage, flags=SANITIZERS):
    models = [tall_net(seed) for seed in seeds]
    assert sum(bool(planned(model)[2].runs) for model in models) >= len(models) // 4
    inputs = [drawn_inputs(model, seed) for seed, model in zip(seeds, models)]
    for seed, model, x, (ours,) in zip(
        seeds, models, inputs, outputs_in_c(models, inputs, folder, storage, flags=flags)
    ):
        wanted = all_outputs(model, x)["output0"].reshape(SAMPLES, -1)
        assert np.array_equal(ours, wanted), f"net {seed}: {[op.name for op in read(model).ops]}"


def with_runs(count, start=0):
    """The first seeds from `start` on whose nets have runs."""
    found = []
    while len(found) < count:
        if planned(tall_net(start))[2].runs:
            found.append(start)
        start += 1
    return found


@pytest.mark.parametrize("storage", ["auto", "small"])
def test_runs_are_equal_to_the_byte(tmp_path, storage):
    require_equal(with_runs(5, 0 if storage == "auto" else 30), tmp_path, storage, flags=("-O1", "-Wshadow"))


def test_a_chip_whose_int_has_16_bits_computes_runs_alike(tmp_path):
    main, body, wanted = ['#include "serial.h"\n'], [], b""
    seeds = (91, 113, 131)  # of nets that such a chip holds
    for seed in seeds:
        model = tall_net(seed)
        graph, _, memory = planned(model)
        assert memory.runs
        (x,) = (each[:1] for each in drawn_inputs(model, seed))
        generate(model, tmp_path, f"m{seed}")
        size = graph.tensors[graph.outputs[0]].size
        main.append(
            f'#include "m{seed}.h"\nstatic const int8_t x{seed}[] = {{{", ".join(map(str, x.reshape(-1)))}}};\n'
        )
        body.append(f"static int8_t y{seed}[{size}]; m{seed}_invoke(x{seed}, y{seed});")
        body.append(f"for (int16_t i = 0; i < {size}; ++i) put_byte((uint8_t)y{seed}[i]);")
        wanted += all_outputs(model, [x])["output0"].tobytes()
    main.append("int main(void) {" + "".join(body) + " stop(); return 0; }\n")
    (tmp_path / "main.c").write_text("".join(main))
    assert run_on_avr(tmp_path, [*(f"m{seed}.c" for seed in seeds), "main.c"]) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("block", range(12))
def test_runs_of_three_hundred_nets_are_equal_to_the_byte(tmp_path, block):
    require_equal(range(100 + 25 * block, 125 + 25 * block), tmp_path, ("auto", "small", "dense")[block % 3])
