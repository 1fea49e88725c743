"""Resizing as TFLite Micro's int8 kernels compute it: positions repeated, or weighed in 1024ths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from micro.quantize.program import Node

if TYPE_CHECKING:
    from keras_kd.types import Tensor

ONE = 1024


def resize_nearest(node: Node, inputs: Sequence[Tensor], kernel: Tensor | None, bias: Tensor | None) -> Tensor:
    """Each position repeated, where sizes are multiples."""
    y = inputs[0]
    for axis in (1, 2):
        y = ops.repeat(y, node.shape[axis] // (y.shape[axis] or 1), axis=axis)
    return y


def resize_bilinear(node: Node, inputs: Sequence[Tensor], kernel: Tensor | None, bias: Tensor | None) -> Tensor:
    """Each position a mean of its four neighbors, whose weights the kernel rounds to 1024ths.

    Source: ResizeBilinearInteger in TensorFlow Lite's reference kernels.
    """
    y = inputs[0]
    for axis in (1, 2):
        low, high, part = neighbors(y.shape[axis], node.shape[axis], node.options)
        share = (part / ONE).astype(np.float32).reshape((-1, 1, 1) if axis == 1 else (-1, 1))
        y = ops.take(y, low, axis=axis) * (1.0 - share) + ops.take(y, high, axis=axis) * share
    return y


def neighbors(size: int, made: int, options: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each position of `made` the lower and the higher one of `size` beside it, and the share of the higher in 1024ths.

    The scale between them is an integer number of 1024ths, so that positions may lie past the end: `leads_past`.
    """
    aligned, centered = bool(options.get("alignCorners")), bool(options.get("halfPixelCenters"))
    own, other = (size - 1, made - 1) if aligned and made > 1 else (size, made)
    scale = (ONE * own + other // 2) // other
    places = np.arange(made) * scale + (scale // 2 - ONE // 2 if centered else 0)
    low = np.maximum(places // ONE, 0)
    high = np.minimum(-(-places // ONE), size - 1)
    return low, np.maximum(high, 0), places - ONE * low


def leads_past(size: int, made: int, options: Mapping[str, Any]) -> bool:
    """Whether the rounded scale leads past the last position."""
    return bool(neighbors(size, made, options)[0].max() > size - 1)
