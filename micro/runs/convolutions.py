"""Convolutional blocks of the networks that the jobs train, over time or over height and width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
from keras import layers

from micro.config import Family
from micro.config.models import Padding
from micro.runs.parameter_counts import EXPANSION


@dataclass(frozen=True)
class Windowing:
    """Taps a side of a filter, positions from one window of it to the next, the fraction left out while it trains, and whether
    convolutions over time are padded at both ends."""

    kernel: int
    stride: int
    dropout: float
    padding: Padding = "same"


def convolved(
    hidden: keras.KerasTensor, family: Family, sizes: Sequence[int], windowing: Windowing
) -> keras.KerasTensor:
    """Blocks of a convolutional family: (batch, *space, channels) -> (batch, *less space, sizes[-1])."""
    for number, filters in enumerate(sizes):
        hidden = BLOCKS[family](hidden, number, filters, windowing)
        hidden = dropped(hidden, windowing.dropout, number)
    return hidden


def pooled(hidden: keras.KerasTensor) -> keras.KerasTensor:
    """The mean over time, or over height and width: (batch, *space, channels) -> (batch, channels)."""
    kind = layers.GlobalAveragePooling1D if len(hidden.shape) == 3 else layers.GlobalAveragePooling2D
    return kind(name="pool")(hidden)


def dropped(hidden: keras.KerasTensor, dropout: float, number: int) -> keras.KerasTensor:
    """The values behind a layer, a fraction of which is left out while it trains."""
    return layers.Dropout(dropout, name=f"dropout_{number}")(hidden) if dropout else hidden


def _plain(hidden: keras.KerasTensor, number: int, filters: int, windowing: Windowing) -> keras.KerasTensor:
    convolution = _convolution(hidden, filters, windowing, windowing.stride, f"conv_{number}")
    return _activated(convolution, f"{number}")


def _separable(hidden: keras.KerasTensor, number: int, filters: int, windowing: Windowing) -> keras.KerasTensor:
    if not number:
        return _plain(hidden, number, filters, windowing)
    hidden = _activated(_depthwise(hidden, windowing, windowing.stride, number), f"depth_{number}")
    return _activated(_pointwise(hidden, filters, f"conv_{number}"), f"{number}")


def _residual(hidden: keras.KerasTensor, number: int, filters: int, windowing: Windowing) -> keras.KerasTensor:
    hidden = _plain(hidden, number, filters, windowing)
    second = _convolution(hidden, filters, windowing, 1, f"conv_{number}b")
    added = layers.BatchNormalization(name=f"norm_{number}b")(second)
    return layers.ReLU(name=f"relu_{number}b")(_sum(hidden, added, number))


def _inverted(hidden: keras.KerasTensor, number: int, filters: int, windowing: Windowing) -> keras.KerasTensor:
    """An inverted residual; the first block is an ordinary convolution, as the paper has it."""
    if not number:
        convolution = _convolution(hidden, filters, windowing, windowing.stride, f"conv_{number}")
        return _activated(convolution, f"{number}", 6.0)
    # Within blocks of as many filters the size stays, so that inputs can be added.
    keeps = filters == hidden.shape[-1]
    expanded = _pointwise(hidden, EXPANSION * hidden.shape[-1], f"expand_{number}")
    expanded = _activated(expanded, f"expand_{number}", 6.0)
    filtered = _depthwise(expanded, windowing, 1 if keeps else windowing.stride, number)
    filtered = _activated(filtered, f"depth_{number}", 6.0)
    linear = layers.BatchNormalization(name=f"norm_{number}")(_pointwise(filtered, filters, f"conv_{number}"))
    return _sum(hidden, linear, number) if keeps else linear


def _dilated(hidden: keras.KerasTensor, number: int, filters: int, windowing: Windowing) -> keras.KerasTensor:
    """Two convolutions whose taps lie 2 ** number apart, and the block's input added; the first block has the stride."""
    stride, apart = (1 if number else windowing.stride), 2**number
    # A filter cannot have a stride and taps that lie apart.
    first = _convolution(hidden, filters, windowing, stride, f"conv_{number}", apart)
    second = _convolution(_activated(first, f"{number}"), filters, windowing, 1, f"conv_{number}b", apart)
    second = layers.BatchNormalization(name=f"norm_{number}b")(second)
    if stride > 1 or filters != hidden.shape[-1]:
        hidden = layers.BatchNormalization(name=f"norm_{number}c")(
            _pointwise(hidden, filters, f"conv_{number}c", stride)
        )
    return layers.ReLU(name=f"relu_{number}b")(_sum(hidden, second, number))


# What one of the sizes of a family becomes.
BLOCKS: dict[Family, Callable[[keras.KerasTensor, int, int, Windowing], keras.KerasTensor]] = {
    "conv_autoencoder": _plain,
    "conv1d": _plain,
    "conv2d": _plain,
    "ds_cnn": _separable,
    "resnet": _residual,
    "mobilenet": _inverted,
    "tcn": _dilated,
}


def _convolution(
    hidden: keras.KerasTensor, filters: int, windowing: Windowing, stride: int, name: str, apart: int = 1
) -> keras.KerasTensor:
    kind = layers.Conv1D if len(hidden.shape) == 3 else layers.Conv2D
    _require_steps(hidden, windowing, name, apart)
    shape = {"strides": stride, "padding": windowing.padding, "dilation_rate": apart}
    return kind(filters, windowing.kernel, **shape, use_bias=False, name=name)(hidden)


def _depthwise(hidden: keras.KerasTensor, windowing: Windowing, stride: int, number: int) -> keras.KerasTensor:
    kind = layers.DepthwiseConv1D if len(hidden.shape) == 3 else layers.DepthwiseConv2D
    name = f"depth_{number}"
    _require_steps(hidden, windowing, name)
    return kind(windowing.kernel, strides=stride, padding=windowing.padding, use_bias=False, name=name)(hidden)


def _require_steps(hidden: keras.KerasTensor, windowing: Windowing, name: str, apart: int = 1) -> None:
    """ValueError where a filter without padding is longer than what is left of the window."""
    span = (windowing.kernel - 1) * apart + 1
    if windowing.padding == "valid" and hidden.shape[1] < span:
        raise ValueError(
            f"padding = 'valid' leaves {hidden.shape[1]} steps of the window in front of layer {name!r}, whose taps reach over "
            f"{span}; take fewer sizes, a smaller kernel or stride, or a longer window"
        )


def _sum(hidden: keras.KerasTensor, added: keras.KerasTensor, number: int) -> keras.KerasTensor:
    """A block's input and what it computed of it, which without padding has fewer steps: those in the middle of the input."""
    less = hidden.shape[1] - added.shape[1]
    if less:
        hidden = layers.Cropping1D((less // 2, less - less // 2), name=f"crop_{number}")(hidden)
    return layers.Add(name=f"add_{number}")([hidden, added])


def _pointwise(hidden: keras.KerasTensor, filters: int, name: str, stride: int = 1) -> keras.KerasTensor:
    kind = layers.Conv1D if len(hidden.shape) == 3 else layers.Conv2D
    return kind(filters, 1, strides=stride, use_bias=False, name=name)(hidden)


def _activated(hidden: keras.KerasTensor, name: str, highest: float | None = None) -> keras.KerasTensor:
    return layers.ReLU(highest, name=f"relu_{name}")(layers.BatchNormalization(name=f"norm_{name}")(hidden))
