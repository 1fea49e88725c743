"""Steps of wired_graphs.py's nets, one for each operator that moves, chooses, compares or adds up; by the operators' names."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from ai_edge_litert import schema_py_generated as tfl
from wired_net import Net, Wire

Step = Callable[[Net, Wire], Wire | None]


def split(net: Net, x: Wire) -> Wire | None:
    axis = net.dice.choice([i for i, n in enumerate(x.shape)])
    many = net.dice.choice([d for d in range(1, 5) if x.shape[axis] % d == 0])
    options = tfl.SplitOptionsT()
    options.numSplits = many
    shape = [n // many if i == axis else n for i, n in enumerate(x.shape)]
    parts = [net.wire(shape, x.far, x.grid) for _ in range(many)]
    listed = axis - len(x.shape) if net.dice.random() < 0.5 else axis
    return net.steps_of("SPLIT", [net.indices(listed), x], parts, options)[-1]


def split_v(net: Net, x: Wire) -> Wire | None:
    axis = net.dice.randrange(len(x.shape))
    n = x.shape[axis]
    cuts = sorted(net.dice.sample(range(1, n), min(net.dice.randint(0, 3), n - 1)))
    sizes = np.diff([0, *cuts, n]).tolist()
    options = tfl.SplitVOptionsT()
    options.numSplits = len(sizes)
    parts = [net.wire([s if i == axis else n for i, n in enumerate(x.shape)], x.far, x.grid) for s in sizes]
    return net.steps_of("SPLIT_V", [x, net.indices(sizes), net.indices(axis)], parts, options)[0]


def unpack(net: Net, x: Wire) -> Wire | None:
    axes = [i for i, n in enumerate(x.shape) if n <= 6]
    if len(x.shape) < 2 or not axes:
        return None
    axis = net.dice.choice(axes)
    options = tfl.UnpackOptionsT()
    options.num, options.axis = x.shape[axis], axis if net.dice.random() < 0.5 else axis - len(x.shape)
    shape = x.shape[:axis] + x.shape[axis + 1 :]
    return net.steps_of("UNPACK", [x], [net.wire(shape, x.far, x.grid) for _ in range(x.shape[axis])], options)[0]


def pack(net: Net, x: Wire) -> Wire | None:
    if len(x.shape) > 3:
        return None
    alike = [w for w in net.wires if w.shape == x.shape]
    parts = [
        net.dice.choice(alike) if net.dice.random() < 0.7 else net.constant(x.shape, x.grid)
        for _ in range(net.dice.randint(1, 4))
    ]
    axis = net.dice.randint(0, len(x.shape))
    options = tfl.PackOptionsT()
    options.valuesCount, options.axis = len(parts), axis if net.dice.random() < 0.5 else axis - len(x.shape) - 1
    shape = (*x.shape[:axis], len(parts), *x.shape[axis:])
    return net.step("PACK", parts, net.wire(shape, x.far, x.grid), options)


def slice_(net: Net, x: Wire) -> Wire | None:
    begins = [net.dice.randrange(n) for n in x.shape]
    shape = [net.dice.randint(1, n - begin) for n, begin in zip(x.shape, begins)]
    sizes = [
        -1 if size == n - begin and net.dice.random() < 0.5 else size for n, begin, size in zip(x.shape, begins, shape)
    ]
    y = net.wire(shape, x.far, x.grid)
    return net.step("SLICE", [x, net.indices(begins), net.indices(sizes)], y, tfl.SliceOptionsT())


def reverse(net: Net, x: Wire) -> Wire | None:
    first = net.dice.randrange(len(x.shape))
    axes = list(range(first, net.dice.randint(first, len(x.shape) - 1) + 1))
    return net.step("REVERSE_V2", [x, net.indices(axes)], net.wire(x.shape, x.far, x.grid), tfl.ReverseV2OptionsT())


def space_to_depth(net: Net, x: Wire) -> Wire | None:
    if len(x.shape) != 4:
        return None
    fits = [b for b in (2, 3, 4, 1) if x.shape[1] % b == 0 and x.shape[2] % b == 0]
    options = tfl.SpaceToDepthOptionsT()
    block = options.blockSize = fits[0]
    n, height, width, depth = x.shape
    y = net.wire((n, height // block, width // block, depth * block * block), x.far, x.grid)
    return net.step("SPACE_TO_DEPTH", [x], y, options)


def depth_to_space(net: Net, x: Wire) -> Wire | None:
    if len(x.shape) != 4:
        return None
    n, height, width, depth = x.shape
    block = next(b for b in (2, 3, 1) if depth % (b * b) == 0)
    options = tfl.DepthToSpaceOptionsT()
    options.blockSize = block
    y = net.wire((n, height * block, width * block, depth // block**2), x.far, x.grid)
    return net.step("DEPTH_TO_SPACE", [x], y, options)


def space_to_batch(net: Net, x: Wire) -> Wire | None:
    if len(x.shape) not in (3, 4):
        return None
    blocked = x.shape[1:-1]
    block = [net.dice.choice([d for d in (1, 2, 3) if n % d == 0]) for n in blocked]
    around = [(0, 0) for _ in blocked]  # TFLite Micro pads with memory that it never sets
    reach = [n // size for n, size in zip(blocked, block)]
    y = net.wire((x.shape[0] * math.prod(block), *reach, x.shape[-1]), x.far, x.grid)
    takes = [x, net.indices(block), net.indices(around)]
    return net.step("SPACE_TO_BATCH_ND", takes, y, tfl.SpaceToBatchNDOptionsT())


def batch_to_space(net: Net, x: Wire) -> Wire | None:
    if len(x.shape) not in (3, 4):
        return None
    blocked = x.shape[1:-1]
    block = [next(b for b in (2, 3, 1) if x.shape[0] % b == 0), *[1] * (len(blocked) - 1)]
    net.dice.shuffle(block)
    around = []
    for n, size in zip(blocked, block):
        before = net.dice.randint(0, min(2, n * size - 1))
        around.append((before, net.dice.randint(0, min(2, n * size - 1 - before))))
    reach = [n * size - sum(pair) for n, size, pair in zip(blocked, block, around)]
    y = net.wire((x.shape[0] // math.prod(block), *reach, x.shape[-1]), x.far, x.grid)
    takes = [x, net.indices(block), net.indices(around)]
    return net.step("BATCH_TO_SPACE_ND", takes, y, tfl.BatchToSpaceNDOptionsT())


def mirror_pad(net: Net, x: Wire) -> Wire | None:
    options = tfl.MirrorPadOptionsT()
    options.mode = net.dice.choice((0, 1))
    most = [min(3, n - 1 + options.mode) for n in x.shape]
    around = [(net.dice.randint(0, n), net.dice.randint(0, n)) for n in most]
    shape = [n + sum(pair) for n, pair in zip(x.shape, around)]
    return net.step("MIRROR_PAD", [x, net.indices(around)], net.wire(shape, x.far, x.grid), options)


def padv2(net: Net, x: Wire) -> Wire | None:
    around = [(net.dice.randint(0, 2), net.dice.randint(0, 2)) for _ in x.shape]
    shape = [n + sum(pair) for n, pair in zip(x.shape, around)]
    takes = [x, net.indices(around), net.constant((1,), x.grid)]
    return net.step("PADV2", takes, net.wire(shape, x.far, x.grid), tfl.PadV2OptionsT())


def nearest(net: Net, x: Wire) -> Wire | None:
    if len(x.shape) != 4:
        return None
    options = tfl.ResizeNearestNeighborOptionsT()
    options.alignCorners, options.halfPixelCenters = net.dice.choice(((0, 0), (1, 0), (0, 1), (1, 1)))
    size = [net.dice.randint(1, 9) for _ in range(2)]
    y = net.wire((x.shape[0], *size, x.shape[3]), x.far, x.grid)
    return net.step("RESIZE_NEAREST_NEIGHBOR", [x, net.indices(size)], y, options)


def broadcast_to(net: Net, x: Wire) -> Wire | None:
    shape = [net.dice.randint(1, 3) if n == 1 else n for n in x.shape]
    if len(shape) < 4 and net.dice.random() < 0.5:
        shape = [net.dice.randint(1, 3), *shape]
    return net.step("BROADCAST_TO", [x, net.indices(shape)], net.wire(shape, x.far, x.grid), tfl.BroadcastToOptionsT())


def fill(net: Net, x: Wire) -> Wire | None:
    value = net.add_tensor(tfl.TensorType.INT8, (), [x.scale], [x.zero], data=net.bytes_of((1,), -128, 127))
    return net.step("FILL", [net.indices(x.shape), value], net.wire(x.shape, x.far, x.grid), tfl.FillOptionsT())


def zeros_like(net: Net, x: Wire) -> Wire | None:
    return net.step("ZEROS_LIKE", [x], net.wire(x.shape, x.far, x.grid), tfl.ZerosLikeOptionsT())


def partner(net: Net, x: Wire, grid=None) -> Wire:
    """Another operand: of the same shape, or one that repeats along some axes."""
    alike = [w for w in net.wires if w.shape == x.shape]
    if grid is None and net.dice.random() < 0.5:
        return net.dice.choice(alike)
    return net.constant([n if net.dice.random() < 0.6 else 1 for n in x.shape], grid)


def larger(net: Net, x: Wire) -> Wire | None:
    pair = [x, partner(net, x)]
    net.dice.shuffle(pair)
    return net.step("MAXIMUM", pair, net.wire(x.shape, x.far, x.grid), tfl.MaximumMinimumOptionsT())


def smaller(net: Net, x: Wire) -> Wire | None:
    pair = [x, partner(net, x, x.grid)]
    return net.step("MINIMUM", pair, net.wire(x.shape, x.far, x.grid), tfl.MaximumMinimumOptionsT())


def compared(name: str) -> Step:
    options = {"EQUAL": tfl.EqualOptionsT, "NOT_EQUAL": tfl.NotEqualOptionsT, "GREATER": tfl.GreaterOptionsT,
               "GREATER_EQUAL": tfl.GreaterEqualOptionsT, "LESS": tfl.LessOptionsT,
               "LESS_EQUAL": tfl.LessEqualOptionsT}[name]  # fmt: skip

    def step(net: Net, x: Wire) -> Wire | None:
        other = partner(net, x)
        if max(x.scale, other.scale) >= 1:
            return None
        pair = [x, other]
        net.dice.shuffle(pair)
        return net.step(name, pair, net.other(x.shape, "bool"), options())

    return step


def select(net: Net, x: Wire) -> Wire | None:
    conditions = [w for w in net.others if w.kind == "bool" and w.shape == x.shape]
    if conditions and net.dice.random() < 0.8:
        condition = net.dice.choice(conditions)
    else:
        shape = [n if net.dice.random() < 0.5 else 1 for n in x.shape]
        number = net.add_tensor(tfl.TensorType.BOOL, shape, data=net.bytes_of(shape, 0, 1))
        condition = Wire(number, tuple(shape), 1.0, 0, 1.0, "bool")
    pair = [x, partner(net, x, x.grid)]
    net.dice.shuffle(pair)
    return net.step("SELECT_V2", [condition, *pair], net.wire(x.shape, x.far, x.grid), tfl.SelectV2OptionsT())


def position(name: str) -> Step:
    def step(net: Net, x: Wire) -> Wire | None:
        if len(x.shape) < 2:
            return None
        axis = net.dice.randrange(len(x.shape))
        options = tfl.ArgMaxOptionsT() if name == "ARG_MAX" else tfl.ArgMinOptionsT()
        options.outputType = tfl.TensorType.INT32
        shape = x.shape[:axis] + x.shape[axis + 1 :]
        listed = axis if net.dice.random() < 0.5 else axis - len(x.shape)
        return net.step(name, [x, net.indices(listed)], net.other(shape, "int32", x.shape[axis]), options)

    return step


def prelu(net: Net, x: Wire) -> Wire | None:
    alpha = net.constant(x.shape[net.dice.randrange(len(x.shape)) :])
    return net.step("PRELU", [x, alpha], net.wire(x.shape, x.far * max(1.0, alpha.far)))


def squared_difference(net: Net, x: Wire) -> Wire | None:
    other = partner(net, x)
    y = net.wire(x.shape, math.hypot(x.far, other.far) ** 2)
    if max(x.scale, other.scale) ** 2 > 4000 * y.scale:
        return None
    pair = [x, other]
    net.dice.shuffle(pair)
    return net.step("SQUARED_DIFFERENCE", pair, y, tfl.SquaredDifferenceOptionsT())


def add_n(net: Net, x: Wire) -> Wire | None:
    alike = [w for w in net.wires if w.shape == x.shape and w.grid == x.grid]
    terms = [
        net.dice.choice(alike) if net.dice.random() < 0.6 else net.constant(x.shape, x.grid)
        for _ in range(net.dice.randint(2, 5))
    ]
    y = net.wire(x.shape, x.far * 2)
    return None if y.scale < 3e-6 * x.scale else net.step("ADD_N", terms, y, tfl.AddNOptionsT())


def cumsum(net: Net, x: Wire) -> Wire | None:
    options = tfl.CumsumOptionsT()
    options.exclusive, options.reverse = net.dice.random() < 0.5, net.dice.random() < 0.5
    axis = net.dice.randrange(-len(x.shape), len(x.shape))
    y = net.wire(x.shape, x.far * 2)
    # Each value has 20 bits more in a sum of 32.
    if x.shape[axis] > 14 or y.scale < 3e-6 * x.scale:
        return None
    return net.step("CUMSUM", [x, net.indices([axis])], y, options)


def reduced(name: str) -> Step:
    def step(net: Net, x: Wire) -> Wire | None:
        axes = net.dice.sample(range(len(x.shape)), net.dice.randint(1, len(x.shape)))
        options = tfl.ReducerOptionsT()
        options.keepDims = net.dice.random() < 0.5
        shape = [1 if i in axes else n for i, n in enumerate(x.shape) if options.keepDims or i not in axes]
        if not shape:
            return None
        far = x.far * math.sqrt(math.prod(x.shape[i] for i in axes))
        y = net.wire(shape, far) if name == "SUM" else net.wire(shape, x.far, x.grid)
        return None if y.scale < 3e-6 * x.scale else net.step(name, [x, net.indices(axes)], y, options)

    return step


def gather(net: Net, x: Wire) -> Wire | None:
    axis = net.dice.randrange(len(x.shape))
    computed = [w for w in net.others if w.kind == "int32" and w.far <= x.shape[axis]]
    if computed and net.dice.random() < 0.8:
        indices = net.dice.choice(computed)
    else:
        shape = [net.dice.randint(1, 3) for _ in range(net.dice.randint(1, 2))]
        values = np.array([net.dice.randrange(x.shape[axis]) for _ in range(math.prod(shape))]).reshape(shape)
        indices = Wire(net.indices(values), tuple(shape), 1.0, 0, 1.0, "int32")
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    if len(shape) > 4 or math.prod(shape) > 1500:
        return None
    options = tfl.GatherOptionsT()
    options.axis = axis if net.dice.random() < 0.5 else axis - len(x.shape)
    return net.step("GATHER", [x, indices], net.wire(shape, x.far, x.grid), options)


def embedding(net: Net, x: Wire) -> Wire | None:
    rows = net.dice.randint(2, 9)
    computed = [w for w in net.others if w.kind == "int32" and w.far <= rows and len(w.shape) == 1]
    table = net.constant((rows, *[net.dice.randint(1, 5) for _ in range(net.dice.randint(1, 2))]))
    if computed and net.dice.random() < 0.8:
        indices = net.dice.choice(computed)
    else:
        count = net.dice.randint(1, 5)
        number = net.indices([net.dice.randrange(rows) for _ in range(count)])
        indices = Wire(number, (count,), 1.0, 0, 1.0, "int32")
    y = net.wire((*indices.shape, *table.shape[1:]), table.far, table.grid)
    return net.step("EMBEDDING_LOOKUP", [indices, table], y)


def curve(name: str) -> Step:
    return lambda net, x: net.step(name, [x], net.wire(x.shape, x.far))


def rsqrt(net: Net, x: Wire) -> Wire | None:
    """Of values that are made to lie above the lowest by a QUANTIZE before it."""
    x = net.step("QUANTIZE", [x], net.wire(x.shape, x.far, (x.scale, -128)), tfl.QuantizeOptionsT())
    return net.step("RSQRT", [x], net.wire(x.shape, 1 / math.sqrt(100 * x.scale)))


MORE: dict[str, Step] = {
    "ABS": curve("ABS"),
    "ADD_N": add_n,
    "ARG_MAX": position("ARG_MAX"),
    "ARG_MIN": position("ARG_MIN"),
    "BATCH_TO_SPACE_ND": batch_to_space,
    "BROADCAST_TO": broadcast_to,
    "CUMSUM": cumsum,
    "DEPTH_TO_SPACE": depth_to_space,
    "ELU": curve("ELU"),
    "EMBEDDING_LOOKUP": embedding,
    "FILL": fill,
    "GATHER": gather,
    "MAXIMUM": larger,
    "MINIMUM": smaller,
    "MIRROR_PAD": mirror_pad,
    "PACK": pack,
    "PADV2": padv2,
    "PRELU": prelu,
    "RESIZE_NEAREST_NEIGHBOR": nearest,
    "REVERSE_V2": reverse,
    "RSQRT": rsqrt,
    "SELECT_V2": select,
    "SLICE": slice_,
    "SPACE_TO_BATCH_ND": space_to_batch,
    "SPACE_TO_DEPTH": space_to_depth,
    "SPLIT": split,
    "SPLIT_V": split_v,
    "SQUARED_DIFFERENCE": squared_difference,
    "UNPACK": unpack,
    "ZEROS_LIKE": zeros_like,
    **{name: compared(name) for name in ("EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "NOT_EQUAL")},
    **{name: reduced(name) for name in ("REDUCE_MAX", "REDUCE_MIN", "SUM")},
}
