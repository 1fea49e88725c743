"""A .tflite as plain dataclasses."""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from micro.errors import ModelError


class HasContent(Protocol):
    """Anything that holds the bytes of a .tflite, e.g. `Converted`."""

    @property
    def content(self) -> bytes: ...


# No tensor of a real model has more axes.
MOST_AXES = 16
# Tables of a flatbuffer may overlap, so that a small file can pretend to be many times its size: what is taken from one may be
# so many times its bytes, since writers share equal names and vectors.
MOST_SHARED = 4
# Operators that multiply and accumulate: the axes of the tensors that their number is counted from, by place among the inputs
# (-1: the output; None: any number).
COUNTED: dict[str, dict[int, int | None]] = {
    "CONV_2D": {1: 4, -1: None},
    "DEPTHWISE_CONV_2D": {1: 4, -1: None},
    "TRANSPOSE_CONV": {1: 4, 2: 4, -1: None},
    "FULLY_CONNECTED": {1: None, -1: None},
    "BATCH_MATMUL": {0: None, -1: None},
}

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
    content = content_of(tflite)
    try:
        return _read(content)
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
        return tensors[op.outputs[0]].size * (tensors[op.inputs[0]].shape or (1,))[-1]
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
    taken = 0

    def bounded(length: int, what: str) -> range:
        nonlocal taken
        taken += length
        if length < 0 or taken > MOST_SHARED * len(content):
            raise ModelError(f"damaged .tflite: {length:,} {what} in {len(content):,} bytes")
        return range(length)

    def op_name(index: int) -> str:
        code = model.OperatorCodes(index)
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if names[builtin] != "CUSTOM":
            return names[builtin]
        told = (code.CustomCode() or b"").decode(errors="replace")
        # A custom operator may call itself anything, CONV_2D too.
        return f"CUSTOM {told}".rstrip() if not told or told in names.values() else told

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
        _tensor(i, main.Tensors(i), model, types, buffers, bounded) for i in bounded(main.TensorsLength(), "tensors")
    )

    def indices(array: Any, what: str) -> tuple[int, ...]:
        if isinstance(array, int):
            return ()
        bounded(4 * len(array), f"bytes of indices of {what}")
        found = tuple(int(i) for i in array)
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
        _require_counted(ops[-1], tensors)
    inputs, outputs = indices(main.InputsAsNumpy(), "input"), indices(main.OutputsAsNumpy(), "output")
    if not inputs or not outputs or min(inputs + outputs) < 0:
        raise ModelError("damaged .tflite: it has no input or no output")
    return Graph(tensors, tuple(ops), inputs, outputs, dict(sorted(counts.items())))


def _tensor(
    index: int,
    tensor: Any,
    model: Any,
    types: dict[int, str],
    buffers: dict[int, bytes | None],
    bounded: Callable[[int, str], range],
) -> Tensor:
    if tensor.ShapeLength() > MOST_AXES:
        raise ModelError(f"damaged .tflite: tensor {index} has {tensor.ShapeLength():,} axes")
    shape = () if tensor.ShapeIsNone() else tuple(int(n) for n in tensor.ShapeAsNumpy())
    # Names are optional in the format.
    name = (tensor.Name() or b"").decode(errors="replace") or f"tensor {index}"
    bounded(len(name), "characters of names")
    if min(shape, default=0) < -1:
        raise ModelError(f"damaged .tflite: tensor {index} ({name!r}) has shape {list(shape)}")
    if -1 in shape:
        raise ModelError(
            f"tensor {index} ({name!r}) has the open shape {list(shape)}; on a chip every size is fixed: convert with a "
            "batch of 1"
        )
    if tensor.Buffer() not in buffers:
        buffers[tensor.Buffer()] = _data(model, tensor.Buffer(), bounded)
    quantization = _quantization(tensor.Quantization(), bounded)
    return Tensor(index, name, types[tensor.Type()], shape, quantization, buffers[tensor.Buffer()], tensor.Buffer())


def _quantization(parameters: Any, bounded: Callable[[int, str], range]) -> Quantization | None:
    """None without a scale or without a zero point: TFLite Micro takes such a tensor as not quantized."""
    if parameters is None or not parameters.ScaleLength() or not parameters.ZeroPointLength():
        return None
    bounded(4 * parameters.ScaleLength() + 8 * parameters.ZeroPointLength(), "bytes of scales and zero points")
    scale = tuple(float(s) for s in parameters.ScaleAsNumpy())
    zero_point = tuple(int(z) for z in parameters.ZeroPointAsNumpy())
    return Quantization(scale, zero_point, int(parameters.QuantizedDimension()))


def _data(model: Any, number: int, bounded: Callable[[int, str], range]) -> bytes | None:
    """The bytes of a buffer, once for all tensors that share it; None for the empty one."""
    buffer = model.Buffers(number)
    if number and (buffer.Offset() > 1 or buffer.Size() > 1):
        raise ModelError("this .tflite keeps weights outside its flatbuffer (over 2 GB): not a microcontroller's model")
    bounded(buffer.DataLength(), "bytes of constants")
    return buffer.DataAsNumpy().tobytes() if number and buffer.DataLength() else None


def _require_counted(op: Op, tensors: tuple[Tensor, ...]) -> None:
    """Refuse an operator whose multiply-accumulates cannot be counted, for want of tensors or their axes."""
    for place, axes in COUNTED.get(op.name, {}).items():
        side, number = (op.outputs, 0) if place < 0 else (op.inputs, place)
        what = f"damaged .tflite: operator {op.index} ({op.name})"
        if len(side) <= number or side[number] < 0:
            raise ModelError(f"{what} lacks its {'output' if place < 0 else f'input {place}'}")
        shape = tensors[side[number]].shape
        if axes is not None and len(shape) != axes:
            raise ModelError(f"{what} has {len(shape)} axes in {tensors[side[number]].name!r}, where {axes} are right")


def _options(operator: Any, schema: Any) -> dict[str, Any]:
    table = operator.BuiltinOptions()
    if table is None or not operator.BuiltinOptionsType():
        return {}
    options = schema.BuiltinOptionsCreator(operator.BuiltinOptionsType(), table)
    return {name: value for name, value in vars(options).items() if isinstance(value, (bool, int, float, str))}


def _enum_names(enum: type) -> dict[int, str]:
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}
