"""Instructions of each operator of a net as static C, counted on emulated cores."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from micro.aot.decode import unpacked
from micro.aot.generate import static_files, static_size
from micro.emission.c_text import c_array, render
from micro.firmware.qemu import TEMPLATES, run_in_qemu
from micro.runs.emulated import Emulated, OperatorCount
from micro.targets.cores import core_of, static_c
from micro.targets.work import cost_of
from micro.tflite.graph import Graph, TfliteLike, content_of, read
from micro.tflite.work import works_of

# Inferences over which counts are averaged: the clock ticks once in some 40 instructions.
INFERENCES = 8


def with_operators(results: Sequence[Emulated], tflite: TfliteLike, features: np.ndarray) -> tuple[Emulated, ...]:
    """Results with the instructions of each operator on their core, on these features of a window."""
    return tuple(replace(each, operators=operator_counts(tflite, features, each.core)) for each in results)


def operator_counts(tflite: TfliteLike, features: np.ndarray, core: str) -> tuple[OperatorCount, ...]:
    """Instructions of each operator of a model as static C on an emulated core, beside the estimate of them.

    Where operators are computed together row by row, each has its rows, and what moves them. Of steps in a loop, the operators
    of the last one stand for those of all.

    Args:
        tflite: A model with one input: bytes, a path, or what `convert` returns.
        features: int8 values of an input; repeated or cut where the model takes more or fewer.
        core: One of `micro.firmware.boards.CORES`.

    Raises:
        RunError: If the program cannot be built or run.
        ConversionError: Names an operator that static C does not have.
    """
    graph = unpacked(read(content_of(tflite)))
    counted = _counted(tflite, graph, features, core)
    costs = static_c(core_of(core).counted_as or core).costs
    made, works = [], works_of(graph)
    for number, times in static_size(tflite).called:
        op, instructions, cost = graph.ops[number], counted[number], cost_of(works[number], costs)
        name = graph.tensors[op.outputs[0]].name.split(";")[0] if op.outputs else ""
        made.append(OperatorCount(op.name, name, instructions, None if cost is None else round(times * cost)))
    return tuple(made)


def _counted(tflite: TfliteLike, graph: Graph, features: np.ndarray, core: str) -> list[int]:
    """Instructions of each operator, the mean of some inferences."""
    size = graph.tensors[graph.inputs[0]].size
    context = {
        "operators": len(graph.ops),
        "inferences": INFERENCES,
        "input": c_array("int8_t", "input", np.resize(features, size).astype(np.int8)),
        "outputs": graph.tensors[graph.outputs[0]].size,
    }
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for name, content in static_files(tflite, "net", marks="operator_done.h").items():
            (folder / name).write_bytes(content)
        for name in ("operator_done.h", "operators.c"):
            (folder / name).write_text(render(f"emulator/{name}.j2", context, TEMPLATES))
        written = np.frombuffer(run_in_qemu(folder, core, ["net.c", "operators.c"]), "<u4")
    count = len(graph.ops)
    instructions, marks, own = written[:count], written[count : 2 * count], written[2 * count]
    return [max(0, round((int(n) - int(m) * own / 1000) / INFERENCES)) for n, m in zip(instructions, marks)]
