"""Charts of what a student takes on a chip: sizes, flash and RAM by operator, the graph of operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from micro.runs.report_parts import OperatorReport
from micro.runs.run_report import RunReport
from micro.support.html import chart, figure, logarithmic, panes
from micro.tflite.graph import Graph

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def graph_rows(graph: Graph) -> tuple[OperatorReport, ...]:
    """The operators of a .tflite: each with its output and the numbers of those that it takes values from."""
    made = {op.outputs[0]: op.index for op in graph.ops}
    rows = []
    for op in graph.ops:
        output = graph.tensors[op.outputs[0]]
        sources = tuple(sorted({made[i] for i in op.inputs if i in made}))
        name = output.name.split(";")[0]
        row = {"op": op.name, "output": name, "shape": output.shape, "dtype": output.dtype, "from": sources}
        rows.append(OperatorReport.model_validate(row))
    return tuple(rows)


def sizes(report: RunReport) -> dict[str, str]:
    """Bytes of teacher, student and .tflite."""
    drawn, axes = figure(height=2.4)
    student, int8 = 4 * report.parameters.student, report.footprint.model_bytes
    bars = {"student, float32 weights": (student, "#0b6e99"), "student, whole .tflite": (int8, "#3a7d2c")}
    says = f"Student {student:,} bytes of weights, its .tflite {int8:,} with graph."
    if report.parameters.teacher is not None:
        teacher = 4 * report.parameters.teacher
        bars = {"teacher, float32 weights": (teacher, "#444444"), **bars}
        says = f"Teacher {teacher:,} bytes of weights, student {student:,}, its .tflite {int8:,} with graph."
    taken, colors = zip(*bars.values())
    axes.bar_label(axes.barh(list(bars), taken, color=colors), [f"{size:,} B" for size in taken], padding=3)
    axes.invert_yaxis()
    axes.set(xlabel="bytes", xlim=(min(taken) / 4, max(taken) * 8))
    logarithmic(axes, "x")
    return chart("Sizes", says, drawn, {"what": list(bars), "bytes": list(taken)})


def layers(report: RunReport) -> dict[str, str]:
    """Bytes of constants that each operator reads, and of activations held while it runs."""
    rows = report.footprint.layers
    drawn, (flash, ram) = panes(2, 0.9 + 0.28 * len(rows))
    places = range(len(rows))
    flash.barh(places, [row.weight_bytes for row in rows], color="#3a7d2c")
    ram.barh(places, [row.held_bytes for row in rows], color="#0b6e99")
    flash.set_yticks(places, [f"{row.index} {row.op}" for row in rows], fontsize=9)
    flash.invert_yaxis()
    flash.set_xlabel("flash, bytes")
    ram.set_xlabel("RAM, bytes")
    largest = max(rows, key=lambda row: row.weight_bytes)
    peak = max(rows, key=lambda row: row.held_bytes)
    footprint = report.footprint
    says = (
        f"Constants in flash, and what RAM holds while it runs, by operator in their order. "
        f"Most constants: {largest.index} {largest.op} with "
        f"{largest.weight_bytes:,} bytes of {footprint.model_bytes:,}; most held: {peak.index} {peak.op} with "
        f"{peak.held_bytes:,}. The arena takes {footprint.ram_bytes:,} bytes on a 32-bit chip, of them "
        f"{footprint.activation_bytes:,} for activations."
    )
    data: dict[str, list[object]] = {
        "operator": [f"{row.index} {row.op}" for row in rows],
        "flash, bytes": [row.weight_bytes for row in rows],
        "RAM, bytes": [row.held_bytes for row in rows],
    }
    return chart("Flash and RAM by operator", says, drawn, data)


def op_graph(report: RunReport) -> dict[str, str]:
    """The operators from input to output, with the values that pass between them."""
    rows = report.graph
    drawn, axes = figure(0.5 + 0.46 * len(rows))
    axes.axis("off")
    axes.set(xlim=(-0.12, 1), ylim=(len(rows) - 0.4, -0.6))
    box = {"boxstyle": "round,pad=0.35", "facecolor": "#eef4f7", "edgecolor": "#0b6e99", "linewidth": 0.8}
    for place, row in enumerate(rows):
        axes.text(0.02, place, f"{place} {row.op}", va="center", fontsize=10, bbox=box)
        shape = " × ".join(map(str, row.shape))
        axes.text(0.62, place, f"{row.dtype}  {shape}", va="center", fontsize=10, color="#444444")
        for source in row.sources:
            _arrow(axes, source, place)
    branches = sum(place - source > 1 for place, row in enumerate(rows) for source in row.sources)
    waiting = f", {branches} of whose values wait for later ones" if branches else ""
    ops = ", ".join(f"{row.op} gives {_shape(row.shape)}" for row in rows)
    says = f"{len(rows)} operators in the order in which they run{waiting}: {ops}."
    data: dict[str, list[object]] = {
        "operator": [row.op for row in rows],
        "output": [row.output for row in rows],
        "shape": [_shape(row.shape) for row in rows],
        "from": [" ".join(map(str, row.sources)) for row in rows],
    }
    return chart("Operators", says, drawn, data)


def _arrow(axes: Axes, source: int, place: int) -> None:
    """From one operator to the next, or around those between."""
    bend = "arc3" if place - source == 1 else f"arc3,rad={min(0.5, 0.12 * (place - source)):.2f}"
    x = 0.08 if place - source == 1 else 0.0
    style = {"arrowstyle": "-|>", "color": "#0b6e99", "linewidth": 0.8, "connectionstyle": bend}
    axes.annotate("", (x, place - 0.28), (x, source + 0.28), arrowprops=style)


def _shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))
