"""A .tflite as plain dataclasses."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from micro.errors import ModelError


class HasContent(Protocol):
    """Anything that holds the bytes of a .tflite, e.g. `Converted`."""

    @property
    def content(self) -> bytes: ...


# No tensor of a real model has more axes.
MOST_AXES = 16

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

    Constants that share a `buffer` are stored once.
    """

    index: int
    name: str
    dtype: str
    shape: tuple[int, ...]
    quantization: Quantization | None
    data: bytes | None
    buffer: int = 0

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


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
    """
    if isinstance(tflite, (str, Path)):
        try:
            content = Path(tflite).read_bytes()
        except OSError as error:
            raise ModelError(f"{tflite}: {error.strerror}") from None
    else:
        content = bytes(getattr(tflite, "content", tflite))  # type: ignore[arg-type]
    if content[4:8] != b"TFL3":
        what = "the bytes given are" if not isinstance(tflite, (str, Path)) else f"{tflite} is"
        raise ModelError(f"{what} not a .tflite: no TFL3 identifier at byte 4")
    return content


def read(tflite: TfliteLike) -> Graph:
    """Read a .tflite given as bytes, path or converted model.

    Raises:
        ModelError: If it is damaged: truncated, or with offsets, types or indices that lead nowhere.
    """
    content = content_of(tflite)
    try:
        return _read(content)
    except ModelError:
        raise
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
        return weights.size * (tensors[op.outputs[0]].size // max(weights.shape[0], 1))
    if op.name == "BATCH_MATMUL":
        return tensors[op.outputs[0]].size * tensors[op.inputs[0]].shape[-1]
    return 0


def schema_module() -> Any:
    """The format's generated reader and writer."""
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated

    return schema_py_generated


def packed(model: Any) -> bytes:
    """The bytes of a model in the generated writer's objects (`ModelT`)."""
    import flatbuffers

    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _read(content: bytes) -> Graph:
    schema = schema_module()
    names = _enum_names(schema.BuiltinOperator)
    types = {value: name.lower() for value, name in _enum_names(schema.TensorType).items()}
    model = schema.Model.GetRootAs(content, 0)

    def bounded(length: int, what: str) -> range:
        if not 0 <= length <= len(content):
            raise ModelError(f"damaged .tflite: {length:,} {what} in {len(content):,} bytes")
        return range(length)

    def op_name(index: int) -> str:
        code = model.OperatorCodes(index)
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        return code.CustomCode().decode() if names[builtin] == "CUSTOM" else names[builtin]

    codes = [op_name(i) for i in bounded(model.OperatorCodesLength(), "operator codes")]
    if model.SubgraphsLength() < 1:
        raise ModelError("damaged .tflite: it has no subgraph")
    counts: Counter[str] = Counter()
    for i in bounded(model.SubgraphsLength(), "subgraphs"):
        subgraph = model.Subgraphs(i)
        counts.update(
            codes[subgraph.Operators(j).OpcodeIndex()] for j in bounded(subgraph.OperatorsLength(), "operators")
        )

    main = model.Subgraphs(0)
    buffers: dict[int, bytes | None] = {}
    tensors = tuple(
        _tensor(i, main.Tensors(i), model, types, buffers) for i in bounded(main.TensorsLength(), "tensors")
    )
    # Tables of a flatbuffer may overlap: a small file can pretend to be many times its size.
    if sum(len(tensor.quantization.scale) for tensor in tensors if tensor.quantization is not None) > len(content):
        raise ModelError("damaged .tflite: more scales than the file has bytes")

    def indices(array: Any, what: str) -> tuple[int, ...]:
        found = tuple(int(i) for i in np.atleast_1d(array)) if not isinstance(array, int) else ()
        for i in found:
            if not -1 <= i < len(tensors):
                raise ModelError(f"damaged .tflite: {what} names tensor {i} of {len(tensors)}")
        return found

    ops = []
    for i in bounded(main.OperatorsLength(), "operators"):
        operator = main.Operators(i)
        name = codes[operator.OpcodeIndex()]
        ops.append(
            Op(
                i,
                name,
                indices(operator.InputsAsNumpy(), f"op {name}"),
                indices(operator.OutputsAsNumpy(), f"op {name}"),
                _options(operator, schema),
            )
        )
    inputs, outputs = indices(main.InputsAsNumpy(), "input"), indices(main.OutputsAsNumpy(), "output")
    if not inputs or not outputs or min(inputs + outputs) < 0:
        raise ModelError("damaged .tflite: it has no input or no output")
    return Graph(tensors, tuple(ops), inputs, outputs, dict(sorted(counts.items())))


def _tensor(index: int, tensor: Any, model: Any, types: dict[int, str], buffers: dict[int, bytes | None]) -> Tensor:
    if tensor.ShapeLength() > MOST_AXES:
        raise ModelError(f"damaged .tflite: tensor {index} has {tensor.ShapeLength():,} axes")
    shape = () if tensor.ShapeIsNone() else tuple(int(n) for n in tensor.ShapeAsNumpy())
    if tensor.Buffer() not in buffers:
        buffers[tensor.Buffer()] = _data(model, tensor.Buffer())
    parameters = tensor.Quantization()
    quantization = None
    if parameters is not None and parameters.ScaleLength():
        scale = tuple(float(s) for s in parameters.ScaleAsNumpy())
        zero_point = tuple(int(z) for z in parameters.ZeroPointAsNumpy()) if parameters.ZeroPointLength() else (0,)
        quantization = Quantization(scale, zero_point, int(parameters.QuantizedDimension()))
    name, kind = tensor.Name().decode(errors="replace"), types[tensor.Type()]
    return Tensor(index, name, kind, shape, quantization, buffers[tensor.Buffer()], tensor.Buffer())


def _data(model: Any, number: int) -> bytes | None:
    """The bytes of a buffer, once for all tensors that share it; None for the empty one."""
    buffer = model.Buffers(number)
    if number and (buffer.Offset() > 1 or buffer.Size() > 1):
        raise ModelError("this .tflite keeps weights outside its flatbuffer (over 2 GB): not a microcontroller's model")
    return buffer.DataAsNumpy().tobytes() if number and buffer.DataLength() else None


def _options(operator: Any, schema: Any) -> dict[str, Any]:
    table = operator.BuiltinOptions()
    if table is None or not operator.BuiltinOptionsType():
        return {}
    options = schema.BuiltinOptionsCreator(operator.BuiltinOptionsType(), table)
    return {name: value for name, value in vars(options).items() if isinstance(value, (bool, int, float, str))}


def _enum_names(enum: type) -> dict[int, str]:
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}
