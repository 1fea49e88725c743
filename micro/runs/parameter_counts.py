"""How many parameters a network of a family has, counted without building it, which takes Keras."""

from __future__ import annotations

import math
from collections.abc import Sequence

from micro.config import CONVOLUTIONAL, EMBEDDING, RECURRENT, Family, ModelConfig
from micro.config.text import Span

# How many times as many channels the inside of an inverted residual has as its input (Sandler et al. 2018, section 4).
EXPANSION = 6
# Scale, shift, mean and variance of a normalized channel.
NORMALIZED = 4


def parameter_count(part: ModelConfig, takes: tuple[int, ...], gives: tuple[int, ...]) -> int:
    """Parameters of the network that `micro.runs.models.build` makes of a section, averages of normalizations included.

    Args:
        part: The section, of family and sizes.
        takes, gives: Shapes of an input and an output.

    Examples:
        >>> from micro.config import StudentConfig
        >>> parameter_count(StudentConfig(family="autoencoder", sizes=(8,)), (64,), (64,))
        1096
    """
    total, width = _hidden(part, takes)
    return total + (width + 1) * math.prod(gives)


def text_parameter_count(part: ModelConfig, span: Span, characters: int, symbols: int) -> int:
    """As `parameter_count`, of a network of text with its table of characters."""
    width = part.embedding or EMBEDDING
    return characters * width + parameter_count(part, (span.length, width), (symbols,))


def _hidden(part: ModelConfig, takes: tuple[int, ...]) -> tuple[int, int]:
    """Parameters in front of the last layer, and how many values that takes."""
    if part.family == "conv_autoencoder":
        total, steps = _convolved(part.family, part.sizes[:-1], takes[-1], _taps(part, takes), part.stride), takes[:-1]
        for _ in part.sizes[:-1]:
            steps = tuple(_steps(count, part) for count in steps)
        flat = math.prod(steps) * part.sizes[-2]
        return total + (flat + 1) * part.sizes[-1], part.sizes[-1]
    if part.family in CONVOLUTIONAL:
        return _convolved(part.family, part.sizes, takes[-1], _taps(part, takes), part.stride), part.sizes[-1]
    if part.family in RECURRENT:
        # Keras's GRU has two biases a gate.
        gates, biases = (3, 2) if part.family == "gru" else (4, 1)
        sides = zip((takes[-1], *part.sizes), part.sizes)
        return sum(gates * units * (inputs + units + biases) for inputs, units in sides), part.sizes[-1]
    sides = zip((math.prod(takes), *part.sizes), part.sizes)
    return sum((inputs + 1) * units for inputs, units in sides), part.sizes[-1]


def _taps(part: ModelConfig, takes: tuple[int, ...]) -> int:
    """Taps of a filter: `kernel` over time, its square over height and width."""
    return int(part.kernel ** (len(takes) - 1))


def _steps(count: int, part: ModelConfig) -> int:
    """Positions that a convolution leaves of one direction."""
    return -(-(count if part.padding == "same" else count - part.kernel + 1) // part.stride)


def _convolved(family: Family, sizes: Sequence[int], channels: int, taps: int, stride: int) -> int:
    total = 0
    for number, filters in enumerate(sizes):
        total += _block(family, number, channels, filters, taps, stride)
        channels = filters
    return total


def _block(family: Family, number: int, channels: int, filters: int, taps: int, stride: int) -> int:
    """Parameters of one of the sizes; no convolution has biases, each has a normalization behind it."""

    def layer(inputs: int, outputs: int, taps: int) -> int:
        return (taps * inputs + NORMALIZED) * outputs

    plain = layer(channels, filters, taps)
    if family == "ds_cnn" and number:
        return layer(1, channels, taps) + layer(channels, filters, 1)
    if family == "mobilenet" and number:
        inside = EXPANSION * channels
        return layer(channels, inside, 1) + layer(1, inside, taps) + layer(inside, filters, 1)
    if family == "resnet":
        return plain + layer(filters, filters, taps)
    if family == "tcn":
        fitted = filters != channels or (stride > 1 and not number)
        return plain + layer(filters, filters, taps) + (layer(channels, filters, 1) if fitted else 0)
    return plain
