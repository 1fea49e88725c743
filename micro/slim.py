"""A .tflite without what no chip reads: signatures, metadata, and names that tell the converter's history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from micro.graph import packed, schema_module
from micro.origin import mentioned_layers, unique_name

if TYPE_CHECKING:
    import keras


def slimmed(content: bytes, model: keras.Model) -> bytes:
    """The same operators and constants, tensors named after the model's layers, nothing else."""
    schema = schema_module()
    tflite = schema.ModelT.InitFromPackedBuf(content, 0)
    tflite.metadata = tflite.metadataBuffer = tflite.signatureDefs = None
    graph = tflite.subgraphs[0]
    taken: set[str] = set()
    ends = {**dict.fromkeys(graph.inputs, "input"), **dict.fromkeys(graph.outputs, "output")}
    for index, tensor in enumerate(graph.tensors):
        tensor.name = unique_name(ends.get(index) or _short(tensor.name.decode(errors="replace"), model), taken)
    used = sorted({0} | {tensor.buffer for tensor in graph.tensors})
    tflite.buffers = [_only_data(tflite.buffers[index], schema) for index in used]
    for tensor in graph.tensors:
        tensor.buffer = used.index(tensor.buffer)
    return packed(tflite)


def _short(name: str, model: keras.Model) -> str:
    """The layer and what of it: the first part of a name that strings together all that was fused."""
    first = name.split(";")[0]
    mentioned = mentioned_layers(first, model)
    last = first.rpartition("/")[2]
    return f"{mentioned[-1].name}/{last}" if mentioned else last


def _only_data(buffer: Any, schema: Any) -> Any:
    kept = schema.BufferT()
    kept.data = buffer.data
    return kept
