"""Random int8 graphs over the operators of static C, written without any converter."""

from __future__ import annotations

import flatbuffers
import numpy as np

from micro.tflite.graph import schema_module

UNARY = ("RELU", "RELU6", "LEAKY_RELU", "LOGISTIC", "TANH", "HARD_SWISH", "QUANTIZE")


class Builder:
    """A .tflite that grows operator by operator; values are numbers of its tensors."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.schema = rng, schema_module()
        self.tensors, self.buffers, self.operators, self.codes = [], [self.schema.BufferT()], [], []
        self.spread: dict[int, float] = {}
        # Of convolutions and pooling: 0 is 'same', 1 'valid'.
        self.paddings = (0, 1)

    def tensor(self, shape, dtype="int8", scale=None, zero=None, data=None, axis=0):
        made = self.schema.TensorT()
        made.shape, made.name = [int(n) for n in shape], f"t{len(self.tensors)}"
        made.type = getattr(self.schema.TensorType, dtype.upper())
        if data is not None:
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            self.buffers.append(buffer)
            made.buffer = len(self.buffers) - 1
        if dtype == "int8" or scale is not None:
            made.quantization = self.schema.QuantizationParametersT()
            scale = np.atleast_1d(self.scale() if scale is None else scale).astype(np.float32)
            zero = int(self.rng.integers(-128, 128)) if zero is None else zero
            made.quantization.scale = [float(s) for s in scale]
            made.quantization.zeroPoint = [zero] * len(scale)
            made.quantization.quantizedDimension = axis
        self.tensors.append(made)
        return len(self.tensors) - 1

    def scale(self):
        return float(2.0 ** self.rng.uniform(-8, 1))

    def value(self, shape, spread):
        """A computed tensor whose values are around `spread` wide: its grid holds most of them, sometimes hardly any."""
        steps = self.rng.uniform(15, 90) if self.rng.random() < 0.9 else self.rng.uniform(0.3, 400)
        made = self.tensor(shape, scale=spread / steps, zero=int(self.rng.integers(-100, 101)))
        self.spread[made] = spread
        return made

    def like(self, x, shape=None):
        """A tensor on the grid of another."""
        made = self.tensor(self.shape(x) if shape is None else shape, **self.grid(x))
        self.spread[made] = self.width(x)
        return made

    def width(self, value):
        """How wide a tensor's values are, about; constants are drawn evenly over int8."""
        return self.spread.get(value, 74 * self.grid(value)["scale"])

    def numbers(self, values):
        values = np.asarray(values, np.int32)
        return self.tensor(values.shape, "int32", data=values)

    def shape(self, value):
        return tuple(self.tensors[value].shape)

    def grid(self, value):
        quantization = self.tensors[value].quantization
        return {"scale": quantization.scale[0], "zero": quantization.zeroPoint[0]}

    def op(self, name, inputs, output, table=None, **options):
        made = self.schema.OperatorT()
        if name not in self.codes:
            self.codes.append(name)
        made.opcodeIndex, made.inputs = self.codes.index(name), list(inputs)
        made.outputs = output if isinstance(output, list) else [output]
        if table:
            made.builtinOptionsType = getattr(self.schema.BuiltinOptions, table)
            made.builtinOptions = getattr(self.schema, f"{table}T")()
            for key, value in options.items():
                setattr(made.builtinOptions, key, value)
        self.operators.append(made)
        return output

    def build(self, inputs, outputs):
        schema = self.schema
        model, graph = schema.ModelT(), schema.SubGraphT()
        graph.tensors, graph.operators, graph.inputs, graph.outputs = self.tensors, self.operators, inputs, outputs
        model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [graph], self.buffers, []
        for name in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode = getattr(schema.BuiltinOperator, name)
            code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 5
            model.operatorCodes.append(code)
        builder = flatbuffers.Builder(4096)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def _windowed(size, window, stride, padding, dilation=1):
    """Output length along an axis: 0 is 'same', 1 'valid'."""
    reach = (window - 1) * dilation + 1
    return -(-size // stride) if padding == 0 else -(-(size - reach + 1) // stride)


def _geometry(b, shape, dilated=True):
    rng = b.rng
    window = [int(rng.integers(1, min(4, n) + 1)) for n in shape[1:3]]
    stride = [int(n) for n in rng.integers(1, 4, 2)]
    dilation = [1, 1]
    if dilated and rng.random() < 0.2:
        stride, dilation = [1, 1], [int(n) for n in rng.integers(1, 3, 2)]
    padding = b.paddings[int(rng.integers(0, 2))]
    if padding == 1 and any((w - 1) * d + 1 > n for w, d, n in zip(window, dilation, shape[1:3])):
        padding = 0
    out = [_windowed(n, w, s, padding, d) for n, w, s, d in zip(shape[1:3], window, stride, dilation)]
    return window, stride, dilation, padding, out


def _weights(b, shape, x, axis, channels, output):
    rng = b.rng
    data = rng.integers(-127, 128, shape).astype(np.int8)
    if rng.random() < 0.3:
        data = np.where(rng.random(shape) < 0.85, 0, data).astype(np.int8)
    elif rng.random() < 0.4:
        data = rng.choice(rng.integers(-127, 128, 16).astype(np.int8), shape)
    scale = np.array([b.scale() / 32 for _ in range(channels if rng.random() < 0.6 else 1)], np.float32)
    fan_in = int(np.prod(shape)) // channels
    y = b.value(output, float(np.median(scale)) * 74 * b.width(x) * fan_in**0.5)
    kernel = b.tensor(shape, scale=scale, zero=0, data=data, axis=axis)
    if rng.random() < 0.2:
        return [kernel], y
    reach = int(0.5 * 74 * 74 * fan_in**0.5) + 2
    bias = rng.integers(-reach, reach, channels).astype(np.int32)
    return [kernel, b.tensor((channels,), "int32", scale=scale * b.grid(x)["scale"], zero=0, data=bias)], y


def _conv(b, x):
    n, _, _, channels = b.shape(x)
    window, stride, dilation, padding, out = _geometry(b, b.shape(x))
    width = int(b.rng.integers(1, 7))
    weights, y = _weights(b, (width, *window, channels), x, 0, width, (n, *out, width))
    return b.op(
        "CONV_2D", [x, *weights], y, "Conv2DOptions", padding=padding, strideH=stride[0], strideW=stride[1],
        dilationHFactor=dilation[0], dilationWFactor=dilation[1], fusedActivationFunction=_activation(b),
    )  # fmt: skip


def _depthwise(b, x):
    n, _, _, channels = b.shape(x)
    window, stride, dilation, padding, out = _geometry(b, b.shape(x))
    multiplier = int(b.rng.integers(1, 4))
    made = channels * multiplier
    weights, y = _weights(b, (1, *window, made), x, 3, made, (n, *out, made))
    return b.op(
        "DEPTHWISE_CONV_2D", [x, *weights], y, "DepthwiseConv2DOptions", padding=padding, strideH=stride[0],
        strideW=stride[1], dilationHFactor=dilation[0], dilationWFactor=dilation[1], depthMultiplier=multiplier,
        fusedActivationFunction=_activation(b),
    )  # fmt: skip


def _activation(b):
    return int(b.rng.choice([0, 0, 1, 3]))


def _dense(b, x):
    *_, depth = b.shape(x)
    width = int(b.rng.integers(1, 9))
    weights, y = _weights(b, (width, depth), x, 0, width, (*b.shape(x)[:-1], width))
    if len(weights) == 1:
        weights.append(-1)
    return b.op(
        "FULLY_CONNECTED", [x, *weights], y, "FullyConnectedOptions", keepNumDims=True,
        fusedActivationFunction=_activation(b),
    )  # fmt: skip


def _merge(b, x):
    name = str(b.rng.choice(["ADD", "SUB", "MUL"]))
    kind = b.rng.integers(0, 4)
    shape = b.shape(x)
    if kind == 0:
        other = x
    else:
        own = shape if kind == 1 else (1, 1, 1, shape[3]) if kind == 2 else (1, 1, 1, 1)
        spread = b.width(x) * float(2.0 ** b.rng.uniform(-2, 2)) / 74
        other = b.tensor(own, scale=spread, data=b.rng.integers(-128, 128, own).astype(np.int8))
    one, two = b.width(x), b.width(other)
    spread = one * two if name == "MUL" else (one**2 + two**2) ** 0.5
    pair = [x, other] if b.rng.random() < 0.5 else [other, x]
    table = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions"}[name]
    return b.op(name, pair, b.value(shape, spread), table, fusedActivationFunction=_activation(b))


def _pool(b, x):
    n, _, _, channels = b.shape(x)
    window, stride, _, padding, out = _geometry(b, b.shape(x), dilated=False)
    name = str(b.rng.choice(["AVERAGE_POOL_2D", "MAX_POOL_2D"]))
    y = b.like(x, (n, *out, channels))
    return b.op(
        name, [x], y, "Pool2DOptions", padding=padding, strideH=stride[0], strideW=stride[1], filterHeight=window[0],
        filterWidth=window[1], fusedActivationFunction=_activation(b),
    )  # fmt: skip


def _mean(b, x):
    axes = [[1, 2], [1], [2], [3], [1, 2, 3]][b.rng.integers(0, 5)]
    shape = [1 if axis in axes else n for axis, n in enumerate(b.shape(x))]
    y = b.like(x, shape) if b.rng.random() < 0.2 else b.value(shape, b.width(x) / 2)
    return b.op("MEAN", [x, b.numbers(axes)], y, "ReducerOptions", keepDims=True)


def _softmax(b, x):
    y = b.tensor(b.shape(x), scale=1 / 256, zero=-128)
    return b.op("SOFTMAX", [x], y, "SoftmaxOptions", beta=float(b.rng.choice([1.0, 0.5])))


def _unary(b, x):
    name = str(b.rng.choice(UNARY))
    fixed = {"LOGISTIC": {"scale": 1 / 256, "zero": -128}, "TANH": {"scale": 1 / 128, "zero": 0}}
    y = b.tensor(b.shape(x), **fixed[name]) if name in fixed else b.value(b.shape(x), b.width(x))
    if name == "LEAKY_RELU":
        return b.op(name, [x], y, "LeakyReluOptions", alpha=float(b.rng.uniform(0.01, 0.9)))
    return b.op(name, [x], y)


def _reshape(b, x):
    n, height, width, channels = b.shape(x)
    shape = (n, width, height, channels) if b.rng.random() < 0.5 else (n, 1, height * width, channels)
    name = "RESHAPE"
    return b.op(name, [x, b.numbers(shape)], b.like(x, shape))


def _pad(b, x):
    around = [[0, 0], *b.rng.integers(0, 3, (3, 2)).tolist()]
    shape = [n + sum(pair) for n, pair in zip(b.shape(x), around)]
    return b.op("PAD", [x, b.numbers(around)], b.like(x, shape), "PadOptions")


def _concatenate(b, x):
    axis = int(b.rng.integers(1, 4))
    own = list(b.shape(x))
    own[axis] = int(b.rng.integers(1, 4))
    other = b.tensor(own, **b.grid(x), data=b.rng.integers(-128, 128, own).astype(np.int8))
    parts = [x, other, x] if b.rng.random() < 0.5 else [other, x]
    shape = list(b.shape(x))
    shape[axis] = sum(b.shape(part)[axis] for part in parts)
    return b.op("CONCATENATION", parts, b.like(x, shape), "ConcatenationOptions", axis=axis - 4)


def _transpose(b, x):
    order = [0, *(1 + b.rng.permutation(3)).tolist()]
    return b.op("TRANSPOSE", [x, b.numbers(order)], b.like(x, [b.shape(x)[i] for i in order]), "TransposeOptions")


def _slice(b, x):
    begins, ends, steps, shape = [0], [b.shape(x)[0]], [1], [b.shape(x)[0]]
    for n in b.shape(x)[1:]:
        begin = int(b.rng.integers(0, n))
        end = int(b.rng.integers(begin + 1, n + 1))
        step = int(b.rng.integers(1, 3))
        begins.append(begin), ends.append(end), steps.append(step)
        shape.append(len(range(begin, end, step)))
    numbers = [b.numbers(values) for values in (begins, ends, steps)]
    return b.op("STRIDED_SLICE", [x, *numbers], b.like(x, shape), "StridedSliceOptions")


MAKERS = (
    *(_conv, _conv, _depthwise, _depthwise, _dense, _merge, _merge, _pool, _mean, _softmax),
    *(_unary, _unary, _reshape, _pad, _concatenate, _transpose, _slice),
)


def random_graph(seed: int) -> bytes:
    """One to four operators in a line, with shapes, grids and constants drawn from `seed`."""
    rng = np.random.default_rng(seed)
    b = Builder(rng)
    start = value = b.value((1, *rng.integers(1, 8, 2).tolist(), int(rng.integers(1, 5))), rng.uniform(0.3, 6))
    for _ in range(rng.integers(1, 5)):
        value = MAKERS[rng.integers(0, len(MAKERS))](b, value)
    return b.build([start], [value])
