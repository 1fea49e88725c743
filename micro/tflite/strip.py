"""Removes what no firmware reads from a .tflite: signatures, metadata, and long tensor names."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from micro.tflite.graph import packed, schema_module
from micro.tflite.layer_names import mentioned_layers, unique_name

if TYPE_CHECKING:
    import keras
    from ai_edge_litert import schema_py_generated as schema_types


# Operators that broadcast: shapes of different ranks are aligned at the last axis.
ELEMENTWISE = ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM")


def stripped(content: bytes, model: keras.Model, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """The .tflite with the same operators and constants, tensors named after the model's layers, and nothing else.

    `inputs` and `outputs` are names for those, in order.
    """
    schema = schema_module()
    tflite = schema.ModelT.InitFromPackedBuf(content, 0)
    tflite.metadata = tflite.metadataBuffer = tflite.signatureDefs = None
    graph = tflite.subgraphs[0]
    _drop_squeezes(tflite, graph, schema)
    taken: set[str] = set()
    ends = dict(zip(map(int, graph.outputs), outputs)) | dict(zip(map(int, graph.inputs), inputs))
    for index in ends:
        graph.tensors[index].name = unique_name(ends[index], taken)
    for index, tensor in enumerate(graph.tensors):
        if index not in ends:
            tensor.name = unique_name(_short(tensor.name.decode(errors="replace"), model), taken)
    used = sorted({0} | {tensor.buffer for tensor in graph.tensors})
    tflite.buffers = [_only_data(tflite.buffers[index], schema) for index in used]
    for tensor in graph.tensors:
        tensor.buffer = used.index(tensor.buffer)
    return packed(tflite)


def _drop_squeezes(tflite: schema_types.ModelT, graph: schema_types.SubGraphT, schema: ModuleType) -> None:
    """Remove each RESHAPE that only drops leading axes of size 1 in front of an elementwise operator.

    Elementwise operators align shapes at the last axis anyway, so a batch of 1 that a layer squeezes costs nothing.
    """
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}

    def kind(operator: schema_types.OperatorT) -> str:
        code = tflite.operatorCodes[operator.opcodeIndex]
        return names[max(code.builtinCode, code.deprecatedBuiltinCode)]

    readers: dict[int, list[schema_types.OperatorT]] = {}
    for operator in graph.operators:
        for index in operator.inputs:
            readers.setdefault(int(index), []).append(operator)
    for operator in list(graph.operators):
        if kind(operator) != "RESHAPE":
            continue
        source, output = int(operator.inputs[0]), int(operator.outputs[0])
        if output in graph.outputs or not all(kind(reader) in ELEMENTWISE for reader in readers.get(output, ())):
            continue
        if drops_leading_ones(graph.tensors[source].shape, graph.tensors[output].shape):
            for reader in readers.get(output, ()):
                reader.inputs = [source if index == output else int(index) for index in reader.inputs]
            graph.operators.remove(operator)
    _drop_unused(tflite, graph)


def _drop_unused(tflite: schema_types.ModelT, graph: schema_types.SubGraphT) -> None:
    """Remove tensors and operator codes that no operator uses any more."""
    used = {int(i) for op in graph.operators for i in (*op.inputs, *op.outputs, *_intermediates(op)) if i >= 0}
    used |= {int(i) for i in (*graph.inputs, *graph.outputs)}
    places = {index: place for place, index in enumerate(sorted(used))}
    codes = sorted({operator.opcodeIndex for operator in graph.operators})
    for operator in graph.operators:
        operator.inputs = [places.get(int(index), -1) for index in operator.inputs]
        operator.outputs = [places[int(index)] for index in operator.outputs]
        if operator.intermediates is not None:
            operator.intermediates = [places[int(index)] for index in operator.intermediates]
        operator.opcodeIndex = codes.index(operator.opcodeIndex)
    graph.inputs = [places[int(index)] for index in graph.inputs]
    graph.outputs = [places[int(index)] for index in graph.outputs]
    graph.tensors = [graph.tensors[index] for index in sorted(used)]
    tflite.operatorCodes = [tflite.operatorCodes[index] for index in codes]


def _intermediates(operator: schema_types.OperatorT) -> Sequence[int]:
    """Tensors of an LSTM that hold scales alone."""
    return () if operator.intermediates is None else operator.intermediates


def drops_leading_ones(before: Sequence[int], after: Sequence[int]) -> bool:
    """Whether `after` is `before` without some of its leading axes of size 1."""
    dropped = len(before) - len(after)
    return dropped > 0 and all(n == 1 for n in before[:dropped]) and list(before[dropped:]) == list(after)


def _short(name: str, model: keras.Model) -> str:
    """Layer and operation, 'dense/MatMul': the first part of a name that lists everything fused into the operator."""
    first = name.split(";")[0]
    mentioned = mentioned_layers(first, model)
    last = first.rpartition("/")[2]
    return f"{mentioned[-1].name}/{last}" if mentioned else last


def _only_data(buffer: schema_types.BufferT, schema: ModuleType) -> schema_types.BufferT:
    kept = schema.BufferT()
    kept.data = buffer.data
    return kept
