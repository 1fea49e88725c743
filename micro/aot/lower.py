"""What each operator of a graph becomes in C, steps that repeat as one loop."""

from __future__ import annotations

from micro.aot.calls import Lowered, refusal
from micro.aot.loops import with_loops
from micro.aot.operators import OPERATORS
from micro.aot.weight_layout import Storage
from micro.tflite.graph import Graph, Op


def lowered_graph(graph: Graph, storage: Storage) -> tuple[Graph, list[Lowered]]:
    """The graph with its loops, and what each operator becomes in C; raises as `generate`."""
    return with_loops(graph, lambda op: _lowered(op, graph, storage))


def _lowered(op: Op, graph: Graph, storage: Storage) -> Lowered:
    try:
        return OPERATORS[op.name].lower(op, graph, storage)
    except (LookupError, ArithmeticError, ValueError, TypeError) as error:
        # What the checks do not cover, such as numbers that the kernels' arithmetic cannot represent.
        raise refusal(op, graph, f"has options or numbers that make no sense: {error}") from None
