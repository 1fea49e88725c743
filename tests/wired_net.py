"""The parts of the nets that wired_graphs.py draws: tensors, buffers, operators, and values that wait to be used."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as tfl


@dataclass(frozen=True)
class Wire:
    """A value in the net: its tensor's number, shape and grid, and about how far its real values lie from zero."""

    number: int
    shape: tuple[int, ...]
    scale: float
    zero: int
    far: float
    kind: str = "int8"

    @property
    def grid(self) -> tuple[float, int]:
        return self.scale, self.zero

    @property
    def count(self) -> int:
        return math.prod(self.shape)


class Net:
    """Tensors, buffers and operators as they come."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(f"wired {seed}")
        self.tensors: list[tfl.TensorT] = []
        self.buffers: list[tfl.BufferT] = [tfl.BufferT()]
        self.steps: list[tfl.OperatorT] = []
        self.kinds: list[int] = []
        self.wires: list[Wire] = []
        # Values that are not int8 wait apart.
        self.others: list[Wire] = []
        self.constants: list[Wire] = []

    def odd_scale(self, about: float) -> float:
        """A grid's step for values around `about`: mostly some tens of steps wide, now and then very fine or coarse."""
        steps = (
            math.exp(self.dice.gauss(math.log(45), 0.5)) if self.dice.random() < 0.85 else self.dice.uniform(0.2, 2000)
        )
        scale = max(about, 1e-6) / steps
        return float(np.float32(scale if self.dice.random() < 0.9 else 2.0 ** round(math.log2(scale))))

    def odd_zero(self) -> int:
        """Any zero point, now and then one at an end."""
        return self.dice.randint(-128, 127) if self.dice.random() < 0.8 else self.dice.choice((-128, 0, 127))

    def add_tensor(
        self, kind: int, shape, scales=(), zeros=(), axis=0, data: np.ndarray | None = None, buffer=None
    ) -> int:
        tensor = tfl.TensorT()
        tensor.type, tensor.shape = kind, [int(n) for n in shape]
        # Some have names, some not: the format needs none.
        tensor.name = f"w{len(self.tensors)}" if self.dice.random() < 0.7 else None
        if len(scales):
            tensor.quantization = tfl.QuantizationParametersT()
            tensor.quantization.scale = [float(s) for s in scales]
            tensor.quantization.zeroPoint = [int(z) for z in zeros]
            tensor.quantization.quantizedDimension = axis
        if data is not None:
            held = tfl.BufferT()
            held.data = list(data.tobytes())
            self.buffers.append(held)
            buffer = len(self.buffers) - 1
        tensor.buffer = buffer or 0
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def other(self, shape, kind: str, far: float = 1.0) -> Wire:
        """A computed value of another type, without a grid."""
        number = self.add_tensor(getattr(tfl.TensorType, kind.upper()), shape)
        return Wire(number, tuple(int(n) for n in shape), 1.0, 0, far, kind)

    def wire(self, shape, far: float, grid: tuple[float, int] | None = None) -> Wire:
        scale, zero = grid or (self.odd_scale(far), self.odd_zero())
        number = self.add_tensor(tfl.TensorType.INT8, shape, [scale], [zero])
        return Wire(number, tuple(int(n) for n in shape), scale, zero, far)

    def constant(self, shape, grid: tuple[float, int] | None = None) -> Wire:
        """Constant values; sometimes a tensor, or the bytes of one, that another operator has already."""
        fitting = [c for c in self.constants if c.shape == tuple(shape) and grid in (None, c.grid)]
        if fitting and self.dice.random() < 0.5:
            return self.dice.choice(fitting)
        scale, zero = grid or (self.odd_scale(1.0), self.dice.randint(-128, 127))
        alike = [c for c in self.constants if c.shape == tuple(shape)]
        if alike and self.dice.random() < 0.5:
            shared = self.tensors[self.dice.choice(alike).number].buffer
            number = self.add_tensor(tfl.TensorType.INT8, shape, [scale], [zero], buffer=shared)
        else:
            number = self.add_tensor(tfl.TensorType.INT8, shape, [scale], [zero], data=self.bytes_of(shape, -128, 127))
        self.constants.append(Wire(number, tuple(shape), scale, zero, 74 * scale))
        return self.constants[-1]

    def bytes_of(self, shape, low: int, high: int) -> np.ndarray:
        return np.array([self.dice.randint(low, high) for _ in range(math.prod(shape))], np.int8).reshape(shape)

    def indices(self, values) -> int:
        values = np.asarray(values, np.int32)
        return self.add_tensor(tfl.TensorType.INT32, values.shape, data=values)

    def step(self, name: str, takes, gives: Wire, options=None) -> Wire:
        return self.steps_of(name, takes, [gives], options)[0]

    def steps_of(self, name: str, takes, gives: list[Wire], options=None) -> list[Wire]:
        """An operator of several outputs."""
        kind = getattr(tfl.BuiltinOperator, name)
        if kind not in self.kinds:
            self.kinds.append(kind)
        made = tfl.OperatorT()
        made.opcodeIndex = self.kinds.index(kind)
        made.inputs = [t.number if isinstance(t, Wire) else t for t in takes]
        made.outputs = [wire.number for wire in gives]
        if options is not None:
            made.builtinOptionsType = getattr(tfl.BuiltinOptions, type(options).__name__[:-1])
            made.builtinOptions = options
        self.steps.append(made)
        for wire in gives:
            (self.wires if wire.kind == "int8" else self.others).append(wire)
        return gives

    def file(self, inputs, outputs) -> bytes:
        graph, model = tfl.SubGraphT(), tfl.ModelT()
        graph.tensors, graph.operators = self.tensors, self.steps
        graph.inputs, graph.outputs = [w.number for w in inputs], [w.number for w in outputs]
        model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [graph], self.buffers, []
        for kind in self.kinds:
            code = tfl.OperatorCodeT()
            code.builtinCode, code.deprecatedBuiltinCode, code.version = kind, min(kind, 127), 1
            model.operatorCodes.append(code)
        builder = flatbuffers.Builder(1 << 14)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def window(net: Net, shape, options, widest: int = 5):
    """Size, and how far it goes, of a window over two axes: (window, output lengths); strides and dilations into `options`."""
    across, reached = [], []
    dilate = hasattr(options, "dilationHFactor")
    options.padding = net.dice.choice((tfl.Padding.SAME, tfl.Padding.VALID))
    strides = [net.dice.randint(1, 4) for _ in range(2)]
    spread = [net.dice.choice((1, 1, 2, 3)) if dilate else 1 for _ in range(2)]
    if dilate and max(spread) > 1:
        strides = [1, 1]  # TFLite has no more
    for axis, length in enumerate(shape[1:3]):
        size = net.dice.randint(1, widest)
        span = (size - 1) * spread[axis] + 1
        if options.padding == tfl.Padding.VALID and span > length:
            size, span = 1, 1
        steps = length if options.padding == tfl.Padding.SAME else length - span + 1
        across.append(size)
        reached.append(-(-steps // strides[axis]))
    options.strideH, options.strideW = strides
    if dilate:
        options.dilationHFactor, options.dilationWFactor = spread
    return across, reached


def fused(net: Net, options):
    choices = (tfl.ActivationFunctionType.NONE,) * 3 + (
        tfl.ActivationFunctionType.RELU, tfl.ActivationFunctionType.RELU6, tfl.ActivationFunctionType.RELU_N1_TO_1,
    )  # fmt: skip
    options.fusedActivationFunction = net.dice.choice(choices)
    return options
