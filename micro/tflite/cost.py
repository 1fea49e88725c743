"""What a .tflite costs, by part and by operator: flash, RAM for activations, multiply-accumulates."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from micro.tflite.graph import Graph, Op, Tensor, macs_of

WIDTHS = {"int8": 1, "uint8": 1, "bool": 1, "int16": 2, "float16": 2, "int32": 4, "float32": 4, "int64": 8}
# Bytes that TFLite Micro's bookkeeping takes in the arena, by the allocator's names: on a 64-bit host, on a 32-bit MCU. These
# are measured on a 32-bit build of TFLM with the models in the tests' data; the kernels' own data counts as on the host.
STRUCTS = {
    "TfLiteEvalTensor data": (24, 12),
    "Persistent TfLiteTensor data": (64, 40),
    "Persistent TfLiteTensor quantization data": (32, 20),
    "NodeAndRegistration struct": (64, 32),
}


@dataclass(frozen=True)
class Flash:
    """Bytes of a .tflite by what they hold. They add up to the size of the file.

    `weights` are constant tensors, including biases; `quantization` scales and zero points; `graph` everything else:
    operators, shapes, names, padding.
    """

    weights: int
    quantization: int
    graph: int


@dataclass(frozen=True)
class LayerCost:
    """One operator: name of its output, MACs, bytes of constants read, and bytes of activations held while it runs.

    `held` names the tensors that make up `held_bytes`: this operator's inputs and outputs, and those that later operators need.
    """

    index: int
    op: str
    name: str
    macs: int
    weight_bytes: int
    held_bytes: int
    held: tuple[str, ...]


def flash_parts(content: bytes, graph: Graph) -> Flash:
    """The parts of a .tflite's bytes."""
    constants = {tensor.buffer: len(tensor.data) for tensor in graph.tensors if tensor.data is not None}
    # A float32 scale and an int64 zero point for each channel, or one of each.
    pairs = [tensor.quantization for tensor in graph.tensors if tensor.quantization is not None]
    quantization = sum(4 * len(pair.scale) + 8 * len(pair.zero_point) for pair in pairs)
    weights = sum(constants.values())
    return Flash(weights, quantization, len(content) - weights - quantization)


def layer_costs(graph: Graph) -> tuple[LayerCost, ...]:
    """The cost of each operator, in the order in which they run."""
    last = {index: op.index for op in graph.ops for index in op.inputs}
    last.update({index: len(graph.ops) for index in graph.outputs})
    alive = list(graph.inputs)
    costs = []
    for op in graph.ops:
        alive += [index for index in op.outputs if index >= 0]
        held = [graph.tensors[index] for index in alive]
        constants = [graph.tensors[i] for i in op.inputs if i >= 0 and graph.tensors[i].data is not None]
        costs.append(
            LayerCost(
                op.index,
                op.name,
                graph.tensors[op.outputs[0]].name if op.outputs else "",
                macs_of(op, graph.tensors),
                sum(len(tensor.data or b"") for tensor in constants),
                sum(bytes_of(tensor) for tensor in held),
                tuple(tensor.name for tensor in held),
            )
        )
        alive = [index for index in alive if last.get(index, -1) > op.index]
    return tuple(costs)


def work_of(op: Op, tensors: tuple[Tensor, ...]) -> int:
    """Steps of an operator's innermost loop: its MACs, or the values that pooling reads."""
    if "filterHeight" not in op.options or "filterWidth" not in op.options or not op.inputs or not op.outputs:
        return macs_of(op, tensors)
    x, y = tensors[op.inputs[0]], tensors[op.outputs[0]]
    windows = int(op.options["filterHeight"]), int(op.options["filterWidth"])
    return y.size * max(math.prod(min(size, reach) for size, reach in zip(windows, x.shape[1:3])), 0)


def bytes_of(tensor: Tensor) -> int:
    """Bytes of a tensor's values; of 4-bit ones, two lie in a byte."""
    if tensor.dtype == "int4":
        return -(-tensor.size // 2)
    return tensor.size * WIDTHS.get(tensor.dtype, 4)


def saved_on_32_bits(log: str) -> int:
    """Bytes of the arena, as TFLite Micro reported it, that are due to the host's 64-bit pointers."""
    saved = 0
    for name, (host, target) in STRUCTS.items():
        match = re.search(rf"'{re.escape(name)}' used (\d+) bytes", log)
        saved += int(match[1]) * (host - target) // host if match else 0
    return saved


def parse_bytes(text: str, what: str) -> int:
    """A budget as bytes: '64KiB', '16 kB', '1.5MiB', '2048', '2048B'; Ki and Mi are powers of 1,024, k and M of 1,000.

    Raises:
        ValueError: Names `what` for anything else.
    """
    units = {"": 1, "k": 1000, "m": 1000**2, "ki": 1024, "mi": 1024**2}
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKmM]i?)?[bB]?\s*", text)
    size = int(float(match[1]) * units[(match[2] or "").lower()]) if match else 0
    if size <= 0:
        raise ValueError(f"{what} must be a size such as 64KiB, 16kB or 2048, got {text!r}")
    return size


def parse_count(text: str, what: str) -> int:
    """A number of things: '2M', '500k', '120000'; k and M are powers of 1,000.

    Raises:
        ValueError: Names `what` for anything else.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKmM]?)\s*", text)
    count = int(float(match[1]) * {"": 1, "k": 1000, "m": 1000**2}[match[2].lower()]) if match else 0
    if count <= 0:
        raise ValueError(f"{what} must be a number such as 2M, 500k or 120000, got {text!r}")
    return count
