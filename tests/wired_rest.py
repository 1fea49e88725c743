"""Steps of wired_graphs.py's nets for truth values, indices, other widths, and the rest of what 16-bit values may meet."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as tfl
from wired_net import Net, Wire, fused
from wired_wide import narrowed, wide, widened


def truths(net: Net, x: Wire) -> Wire:
    """Where int8 values are above another value, which an operator that compares finds."""
    a = x if x.scale < 0.9 else net.step("QUANTIZE", [x], net.wire(x.shape, 40.0), tfl.QuantizeOptionsT())
    other = net.constant([1] * len(x.shape), (0.02, 0))
    return net.step("GREATER", [a, other], net.other(x.shape, "bool"), tfl.GreaterOptionsT())


def constant_truths(net: Net, shape) -> int:
    return net.add_tensor(tfl.TensorType.BOOL, shape, data=net.bytes_of(shape, 0, 1))


def logical(name: str):
    def step(net: Net, x: Wire) -> Wire | None:
        a = truths(net, x)
        y = net.other(x.shape, "bool")
        if name == "LOGICAL_NOT":
            return net.step(name, [a], y)
        return net.step(name, [a, constant_truths(net, [n if net.dice.random() < 0.6 else 1 for n in x.shape])], y)

    return step


def reduce_all(net: Net, x: Wire) -> Wire | None:
    axes = net.dice.sample(range(len(x.shape)), net.dice.randint(1, len(x.shape)))
    options = tfl.ReducerOptionsT()
    options.keepDims = True
    y = net.other([1 if i in axes else n for i, n in enumerate(x.shape)], "bool")
    return net.step("REDUCE_ALL", [truths(net, x), net.indices(axes)], y, options)


def compared_32(net: Net, x: Wire) -> Wire | None:
    a = net.step("CAST", [x], net.other(x.shape, "int32"), tfl.CastOptionsT())
    other = net.indices(net.bytes_of([1] * len(x.shape), -100, 100))
    name = net.dice.choice(("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"))
    return net.step(name, [a, other], net.other(x.shape, "bool"))


def cast(net: Net, x: Wire) -> Wire | None:
    """From int8 or bool to one type and on to another."""
    x = truths(net, x) if net.dice.random() < 0.3 else x
    # 8 and 16 bits with a scale, for what comes after.
    made = (
        lambda: net.other(x.shape, "int32"),
        lambda: wide(net, x.shape, 10.0),
        lambda: net.wire(x.shape, 10.0),
    )
    for value in net.dice.sample(made, 2):
        x = net.step("CAST", [x], value(), tfl.CastOptionsT())
    return x


def gather_nd(net: Net, x: Wire) -> Wire | None:
    depth, count = net.dice.randint(1, len(x.shape)), net.dice.randint(1, 5)
    places = [[net.dice.randrange(n) for n in x.shape[:depth]] for _ in range(count)]
    y = net.wire((count, *x.shape[depth:]), x.far, x.grid)
    return net.step("GATHER_ND", [x, net.indices(places)], y, tfl.GatherNdOptionsT())


def update_slice(net: Net, x: Wire) -> Wire | None:
    part = net.constant([net.dice.randint(1, n) for n in x.shape], x.grid)
    start = net.indices([net.dice.randint(-2, n + 1) for n in x.shape])
    return net.step("DYNAMIC_UPDATE_SLICE", [x, part, start], net.wire(x.shape, x.far, x.grid))


def shape(net: Net, x: Wire) -> Wire | None:
    return net.step("SHAPE", [x], net.other((len(x.shape),), "int32", max(x.shape) + 1), tfl.ShapeOptionsT())


def broadcast_args(net: Net, x: Wire) -> Wire | None:
    shapes = [net.indices(x.shape), net.indices([1, *x.shape[1:]])]
    return net.step("BROADCAST_ARGS", shapes, net.other((len(x.shape),), "int32", max(x.shape) + 1))


def div(net: Net, x: Wire) -> Wire | None:
    """By values of one sign, since what a divisor of 0 gives is open."""
    zero = net.dice.randint(-120, 120)
    divisor = net.wire(x.shape, 1.0, (net.odd_scale(1.0), zero))
    by = net.step("QUANTIZE", [x], divisor, tfl.QuantizeOptionsT())
    low = net.constant([1] * len(x.shape), (divisor.scale, zero))
    net.tensors[low.number].buffer = 0
    held = tfl.BufferT()
    held.data = [(zero + 1) & 255]
    net.buffers.append(held)
    net.tensors[low.number].buffer = len(net.buffers) - 1
    net.constants.remove(low)
    by = net.step("MAXIMUM", [by, low], net.wire(x.shape, 1.0, (divisor.scale, zero)), tfl.MaximumMinimumOptionsT())
    scale = float(np.float32(x.scale / divisor.scale / 2.0 ** net.dice.uniform(6.1, 9)))
    return net.step("DIV", [x, by], net.wire(x.shape, 1.0, (scale, net.odd_zero())), fused(net, tfl.DivOptionsT()))


def slope(name: str):
    def step(net: Net, x: Wire) -> Wire | None:
        x, options = widened(net, x), None
        if name == "LEAKY_RELU":
            options = tfl.LeakyReluOptionsT()
            options.alpha = net.dice.uniform(-0.5, 0.9)
        return narrowed(net, net.step(name, [x], wide(net, x.shape, x.far), options))

    return step


def softmax(net: Net, x: Wire) -> Wire | None:
    options = tfl.SoftmaxOptionsT()
    options.beta = net.dice.choice((1.0, 0.5, 2.0))
    if net.dice.random() < 0.5:
        x = widened(net, x)
        return narrowed(net, net.step("SOFTMAX", [x], wide(net, x.shape, 1.0, 2.0**-15), options))
    y = wide(net, x.shape, 1.0, 2.0**-16)
    net.tensors[y.number].quantization.zeroPoint = [-32768]
    made = net.step("SOFTMAX", [x], y, options)
    net.others.remove(made)
    unit = net.dice.uniform(1e-6, 1e-4)
    number = net.add_tensor(tfl.TensorType.INT32, x.shape, [unit], [0])
    return net.step("QUANTIZE", [made], Wire(number, x.shape, unit, 0, 1.0, "int32"), tfl.QuantizeOptionsT())


def quantized_32(net: Net, x: Wire) -> Wire | None:
    """To 32 bits and back to 16 or 8."""
    x = widened(net, x) if net.dice.random() < 0.5 else x
    unit = float(np.float32(x.scale / 2.0 ** net.dice.uniform(0, 10)))
    number = net.add_tensor(tfl.TensorType.INT32, x.shape, [unit], [0])
    fine = net.step("QUANTIZE", [x], Wire(number, x.shape, unit, 0, x.far, "int32"), tfl.QuantizeOptionsT())
    y = wide(net, x.shape, x.far, unit * 1.5) if net.dice.random() < 0.5 else net.wire(x.shape, x.far, (unit * 300, 3))
    return net.step("QUANTIZE", [fine], y, tfl.QuantizeOptionsT())


def transpose_conv(net: Net, x: Wire) -> Wire | None:
    if len(x.shape) != 4:
        return None
    x, options, reached, size = widened(net, x), tfl.TransposeConvOptionsT(), [], []
    options.padding = net.dice.choice((tfl.Padding.SAME, tfl.Padding.VALID))
    options.strideH, options.strideW = net.dice.randint(1, 3), net.dice.randint(1, 3)
    options.fusedActivationFunction = net.dice.choice((0, 0, 1))
    for n, stride in zip(x.shape[1:3], (options.strideH, options.strideW)):
        size.append(net.dice.randint(1, 4))
        reached.append(n * stride if options.padding == tfl.Padding.SAME else (n - 1) * stride + size[-1])
    channels = net.dice.randint(1, 4)
    scales = [net.odd_scale(1.0) / 8 for _ in range(channels)]
    data = net.bytes_of((channels, *size, x.shape[3]), -127, 127)
    kernel = net.add_tensor(tfl.TensorType.INT8, data.shape, scales, [0] * channels, 0, data)
    takes = [net.indices((x.shape[0], *reached, channels)), kernel, x]
    if net.dice.random() < 0.6:
        biases = np.array([net.dice.randint(-(10**6), 10**6) for _ in range(channels)], np.int64)
        grid = [x.scale * scale for scale in scales]
        takes.append(net.add_tensor(tfl.TensorType.INT64, (channels,), grid, [0] * channels, 0, biases))
    y = wide(net, (x.shape[0], *reached, channels), 70 * x.far * max(scales) * x.shape[3] ** 0.5)
    return narrowed(net, net.step("TRANSPOSE_CONV", takes, y, options))


def batch_matmul(net: Net, x: Wire) -> Wire | None:
    if len(x.shape) < 2:
        return None
    x, options = widened(net, x), tfl.BatchMatMulOptionsT()
    options.adjY = True
    y = wide(net, (*x.shape[:-1], x.shape[-2]), x.far**2 * x.shape[-1] ** 0.5)
    return narrowed(net, net.step("BATCH_MATMUL", [x, x], y, options))


def binary(name: str):
    def step(net: Net, x: Wire) -> Wire | None:
        x = widened(net, x)
        if name == "PRELU":
            alpha = net.constant([1] * (len(x.shape) - 1) + [x.shape[-1]])
            return narrowed(net, net.step(name, [x, alpha], wide(net, x.shape, x.far)))
        other = widened(net, narrowed(net, x))
        y = wide(net, x.shape, x.far**2)
        return narrowed(net, net.step(name, [x, other], y, tfl.SquaredDifferenceOptionsT()))

    return step


def select(net: Net, x: Wire) -> Wire | None:
    condition, a = truths(net, x), widened(net, x)
    b = widened(net, x)
    y = wide(net, x.shape, x.far, a.scale)
    return narrowed(net, net.step("SELECT_V2", [condition, a, b], y, tfl.SelectV2OptionsT()))


def sum_(net: Net, x: Wire) -> Wire | None:
    x = widened(net, x)
    axes = net.dice.sample(range(len(x.shape)), net.dice.randint(1, len(x.shape)))
    options = tfl.ReducerOptionsT()
    options.keepDims = True
    y = wide(net, [1 if i in axes else n for i, n in enumerate(x.shape)], 3 * x.far)
    return narrowed(net, net.step("SUM", [x, net.indices(axes)], y, options))


def svdf(net: Net, x: Wire) -> Wire | None:
    """With a state and weights over time of 8 bits."""
    if len(x.shape) != 2:
        return None
    options = tfl.SVDFOptionsT()
    options.rank, units, memory = net.dice.randint(1, 2), net.dice.randint(1, 4), net.dice.randint(1, 4)
    filters = options.rank * units
    grids = [net.odd_scale(1.0), net.odd_scale(1.0) / 2, net.odd_scale(x.far * 20)]
    features = net.add_tensor(
        tfl.TensorType.INT8, (filters, x.shape[1]), grids[:1], [0], data=net.bytes_of((filters, x.shape[1]), -127, 127)
    )
    time = net.add_tensor(
        tfl.TensorType.INT8, (filters, memory), grids[1:2], [0], data=net.bytes_of((filters, memory), -127, 127)
    )
    biases = np.array([net.dice.randint(-2000, 2000) for _ in range(units)], np.int32)
    bias = net.add_tensor(
        tfl.TensorType.INT32, (units,), [float(np.float32(grids[1]) * np.float32(grids[2]))], [0], data=biases
    )
    state = net.add_tensor(
        tfl.TensorType.INT8, (x.shape[0], filters * memory), grids[2:], [net.dice.choice((0, net.odd_zero()))]
    )
    net.tensors[state].isVariable = True
    return net.step("SVDF", [x, features, time, bias, state], net.wire((x.shape[0], units), x.far * 20), options)


REST = {
    **{name: logical(name) for name in ("LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT")},
    "REDUCE_ALL": reduce_all,
    "CAST": cast,
    "CAST before a comparison": compared_32,
    "GATHER_ND": gather_nd,
    "DYNAMIC_UPDATE_SLICE": update_slice,
    "SHAPE": shape,
    "BROADCAST_ARGS": broadcast_args,
    "DIV": div,
    **{f"{name} of 16 bits": slope(name) for name in ("RELU", "RELU6", "LEAKY_RELU", "ABS")},
    **{f"{name} of 16 bits": binary(name) for name in ("PRELU", "SQUARED_DIFFERENCE")},
    "SOFTMAX of 16 bits": softmax,
    "QUANTIZE of 32 bits": quantized_32,
    "SVDF of 8 bits": svdf,
    "TRANSPOSE_CONV of 16 bits": transpose_conv,
    "BATCH_MATMUL of 16 bits": batch_matmul,
    "SELECT_V2 of 16 bits": select,
    "SUM of 16 bits": sum_,
}
