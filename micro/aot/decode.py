"""Unpacks packed models: runs TFLite Micro's DECODE operators, so that their outputs are constants."""

from __future__ import annotations

import dataclasses

import numpy as np

from micro.aot.calls import refusal
from micro.tflite.graph import Graph, Op

HEADER, LOOK_UP_TABLE, ONE_TABLE = 16, 0, 15


def unpacked(graph: Graph) -> Graph:
    """The graph without its DECODE operators; the same object if it has none.

    Raises:
        ConversionError: For an encoding other than one look-up table of int8 values per tensor.
    """
    if "TFLM_DECODE" not in graph.op_counts:
        return graph
    tensors = list(graph.tensors)
    for op in graph.ops:
        if op.name == "TFLM_DECODE":
            if len(op.inputs) != 2 * len(op.outputs) or min((*op.inputs, *op.outputs), default=-1) < 0:
                raise refusal(op, graph, f"decodes {len(op.inputs)} inputs to {len(op.outputs)} outputs")
            for place, made in enumerate(op.outputs):
                encoded, ancillary = op.inputs[2 * place : 2 * place + 2]
                data = _decoded(op, graph, encoded, ancillary, made)
                tensors[made] = dataclasses.replace(tensors[made], data=data)
    kept = tuple(op for op in graph.ops if op.name != "TFLM_DECODE")
    return dataclasses.replace(graph, tensors=tuple(tensors), ops=kept)


def _decoded(op: Op, graph: Graph, encoded: int, ancillary: int, made: int) -> bytes:
    """The values of one encoded tensor; indices are packed high bit first. Source: TFLite Micro's decode_state_lut.cc."""
    packed, header, size = graph.tensors[encoded].data, graph.tensors[ancillary].data, graph.tensors[made].size
    if packed is None or header is None or len(header) < HEADER or graph.tensors[made].dtype != "int8":
        raise refusal(op, graph, "decodes something that is not constant int8")
    bits, axis = header[5] & 7, header[5] >> 4
    if header[0] != LOOK_UP_TABLE or axis != ONE_TABLE or not bits:
        raise refusal(
            op,
            graph,
            "is not encoded with one look-up table; use the model from before packing, or pack it with `micro.pack`",
        )
    stream = np.unpackbits(np.frombuffer(packed, np.uint8))
    table = np.frombuffer(header[HEADER:], np.int8)
    if not 0 < size * bits <= len(stream):
        raise refusal(op, graph, f"holds {len(stream) // bits} indices for {size} values")
    numbers = stream[: size * bits].reshape(size, bits) @ (1 << np.arange(bits)[::-1])
    if size and numbers.max() >= len(table):
        raise refusal(op, graph, f"refers to value {numbers.max()} of a table of {len(table)}")
    return table[numbers].tobytes()
