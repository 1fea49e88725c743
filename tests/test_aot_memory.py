"""Where tensors lie in static C: as close as each operator's order of access allows, and no closer."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
import wired_graphs
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SANITIZERS
from test_wired_graphs import SAMPLES, drawn_inputs, outputs_in_c

from micro.aot.arena import ALIGNMENT, Life, plan
from micro.aot.lower import lowered_graph
from micro.aot.memory import memory_of
from micro.aot.overlap import row_distance
from micro.aot.validate import require_valid
from micro.tflite.graph import read
from micro.tflite.interpreter import all_outputs


@st.composite
def windows(draw):
    """Shapes of input and output, the window, and strides, dilations and padding; some windows read nothing."""
    small = st.integers(1, 4)
    x = (draw(st.integers(1, 3)), draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(small))
    y = (x[0], draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(small))
    return (
        x,
        y,
        (draw(small), draw(small)),
        tuple(draw(small) for _ in range(4)) + tuple(draw(small) - 1 for _ in range(2)),
    )


def touched(x, y, window, geometry):
    """The bytes of the input that each row of the output reads, and those of the output that it writes, row by row."""
    s_height, s_width, d_height, d_width, pad_height, pad_width = geometry
    rows = []
    for batch, row in itertools.product(range(y[0]), range(y[1])):
        reads = {
            ((batch * x[1] + i) * x[2] + j) * x[3] + channel
            for column in range(y[2])
            for i in range(row * s_height - pad_height, row * s_height - pad_height + window[0] * d_height, d_height)
            for j in range(column * s_width - pad_width, column * s_width - pad_width + window[1] * d_width, d_width)
            if 0 <= i < x[1] and 0 <= j < x[2]
            for channel in range(x[3])
        }
        length = y[2] * y[3]
        rows.append((reads, range((batch * y[1] + row) * length, (batch * y[1] + row + 1) * length)))
    return rows


@settings(max_examples=150)
@given(windows())
def test_rows_written_lie_before_all_that_is_still_to_be_read_and_no_further_than_needed(drawn):
    rows = touched(*drawn)

    def fits(distance):
        """Whether each row writes before the first byte that it or a later one reads, with the input `distance` further on."""
        return all(
            written[-1] < distance + min(reads)
            for number, (_, written) in enumerate(rows)
            for reads, _ in rows[number:]
            if reads
        )

    least = row_distance(*drawn)
    assert fits(least)
    assert fits(least + 1)
    assert least == 0 or not fits(least - 1)


@st.composite
def buffers(draw, most=9):
    """Lives of buffers, and pairs of them that may lie over each other where one ends as the other begins."""
    sizes = st.integers(1, 30)
    firsts = draw(st.lists(st.integers(-1, 6), min_size=1, max_size=most))
    lives = [Life(draw(sizes), first, first + draw(st.integers(0, 4))) for first in firsts]
    met = [(x, y) for x, y in itertools.permutations(range(len(lives)), 2)
           if lives[x].last == lives[y].first and lives[x].first < lives[y].first]  # fmt: skip
    overlaps = {pair: draw(st.integers(0, 30)) for pair in met if draw(st.booleans())}
    return lives, overlaps


def require_apart(lives, overlaps, offsets):
    for i, j in itertools.combinations(range(len(lives)), 2):
        if lives[i].first <= lives[j].last and lives[j].first <= lives[i].last:
            apart = offsets[i] + lives[i].size <= offsets[j] or offsets[j] + lives[j].size <= offsets[i]
            over = any(
                pair in overlaps and offsets[pair[0]] - offsets[pair[1]] >= overlaps[pair] for pair in ((i, j), (j, i))
            )
            assert apart or over, (i, j)


@given(buffers(30), st.randoms(use_true_random=False))
def test_buffers_that_are_needed_together_do_not_meet(drawn, dice):
    lives, overlaps = drawn
    outer = [i for i in range(len(lives)) if dice.random() < 0.3]
    made = plan(lives, overlaps, outer)
    require_apart(lives, overlaps, made.offsets)
    assert all(offset >= 0 and offset % ALIGNMENT == 0 for offset in made.offsets)
    ends = [offset + life.size for offset, life in zip(made.offsets, lives)]
    assert max(made.inner, max(ends)) <= made.size < max(ends) + ALIGNMENT
    assert made.inner >= max((end for i, end in enumerate(ends) if i not in outer), default=0)
    assert made.bound <= made.size
    assert made == plan(lives, overlaps, outer)
    # Without room for what may lie elsewhere, the rest takes no more.
    inside = [i for i in range(len(lives)) if i not in outer]
    alone = {(inside.index(x), inside.index(y)): d for (x, y), d in overlaps.items() if x in inside and y in inside}
    assert made.inner == plan([lives[i] for i in inside], alone).size


def smallest(lives, overlaps):
    """The least size of any placement: the shortest of all ways to say of each pair that meets which one lies above."""
    sizes = [-(-life.size // ALIGNMENT) * ALIGNMENT for life in lives]
    pairs = []
    for i, j in itertools.combinations(range(len(lives)), 2):
        if lives[i].first <= lives[j].last and lives[j].first <= lives[i].last:
            either = [(i, j, sizes[i]), (j, i, sizes[j])]
            for x, y in ((i, j), (j, i)):
                if (x, y) in overlaps:
                    distance = min(-(-overlaps[x, y] // ALIGNMENT) * ALIGNMENT, sizes[y])
                    either = [(y, x, distance), (x, y, sizes[x])]
            pairs.append(either)
    best = sum(sizes)
    for ways in itertools.product(*pairs):
        offsets = [0] * len(lives)
        for _ in lives:
            for below, above, least in ways:
                offsets[above] = max(offsets[above], offsets[below] + least)
        if all(offsets[above] >= offsets[below] + least for below, above, least in ways):
            best = min(best, max(offset + size for offset, size in zip(offsets, sizes)))
    return best


@settings(max_examples=60, deadline=None)
@given(buffers(5))
def test_few_buffers_are_placed_in_the_fewest_bytes_that_there_are(drawn):
    assert plan(*drawn).size == smallest(*drawn)


def overlapping_net(seed):
    """A net of large maps in which nearly every output can lie over its input: odd sizes, strides, branches that meet again."""
    net = wired_graphs.Net(seed)
    dice = random.Random(f"overlapping {seed}")
    x = value = net.wire((dice.choice((1, 1, 2, 3)), *(dice.randint(7, 13) for _ in range(2)), dice.randint(1, 7)), 2.0)
    net.wires = [x]
    steps = (wired_graphs.conv, wired_graphs.depthwise, wired_graphs.depthwise, wired_graphs.pool)
    for _ in range(dice.randint(4, 9)):
        draw = dice.random()
        if draw < 0.15:
            net.wires = [
                value,
                *(w for w in net.wires[-3:] if w.shape == value.shape),
            ]  # a branch is added to one before
            made = wired_graphs.merge(net, value)
        elif draw < 0.25:
            made = dice.choice((wired_graphs.softmax, wired_graphs.softmax, wired_graphs.curve))(net, value)
        else:
            made = dice.choice(steps)(net, value)
        if made is not None and made.count <= 6000:
            value = made
    return net.file([x], [value]) if net.steps else overlapping_net(seed + 1_000_000)


def overlaps_of(model):
    """How many operators write over a part of their own input, in the arena."""
    graph = read(model)
    require_valid(graph)
    places = memory_of(*lowered_graph(graph, "auto")).places

    def span(i):
        place, _, offset = places[i].partition(" + ")
        return place, int(offset or 0), int(offset or 0) + graph.tensors[i].size

    count = 0
    for op in graph.ops:
        other, begin, end = span(op.outputs[0])
        spans = [span(i) for i in op.inputs if i in places]
        count += any(where == other == "arena" and start < end and begin < past for where, start, past in spans)
    return count


def require_equal(seeds, folder, storage, flags=SANITIZERS):
    models = [overlapping_net(seed) for seed in seeds]
    assert sum(overlaps_of(model) for model in models) > len(models)
    inputs = [drawn_inputs(model, seed) for seed, model in zip(seeds, models)]
    for seed, model, x, (ours,) in zip(
        seeds, models, inputs, outputs_in_c(models, inputs, folder, storage, flags=flags)
    ):
        wanted = all_outputs(model, x)["output0"].reshape(SAMPLES, -1)
        assert np.array_equal(ours, wanted), f"net {seed}: {[op.name for op in read(model).ops]}"


@pytest.mark.parametrize("block", range(2))
def test_outputs_over_their_own_inputs_are_equal_to_the_byte(tmp_path, block):
    require_equal(range(6 * block, 6 * block + 6), tmp_path, ("auto", "small")[block], flags=("-O1",))


@pytest.mark.slow
@pytest.mark.parametrize("block", range(12))
def test_three_hundred_nets_of_overlapping_maps_are_equal_to_the_byte(tmp_path, block):
    require_equal(range(100 + 25 * block, 125 + 25 * block), tmp_path, ("auto", "small", "dense")[block % 3])
