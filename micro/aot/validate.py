"""Checks a graph before C is generated, so that a damaged file cannot become C that reads or writes out of bounds."""

from __future__ import annotations

import math

from micro.aot.calls import refusal
from micro.aot.memory import BYTES
from micro.aot.operators import OPERATORS
from micro.aot.states import KEEPS_STATE
from micro.errors import ConversionError, ModelError
from micro.tflite.cost import WIDTHS, bytes_of
from micro.tflite.graph import Graph, Op, Tensor

# Limits for a tensor, above those of any model for a microcontroller; a sum of MOST_VALUES differences fits 32 bits.
MOST_VALUES, MOST_AXES = 1 << 23, 8


def require_valid(graph: Graph) -> None:
    """Refuse a graph whose tensors do not have the size of their shapes, or with operators that read what was never computed.

    Raises:
        ModelError: Or ConversionError naming the tensor or operator.
    """
    for op in graph.ops:
        if op.name not in OPERATORS:
            raise refusal(op, graph, f"is not among the {len(OPERATORS)} operators of static C")
    used = {i for op in graph.ops for i in (*op.inputs, *op.outputs) if i >= 0} | {*graph.inputs, *graph.outputs}
    for index in sorted(used):
        _require_tensor(graph.tensors[index])
    if len(set(graph.inputs)) < len(graph.inputs) or any(graph.tensors[i].data is not None for i in graph.inputs):
        raise ModelError("damaged .tflite: an input is given twice, or is a constant")
    made = set(graph.inputs)
    for op in graph.ops:
        _require_connections(op, graph, made)
        made.update(op.outputs)
    for index in (*graph.inputs, *graph.outputs):
        tensor = graph.tensors[index]
        if tensor.dtype not in BYTES or (tensor.dtype == "int8" and tensor.quantization is None):
            kind = "int8 without a scale and a zero point" if tensor.dtype == "int8" else tensor.dtype
            raise ConversionError(
                f"{tensor.quoted} is {kind}; inputs and outputs of static C are int8 with a scale, int16, int32 or bool"
            )
    for index in graph.outputs:
        if index not in made:
            raise ModelError(f"damaged .tflite: output {graph.tensors[index].quoted} is computed by no operator")


def _require_tensor(tensor: Tensor) -> None:
    what = f"damaged .tflite: tensor {tensor.index} ({tensor.quoted})"
    if len(tensor.shape) > MOST_AXES or min(tensor.shape, default=1) < 1 or tensor.size > MOST_VALUES:
        raise ModelError(f"{what} has shape {list(tensor.shape)}")
    known = tensor.dtype in WIDTHS or tensor.dtype == "int4"
    if tensor.data is not None and len(tensor.data) != (bytes_of(tensor) if known else 0):
        raise ModelError(f"{what} holds {len(tensor.data):,} bytes for {tensor.size:,} values that are {tensor.dtype}")
    if tensor.quantization is None:
        return
    scales, zeros = tensor.quantization.scale, tensor.quantization.zero_point
    # Beyond these, products of scales overflow float32, and quotients overflow TFLite Micro's multipliers.
    if not all(math.isfinite(scale) and 1e-30 < scale < 1e30 for scale in scales):
        raise ModelError(f"{what} has a scale that is not a positive number")
    if tensor.dtype == "int8" and not all(-128 <= zero <= 127 for zero in zeros):
        raise ModelError(f"{what} has a zero point beyond int8")


def _require_connections(op: Op, graph: Graph, made: set[int]) -> None:
    operator = OPERATORS[op.name]
    fewest, most = operator.inputs
    if not fewest <= len(op.inputs) <= most:
        raise refusal(op, graph, f"has {len(op.inputs)} inputs")
    for place, index in enumerate(op.inputs):
        if index < 0 and (place < fewest or not operator.optional):
            raise refusal(op, graph, f"lacks input {place}")
        kept = index >= 0 and (graph.tensors[index].data is not None or _is_state(op, graph, place))
        if index >= 0 and index not in made and not kept:
            if graph.tensors[index].variable:
                name = graph.tensors[index].quoted
                raise refusal(
                    op,
                    graph,
                    f"goes on from its last inference by {name}; static C takes states of SVDF, LSTM and variables alone",
                )
            raise refusal(op, graph, f"takes {graph.tensors[index].quoted}, which nothing before it makes")
    fewest, most = operator.outputs
    if not fewest <= len(op.outputs) <= most or min(op.outputs, default=0) < 0:
        raise refusal(op, graph, f"has {len(op.outputs)} outputs")
    if any(index in made or graph.tensors[index].data is not None for index in op.outputs):
        raise refusal(op, graph, "makes a tensor that is there already")
    if op.name != "RESHAPE" and any(graph.tensors[index].variable for index in op.outputs):
        raise refusal(op, graph, "computes a tensor that is kept from one inference to the next")
    if len(set(op.outputs)) < len(op.outputs):
        raise refusal(op, graph, "makes one tensor twice")


def _is_state(op: Op, graph: Graph, place: int) -> bool:
    """Whether an input is a variable that the operator itself changes."""
    return place in KEEPS_STATE.get(op.name, ()) and graph.tensors[op.inputs[place]].variable
