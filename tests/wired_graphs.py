"""Random int8 nets of another kind than int8_graphs: values meet, part and are given out anywhere.

Nothing is shared with that generator, nor with the package under test: tables are written by ai-edge-litert's copy of the
format's code. A net has one to three inputs, used or not, and one to four outputs (among them inputs, and one tensor twice),
tensors of one to four axes, batches, constants that several operators share, windows that overhang, and grids that do not fit
each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from ai_edge_litert import schema_py_generated as tfl
from wired_more import MORE
from wired_net import Net, Wire, fused, window
from wired_products import PRODUCTS
from wired_rest import REST
from wired_wide import WIDE


def kernel(net: Net, x: Wire, shape, axis: int, channels: int, per_channel: bool):
    """Weights and perhaps biases; (their tensors, how far sums go)."""
    fan_in = math.prod(shape) // channels
    widest = net.dice.choice((127, 127, 20, 3))
    weights = net.bytes_of(shape, -widest, widest)
    if net.dice.random() < 0.3:
        weights *= np.array([net.dice.random() < 0.15 for _ in range(weights.size)]).reshape(shape)
    many = channels if per_channel else 1
    scales = [net.odd_scale(1.0) / 8 for _ in range(many)]
    sums = x.far * widest * 0.58 * math.exp(sum(map(math.log, scales)) / many) * math.sqrt(fan_in)
    tensors = [net.add_tensor(tfl.TensorType.INT8, shape, scales, [0] * many, axis, weights)]
    if net.dice.random() < 0.7:
        far = 1 + int(sums / (x.scale * max(scales)))
        biases = np.array([net.dice.randint(-far, far) for _ in range(channels)], np.int64).clip(-(2**26), 2**26)
        bias_scales = [x.scale * s for s in scales]
        tensors.append(
            net.add_tensor(tfl.TensorType.INT32, (channels,), bias_scales, [0] * many, 0, biases.astype(np.int32))
        )
    elif net.dice.random() < 0.3 and axis == 0:  # TFLite Micro faults on a depthwise convolution whose bias is named -1
        tensors.append(-1)
    return tensors, max(sums, 1e-4)


def conv(net: Net, x: Wire) -> Wire | None:
    if len(x.shape) != 4:
        return None
    options = fused(net, tfl.Conv2DOptionsT())
    size, reached = window(net, x.shape, options)
    channels = net.dice.randint(1, 9)
    shape = (channels, *size, x.shape[3])
    tensors, far = kernel(net, x, shape, 0, channels, net.dice.random() < 0.6)
    return net.step("CONV_2D", [x, *tensors], net.wire((x.shape[0], *reached, channels), far), options)


def depthwise(net: Net, x: Wire) -> Wire | None:
    if len(x.shape) != 4:
        return None
    options = fused(net, tfl.DepthwiseConv2DOptionsT())
    size, reached = window(net, x.shape, options)
    options.depthMultiplier = net.dice.choice((1, 1, 2, 3))
    channels = x.shape[3] * options.depthMultiplier
    tensors, far = kernel(net, x, (1, *size, channels), 3, channels, net.dice.random() < 0.6)
    return net.step("DEPTHWISE_CONV_2D", [x, *tensors], net.wire((x.shape[0], *reached, channels), far), options)


def dense(net: Net, x: Wire) -> Wire | None:
    options = fused(net, tfl.FullyConnectedOptionsT())
    channels = net.dice.randint(1, 11)
    depth = x.shape[-1]
    options.keepNumDims = len(x.shape) > 2
    shape = (*x.shape[:-1], channels) if len(x.shape) >= 2 else (1, channels)
    tensors, far = kernel(net, x, (channels, depth), 0, channels, net.dice.random() < 0.5)
    return net.step("FULLY_CONNECTED", [x, *tensors], net.wire(shape, far), options)


def merge(net: Net, x: Wire) -> Wire | None:
    """Two values, one of them perhaps repeated, or the same twice."""
    name = net.dice.choice(("ADD", "SUB", "MUL"))
    options = fused(net, {"ADD": tfl.AddOptionsT, "SUB": tfl.SubOptionsT, "MUL": tfl.MulOptionsT}[name]())
    same = [w for w in net.wires if w.shape == x.shape]
    draw = net.dice.random()
    if draw < 0.5:
        other = net.dice.choice(same)
    elif draw < 0.75:
        other = net.constant([n if net.dice.random() < 0.5 else 1 for n in x.shape])
    else:
        other = net.constant(x.shape[net.dice.randrange(len(x.shape)) :])
    far = x.far * other.far if name == "MUL" else math.hypot(x.far, other.far)
    least = 3e-6 * max(x.scale, other.scale)  # finer sums than that TFLite refuses
    y = net.wire(x.shape, max(far, least * 200))
    if y.scale < least:
        return None
    pair = [x, other] if net.dice.random() < 0.5 else [other, x]
    return net.step(name, pair, y, options)


def pool(net: Net, x: Wire) -> Wire | None:
    if len(x.shape) != 4:
        return None
    options = fused(net, tfl.Pool2DOptionsT())
    size, reached = window(net, x.shape, options)
    options.filterHeight, options.filterWidth = size
    name = net.dice.choice(("AVERAGE_POOL_2D", "MAX_POOL_2D"))
    return net.step(name, [x], net.wire((x.shape[0], *reached, x.shape[3]), x.far, x.grid), options)


def mean(net: Net, x: Wire) -> Wire | None:
    axes = net.dice.sample(range(len(x.shape)), net.dice.randint(1, len(x.shape)))
    options = tfl.ReducerOptionsT()
    options.keepDims = net.dice.random() < 0.5
    shape = [1 if i in axes else n for i, n in enumerate(x.shape) if options.keepDims or i not in axes]
    if not shape:
        return None
    listed = [axis - len(x.shape) if net.dice.random() < 0.3 else axis for axis in axes]
    far = x.far / math.sqrt(math.prod(x.shape[i] for i in axes))
    return net.step(
        "MEAN", [x, net.indices(listed)], net.wire(shape, far, x.grid if net.dice.random() < 0.2 else None), options
    )


def softmax(net: Net, x: Wire) -> Wire | None:
    options = tfl.SoftmaxOptionsT()
    options.beta = net.dice.choice((1.0, 1.0, 0.3, 2.5))
    return net.step("SOFTMAX", [x], net.wire(x.shape, 0.5, (1 / 256, -128)), options)


def curve(net: Net, x: Wire) -> Wire | None:
    name = net.dice.choice(("RELU", "RELU6", "LEAKY_RELU", "LOGISTIC", "TANH", "HARD_SWISH", "QUANTIZE"))
    prescribed = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}.get(name)
    options = None
    if name == "LEAKY_RELU":
        options = tfl.LeakyReluOptionsT()
        options.alpha = net.dice.uniform(-0.5, 1.5)
    return net.step(name, [x], net.wire(x.shape, x.far, prescribed), options)


def reshape(net: Net, x: Wire) -> Wire | None:
    """The same values on other axes, as RESHAPE, EXPAND_DIMS or SQUEEZE."""
    name = net.dice.choice(("RESHAPE", "RESHAPE", "EXPAND_DIMS", "SQUEEZE"))
    if name == "RESHAPE":
        rest, shape = x.count, []
        for _ in range(net.dice.randint(0, 3)):
            shape.append(net.dice.choice([d for d in range(1, rest + 1) if rest % d == 0]))
            rest //= shape[-1]
        shape.append(rest)
        net.dice.shuffle(shape)
        return net.step(name, [x, net.indices(shape)], net.wire(shape, x.far, x.grid), tfl.ReshapeOptionsT())
    if name == "EXPAND_DIMS":
        if len(x.shape) > 3:
            return None
        axis = net.dice.randint(0, len(x.shape))
        shape = (*x.shape[:axis], 1, *x.shape[axis:])
        return net.step(name, [x, net.indices([axis])], net.wire(shape, x.far, x.grid), tfl.ExpandDimsOptionsT())
    ones = [i for i, n in enumerate(x.shape) if n == 1]
    if not ones or len(ones) == len(x.shape):
        return None
    options = tfl.SqueezeOptionsT()
    options.squeezeDims = net.dice.sample(ones, net.dice.randint(1, len(ones)))
    shape = [n for i, n in enumerate(x.shape) if i not in options.squeezeDims]
    return net.step(name, [x], net.wire(shape, x.far, x.grid), options)


def pad(net: Net, x: Wire) -> Wire | None:
    around = [(net.dice.randint(0, 2), net.dice.randint(0, 2)) for _ in x.shape]
    shape = [n + sum(pair) for n, pair in zip(x.shape, around)]
    return net.step("PAD", [x, net.indices(around)], net.wire(shape, x.far, x.grid), tfl.PadOptionsT())


def join(net: Net, x: Wire) -> Wire | None:
    axis = net.dice.randrange(len(x.shape))
    parts = [x]
    for _ in range(net.dice.randint(1, 4)):
        fits = [w for w in net.wires if w.grid == x.grid and len(w.shape) == len(x.shape)
                and all(a == b or i == axis for i, (a, b) in enumerate(zip(w.shape, x.shape)))]  # fmt: skip
        if fits and net.dice.random() < 0.6:
            parts.append(net.dice.choice(fits))
        else:
            parts.append(
                net.constant([net.dice.randint(1, 3) if i == axis else n for i, n in enumerate(x.shape)], x.grid)
            )
    net.dice.shuffle(parts)
    options = tfl.ConcatenationOptionsT()
    options.axis = axis if net.dice.random() < 0.5 else axis - len(x.shape)
    shape = [sum(p.shape[axis] for p in parts) if i == axis else n for i, n in enumerate(x.shape)]
    return net.step("CONCATENATION", parts, net.wire(shape, x.far, x.grid), options)


def transpose(net: Net, x: Wire) -> Wire | None:
    order = net.dice.sample(range(len(x.shape)), len(x.shape))
    y = net.wire([x.shape[i] for i in order], x.far, x.grid)
    return net.step("TRANSPOSE", [x, net.indices(order)], y, tfl.TransposeOptionsT())


def cut(net: Net, x: Wire) -> Wire | None:
    """Parts of each axis, forwards or backwards, some bounds open or beyond the end."""
    options = tfl.StridedSliceOptionsT()
    begins, ends, strides, shape = [], [], [], []
    for axis, n in enumerate(x.shape):
        if net.dice.random() < 0.15 and len(x.shape) > 1:
            begin = net.dice.randrange(-n, n)
            options.shrinkAxisMask |= 1 << axis
            begins.append(begin), ends.append(begin + 1), strides.append(1)
            continue
        stride = net.dice.choice((1, 1, 2, 3, -1, -2))
        first, last = sorted(net.dice.sample(range(n + 1), 2))
        taken = range(first, last, stride) if stride > 0 else range(last - 1, first - 1, stride)
        begin = taken.start - n if net.dice.random() < 0.3 else taken.start
        end = last if stride > 0 else (first - 1 if first else -n - 1)
        if stride > 0 and last == n:
            end = net.dice.choice((n, n + 5))
            if net.dice.random() < 0.5:
                options.endMask |= 1 << axis
                end = net.dice.randint(-9, 9)
        if taken.start == (0 if stride > 0 else n - 1) and net.dice.random() < 0.5:
            options.beginMask |= 1 << axis
            begin = net.dice.randint(-9, 9)
        begins.append(begin), ends.append(end), strides.append(stride), shape.append(len(taken))
    if not shape:
        return None
    bounds = [net.indices(values) for values in (begins, ends, strides)]
    return net.step("STRIDED_SLICE", [x, *bounds], net.wire(shape, x.far, x.grid), options)


def lstm(net: Net, x: Wire) -> Wire | None:
    """Over the second axis, from states of 0 that the net sets."""
    if len(x.shape) != 3 or x.shape[0] != 1:
        return None
    units = net.dice.randint(1, 6)
    y = net.wire((1, x.shape[1], units), 1.0)

    def gates(depth: int, scale: float, far: float) -> tuple[list[int], list[float]]:
        steps = [net.dice.uniform(0.3, 3) / (74 * max(far, 74 * scale) * math.sqrt(depth)) for _ in range(4)]
        data = [net.bytes_of((units, depth), -127, 127) for _ in steps]
        return [
            net.add_tensor(tfl.TensorType.INT8, (units, depth), [step], [0], data=values)
            for step, values in zip(steps, data)
        ], steps

    kernels, steps = gates(x.shape[2], x.scale, x.far)
    recurrent, _ = gates(units, y.scale, 1.0)
    biases = []
    for step in steps:
        values = np.array([net.dice.gauss(0, 1) / (step * x.scale) for _ in range(units)]).clip(-(2**26), 2**26)
        biases.append(
            net.add_tensor(tfl.TensorType.INT32, (units,), [step * x.scale], [0], data=values.astype(np.int32))
        )
    states = []
    for kind, start, grid in (
        (tfl.TensorType.INT8, np.int8(y.zero), y.grid),
        (tfl.TensorType.INT16, np.int16(0), (2.0 ** net.dice.randint(-15, -9), 0)),
    ):
        state, given = (
            Wire(net.add_tensor(kind, (1, units), [grid[0]], [grid[1]], data=data), (1, units), *grid, 1.0)
            for data in (None, np.full((1, units), start))
        )
        net.tensors[state.number].isVariable = True
        net.step("RESHAPE", [given, net.indices((1, units))], state)
        net.wires.pop()
        states.append(state)
    options = tfl.UnidirectionalSequenceLSTMOptionsT()
    options.fusedActivationFunction = tfl.ActivationFunctionType.TANH
    takes = [x, *kernels, *recurrent, -1, -1, -1, *biases, -1, -1, *states, -1, -1, -1, -1]
    return net.step("UNIDIRECTIONAL_SEQUENCE_LSTM", takes, y, options)


STEPS: tuple[Callable[[Net, Wire], Wire | None], ...] = (
    *(
        conv,
        conv,
        conv,
        depthwise,
        depthwise,
        depthwise,
        dense,
        dense,
        merge,
        merge,
        merge,
        merge,
        pool,
        pool,
        pool,
        mean,
    ),
    *(softmax, *[curve] * 8, reshape, reshape, reshape, reshape, pad, join, transpose, cut),
    *MORE.values(),
    *PRODUCTS.values(),
    *WIDE.values(),
    *REST.values(),
    *[lstm] * 4,
)


def wired_graph(seed: int) -> bytes:
    """A .tflite of two to nine operators."""
    net = Net(seed)
    inputs = []
    for _ in range(net.dice.choice((1, 1, 2, 3))):
        axes = net.dice.choice((1, 2, 3, 4, 4, 4, 4))
        batch = net.dice.choice((1, 1, 1, 2)) if axes > 1 else net.dice.randint(2, 6)
        shape = (batch, *(net.dice.randint(1, 8) for _ in range(axes - 1)))
        inputs.append(net.wire(shape, net.dice.uniform(0.3, 5)))
    net.wires += inputs
    wanted = net.dice.randint(2, 9)
    for _ in range(200):
        # The newest values are taken more often, so that nets are deep as well as wide.
        x = net.wires[-1] if net.dice.random() < 0.5 else net.dice.choice(net.wires)
        if x.count <= 1500:
            net.dice.choice(STEPS)(net, x)
        if len(net.steps) >= wanted:
            break
    made = net.wires[len(inputs) :] + net.others
    outputs = [made[-1], *net.dice.sample(made, min(len(made), net.dice.choice((0, 0, 1, 2))))]
    if net.dice.random() < 0.15:
        outputs.append(net.dice.choice(outputs + inputs))
    net.dice.shuffle(outputs)
    return net.file(inputs, outputs)
