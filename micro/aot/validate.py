"""Whether a graph's parts fit together, before C is made of them: what a damaged file says must not become a stray pointer."""

from __future__ import annotations

import math

from micro.aot.calls import refusal
from micro.aot.operators import OPERATORS
from micro.errors import ModelError
from micro.tflite.cost import WIDTHS
from micro.tflite.graph import Graph, Op, Tensor

# More values, or axes, than any microcontroller's model has in a tensor; the sum of so many differences fits 32 bits.
MOST_VALUES, MOST_AXES = 1 << 23, 8
# Inputs that an operator takes, fewest and most; two where not told.
INPUTS = {
    "FULLY_CONNECTED": (2, 3),
    "CONV_2D": (2, 3),
    "DEPTHWISE_CONV_2D": (2, 3),
    "CONCATENATION": (1, 64),
    "RESHAPE": (1, 2),
    "STRIDED_SLICE": (4, 4),
    **dict.fromkeys(
        [
            *("AVERAGE_POOL_2D", "MAX_POOL_2D", "SOFTMAX", "SQUEEZE", "QUANTIZE"),
            *("RELU", "RELU6", "LEAKY_RELU", "LOGISTIC", "TANH", "HARD_SWISH"),
        ],
        (1, 1),
    ),
}
OPTIONAL = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D")


def require_sound(graph: Graph) -> None:
    """Refuse a graph whose tensors are not as large as they say, or that computes on what nothing has made.

    Raises:
        ModelError: Or ConversionError naming the tensor or operator.
    """
    for op in graph.ops:
        if op.name not in OPERATORS:
            raise refusal(op, graph, f"is not in static C; it has {', '.join(sorted(OPERATORS)).lower()}")
    used = {i for op in graph.ops for i in (*op.inputs, *op.outputs) if i >= 0} | {*graph.inputs, *graph.outputs}
    for index in sorted(used):
        _require_tensor(graph.tensors[index])
    if len(set(graph.inputs)) < len(graph.inputs) or any(graph.tensors[i].data is not None for i in graph.inputs):
        raise ModelError("damaged .tflite: an input is given twice, or is a constant")
    made = set(graph.inputs)
    for op in graph.ops:
        _require_wiring(op, graph, made)
        made.add(op.outputs[0])
    for index in graph.outputs:
        if index not in made:
            raise ModelError(f"damaged .tflite: output {graph.tensors[index].name!r} is computed by no operator")


def _require_tensor(tensor: Tensor) -> None:
    what = f"damaged .tflite: tensor {tensor.index} ({tensor.name!r})"
    if len(tensor.shape) > MOST_AXES or min(tensor.shape, default=1) < 1 or tensor.size > MOST_VALUES:
        raise ModelError(f"{what} has shape {list(tensor.shape)}")
    if tensor.data is not None and len(tensor.data) != tensor.size * WIDTHS.get(tensor.dtype, 0):
        raise ModelError(f"{what} holds {len(tensor.data):,} bytes for {tensor.size:,} values that are {tensor.dtype}")
    if tensor.quantization is None:
        return
    scales, zeros = tensor.quantization.scale, tensor.quantization.zero_point
    # float32 holds no product of scales beyond these, and TFLite Micro's multipliers no quotient.
    if not all(math.isfinite(scale) and 1e-30 < scale < 1e30 for scale in scales):
        raise ModelError(f"{what} has a scale that is not a positive number")
    if tensor.dtype == "int8" and not all(-128 <= zero <= 127 for zero in zeros):
        raise ModelError(f"{what} has a zero point beyond int8")


def _require_wiring(op: Op, graph: Graph, made: set[int]) -> None:
    fewest, most = INPUTS.get(op.name, (2, 2))
    if not fewest <= len(op.inputs) <= most:
        raise refusal(op, graph, f"has {len(op.inputs)} inputs")
    for place, index in enumerate(op.inputs):
        if index < 0 and (place < 2 or op.name not in OPTIONAL):
            raise refusal(op, graph, f"lacks input {place}")
        if index >= 0 and index not in made and graph.tensors[index].data is None:
            raise refusal(op, graph, f"takes {graph.tensors[index].name!r}, which nothing before it makes")
    if len(op.outputs) != 1 or op.outputs[0] < 0:
        raise refusal(op, graph, f"has {len(op.outputs)} outputs")
    if op.outputs[0] in made or graph.tensors[op.outputs[0]].data is not None:
        raise refusal(op, graph, "makes a tensor that is there already")
