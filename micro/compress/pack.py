"""TFLite Micro's look-up-table compression: kernels of few values as a table and short indices, decoded when the model runs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from micro.errors import ConversionError
from micro.tflite.cost import parse_bytes
from micro.tflite.footprint import measure
from micro.tflite.graph import Graph, TfliteLike, content_of, read
from micro.tflite.interpreter import raw_outputs

WIDEST_INDEX = 7
CHECKED_SAMPLES = 16


@dataclass(frozen=True)
class Packed:
    """A .tflite with some kernels packed, and what that did: flash shrinks, and the arena holds what is decoded.

    `tensors` are the names of the packed kernels; none, where packing would not pay or not fit.
    """

    content: bytes
    tensors: tuple[str, ...]
    flash_before: int
    flash_after: int
    arena_before: int
    arena_after: int


def pack(tflite: TfliteLike, *, ram: str | int | None = None) -> Packed:
    """Pack every int8 kernel of at most 128 distinct values whose packing makes the file smaller, the best first.

    The outputs are those of the model as it was, value by value, which is checked in TFLite Micro. `micro.cluster` makes
    models whose kernels have few values.

    Args:
        ram: The arena that must not be exceeded, in bytes or such as '16KiB'; kernels that do not fit stay as they are. It is
            compared with `ram_bytes`, as `check` does.

    Raises:
        ValueError: For a size that does not parse; as `measure`.
        ConversionError: If outputs differ.
    """
    budget = None if ram is None else parse_bytes(str(ram), "ram")
    content = content_of(tflite)
    graph, before = read(content), measure(content)
    best, after, chosen = content, before, list[tuple[int, int]]()
    for candidate in _candidates(graph):
        trial = _compressed(content, [*chosen, candidate])
        if len(trial) >= len(best):
            continue
        cost = measure(trial)
        if budget is None or cost.ram_bytes <= budget:
            best, after, chosen = trial, cost, [*chosen, candidate]
    if chosen:
        _require_equal(content, best)
    names = tuple(graph.tensors[index].name for index, _ in chosen)
    return Packed(best, names, before.model_bytes, after.model_bytes, before.arena_bytes_32bit, after.arena_bytes_32bit)


def _candidates(graph: Graph) -> list[tuple[int, int]]:
    """Kernels with few values and the width of their indices in bits, those that should save most first."""
    found = []
    kernels = {op.inputs[1] for op in graph.ops if op.name in ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D")}
    for index in sorted(kernels):
        tensor = graph.tensors[index]
        if tensor.data is None or tensor.dtype != "int8":
            continue
        distinct = len(np.unique(np.frombuffer(tensor.data, np.int8)))
        bits = max(1, int(np.ceil(np.log2(distinct))))
        if bits <= WIDEST_INDEX:
            found.append((tensor.size * (8 - bits), index, bits))
    return [(index, bits) for _, index, bits in sorted(found, key=lambda entry: (-entry[0], entry[1]))]


def _compressed(content: bytes, kernels: list[tuple[int, int]]) -> bytes:
    from tflite_micro.tensorflow.lite.micro.compression import compress, spec, spec_builder

    builder = spec_builder.SpecBuilder()
    for index, bits in kernels:
        builder.add_tensor(subgraph=0, tensor=index).with_lut(index_bitwidth=bits, mode=spec.PerTensor())
    with warnings.catch_warnings():
        # It warns where a table does not pay; that is what is being tried out.
        warnings.simplefilter("ignore")
        return bytes(compress(content, builder.build()))


def _require_equal(content: bytes, packed: bytes) -> None:
    one, other = raw_outputs(content, CHECKED_SAMPLES), raw_outputs(packed, CHECKED_SAMPLES)
    if any(not np.array_equal(one[name], other[name]) for name in one):
        raise ConversionError("TFLite Micro's look-up-table compression changed the model's outputs; keep it unpacked")
