"""The size of each operator of a graph, as the model of time needs it."""

from __future__ import annotations

from micro.targets.work import Work
from micro.tflite.cost import layer_costs, work_of
from micro.tflite.graph import Graph, Op

# Costs were counted on int8.
OTHER_TYPES = {"float32", "float16", "int16", "int64"}


def works_of(graph: Graph) -> tuple[Work, ...]:
    """The size of each operator, in the order in which they run."""
    return tuple(
        Work(
            _name(op, graph),
            (steps := _steps(op, graph)),
            steps // max(_run_length(op, graph), 1),
            _values(op, graph),
            cost.weight_bytes,
        )
        for op, cost in zip(graph.ops, layer_costs(graph))
    )


def _name(op: Op, graph: Graph) -> str:
    """The operator's name; with its type where it does not compute in int8, for which costs were counted."""
    kinds = {graph.tensors[i].dtype for i in op.outputs if not graph.tensors[i].variable} & OTHER_TYPES
    return f"{op.name} of {min(kinds)}" if kinds else op.name


def _values(op: Op, graph: Graph) -> int:
    """Values that an operator computes; of a variable that is assigned, its values."""
    if op.name == "ASSIGN_VARIABLE" and len(op.inputs) == 2:
        return graph.tensors[op.inputs[1]].size
    return graph.tensors[op.outputs[0]].size if op.outputs else 0


def _steps(op: Op, graph: Graph) -> int:
    """Steps of the innermost loop; of a mean and a sum, the values that they read."""
    if op.name in ("MEAN", "SUM") and op.inputs:
        return graph.tensors[op.inputs[0]].size
    return work_of(op, graph.tensors)


def _run_length(op: Op, graph: Graph) -> int:
    """Neighbors in memory that the innermost loop takes in one go: channels, or the inputs of a neuron."""
    if (
        op.name in ("UNIDIRECTIONAL_SEQUENCE_LSTM", "CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "DEPTHWISE_CONV_2D")
        and len(op.inputs) > 1
    ):
        return (graph.tensors[op.inputs[1]].shape or (1,))[-1]
    if op.name in ("BATCH_MATMUL", "AVERAGE_POOL_2D", "MAX_POOL_2D", "MEAN", "SUM") and op.inputs:
        return (graph.tensors[op.inputs[0]].shape or (1,))[-1]
    return 1
