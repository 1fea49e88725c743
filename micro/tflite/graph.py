"""A .tflite as plain dataclasses."""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from micro.errors import ModelError
from micro.support.wording import excerpt
from micro.tflite.operator_tables import AXES, OPTIONS

if TYPE_CHECKING:
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema


class HasContent(Protocol):
    """Anything that holds the bytes of a .tflite, e.g. `Converted`."""

    @property
    def content(self) -> bytes: ...


# No tensor of a real model has more axes.
MOST_AXES = 16
# Characters that the name of a custom operator may have: it stands in reports and errors.
MOST_LETTERS = 100
# Tables of a flatbuffer may overlap, so a small file can pretend to be far larger. Reading stops at this multiple of the file's
# bytes; more than 1, since writers share equal names and vectors.
MOST_SHARED = 4

TfliteLike = bytes | str | Path | HasContent


@dataclass(frozen=True)
class Quantization:
    """real = scale * (integer - zero_point); one pair for the tensor, or one for each index along `axis`."""

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int = 0


@dataclass(frozen=True)
class Tensor:
    """One tensor of the graph; `data` holds the raw bytes of a constant and is None for what is computed.

    Constants that share a `buffer` are stored once. A `variable` keeps its values from one inference to the next.
    """

    index: int
    name: str
    dtype: str
    shape: tuple[int, ...]
    quantization: Quantization | None
    data: bytes | None
    buffer: int = 0
    variable: bool = False

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def quoted(self) -> str:
        """Its name as errors show it, in one line and not long, whatever the file holds."""
        return excerpt(self.name)


@dataclass(frozen=True)
class Op:
    """One operator: its schema name and the indices of its tensors, -1 for an optional input that is absent.

    `options` are its numbers and flags as the schema names them, such as 'strideW'; enumerations are numbers.
    """

    index: int
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """The main subgraph of a .tflite, and the operators that all its subgraphs need."""

    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    op_counts: dict[str, int]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference, over convolutions, fully connected layers and matrix products."""
        return sum(macs_of(op, self.tensors) for op in self.ops)


def content_of(tflite: TfliteLike) -> bytes:
    """The bytes of a .tflite given as bytes, as a path or as an object with `content`.

    Raises:
        ModelError: If there is no such file or it is no .tflite.
        ValueError: For anything else, such as a Keras model.
    """
    if isinstance(tflite, (str, Path)):
        try:
            content = Path(tflite).read_bytes()
        except OSError as error:
            raise ModelError(f"{tflite}: {error.strerror}") from None
    else:
        held = getattr(tflite, "content", tflite)
        if not isinstance(held, bytes | bytearray | memoryview):
            raise ValueError(
                f"a .tflite is needed, as bytes, a path or what micro.convert gives; got {type(tflite).__name__}"
            )
        content = bytes(held)
    if content[4:8] != b"TFL3":
        what = "the bytes given are" if not isinstance(tflite, (str, Path)) else f"{tflite} is"
        raise ModelError(f"{what} not a .tflite: no TFL3 identifier at byte 4")
    return content


def read(tflite: TfliteLike) -> Graph:
    """Read a .tflite given as bytes, path or converted model.

    Raises:
        ModelError: If it is damaged: truncated, or with offsets, types or indices that lead nowhere.
    """
    return _graph(content_of(tflite))


# One command reads its model up to eight times.
@lru_cache(maxsize=4)
def _graph(content: bytes) -> Graph:
    try:
        return _Reader(content).graph()
    except ModelError:
        raise
    except struct.error:
        raise ModelError(
            f"damaged .tflite ({len(content):,} bytes): it ends early, or an offset leads past its end; copy or make it again"
        ) from None
    except Exception as error:
        # The generated reader raises whatever struct, numpy or an enum raise on bytes that make no sense.
        raise ModelError(f"damaged .tflite ({len(content):,} bytes): {error}") from None


def macs_of(op: Op, tensors: tuple[Tensor, ...]) -> int:
    """Multiply-accumulates of one operator; 0 for those that only move, add or look up."""
    if op.name == "CONV_2D":
        _, height, width, channels = tensors[op.inputs[1]].shape
        return tensors[op.outputs[0]].size * height * width * channels
    if op.name == "DEPTHWISE_CONV_2D":
        _, height, width, _ = tensors[op.inputs[1]].shape
        return tensors[op.outputs[0]].size * height * width
    if op.name == "TRANSPOSE_CONV":
        out_channels, height, width, _ = tensors[op.inputs[1]].shape
        return tensors[op.inputs[2]].size * height * width * out_channels
    if op.name == "FULLY_CONNECTED":
        weights = tensors[op.inputs[1]]
        return weights.size * (tensors[op.outputs[0]].size // max((weights.shape or (1,))[0], 1))
    if op.name == "BATCH_MATMUL":
        shape = (1, 1, *tensors[op.inputs[0]].shape)
        return tensors[op.outputs[0]].size * shape[-2 if op.options.get("adjX") else -1]
    if op.name == "UNIDIRECTIONAL_SEQUENCE_LSTM":
        steps = math.prod(tensors[op.inputs[0]].shape[:-1])
        return steps * sum(tensors[i].size for i in op.inputs[1:9] if i >= 0)
    return 0


def schema_module() -> ModuleType:
    """The reader and writer of the format, generated from its schema: LiteRT's, which is found without the interpreter."""
    from ai_edge_litert import schema_py_generated

    return schema_py_generated


def packed(model: schema.ModelT) -> bytes:
    """The bytes of a model that is given as objects of the generated writer."""
    import flatbuffers

    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _Reader:
    """Reads the tables of one .tflite, and refuses a file whose tables pretend to hold more than its bytes do."""

    def __init__(self, content: bytes) -> None:
        self.content, self.taken = content, 0
        self.schema = schema_module()
        self.op_names = _enum_names(self.schema.BuiltinOperator)
        self.tables = _enum_names(self.schema.BuiltinOptions)
        self.types = {value: name.lower() for value, name in _enum_names(self.schema.TensorType).items()}
        self.model: schema.Model = self.schema.Model.GetRootAs(content, 0)
        self.buffers: dict[int, bytes | None] = {}

    def bounded(self, length: int, what: str) -> range:
        """range(length), counted against the file's bytes."""
        self.taken += length
        if length < 0 or self.taken > MOST_SHARED * len(self.content):
            raise ModelError(f"damaged .tflite: {length:,} {what} in {len(self.content):,} bytes")
        return range(length)

    def graph(self) -> Graph:
        codes = [self.op_name(i) for i in self.bounded(self.model.OperatorCodesLength(), "operator codes")]
        counts = self.op_counts(codes)
        main = self.model.Subgraphs(0)
        tensors = tuple(self.tensor(i, main.Tensors(i)) for i in self.bounded(main.TensorsLength(), "tensors"))
        numbers = self.bounded(main.OperatorsLength(), "operators")
        ops = tuple(self.op(i, main.Operators(i), codes, tensors) for i in numbers)
        inputs = self.indices(main.InputsAsNumpy(), "input", len(tensors))
        outputs = self.indices(main.OutputsAsNumpy(), "output", len(tensors))
        if not inputs or not outputs or min(inputs + outputs) < 0:
            raise ModelError("damaged .tflite: it has no input or no output")
        return Graph(tensors, ops, inputs, outputs, counts)

    def op_name(self, index: int) -> str:
        """An operator code's name in the schema, or a custom operator's own."""
        code = self.model.OperatorCodes(index)
        builtin = self.op_names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        if builtin != "CUSTOM":
            return builtin
        name = (code.CustomCode() or b"").decode(errors="replace")
        if len(name) > MOST_LETTERS or not name.isprintable():
            raise ModelError(f"damaged .tflite: a custom operator is named {excerpt(name)}")
        # A custom operator may call itself anything, CONV_2D too.
        return f"CUSTOM {name}".rstrip() if not name or name in self.op_names.values() else name

    def op_counts(self, codes: list[str]) -> dict[str, int]:
        """How often each operator occurs, over all subgraphs."""
        if self.model.SubgraphsLength() < 1:
            raise ModelError("damaged .tflite: it has no subgraph")
        counts: Counter[str] = Counter()
        for i in self.bounded(self.model.SubgraphsLength(), "subgraphs"):
            subgraph = self.model.Subgraphs(i)
            operators = self.bounded(subgraph.OperatorsLength(), "operators")
            counts.update(codes[subgraph.Operators(j).OpcodeIndex()] for j in operators)
        return dict(sorted(counts.items()))

    def op(self, index: int, operator: schema.Operator, codes: list[str], tensors: tuple[Tensor, ...]) -> Op:
        name = codes[operator.OpcodeIndex()]
        inputs, outputs = (
            self.indices(array, f"op {name}", len(tensors))
            for array in (operator.InputsAsNumpy(), operator.OutputsAsNumpy())
        )
        made = Op(index, name, inputs, outputs, self.options(operator, name))
        _require_axes(made, tensors)
        return made

    def options(self, operator: schema.Operator, name: str) -> dict[str, Any]:
        """Numbers and flags of the operator's own table; another operator's says nothing, as in TFLite Micro."""
        table, kind = operator.BuiltinOptions(), operator.BuiltinOptionsType()
        wanted = OPTIONS.get(name, f"{name.replace('_', '')}options")
        if table is None or self.tables.get(kind, "").lower() != wanted.lower():
            return {}
        options = self.schema.BuiltinOptionsCreator(kind, table)
        given = {
            name: value.decode(errors="replace") if isinstance(value, bytes) else value
            for name, value in vars(options).items()
        }
        return {name: value for name, value in given.items() if isinstance(value, (bool, int, float, str))}

    def indices(self, array: np.ndarray | int, what: str, tensors: int) -> tuple[int, ...]:
        """Indices of tensors, checked; the generated reader gives 0 where there are none."""
        if isinstance(array, int):
            return ()
        self.bounded(4 * len(array), f"bytes of indices of {what}")
        indices = tuple(int(i) for i in array)
        for i in indices:
            if not -1 <= i < tensors:
                raise ModelError(f"damaged .tflite: {what} names tensor {i} of {tensors}")
        return indices

    def tensor(self, index: int, tensor: schema.Tensor) -> Tensor:
        if tensor.ShapeLength() > MOST_AXES:
            raise ModelError(f"damaged .tflite: tensor {index} has {tensor.ShapeLength():,} axes")
        shape = () if tensor.ShapeIsNone() else tuple(int(n) for n in tensor.ShapeAsNumpy())
        # Names are optional in the format.
        name = (tensor.Name() or b"").decode(errors="replace") or f"tensor {index}"
        self.bounded(len(name), "characters of names")
        what = f"tensor {index} ({excerpt(name)})"
        if min(shape, default=0) < -1:
            raise ModelError(f"damaged .tflite: {what} has shape {list(shape)}")
        if -1 in shape:
            raise ModelError(
                f"{what} has the open shape {list(shape)}; on a microcontroller every size is fixed: convert with a batch of 1"
            )
        data = self.data(tensor.Buffer())
        if data is not None and tensor.IsVariable():
            raise ModelError(
                f"damaged .tflite: {what} holds a constant and is variable at once; TFLite Micro would set it to 0 at the start"
            )
        quantization = self.quantization(tensor.Quantization())
        kind, variable = self.types[tensor.Type()], bool(tensor.IsVariable())
        return Tensor(index, name, kind, shape, quantization, data, tensor.Buffer(), variable)

    def quantization(self, parameters: schema.QuantizationParameters | None) -> Quantization | None:
        """None without a scale or without a zero point: TFLite Micro treats such a tensor as not quantized."""
        if parameters is None or not parameters.ScaleLength() or not parameters.ZeroPointLength():
            return None
        size = 4 * parameters.ScaleLength() + 8 * parameters.ZeroPointLength()
        self.bounded(size, "bytes of scales and zero points")
        scale = tuple(float(s) for s in parameters.ScaleAsNumpy())
        zero_point = tuple(int(z) for z in parameters.ZeroPointAsNumpy())
        return Quantization(scale, zero_point, int(parameters.QuantizedDimension()))

    def data(self, number: int) -> bytes | None:
        """The bytes of a buffer, read once for all tensors that share it; None for the empty one."""
        if number not in self.buffers:
            buffer = self.model.Buffers(number)
            if number and (buffer.Offset() > 1 or buffer.Size() > 1):
                raise ModelError(
                    "this .tflite keeps weights outside its flatbuffer (over 2 GB): not a model for a microcontroller"
                )
            self.bounded(buffer.DataLength(), "bytes of constants")
            filled = number and buffer.DataLength()
            self.buffers[number] = buffer.DataAsNumpy().tobytes() if filled else None
        return self.buffers[number]


def _enum_names(enum: type) -> dict[int, str]:
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}


def _require_axes(op: Op, tensors: tuple[Tensor, ...]) -> None:
    """Refuse an operator that lacks one of its tensors, or one of whose tensors has other than its number of axes.

    Raises:
        ModelError: Names the operator and the tensor.
    """
    for place, axes in AXES.get(op.name, {}).items():
        side, number = (op.outputs, 0) if place < 0 else (op.inputs, place)
        what = f"damaged .tflite: operator {op.index} ({op.name})"
        if len(side) <= number or side[number] < 0:
            raise ModelError(f"{what} lacks its {'output' if place < 0 else f'input {place}'}")
        tensor = tensors[side[number]]
        if axes is not None and len(tensor.shape) != axes:
            raise ModelError(f"{what} has {len(tensor.shape)} axes in {tensor.quoted}, where {axes} are right")
