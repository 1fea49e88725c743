"""TFLite Micro's look-up-table compression: kernels of few values as a table and short indices, decoded at run time."""

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
    """A .tflite with some kernels packed: less flash, and more RAM, because the arena holds the decoded kernels.

    Attributes:
        content: The bytes of the .tflite.
        tensors: Names of the packed kernels; empty where packing would not pay or not fit.
        flash_before, flash_after: Bytes of the .tflite.
        arena_before, arena_after: Bytes of the arena on a 32-bit target.

    Examples:
        >>> model = keras.Sequential([keras.Input((32,)), keras.layers.Dense(64)])
        >>> model.set_weights([np.random.default_rng(0).choice([-1.0, 1.0], (32, 64)), np.ones(64)])
        >>> aware = micro.quantize_aware(model, np.random.default_rng(0).normal(size=(16, 32)))
        >>> packed = micro.pack(micro.convert(aware))
        >>> packed.flash_after < packed.flash_before, packed.arena_after > packed.arena_before
        (True, True)
    """

    content: bytes
    tensors: tuple[str, ...]
    flash_before: int
    flash_after: int
    arena_before: int
    arena_after: int


def pack(tflite: TfliteLike, *, ram: str | int | None = None) -> Packed:
    """Pack every int8 kernel of at most 128 distinct values whose packing makes the file smaller, the best first.

    The outputs stay the same, value by value, which is checked in TFLite Micro. `micro.cluster` makes models whose kernels
    have few values.

    Args:
        tflite: A `Converted`, the bytes of a .tflite or its path.
        ram: The RAM that must not be exceeded, in bytes or such as '16KiB'; kernels that do not fit are not packed. It is
            compared with `ram_bytes`, as `check` does.

    Raises:
        ValueError: For a size that does not parse; as `measure`.
        ConversionError: If outputs differ.

    Examples:
        >>> model = keras.Sequential([keras.Input((32,)), keras.layers.Dense(64, name="few")])
        >>> model.set_weights([np.random.default_rng(0).choice([-1.0, 1.0], (32, 64)), np.ones(64)])
        >>> aware = micro.quantize_aware(model, np.random.default_rng(0).normal(size=(16, 32)))
        >>> micro.pack(micro.convert(aware)).tensors
        ('few/kernel',)

    Source: Han, Mao and Dally 2016, Deep Compression, section 3, https://arxiv.org/abs/1510.00149.
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
    """Tensors of kernels with few values, and the width of their indices in bits; those that should save most first."""
    savings = []
    kernels = {op.inputs[1] for op in graph.ops if op.name in ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D")}
    for index in sorted(kernels):
        tensor = graph.tensors[index]
        if tensor.data is None or tensor.dtype != "int8":
            continue
        distinct = len(np.unique(np.frombuffer(tensor.data, np.int8)))
        bits = max(1, int(np.ceil(np.log2(distinct))))
        if bits <= WIDEST_INDEX:
            savings.append((tensor.size * (8 - bits), index, bits))
    return [(index, bits) for _, index, bits in sorted(savings, key=lambda entry: (-entry[0], entry[1]))]


def _compressed(content: bytes, kernels: list[tuple[int, int]]) -> bytes:
    from tflite_micro.tensorflow.lite.micro.compression import compress, spec, spec_builder

    builder = spec_builder.SpecBuilder()
    for index, bits in kernels:
        builder.add_tensor(subgraph=0, tensor=index).with_lut(index_bitwidth=bits, mode=spec.PerTensor())
    with warnings.catch_warnings():
        # It warns where a table does not pay, which is compared here.
        warnings.simplefilter("ignore")
        return bytes(compress(content, builder.build()))


def _require_equal(content: bytes, packed: bytes) -> None:
    one, other = raw_outputs(content, CHECKED_SAMPLES), raw_outputs(packed, CHECKED_SAMPLES)
    if any(not np.array_equal(one[name], other[name]) for name in one):
        raise ConversionError("TFLite Micro's look-up-table compression changed the model's outputs; keep it unpacked")
