"""The model of one hop: it takes the newest samples, and keeps in variables what later hops need again."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from micro.errors import ConversionError, ModelError
from micro.streaming.streamed import Streamed
from micro.streaming.time_axis import Along, Reach, along_time, integers_of, picked, slice_of
from micro.tflite.cost import WIDTHS
from micro.tflite.graph import Graph, Op, TfliteLike, content_of, packed, read, schema_module

if TYPE_CHECKING:
    from ai_edge_litert import schema_py_generated as schema_types


def stream(tflite: TfliteLike, hop: int) -> Streamed:
    """A model of a whole window as a model that takes `hop` samples at a time.

    Convolutions, pooling and all that treats samples alike is computed for the new samples alone; what they reach back to is
    kept in variables (VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE). What needs a whole window, such as an average over time or
    a dense layer behind it, gets the window from such a variable. After `warm_up` hops the output is that of the whole
    window's model on the last window, bit for bit.

    A convolution with padding="same" over time sees an edge that moves on with the window, so that it is computed again at
    each hop, and all behind it; as is one with padding="causal" whose first samples the output depends on. `stops` names
    them. Layers with padding="valid" stream.

    Args:
        tflite: An int8 model of one input (1, time, ...): bytes, a path, or what `convert` returns.
        hop: New samples at a time, from 1 to the window.

    Raises:
        ValueError: For a hop that is not within the window.
        ModelError: For a damaged model.
        ConversionError: For a model of several inputs, or whose input is no series of samples.

    Examples:
        >>> inputs = keras.Input((16, 2))
        >>> model = keras.Model(inputs, keras.layers.Conv1D(4, 3)(inputs)[:, -1])
        >>> x = np.random.default_rng(0).normal(size=(200, 16, 2)).astype("float32")
        >>> streamed = micro.stream(micro.convert(model, x), hop=1)
        >>> streamed.warm_up, streamed.state_bytes
        (3, 4)

    Source: Rybakov et al. 2020, "Streaming keyword spotting on mobile devices", https://arxiv.org/abs/2005.06720.
    """
    content = content_of(tflite)
    graph = read(content)
    _require(graph, hop)
    try:
        along = along_time(graph, hop)
        written = _Writer(content, graph, along, hop)
        for op in graph.ops:
            written.add(op)
        step = written.finish()
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise ModelError(f"damaged .tflite: an operator has options or tensors that make no sense: {error}") from None
    window = graph.tensors[graph.inputs[0]].shape[1]
    needed = window - along.oldest.get(graph.inputs[0], 0)
    return Streamed(
        step,
        hop,
        -(-needed // hop),
        written.state_bytes,
        read(step).macs,
        graph.macs,
        tuple(f"{_name(graph, index)} {why}" for index, why in sorted(along.stops.items())),
    )


def _require(graph: Graph, hop: int) -> None:
    """Refuse what cannot be streamed."""
    if len(graph.inputs) != 1:
        raise ConversionError(f"the model has {len(graph.inputs)} inputs; only a model of one input can be streamed")
    first = graph.tensors[graph.inputs[0]]
    if len(first.shape) < 3 or first.shape[0] != 1:
        raise ConversionError(
            f"input {first.quoted} has shape {list(first.shape)}; a window of samples is (1, time, channels)"
        )
    for op in graph.ops:
        if op.name in ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "SVDF"):
            raise ConversionError(
                "the model keeps values from one inference to the next, as one of a hop does; stream the whole window's"
            )
        for tensor in (graph.tensors[i] for i in op.outputs):
            if tensor.dtype.startswith("float"):
                raise ConversionError(
                    f"{tensor.quoted} is {tensor.dtype}; only an int8 model can be streamed: see micro.convert"
                )
    if isinstance(hop, bool) or not isinstance(hop, int) or not 1 <= hop <= first.shape[1]:
        raise ValueError(f"hop must be an integer from 1 to the window of {first.shape[1]} samples, got {hop!r}")


def _name(graph: Graph, index: int) -> str:
    """An operator's output; the converter lists all layers that became one operator."""
    return graph.tensors[graph.ops[index].outputs[0]].name.split(";")[0]


class _Writer:
    """The step model as it grows: operators of the whole model in their order, with shorter tensors and their variables."""

    def __init__(self, content: bytes, graph: Graph, along: Along, hop: int) -> None:
        self.schema = schema_module()
        self.model: schema_types.ModelT = self.schema.ModelT.InitFromPackedBuf(content, 0)
        self.model.metadata = self.model.metadataBuffer = self.model.signatureDefs = None
        self.tensors, self.whole = self.model.subgraphs[0].tensors, self.model.subgraphs[0].operators
        self.written: list[schema_types.OperatorT] = []
        self.graph, self.along, self.hop, self.state_bytes = graph, along, hop, 0
        self.kept: dict[tuple[int, int], int] = {}
        self.variables = 0
        for index, flow in along.flows.items():
            self.tensors[index].shape = self.shape(index, hop // flow.stride)
            self.tensors[index].shapeSignature = None
        self.longest = self._longest()

    def finish(self) -> bytes:
        self.model.subgraphs[0].operators = self.written
        return packed(self.model)

    def add(self, op: Op) -> None:
        """An operator, on the frames that it needs of each input."""
        operator = self.whole[op.index]
        operator.inputs = [
            self.frames(int(i), self.needed(op, int(i))) if int(i) in self.along.flows else int(i)
            for i in operator.inputs
        ]
        if op.name in ("RESHAPE", "PAD", "STRIDED_SLICE"):
            getattr(self, f"_{op.name.lower()}")(op, operator)
        self.written.append(operator)

    def shape(self, index: int, frames: int) -> list[int]:
        """A tensor's shape with this number of frames."""
        shape = list(self.graph.tensors[index].shape)
        shape[self.along.flows[index].axis] = frames
        return shape

    def count(self, index: int) -> int:
        """Frames of a tensor that are new at each hop."""
        return self.hop // self.along.flows[index].stride

    def needed(self, op: Op, index: int) -> int:
        """The newest frames that an operator takes of one of its inputs."""
        reach, whole = self.along.reaches.get(op.index), self.graph.tensors[index].shape[self.along.flows[index].axis]
        if reach is not None:
            return reach.frames(self.count(op.outputs[0]))
        cut = picked(op, self.graph, self.along.flows[index].axis)
        return whole - cut.start if cut is not None else whole

    def _longest(self) -> dict[int, int]:
        """The most frames that any operator takes of each tensor."""
        longest: dict[int, int] = {}
        for op in self.graph.ops:
            for index in op.inputs:
                if index in self.along.flows:
                    longest[index] = max(longest.get(index, 0), self.needed(op, index))
        return longest

    def frames(self, index: int, count: int) -> int:
        """The tensor of the newest `count` frames of a tensor."""
        if count == self.count(index):
            return index
        if (index, count) not in self.kept:
            longest = max(self.longest[index], self.count(index))
            if longest == count:
                self.kept[index, count] = self._remembered(index, longest)
            else:
                self.kept[index, count] = self._newest(self.frames(index, longest), index, longest, count)
        return self.kept[index, count]

    def _remembered(self, index: int, count: int) -> int:
        """New frames behind those of earlier hops, of which the newest are kept for the next hop."""
        axis, old = self.along.flows[index].axis, count - self.count(index)
        handle = self._tensor(f"state_{self.variables}", [1], kind="RESOURCE")
        options = self.schema.VarHandleOptionsT()
        options.container, options.sharedName = "", f"state_{self.variables}"
        self.variables += 1
        self._operator("VAR_HANDLE", [], [handle], options)
        before, joined = self._like(index, old, "before"), self._like(index, count, "frames")
        self.state_bytes += WIDTHS[self.graph.tensors[index].dtype] * math.prod(self.shape(index, old))
        self._operator("READ_VARIABLE", [handle], [before], self.schema.ReadVariableOptionsT())
        options = self.schema.ConcatenationOptionsT()
        options.axis = axis
        self._operator("CONCATENATION", [before, index], [joined], options)
        after = self._newest(joined, index, count, old)
        self._operator("ASSIGN_VARIABLE", [handle, after], [], self.schema.AssignVariableOptionsT())
        return joined

    def _newest(self, source: int, index: int, length: int, count: int) -> int:
        """The last `count` frames of a tensor of `length` frames."""
        made = self._like(index, count, "newest")
        shape, axis = self.shape(index, length), self.along.flows[index].axis
        begin = [0] * len(shape)
        begin[axis] = length - count
        numbers = [self._integers(values) for values in (begin, shape, [1] * len(shape))]
        self._operator("STRIDED_SLICE", [source, *numbers], [made], self.schema.StridedSliceOptionsT())
        return made

    def _reshape(self, op: Op, operator: schema_types.OperatorT) -> None:
        if op.index in self.along.reaches:
            shape = self.shape(op.outputs[0], self.count(op.outputs[0]))
            if operator.builtinOptions is not None:
                operator.builtinOptions.newShape = shape
            operator.inputs = [operator.inputs[0], self._integers(shape)]

    def _pad(self, op: Op, operator: schema_types.OperatorT) -> None:
        """Padding in time is before the oldest frame, which the output does not depend on."""
        if op.index in self.along.reaches:
            around = self._constant(op.inputs[1]).reshape(-1, 2)
            around[self.along.flows[op.inputs[0]].axis] = 0
            operator.inputs = [operator.inputs[0], self._integers(around), *operator.inputs[2:]]

    def _strided_slice(self, op: Op, operator: schema_types.OperatorT) -> None:
        """The frames that it is given are those from the first that it takes on."""
        index = op.inputs[0]
        if index not in self.along.flows:
            return
        axis = self.along.flows[index].axis
        cut = slice_of(op, self.graph, axis)
        reach: Reach | None = self.along.reaches.get(op.index)
        if (
            cut is None
            or axis >= self.graph.tensors[op.inputs[1]].size
            or (reach is None and picked(op, self.graph, axis) is None)
        ):
            return
        begin, end, strides = map(self._constant, op.inputs[1:4])
        begin[axis] = 0
        end[axis] = self.count(op.outputs[0]) if reach is not None else cut.stop - cut.start
        options = copy.copy(operator.builtinOptions)
        options.beginMask &= ~(1 << axis)
        options.endMask &= ~(1 << axis)
        operator.builtinOptions = options
        operator.inputs = [operator.inputs[0], *(self._integers(values) for values in (begin, end, strides))]

    def _constant(self, index: int) -> np.ndarray:
        """A copy of a constant's values."""
        values = integers_of(self.graph.tensors[index])
        assert values is not None
        return values.copy()

    def _like(self, index: int, frames: int, what: str) -> int:
        """A tensor with the scale and zero point of another, of this number of frames."""
        made = self._tensor(f"{self.graph.tensors[index].name}/{what}", self.shape(index, frames))
        self.tensors[made].type = self.tensors[index].type
        self.tensors[made].quantization = self.tensors[index].quantization
        return made

    def _tensor(self, name: str, shape: Sequence[int], kind: str = "INT8") -> int:
        tensor = self.schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, list(shape), 0
        tensor.type = getattr(self.schema.TensorType, kind)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _integers(self, values: Sequence[int] | np.ndarray) -> int:
        """A constant of int32."""
        array = np.array(values, np.int32)
        made = self._tensor(f"constant_{len(self.tensors)}", array.shape, "INT32")
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        self.tensors[made].buffer = len(self.model.buffers) - 1
        return made

    def _operator(self, name: str, inputs: Sequence[int], outputs: Sequence[int], options: object) -> None:
        code = getattr(self.schema.BuiltinOperator, name)
        codes = [max(each.builtinCode, each.deprecatedBuiltinCode) for each in self.model.operatorCodes]
        if code not in codes:
            made = self.schema.OperatorCodeT()
            made.builtinCode, made.deprecatedBuiltinCode, made.version = code, min(code, 127), 1
            self.model.operatorCodes.append(made)
            codes.append(code)
        operator = self.schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = codes.index(code), list(inputs), list(outputs)
        operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        operator.builtinOptions = options
        self.written.append(operator)
