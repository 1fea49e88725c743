"""How far an operator's output may lie over its own input: no byte is written over one that is still to be read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from micro.aot.calls import Lowered, Slide
from micro.tflite.graph import Tensor

# An output that is written value by value, each after the values of its own place are read: it may lie exactly over its input.
IN_PLACE = 0


def in_rows(lowered: Lowered, x: Tensor, y: Tensor, window: tuple[int, int], geometry: tuple[int, ...]) -> Lowered:
    """The calls of a kernel that slides a window over input 0, with the least distance at which its output may lie over it.

    Such a kernel computes the rows of all channels of its output from the first batch's first to the last batch's last. For a
    row it reads only what that row's windows hold, and it writes nothing beyond that row. Within a row any order is right.

    Args:
        x, y: Input and output, (batch, height, width, channels).
        window: Height and width in taps.
        geometry: Strides, dilations, and the padding before the input; each for height and width.
    """
    slide = Slide(geometry[0], (window[0] - 1) * geometry[2] + 1, geometry[4])
    return replace(lowered, overlap={0: row_distance(x.shape, y.shape, window, geometry)}, slide=slide)


def row_distance(
    x_shape: tuple[int, ...], y_shape: tuple[int, ...], window: tuple[int, int], geometry: tuple[int, ...]
) -> int:
    """The fewest bytes by which an output computed row by row must begin before its input; see `in_rows`.

    With this distance or more, the last byte written by each row lies before the first byte that this or a later row reads.

    Returns:
        Between 0, where the output may lie exactly over its input, and the output's size, where they lie apart.
    """
    batches, y_height, y_width, y_channels = y_shape
    _, x_height, x_width, x_channels = x_shape
    s_height, s_width, d_height, d_width, pad_height, pad_width = geometry
    columns = _first_taps(y_width, s_width, d_width, pad_width, window[1], x_width)
    rows = _first_taps(y_height, s_height, d_height, pad_height, window[0], x_height)
    # Where a row reads nothing of its own, later rows limit it; where none reads, nothing does.
    nothing = np.int64(1) << 60
    starts = np.arange(batches, dtype=np.int64)[:, None] * x_height
    first = ((starts + rows) * x_width + columns.min()) * x_channels
    reads = np.where((rows < x_height) & (columns.min() < x_width), first, nothing).reshape(-1)
    later = np.minimum.accumulate(reads[::-1])[::-1]
    written = np.arange(1, batches * y_height + 1, dtype=np.int64) * (y_width * y_channels)
    return int(np.clip((written - later).max(), 0, written[-1]))


def _first_taps(count: int, stride: int, dilation: int, pad: int, size: int, length: int) -> np.ndarray:
    """The first position inside the input that each window along an axis reads; `length` where it reads none."""
    start = np.arange(count, dtype=np.int64) * stride - pad
    tap = np.maximum(0, -(start // dilation))  # of a window that begins before the input, the first one inside it
    first = start + tap * dilation
    return np.where((tap < size) & (first < length), first, length)
