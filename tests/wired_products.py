"""Steps of wired_graphs.py's nets for sums of products in forms of their own, normalizations and resizing."""

from __future__ import annotations

import math

import numpy as np
from ai_edge_litert import schema_py_generated as tfl
from wired_net import Net, Wire, fused, window


def weights(net: Net, x: Wire, shape, axis: int, kind: str = "INT8", biased=None):
    """(tensors of weights and perhaps biases, how far sums go)."""
    channels, many = shape[axis], shape[axis] if net.dice.random() < 0.6 else 1
    widest = 7 if kind == "INT4" else net.dice.choice((127, 20))
    values = net.bytes_of(shape, -widest - (kind == "INT4"), widest)
    scales = [net.odd_scale(1.0) / 8 for _ in range(many)]
    fan_in = math.prod(shape) // channels
    far = x.far * widest * 0.58 * math.exp(sum(map(math.log, scales)) / many) * math.sqrt(fan_in)
    data = values
    if kind == "INT4":
        flat = np.append(values.reshape(-1), [0] * (values.size % 2)).astype(np.int8) & 15
        data = (flat[0::2] | flat[1::2] << 4).astype(np.int8)
    made = [net.add_tensor(getattr(tfl.TensorType, kind), shape, scales, [0] * many, axis, data)]
    if net.dice.random() < 0.7 if biased is None else biased:
        reach = 1 + int(far / (x.scale * max(scales)))
        biases = np.array([net.dice.randint(-reach, reach) for _ in range(channels)], np.int64).clip(-(2**26), 2**26)
        wide = x.kind == "int16" and (axis == 3 or net.dice.random() < 0.6)
        biases = biases if wide else biases.astype(np.int32)
        grid = [x.scale * scale for scale in scales]
        width = tfl.TensorType.INT64 if wide else tfl.TensorType.INT32
        made.append(net.add_tensor(width, (channels,), grid, [0] * many, 0, biases))
    return made, max(far, 1e-4)


def grouped(net: Net, x: Wire) -> Wire | None:
    if len(x.shape) != 4 or x.shape[3] < 2:
        return None
    options = fused(net, tfl.Conv2DOptionsT())
    size, reached = window(net, x.shape, options)
    groups = net.dice.choice([g for g in range(2, x.shape[3] + 1) if x.shape[3] % g == 0])
    channels = groups * net.dice.randint(1, 3)
    tensors, far = weights(net, x, (channels, *size, x.shape[3] // groups), 0)
    return net.step("CONV_2D", [x, *tensors], net.wire((x.shape[0], *reached, channels), far), options)


def small(name: str):
    """A convolution or dense layer with weights of 4 bits."""

    def step(net: Net, x: Wire) -> Wire | None:
        if name == "FULLY_CONNECTED":
            options = fused(net, tfl.FullyConnectedOptionsT())
            channels = net.dice.randint(1, 9)
            options.keepNumDims = len(x.shape) > 2
            shape = (*x.shape[:-1], channels) if len(x.shape) >= 2 else (1, channels)
            while True:
                tensors, far = weights(net, x, (channels, x.shape[-1]), 0, "INT4")
                if len(net.tensors[tensors[0]].quantization.scale) == 1:
                    return net.step(name, [x, *tensors], net.wire(shape, far), options)
        if len(x.shape) != 4:
            return None
        deep = name == "DEPTHWISE_CONV_2D"
        options = fused(net, tfl.DepthwiseConv2DOptionsT() if deep else tfl.Conv2DOptionsT())
        size, reached = window(net, x.shape, options)
        if deep:
            options.depthMultiplier = net.dice.randint(1, 3)
            channels = x.shape[3] * options.depthMultiplier
            tensors, far = weights(net, x, (1, *size, channels), 3, "INT4")
        else:
            channels = net.dice.randint(1, 9)
            tensors, far = weights(net, x, (channels, *size, x.shape[3]), 0, "INT4")
        return net.step(name, [x, *tensors], net.wire((x.shape[0], *reached, channels), far), options)

    return step


def transpose_conv(net: Net, x: Wire) -> Wire | None:
    if len(x.shape) != 4:
        return None
    options = tfl.TransposeConvOptionsT()
    options.padding = net.dice.choice((tfl.Padding.SAME, tfl.Padding.VALID))
    strides = options.strideH, options.strideW = net.dice.randint(1, 3), net.dice.randint(1, 3)
    size = [net.dice.randint(1, 4) for _ in range(2)]
    channels = net.dice.randint(1, 5)
    reach = [
        n * stride if options.padding == tfl.Padding.SAME else (n - 1) * stride + window
        for n, stride, window in zip(x.shape[1:3], strides, size)
    ]
    shape = (x.shape[0], *reach, channels)
    tensors, far = weights(net, x, (channels, *size, x.shape[3]), 0)
    return net.step("TRANSPOSE_CONV", [net.indices(shape), tensors[0], x, *tensors[1:]], net.wire(shape, far), options)


def matmul(net: Net, x: Wire) -> Wire | None:
    if len(x.shape) < 2:
        return None
    options = tfl.BatchMatMulOptionsT()
    options.adjX, options.adjY = net.dice.random() < 0.4, net.dice.random() < 0.5
    rows, depth = (x.shape[-1], x.shape[-2]) if options.adjX else x.shape[-2:]
    batch = [n if net.dice.random() < 0.6 else 1 for n in x.shape[:-2]]
    fits = [w for w in net.wires if len(w.shape) == len(x.shape) and w.shape[-1 if options.adjY else -2] == depth
            and all(1 in (a, b) or a == b for a, b in zip(w.shape[:-2], x.shape[:-2]))]  # fmt: skip
    if fits and net.dice.random() < 0.6:
        other = net.dice.choice(fits)
    else:
        columns = net.dice.randint(1, 5)
        other = net.constant([*batch, columns, depth] if options.adjY else [*batch, depth, columns])
    columns = other.shape[-2] if options.adjY else other.shape[-1]
    outer = [max(pair) for pair in zip(x.shape[:-2], other.shape[:-2])]
    y = net.wire((*outer, rows, columns), x.far * other.far * math.sqrt(depth))
    return None if x.scale * other.scale > 1000 * y.scale else net.step("BATCH_MATMUL", [x, other], y, options)


def log_softmax(net: Net, x: Wire) -> Wire | None:
    return net.step("LOG_SOFTMAX", [x], net.wire(x.shape, 8.0, (1 / 16, 127)), tfl.LogSoftmaxOptionsT())


def l2_norm(net: Net, x: Wire) -> Wire | None:
    return net.step("L2_NORMALIZATION", [x], net.wire(x.shape, 1.0, (1 / 128, 0)), tfl.L2NormOptionsT())


def bilinear(net: Net, x: Wire) -> Wire | None:
    if len(x.shape) != 4:
        return None
    options = tfl.ResizeBilinearOptionsT()
    options.alignCorners, options.halfPixelCenters = net.dice.choice(((0, 0), (1, 0), (0, 1)))
    size = [net.dice.randint(1, 9) for _ in range(2)]
    y = net.wire((x.shape[0], *size, x.shape[3]), x.far, x.grid)
    return net.step("RESIZE_BILINEAR", [x, net.indices(size)], y, options)


def svdf(net: Net, x: Wire) -> Wire | None:
    """A filter over time, whose state goes from one sample to the next."""
    if len(x.shape) != 2:
        return None
    rank, memory = net.dice.randint(1, 3), net.dice.randint(1, 6)
    units = net.dice.randint(1, 5)
    filters = units * rank
    features = net.bytes_of((filters, x.shape[1]), -127, 127)
    # Weights over time are seldom so large that sums leave 32 bits.
    time = np.array([net.dice.randint(-3000, 3000) for _ in range(filters * memory)], np.int16).reshape(filters, memory)
    f_scale, t_scale, s_scale = 0.01, 1 / (1 << 15), float(np.float32(x.far / 4000))
    bias = np.array([net.dice.randint(-(2**20), 2**20) for _ in range(units)], np.int32)
    kinds = tfl.TensorType
    takes = [
        x,
        net.add_tensor(kinds.INT8, features.shape, [f_scale], [0], data=features),
        net.add_tensor(kinds.INT16, time.shape, [t_scale], [0], data=time),
        net.add_tensor(kinds.INT32, (units,), [s_scale * t_scale], [0], data=bias),
        net.add_tensor(kinds.INT16, (x.shape[0], filters * memory), [s_scale], [0]),
    ]
    net.tensors[takes[-1]].isVariable = True
    options = tfl.SVDFOptionsT()
    options.rank = rank
    return net.step("SVDF", takes, net.wire((x.shape[0], units), x.far * 0.3), options)


PRODUCTS = {
    "BATCH_MATMUL": matmul,
    "CONV_2D in groups": grouped,
    "CONV_2D of 4 bits": small("CONV_2D"),
    "DEPTHWISE_CONV_2D of 4 bits": small("DEPTHWISE_CONV_2D"),
    "FULLY_CONNECTED of 4 bits": small("FULLY_CONNECTED"),
    "L2_NORMALIZATION": l2_norm,
    "LOG_SOFTMAX": log_softmax,
    "RESIZE_BILINEAR": bilinear,
    "SVDF": svdf,
    "TRANSPOSE_CONV": transpose_conv,
}
