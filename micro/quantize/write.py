"""A quantization-aware model as a .tflite: the operators, scales and integers that it computes with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from micro.quantize.aware import QuantizationAware, Simulated
from micro.quantize.gate_scales import GATES, GRU, LSTM
from micro.quantize.operators import OPERATORS, PAD_VALUE, Operator
from micro.quantize.program import Node
from micro.quantize.recurrent import GATE_SCALE
from micro.quantize.write_gru import add_gru
from micro.quantize.written import Scale
from micro.tflite.graph import packed, schema_module

# Joins the states of a GRU; it is in no program.
PACK = Operator(lambda node, inputs, kernel, bias: inputs[0], "tied", "PackOptions", 2)
# The schema's number of tanh as a fused activation.
TANH = 4


def write_tflite(aware: QuantizationAware) -> bytes:
    """The bytes of the model as TFLite Micro runs it; the same model gives the same bytes."""
    writer = Writer(aware)
    for number in range(len(aware.program.nodes)):
        writer.add_operator(number)
    return writer.finish()


class Writer:
    """The flatbuffer while it grows: tensors are numbered as they come."""

    def __init__(self, aware: QuantizationAware) -> None:
        self.schema = schema_module()
        self.aware = aware
        self.program = aware.program
        self.tensors: list[Any] = []
        self.buffers = [self.schema.BufferT()]  # Buffer 0 is the empty one, by the format.
        self.operators: list[Any] = []
        self.codes: list[tuple[str, int]] = []
        self.shared: dict[tuple[str, bytes, tuple[int, ...]], int] = {}
        self.values = [
            self._value(number, name, self.program.shape(number))
            for number, name in enumerate(self.program.inputs_in.names)
        ]

    def add_operator(self, number: int) -> None:
        node, operator = self.program.nodes[number], self.aware.operators[number]
        if node.op == LSTM:
            self._add_lstm(number, node, operator)
            return
        if node.op == GRU:
            self._made(number, node)
            add_gru(self, node, operator, self.program.first + number)
            return
        inputs = [self.values[value] for value in node.inputs]
        if node.op == "GATHER":
            inputs.insert(0, self._table(number, operator))
        elif node.operand is not None:
            inputs.insert(0 if node.operand_first else len(inputs), self._operand(operator))
        if node.op == "TRANSPOSE_CONV":
            kernel, *bias = self._weights(operator)
            inputs = [self.constant(f"{node.name}/shape", np.array(node.shape, np.int32)), kernel, *inputs, *bias]
        elif node.kernel is not None:
            inputs += self._weights(operator)
        numbers = (node.shape,) if node.op == "RESHAPE" else node.numbers
        inputs += [self.constant(f"{node.name}/{n}", np.array(value, np.int32)) for n, value in enumerate(numbers)]
        if node.op == "PADV2":
            inputs.append(self._pad_value(node))
        self._made(number, node)
        self.operator(node.op, inputs, self.values[-1], self._options(node))

    def _pad_value(self, node: Node) -> int:
        """What a PADV2 pads with, in the steps of its input, as its kernel takes it."""
        scale = self.scale_of(node.inputs[0])
        info = np.iinfo(self.program.activations)
        steps = np.round(node.options[PAD_VALUE] / scale.scale + scale.zero)
        value = np.clip(steps, info.min, info.max).astype(self.program.activations).reshape(())
        return self.constant(f"{node.name}/value", value, scale)

    def _made(self, number: int, node: Node) -> None:
        """The value that a node gives, one of the model's outputs by the name that it has as such."""
        value, outputs = self.program.first + number, self.program.outputs
        named = dict(zip(outputs, self.program.outputs_in.names)) if len(outputs) > 1 else {}
        self.values.append(self._value(value, named.get(value, node.name), node.shape))

    def operator(self, op: str, inputs: list[int], output: int, options: Mapping[str, Any]) -> Any:
        """Append an operator of tensors by their numbers; its schema table."""
        made = self.schema.OperatorT()
        made.opcodeIndex = self._code(op)
        made.inputs, made.outputs = inputs, [output]
        table = PACK.options if op == "PACK" else OPERATORS[op].options
        if table is not None:
            made.builtinOptionsType = getattr(self.schema.BuiltinOptions, table)
            made.builtinOptions = getattr(self.schema, f"{table}T")()
            for name, value in options.items():
                setattr(made.builtinOptions, name, value)
        self.operators.append(made)
        return made

    def _add_lstm(self, number: int, node: Node, operator: Simulated) -> None:
        """An LSTM with its two states, which are set before it runs, so that no sequence goes on where the last one ended."""
        assert node.cell_power is not None
        hidden = self.scale_of(self.program.first + number)
        cell = Scale(np.array([2.0**node.cell_power]))
        shape = (1, node.shape[-1])
        states = [
            self._state(f"{node.name}/hidden", np.full(shape, hidden.zero, self.program.activations), hidden),
            self._state(f"{node.name}/cell", np.zeros(shape, np.int16), cell),
        ]
        absent = [-1] * 4
        kernels, biases = self._gates(operator)
        inputs = [self.values[node.inputs[0]], *kernels, *absent[:3], *biases, *absent[:2], *states, *absent]
        self._made(number, node)
        made = self.operator(node.op, inputs, self.values[-1], {"fusedActivationFunction": TANH})
        # TFLite reads the scales of what goes into the gates from these; they hold no values.
        gate = Scale(np.array([GATE_SCALE]))
        made.intermediates = [self.tensor(f"{node.name}/gate", "int16", (0,), gate) for _ in range(GATES[LSTM])]
        made.intermediates.append(self.tensor(f"{node.name}/product", self.program.activations, (0,), hidden))

    def _state(self, name: str, start: np.ndarray, scale: Scale) -> int:
        """A tensor that an operator changes, and the operator that sets it to where it starts."""
        index = self.tensor(name, start.dtype.name, start.shape, scale)
        self.tensors[index].isVariable = True
        shape = self.constant(f"{name}/shape", np.array(start.shape, np.int32))
        self.operator("RESHAPE", [self.constant(f"{name}/start", start, scale), shape], index, {})
        return index

    def _gates(self, operator: Simulated) -> tuple[list[int], list[int]]:
        """Each gate's kernel, then each gate's recurrent kernel; and their biases, which must be there even if 0."""
        node = operator.node
        input_scale = ops.convert_to_numpy(self.aware.grid(node.inputs[0]).parameters()[0])
        kernel, bias, scales = operator.integers(input_scale)
        units = node.shape[-1]
        wide = np.int64 if self.program.activations == "int16" else np.int32
        gate_biases = np.split(np.zeros(GATES[LSTM] * units, wide) if bias is None else bias.astype(wide), GATES[LSTM])
        kernels, biases = [], []
        for part, what in enumerate(("kernel", "recurrent")):
            rows = kernel[: len(kernel) - units] if part == 0 else kernel[len(kernel) - units :]
            for gate, values in enumerate(np.split(rows, GATES[LSTM], axis=1)):
                scale = np.atleast_1d(scales[part, gate])
                kernels.append(self.constant(f"{node.name}/{what}_{gate}", values.T, Scale(scale)))
                if part == 0:
                    summed = Scale((scale * input_scale).astype(np.float32))
                    biases.append(self.constant(f"{node.name}/bias_{gate}", gate_biases[gate], summed))
        return kernels, biases

    def finish(self) -> bytes:
        schema = self.schema
        graph = schema.SubGraphT()
        graph.name, graph.tensors, graph.operators = "main", self.tensors, self.operators
        graph.inputs = self.values[: self.program.first]
        graph.outputs = [self.values[number] for number in self.program.outputs]
        model = schema.ModelT()
        model.version, model.description = 3, "keras-kd"
        model.subgraphs, model.buffers = [graph], self.buffers
        model.operatorCodes = []
        for name, version in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode = getattr(schema.BuiltinOperator, name)
            code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), version
            model.operatorCodes.append(code)
        return packed(model)

    def _value(self, value: int, name: str, shape: Sequence[int]) -> int:
        if value in self.program.indices:
            return self.tensor(name, "int32", shape)
        return self.tensor(name, self.program.activations, shape, self.scale_of(value))

    def plain_scale(self, scale: float | np.ndarray) -> Scale:
        """A scale with a zero point of 0."""
        return Scale(np.atleast_1d(np.asarray(scale, np.float32)))

    def scale_of(self, value: int) -> Scale:
        """That of a value of the program."""
        scale, zero = (ops.convert_to_numpy(each) for each in self.aware.grid(value).parameters())
        return Scale(np.atleast_1d(scale), int(zero))

    def _weights(self, operator: Simulated) -> list[int]:
        node = operator.node
        input_scale = ops.convert_to_numpy(self.aware.grid(node.inputs[0]).parameters()[0])
        kernel, bias, scale = operator.integers(input_scale)
        axis = 0
        if node.op == "DEPTHWISE_CONV_2D":
            kernel, axis = kernel.reshape(1, *kernel.shape[:2], -1), 3
        elif node.op == "TRANSPOSE_CONV":
            kernel = np.moveaxis(kernel, 2, 0)
        else:
            kernel = np.moveaxis(kernel, -1, 0)
        indices = [self.constant(f"{node.name}/kernel", kernel, Scale(np.atleast_1d(scale), 0, axis))]
        if bias is None:
            # An absent bias saves its bytes, which only some kernels of TFLite Micro allow.
            return [*indices, -1] if node.op == "FULLY_CONNECTED" else indices
        wide = bias.astype(np.int64 if self.program.activations == "int16" else np.int32)
        accumulator = Scale(np.atleast_1d((scale * input_scale).astype(np.float32)))
        return [*indices, self.constant(f"{node.name}/bias", wide, accumulator)]

    def _operand(self, operator: Simulated) -> int:
        values, scale, zero = operator.operand_integers()
        return self.constant(f"{operator.node.name}/constant", values, Scale(np.atleast_1d(scale), zero))

    def _table(self, number: int, operator: Simulated) -> int:
        """The table that rows are looked up in, on the scale of the output."""
        scale = self.scale_of(self.program.first + number)
        assert operator.operand is not None
        values = self.aware.grid(self.program.first + number).fake_quantize(operator.operand)
        steps = np.round(ops.convert_to_numpy(values) / scale.scale + scale.zero)
        return self.constant(f"{operator.node.name}/table", steps.astype(self.program.activations), scale)

    def _options(self, node: Node) -> dict[str, Any]:
        options = {name: value for name, value in node.options.items() if name != PAD_VALUE}
        if "potScaleInt16" in options:
            options["potScaleInt16"] = False
        if node.op in ("MEAN", "REDUCE_MAX"):
            options["keepDims"] = len(node.shape) == len(self.program.shape(node.inputs[0]))
        if node.op == "STRIDED_SLICE":
            options.update(beginMask=0, endMask=0)
        return options

    def _code(self, op: str) -> int:
        code = (op, (PACK if op == "PACK" else OPERATORS[op]).version)
        if code not in self.codes:
            self.codes.append(code)
        return self.codes.index(code)

    def constant(self, name: str, values: np.ndarray, scale: Scale | None = None) -> int:
        """A tensor with data; integers without a scale that occur twice are stored once."""
        data = np.ascontiguousarray(values).tobytes()
        key = (values.dtype.name, data, values.shape)
        if scale is None and key in self.shared:
            return self.shared[key]
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(data, np.uint8)
        self.buffers.append(buffer)
        index = self.tensor(name, values.dtype.name, values.shape, scale, len(self.buffers) - 1)
        if scale is None:
            self.shared[key] = index
        return index

    def tensor(self, name: str, dtype: str, shape: Sequence[int], scale: Scale | None = None, buffer: int = 0) -> int:
        tensor = self.schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, list(shape), buffer
        tensor.type = getattr(self.schema.TensorType, dtype.upper())
        tensor.hasRank = True
        if scale is not None:
            tensor.quantization = self.schema.QuantizationParametersT()
            tensor.quantization.scale = [float(s) for s in scale.scale]
            tensor.quantization.zeroPoint = [scale.zero] * len(scale.scale)
            tensor.quantization.quantizedDimension = scale.axis
        self.tensors.append(tensor)
        return len(self.tensors) - 1
