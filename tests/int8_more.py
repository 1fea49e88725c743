"""Further operators of the graphs in int8_graphs.py, for graphs in a line: `newer_graph`."""

from __future__ import annotations

import numpy as np
from int8_graphs import MAKERS, Builder


def _larger(b, x):
    name = str(b.rng.choice(["MAXIMUM", "MINIMUM"]))
    shape = b.shape(x) if b.rng.random() < 0.5 else (1, 1, 1, b.shape(x)[3])
    other = b.tensor(shape, **b.grid(x), data=b.rng.integers(-128, 128, shape).astype(np.int8))
    return b.op(name, [x, other], b.like(x), "MaximumMinimumOptions")


def _curve(b, x):
    return b.op(str(b.rng.choice(["ABS", "ELU"])), [x], b.value(b.shape(x), b.width(x)))


def _prelu(b, x):
    alpha = b.tensor((1, 1, b.shape(x)[3]), data=b.rng.integers(-128, 128, (1, 1, b.shape(x)[3])).astype(np.int8))
    return b.op("PRELU", [x, alpha], b.value(b.shape(x), b.width(x)))


def _reduce(b, x):
    name = str(b.rng.choice(["SUM", "REDUCE_MAX", "REDUCE_MIN"]))
    axes = [[1, 2], [1], [3], [2, 3]][b.rng.integers(0, 4)]
    shape = [1 if axis in axes else n for axis, n in enumerate(b.shape(x))]
    y = b.value(shape, 3 * b.width(x)) if name == "SUM" else b.like(x, shape)
    return b.op(name, [x, b.numbers(axes)], y, "ReducerOptions", keepDims=True)


def _split(b, x):
    """Two halves, of which the second goes on, or all parts joined again in another order."""
    axis = int(b.rng.integers(1, 4))
    n = b.shape(x)[axis]
    if n < 2:
        return x
    first = int(b.rng.integers(1, n))
    shapes = [[size if i == axis else m for i, m in enumerate(b.shape(x))] for size in (first, n - first)]
    parts = [b.like(x, shape) for shape in shapes]
    b.op("SPLIT_V", [x, b.numbers([first, n - first]), b.numbers(axis)], parts, "SplitVOptions", numSplits=2)
    if b.rng.random() < 0.5:
        return parts[1]
    return b.op("CONCATENATION", parts[::-1], b.like(x), "ConcatenationOptions", axis=axis)


def _blocks(b, x):
    n, height, width, channels = b.shape(x)
    if height % 2 == 0 and width % 2 == 0:
        y = b.like(x, (n, height // 2, width // 2, channels * 4))
        return b.op("SPACE_TO_DEPTH", [x], y, "SpaceToDepthOptions", blockSize=2)
    if channels % 4 == 0:
        y = b.like(x, (n, height * 2, width * 2, channels // 4))
        return b.op("DEPTH_TO_SPACE", [x], y, "DepthToSpaceOptions", blockSize=2)
    return x


def _resize(b, x):
    n, _, _, channels = b.shape(x)
    size = [int(m) for m in b.rng.integers(1, 9, 2)]
    name = str(b.rng.choice(["RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"]))
    table = "ResizeBilinearOptions" if name == "RESIZE_BILINEAR" else "ResizeNearestNeighborOptions"
    centered = bool(b.rng.random() < 0.5)
    return b.op(name, [x, b.numbers(size)], b.like(x, (n, *size, channels)), table, halfPixelCenters=centered)


def _mirror(b, x):
    around = [[0, 0], *([int(b.rng.integers(0, min(2, n))) for _ in range(2)] for n in b.shape(x)[1:])]
    shape = [n + sum(pair) for n, pair in zip(b.shape(x), around)]
    return b.op("MIRROR_PAD", [x, b.numbers(around)], b.like(x, shape), "MirrorPadOptions", mode=0)


def _transposed(b, x):
    n, height, width, channels = b.shape(x)
    made, stride = int(b.rng.integers(1, 5)), int(b.rng.integers(1, 3))
    window = [int(m) for m in b.rng.integers(1, 4, 2)]
    kernel = b.tensor((made, *window, channels), scale=b.scale() / 32, zero=0,
                      data=b.rng.integers(-127, 128, (made, *window, channels)).astype(np.int8))  # fmt: skip
    shape = (n, height * stride, width * stride, made)
    fan_in = channels * window[0] * window[1]
    y = b.value(shape, b.grid(kernel)["scale"] * 74 * b.width(x) * fan_in**0.5)
    options = {"padding": 0, "strideH": stride, "strideW": stride}
    return b.op("TRANSPOSE_CONV", [b.numbers(shape), kernel, x], y, "TransposeConvOptions", **options)


def _matmul(b, x):
    n, height, _, depth = b.shape(x)
    shape = (n, height, int(b.rng.integers(1, 5)), depth)
    other = b.tensor(shape, scale=0.02, data=b.rng.integers(-128, 128, shape).astype(np.int8))
    y = b.value((*b.shape(x)[:3], shape[2]), b.width(x) * b.width(other) * depth**0.5)
    return b.op("BATCH_MATMUL", [x, other], y, "BatchMatMulOptions", adjX=False, adjY=True)


def _normalized(b, x):
    if b.rng.random() < 0.5:
        return b.op("LOG_SOFTMAX", [x], b.tensor(b.shape(x), scale=1 / 16, zero=127), "LogSoftmaxOptions")
    return b.op("L2_NORMALIZATION", [x], b.tensor(b.shape(x), scale=1 / 128, zero=0), "L2NormOptions")


def _gathered(b, x):
    axis = int(b.rng.integers(1, 4))
    places = b.rng.integers(0, b.shape(x)[axis], int(b.rng.integers(1, 5)))
    shape = [len(places) if i == axis else n for i, n in enumerate(b.shape(x))]
    return b.op("GATHER", [x, b.numbers(places)], b.like(x, shape), "GatherOptions", axis=axis)


NEWER = (
    *(
        _larger,
        _curve,
        _prelu,
        _reduce,
        _split,
        _blocks,
        _resize,
        _mirror,
        _transposed,
        _matmul,
        _normalized,
        _gathered,
    ),
)


def newer_graph(seed: int) -> bytes:
    """Two to five operators in a line, most of them of this file."""
    rng = np.random.default_rng(seed)
    b = Builder(rng)
    start = value = b.value((1, *rng.integers(1, 8, 2).tolist(), int(rng.integers(1, 5))), rng.uniform(0.3, 6))
    while len(b.operators) < 2 or (len(b.operators) < 5 and rng.random() < 0.6):
        makers = NEWER if rng.random() < 0.7 else MAKERS
        if np.prod(b.shape(value)) < 2000:
            value = makers[rng.integers(0, len(makers))](b, value)
        else:
            value = b.op("REDUCE_MAX", [value, b.numbers([1, 2])], b.like(value, (1, 1, 1, b.shape(value)[3])),
                         "ReducerOptions", keepDims=True)  # fmt: skip
    return b.build([start], [value])
