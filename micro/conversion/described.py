"""A converted model in words: a summary line by line, and a table for notebooks."""

from __future__ import annotations

import math
from collections.abc import Sequence

from micro.support.notebook import table
from micro.tflite.cost import layer_costs
from micro.tflite.graph import Graph, Tensor

COLUMNS = ("Operator", "Output", "Shape", "MACs", "Constants, bytes", "Held, bytes")


def summary_of(graph: Graph, size: int) -> list[str]:
    """Lines of a summary: each input and output, each operator, and what they come to."""
    costs = layer_costs(graph)
    shapes = [_shape(graph.tensors[op.outputs[0]]) if op.outputs else "" for op in graph.ops]
    rows = [
        (cost.op, cost.name, shape, f"{cost.macs:,}", f"{cost.weight_bytes:,}", f"{cost.held_bytes:,}")
        for cost, shape in zip(costs, shapes)
    ]
    widths = [max(len(row[place]) for row in (COLUMNS, *rows)) for place in range(len(COLUMNS))]
    ends = [f"{side} {_end(tensor)}" for side, tensor in _sides(graph)]
    most = max((cost.held_bytes for cost in costs), default=0)
    total = f"{size:,} bytes, {graph.macs:,} multiply-accumulates, at most {most:,} bytes of activations held at once"
    line = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return [*ends, line, _aligned(COLUMNS, widths), line, *(_aligned(row, widths) for row in rows), line, total]


def html_of(graph: Graph, size: int, weights: str, error: float, warnings: Sequence[str]) -> str:
    """A table of a converted model; what would take an inference, such as the arena, is `measure`'s."""
    rows: list[tuple[object, ...]] = [(side, _end(tensor)) for side, tensor in _sides(graph)]
    rows += [
        ("size of the .tflite, bytes", size),
        ("multiply-accumulates", graph.macs),
        ("operators", ", ".join(f"{count} {name}" for name, count in graph.op_counts.items())),
        ("weights", weights),
        ("error to the Keras model", "not measured" if math.isnan(error) else f"{error:.3g} RMS"),
    ]
    return table("Converted to int8", rows, note=" ".join(warnings))


def _sides(graph: Graph) -> list[tuple[str, Tensor]]:
    return [
        (side, graph.tensors[index])
        for side, indices in (("input", graph.inputs), ("output", graph.outputs))
        for index in indices
    ]


def _end(tensor: Tensor) -> str:
    """Type, shape, scale and zero point."""
    grid = tensor.quantization
    scaled = "" if grid is None else f", scale {grid.scale[0]:.6g}, zero point {grid.zero_point[0]}"
    return f"{tensor.name}: {tensor.dtype} {_shape(tensor)}{scaled}"


def _shape(tensor: Tensor) -> str:
    return str(list(tensor.shape))


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Names to the left, numbers to the right."""
    padded = [
        cell.ljust(width) if place < 3 else cell.rjust(width) for place, (cell, width) in enumerate(zip(cells, widths))
    ]
    return "  ".join(padded).rstrip()
