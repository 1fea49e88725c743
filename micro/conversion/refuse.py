"""Why a model cannot be converted, by the layer that is the cause."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from micro.errors import ConversionError
from micro.tflite.graph import Graph, Op
from micro.tflite.layer_names import layer_phrase

if TYPE_CHECKING:
    import keras

# Activations that have an int8 form in TFLite Micro.
HAVE = "ReLU, ReLU6, leaky ReLU, sigmoid, tanh, silu, hard-swish and softmax have one"

# Constants of this size are stand-ins for infinity.
LARGEST = 1e8


def require_int8(graph: Graph, model: keras.Model) -> None:
    """Refuse operators that compute in floating point, naming the layer they came from."""
    bridges = ("QUANTIZE", "DEQUANTIZE")
    for op in graph.ops:
        touched = [graph.tensors[i] for i in (*op.inputs, *op.outputs) if i >= 0]
        if op.name not in bridges and any(tensor.dtype.startswith("float") for tensor in touched):
            raise ConversionError(
                f"{layer_phrase(op, graph, model)} becomes {op.name} in floating point: the converter has no int8 form of it; "
                f"replace the layer ({HAVE})"
            )


def require_small_constants(graph: Graph, model: keras.Model) -> None:
    """Refuse constants so large that int8 keeps nothing of what they are added to, naming the layer: masks of attention."""
    for op in graph.ops:
        for tensor in (graph.tensors[i] for i in op.inputs if i >= 0):
            if tensor.data is None or tensor.dtype != "int8" or tensor.quantization is None:
                continue
            largest = 127 * max(tensor.quantization.scale, default=0.0)
            if not largest < LARGEST:  # also where it is not a number
                raise ConversionError(
                    f"{layer_phrase(op, graph, model)} computes with a constant of about {largest:.1g}, as a mask has: int8 "
                    "has 256 steps from there to the values themselves, and would make all of them equal; leave the mask out, "
                    "or add one of your own, of about -10 for what is masked"
                )


def explain_interpreter(message: str, graph: Graph, model: keras.Model) -> str:
    """TFLite Micro's error with the layer that caused it."""
    missing = re.search(r"Didn't find op for builtin opcode '(\w+)'", message)
    if missing:
        op = next((op for op in graph.ops if op.name == missing[1]), None)
        return f"{_becomes(op, missing[1], graph, model)}, which TFLite Micro does not have; replace the layer"
    failed = re.search(r"Node (\w+) \(number (\d+)\) failed to (?:prepare|invoke)", message)
    if failed and int(failed[2]) < len(graph.ops) and graph.ops[int(failed[2])].name == failed[1]:
        becomes = _becomes(graph.ops[int(failed[2])], failed[1], graph, model)
        if "FLOAT32" in message:
            return f"{becomes}, which TFLite Micro does not have in int8; replace the layer ({HAVE})"
        detail = message.removeprefix("TFLite Micro does not run this model: ").partition("; ")[0]
        return f"{becomes}, which TFLite Micro refuses (it says: {detail})"
    return message


def _becomes(op: Op | None, name: str, graph: Graph, model: keras.Model) -> str:
    return f"{layer_phrase(op, graph, model) if op else 'the model'} becomes {name}"
