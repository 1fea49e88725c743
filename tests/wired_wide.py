"""Steps of wired_graphs.py's nets on 16-bit values: an int8 value becomes 16 bits wide, meets an operator, and comes back."""

from __future__ import annotations

import math

import numpy as np
from ai_edge_litert import schema_py_generated as tfl
from wired_net import Net, Wire, fused, window
from wired_products import weights


def wide(net: Net, shape, far: float, scale: float | None = None) -> Wire:
    """A computed 16-bit value; such values are symmetric."""
    if scale is None:
        scale = float(np.float32(max(far, 1e-6) / net.dice.uniform(3000, 40000)))
    number = net.add_tensor(tfl.TensorType.INT16, shape, [scale], [0])
    return Wire(number, tuple(int(n) for n in shape), scale, 0, far, "int16")


def widened(net: Net, x: Wire) -> Wire:
    """A 16-bit value of the shape of `x`: one that is there, or `x` itself on another scale."""
    alike = [w for w in net.others if w.kind == "int16" and w.shape == x.shape]
    if alike and net.dice.random() < 0.6:
        return net.dice.choice(alike)
    return net.step("QUANTIZE", [x], wide(net, x.shape, x.far), tfl.QuantizeOptionsT())


def narrowed(net: Net, x: Wire) -> Wire:
    return net.step("QUANTIZE", [x], net.wire(x.shape, x.far), tfl.QuantizeOptionsT())


def layer(name: str):
    def step(net: Net, x: Wire) -> Wire | None:
        if name != "FULLY_CONNECTED" and len(x.shape) != 4:
            return None
        x = widened(net, x)
        if name == "FULLY_CONNECTED":
            options, channels = fused(net, tfl.FullyConnectedOptionsT()), net.dice.randint(1, 9)
            options.keepNumDims = len(x.shape) > 2
            shape = (*x.shape[:-1], channels) if len(x.shape) >= 2 else (1, channels)
            tensors, far = weights(net, x, (channels, x.shape[-1]), 0)
        elif name == "CONV_2D":
            options = fused(net, tfl.Conv2DOptionsT())
            size, reached = window(net, x.shape, options)
            channels = net.dice.randint(1, 7)
            shape = (x.shape[0], *reached, channels)
            tensors, far = weights(net, x, (channels, *size, x.shape[3]), 0)
        else:
            options = fused(net, tfl.DepthwiseConv2DOptionsT())
            size, reached = window(net, x.shape, options)
            options.depthMultiplier = net.dice.randint(1, 3)
            channels = x.shape[3] * options.depthMultiplier
            shape = (x.shape[0], *reached, channels)
            tensors, far = weights(net, x, (1, *size, channels), 3, biased=True)
        return narrowed(net, net.step(name, [x, *tensors], wide(net, shape, far), options))

    return step


def merge(name: str):
    made = {"ADD": tfl.AddOptionsT, "SUB": tfl.SubOptionsT, "MUL": tfl.MulOptionsT}[name]

    def step(net: Net, x: Wire) -> Wire | None:
        a, b = widened(net, x), widened(net, x)
        far = a.far * b.far if name == "MUL" else math.hypot(a.far, b.far)
        y = wide(net, x.shape, far)
        if name != "MUL" and y.scale < 1e-4 * max(a.scale, b.scale):
            return None
        return narrowed(net, net.step(name, [a, b], y, fused(net, made())))

    return step


def pool(name: str):
    def step(net: Net, x: Wire) -> Wire | None:
        if len(x.shape) != 4:
            return None
        x = widened(net, x)
        options = fused(net, tfl.Pool2DOptionsT())
        size, reached = window(net, x.shape, options)
        options.filterHeight, options.filterWidth = size
        y = wide(net, (x.shape[0], *reached, x.shape[3]), x.far, x.scale)
        return narrowed(net, net.step(name, [x], y, options))

    return step


def mean(net: Net, x: Wire) -> Wire | None:
    x = widened(net, x)
    axes = net.dice.sample(range(len(x.shape)), net.dice.randint(1, len(x.shape)))
    options = tfl.ReducerOptionsT()
    options.keepDims = True
    y = wide(net, [1 if i in axes else n for i, n in enumerate(x.shape)], x.far)
    return narrowed(net, net.step("MEAN", [x, net.indices(axes)], y, options))


def curve(name: str):
    def step(net: Net, x: Wire) -> Wire | None:
        scale = net.dice.choice((None, None, 2.0**-12, 2.0**-11))
        x = net.step("QUANTIZE", [x], wide(net, x.shape, x.far, scale), tfl.QuantizeOptionsT())
        return narrowed(net, net.step(name, [x], wide(net, x.shape, 1.0, 2.0**-15)))

    return step


def moved(net: Net, x: Wire) -> Wire | None:
    """RESHAPE, TRANSPOSE and SLICE of 16-bit values in a row."""
    x = widened(net, x)
    order = net.dice.sample(range(len(x.shape)), len(x.shape))
    y = wide(net, [x.shape[i] for i in order], x.far, x.scale)
    x = net.step("TRANSPOSE", [x, net.indices(order)], y, tfl.TransposeOptionsT())
    y = wide(net, (1, x.count), x.far, x.scale)
    x = net.step("RESHAPE", [x, net.indices((1, x.count))], y, tfl.ReshapeOptionsT())
    begin = net.dice.randrange(x.count)
    y = wide(net, (1, x.count - begin), x.far, x.scale)
    return narrowed(net, net.step("SLICE", [x, net.indices((0, begin)), net.indices((1, -1))], y, tfl.SliceOptionsT()))


WIDE = {
    **{f"{name} of 16 bits": layer(name) for name in ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D")},
    **{f"{name} of 16 bits": merge(name) for name in ("ADD", "SUB", "MUL")},
    **{f"{name} of 16 bits": pool(name) for name in ("AVERAGE_POOL_2D", "MAX_POOL_2D")},
    **{f"{name} of 16 bits": curve(name) for name in ("LOGISTIC", "TANH")},
    "MEAN of 16 bits": mean,
    "RESHAPE of 16 bits": moved,
}
