"""Operators that move blocks and borders: SPACE_TO_DEPTH, SPACE_TO_BATCH_ND and back, MIRROR_PAD, RESIZE_NEAREST_NEIGHBOR."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from micro.aot.calls import (
    Argument,
    Call,
    Lowered,
    four,
    four_merged,
    given,
    integers_of,
    ints,
    operator,
    refusal,
    require,
    require_kind,
    require_shape,
    sized,
    strides_of,
    tensors_of,
)
from micro.aot.operators.movement import gathered
from micro.aot.weight_layout import Storage
from micro.tflite.graph import Graph, Op, Tensor

# Blocks of more positions than this would become more calls than a model for a microcontroller can mean.
MOST_BLOCKS = 64


@operator(inputs=(1, 1), options=("blockSize",))
def space_to_depth(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Blocks of height and width become channels."""
    inputs, y = tensors_of(op, graph)
    x, block = given(inputs[0]), op.options["blockSize"]
    require_kind(("int8",), op, graph, x, y)
    require(len(x.shape) == 4 and block >= 1, op, graph, f"blocks of {block} on shape {list(x.shape)}")
    n, height, width, depth = x.shape
    require(height % block == 0 and width % block == 0, op, graph, f"blocks of {block} on shape {list(x.shape)}")
    require_shape(y, (n, height // block, width // block, depth * block * block), op, graph)
    b, h, w, c = strides_of(x.shape)
    shape = (n, height // block, width // block, block, block, depth)
    return gathered(op, graph, x, 0, y, shape, (b, block * h, block * w, h, w, c))


@operator(inputs=(1, 1), options=("blockSize",))
def depth_to_space(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Channels become blocks of height and width."""
    inputs, y = tensors_of(op, graph)
    x, block = given(inputs[0]), op.options["blockSize"]
    require_kind(("int8",), op, graph, x, y)
    require(len(x.shape) == 4 and block >= 1, op, graph, f"blocks of {block} on shape {list(x.shape)}")
    n, height, width, depth = x.shape
    require(depth % (block * block) == 0, op, graph, f"blocks of {block} on {depth} channels, which")
    made = depth // (block * block)
    require_shape(y, (n, height * block, width * block, made), op, graph)
    b, h, w, _ = strides_of(x.shape)
    shape = (n, height, block, width, block, made)
    return gathered(op, graph, x, 0, y, shape, (b, h, block * made, w, made, 1))


@operator(inputs=(3, 3))
def space_to_batch_nd(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Each position in a block becomes a batch. Paddings are refused: TFLite Micro leaves their value open."""
    y = tensors_of(op, graph)[1]
    x, block, around = _blocks(op, graph)
    if any(map(any, around)):
        raise refusal(op, graph, "has paddings; TFLite Micro pads with memory that it never sets, use PAD before it")
    require(all(n % size == 0 for n, size in zip(x.shape[1:], block)), op, graph, f"blocks {block} of {list(x.shape)}")
    rest = x.shape[1 + len(block) :]
    reach = [n // size for n, size in zip(x.shape[1:], block)]
    require_shape(y, (x.shape[0] * math.prod(block), *reach, *rest), op, graph)
    y_strides, x_strides = strides_of(y.shape), strides_of(x.shape)
    calls = []
    for number, place in enumerate(np.ndindex(*block)):
        start = sum(offset * stride for offset, stride in zip(place, x_strides[1:]))
        to, shape = number * x.shape[0] * y_strides[0], (x.shape[0], *reach, *rest)
        taken = [x_strides[0], *(size * stride for size, stride in zip(block, x_strides[1:]))]
        taken += x_strides[len(taken) :]
        calls.append(_spread(op, graph, (x, start), (y, to), shape, taken, y_strides, y))
    return Lowered(tuple(calls))


@operator(inputs=(3, 3))
def batch_to_space_nd(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Each batch becomes a position in a block; crops are left out."""
    y = tensors_of(op, graph)[1]
    x, block, around = _blocks(op, graph)
    many = math.prod(block)
    require(x.shape[0] % many == 0, op, graph, f"blocks {block} of {x.shape[0]} batches, which")
    batches, rest = x.shape[0] // many, x.shape[1 + len(block) :]
    reach = [n * size - sum(pair) for n, size, pair in zip(x.shape[1:], block, around)]
    require_shape(y, (batches, *reach, *rest), op, graph)
    y_strides, x_strides = strides_of(y.shape), strides_of(x.shape)
    calls = []
    for number, place in enumerate(np.ndindex(*block)):
        start, to, shape = number * batches * x_strides[0], 0, [batches]
        for axis, (offset, size, pair) in enumerate(zip(place, block, around), start=1):
            # Input positions whose output, position * size + offset - crop, lies inside.
            first = max(0, -(-(pair[0] - offset) // size))
            past = min(x.shape[axis], -(-(reach[axis - 1] + pair[0] - offset) // size))
            start += first * x_strides[axis]
            to += (first * size + offset - pair[0]) * y_strides[axis]
            shape.append(past - first)
        put = [y_strides[0], *(size * stride for size, stride in zip(block, y_strides[1:]))]
        put += y_strides[len(put) :]
        if min(shape) > 0:
            calls.append(_spread(op, graph, (x, start), (y, to), (*shape, *rest), x_strides, put, y))
    return Lowered(tuple(calls))


@operator(inputs=(2, 2), options=("mode",))
def mirror_pad(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Padding with what lies behind the edge, seen in a mirror on it (REFLECT) or just outside (SYMMETRIC)."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    require_kind(("int8",), op, graph, x, y)
    around = integers_of(inputs[1], op, graph, "paddings")
    require(around.shape == (len(x.shape), 2), op, graph, "paddings")
    require(op.options["mode"] in (0, 1), op, graph, "modes")
    skipped = 1 - op.options["mode"]  # REFLECT does not repeat the edge
    places = []
    for size, pair in zip(x.shape, around.tolist()):
        require(all(0 <= pad <= size - skipped for pad in pair), op, graph, f"paddings {pair} of {size} values, which")
        before = [skipped + n for n in reversed(range(pair[0]))]
        after = [size - 1 - skipped - n for n in range(pair[1])]
        places.append([*before, *range(size), *after])
    require_shape(y, [len(positions) for positions in places], op, graph)
    return picked(op, graph, x, y, places)


@operator(inputs=(2, 2))
def resize_nearest_neighbor(op: Op, graph: Graph, storage: Storage) -> Lowered:
    """Positions as TFLite computes them, with aligned corners or half-pixel centers."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    require_kind(("int8", "int16"), op, graph, x, y)
    wanted = integers_of(inputs[1], op, graph, "size").reshape(-1).tolist()
    require(len(x.shape) == 4 and len(wanted) == 2, op, graph, f"sizes {wanted}")
    require_shape(y, (x.shape[0], *wanted, x.shape[3]), op, graph)
    aligned, centered = (bool(op.options.get(name)) for name in ("alignCorners", "halfPixelCenters"))
    rows, columns = (nearest(size, made, aligned, centered) for size, made in zip(x.shape[1:3], wanted))
    return picked(op, graph, x, y, [range(x.shape[0]), rows, columns, range(x.shape[3])])


def nearest(size: int, made: int, aligned: bool, centered: bool) -> list[int]:
    """The input position of each of `made` output positions, in float32 as TFLite Micro computes it."""
    single = np.float32
    scale = single(size - 1) / single(made - 1) if aligned and made > 1 else single(size) / single(made)
    offset = single(0.5 if centered else 0.0)
    positions = []
    for place in range(made):
        exact = float((single(place) + offset) * scale)
        position = math.floor(exact + 0.5) if aligned else math.floor(exact)
        positions.append(max(0, min(position, size - 1)))
    return positions


def picked(op: Op, graph: Graph, x: Tensor, y: Tensor, places: Sequence[Sequence[int]]) -> Lowered:
    """Values of `x` at the given positions along each axis."""
    strides = strides_of(four(x.shape, op, graph))
    padded = [[0]] * (4 - len(places)) + [list(positions) for positions in places][-4:]
    require(len(places) <= 4 or all(list(positions) == [0] for positions in places[:-4]), op, graph, "axes")
    offsets = [position * stride for positions, stride in zip(padded, strides) for position in positions]
    sizes = ints([len(positions) for positions in padded])
    return Lowered((Call(sized("pick", y), (x, y, sizes, ints(offsets))),))


def _blocks(op: Op, graph: Graph) -> tuple[Tensor, list[int], list[list[int]]]:
    """Input, block sizes, and paddings or crops of each blocked axis."""
    inputs, y = tensors_of(op, graph)
    x = given(inputs[0])
    require_kind(("int8",), op, graph, x, y)
    block = integers_of(inputs[1], op, graph, "blocks").reshape(-1).tolist()
    around = integers_of(inputs[2], op, graph, "paddings or crops")
    require(len(x.shape) in (3, 4) and len(block) == len(x.shape) - 2, op, graph, f"blocks {block} of {list(x.shape)}")
    require(around.shape == (len(block), 2) and bool((around >= 0).all()), op, graph, "paddings or crops")
    if min(block) < 1 or math.prod(block) > MOST_BLOCKS:
        raise refusal(op, graph, f"has blocks of {block}; static C takes 1 to {MOST_BLOCKS} positions in a block")
    return x, block, around.tolist()


def _spread(
    op: Op,
    graph: Graph,
    x: Argument,
    y: Argument,
    shape: Sequence[int],
    taken: Sequence[int],
    put: Sequence[int],
    kind: Tensor,
) -> Call:
    return Call(sized("spread", kind), (x, y, *four_merged(op, graph, shape, taken, put)))
