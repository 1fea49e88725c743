"""Runs of operators that are computed together, row by row, so that tensors between them are never whole in RAM.

Of a tensor within a run only the last rows are there, in a window that slides over it. No row is computed twice.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from micro.aot.calls import Constant, Lowered
from micro.aot.kernel_files import read_kernel
from micro.tflite.graph import Graph, Op, Tensor

# What a kernel must take to compute a single row, by names of its arguments.
WINDOW, ELEMENTWISE = {"x", "y", "x_height", "y_height", "pad_height"}, {"a", "b", "y", "n"}
# The same of a convolution with a window of 1, whose positions are the rows of a dense layer.
POSITIONS = {"x", "y", "rows"}


@dataclass(frozen=True)
class Run:
    """Operators from `first` to `past`, exclusive, each of which takes the output of the one before it.

    Windows of tensors within it have room for the rows that `spare` more rows of the next tensor take.
    """

    first: int
    past: int
    spare: int = 1


@cache
def parameters(kernel: str) -> tuple[str, ...]:
    """Names of a kernel's arguments, in order."""
    _, source = read_kernel(kernel)
    found = re.search(rf"^static void {kernel}\(([^)]*)\)", source, re.MULTILINE)
    return tuple(re.findall(r"(\w+)(?:,|$)", found[1])) if found else ()


def by_rows(op: Op, lowered: Lowered, graph: Graph) -> bool:
    """Whether an operator can be computed row by row."""
    if lowered.slide is None or len(lowered.calls) != 1 or len(op.outputs) != 1:
        return False
    taken = [graph.tensors[i] for i in op.inputs if i >= 0 and graph.tensors[i].data is None]
    y = graph.tensors[op.outputs[0]]
    if not taken:
        return False
    if any(len(tensor.shape) != 4 or tensor.shape[0] != 1 or tensor.dtype != "int8" for tensor in (*taken, y)):
        return False
    call = lowered.calls[0]
    named = dict(zip(parameters(call.kernel), call.arguments))
    if set(named) >= WINDOW:
        height = taken[0].shape[1]
        return all(lowered.slide.rows(row, height)[0] < height for row in (0, y.shape[1] - 1))
    if set(named) >= POSITIONS:
        return lowered.slide.reach == 1 and lowered.slide.pad == 0
    shape = named.get("n")
    whole = isinstance(shape, Constant) and shape.values.size == 4
    return set(named) >= ELEMENTWISE and whole and len(taken) == len(op.inputs)


def links_of(graph: Graph, lowered: Sequence[Lowered]) -> list[bool]:
    """For each operator, whether it can be in a run with the one before it: whose output it takes, and nothing else does."""
    uses = Counter([i for op in graph.ops for i in {*op.inputs}] + list(graph.outputs))
    fits = [by_rows(op, each, graph) for op, each in zip(graph.ops, lowered)]

    def linked(at: int) -> bool:
        if at == 0 or not fits[at] or not fits[at - 1]:
            return False
        made = graph.ops[at - 1].outputs[0]
        return uses[made] == 1 and made in graph.ops[at].inputs

    return [linked(at) for at in range(len(graph.ops))]


def runs_through(links: Sequence[bool], number: int, longest: int) -> list[Run]:
    """Every run of up to `longest` operators that has operator `number` in it; see `links_of`."""
    return [
        Run(first, past)
        for first in range(max(0, number - longest + 1), number + 1)
        for past in range(max(first + 2, number + 1), min(len(links), first + longest) + 1)
        if all(links[first + 1 : past])
    ]


def schedule(graph: Graph, lowered: Sequence[Lowered], run: Run) -> Iterator[tuple[int, int]]:
    """The operators and rows of a run in the order in which they are computed."""
    done = dict.fromkeys(range(run.first, run.past), 0)

    def up_to(number: int, past: int) -> Iterator[tuple[int, int]]:
        while done[number] < past:
            if number > run.first:
                yield from up_to(number - 1, _needed(graph, lowered, number, done[number]))
            yield number, done[number]
            done[number] += 1

    return up_to(run.past - 1, height_of(graph, run.past - 1))


def height_of(graph: Graph, number: int) -> int:
    """Rows of an operator's output."""
    return graph.tensors[graph.ops[number].outputs[0]].shape[1]


def row_bytes(tensor: Tensor) -> int:
    """Bytes of one row of all channels."""
    return tensor.shape[2] * tensor.shape[3]


def kept_rows(graph: Graph, lowered: Sequence[Lowered], run: Run, number: int) -> int:
    """How many rows there is room for of the output of operator `number` within a run: what the next one takes for a row.

    Where rows are taken more than once there is room for more, so that those that are still to be taken move less often.
    """
    slide = lowered[number + 1].slide
    assert slide is not None
    spare = slide.stride * run.spare if slide.reach > slide.stride else 0
    return min(height_of(graph, number), slide.reach + spare)


def run_distance(graph: Graph, lowered: Sequence[Lowered], run: Run, taken: int) -> int:
    """The fewest bytes by which a run's output must begin before its input `taken`, as `row_distance` for one operator."""
    y, x = graph.tensors[graph.ops[run.past - 1].outputs[0]], graph.tensors[taken]
    events = list(schedule(graph, lowered, run))
    least, later = 0, x.size
    for number, row in reversed(events):
        op, slide = graph.ops[number], lowered[number].slide
        assert slide is not None
        own = slide.rows(row, x.shape[1])[0] * row_bytes(x) if taken in op.inputs else x.size
        if number == run.past - 1:
            in_place = set(parameters(lowered[number].calls[0].kernel)) >= ELEMENTWISE
            before = min(later, own + row_bytes(y)) if in_place else min(later, own)
            least = max(least, (row + 1) * row_bytes(y) - before)
        later = min(later, own)
    return int(np.clip(least, 0, y.size))


def _needed(graph: Graph, lowered: Sequence[Lowered], number: int, row: int) -> int:
    slide = lowered[number].slide
    assert slide is not None
    return slide.rows(row, height_of(graph, number - 1))[1]
