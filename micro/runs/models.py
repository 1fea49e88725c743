"""The networks that the jobs train, built from a family and its sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

import keras
from keras import layers

from micro.config import AUTOENCODERS, CONVOLUTIONAL, PLANAR, RECURRENT, Family
from micro.config.models import Padding
from micro.runs.convolutions import Windowing, convolved, dropped, pooled


def build(
    family: Family,
    sizes: Sequence[int],
    input_shape: tuple[int, ...],
    classes: int | None,
    name: str,
    *,
    kernel: int = 9,
    stride: int = 4,
    dropout: float = 0.0,
    padding: Padding = "same",
    predicted: tuple[int, ...] = (),
) -> keras.Model:
    """A network of a family.

    'autoencoder': Dense layers of these sizes with ReLU between, then as many linear outputs as inputs.
    'conv_autoencoder': Convolutions as of 'conv1d' or 'conv2d', a Dense code of the last of the sizes, then as many linear
        outputs as inputs.
    'dense': Dense layers with ReLU, then one logit a class.
    'conv1d': Conv1D of `kernel` taps and that stride with BatchNormalization and ReLU, averaged over time, then one logit a
        class.
    'conv2d': the same of Conv2D with `kernel` x `kernel` taps and the stride in both directions, for pictures.
    'ds_cnn': the same with each convolution but the first divided into one over time, or height and width, and one over
        channels (Zhang et al. 2017, https://arxiv.org/abs/1711.07128): fewer weights for as many filters.
    'resnet': the same with a second convolution behind each, to which the first one's output is added (He et al. 2015,
        https://arxiv.org/abs/1512.03385): for deep ones.
    'mobilenet': a convolution, then inverted residuals (Sandler et al. 2018, https://arxiv.org/abs/1801.04381): six times the
        channels, a depthwise convolution, and a linear one to the filters. One of as many filters as the block before has no
        stride and its input is added.
    'tcn': blocks of two Conv1D whose taps lie 1, 2, 4, ... apart, to which the block's input is added (Bai et al. 2018,
        https://arxiv.org/abs/1803.01271), here with BatchNormalization, padded on both sides and averaged over time; the first
        block has the stride.
    'gru', 'lstm': stacked recurrent layers of these units, the last of which gives its last state; then one logit a class.

    One that predicts features from others is of any family, with linear outputs in the shape `predicted` in the end.

    Convolutions over time are padded at both ends with `padding` 'same'; with 'valid' each gives fewer steps than it takes, and
    a block's input is cut to the middle steps before it is added. Such a model can be streamed: `micro.stream`.

    While it trains, a `dropout` of the values behind each of these layers are left out (Srivastava et al. 2014).

    Shapes: (*input_shape) -> `predicted` where it is given; else the same for an autoencoder, (classes,) otherwise; one class
    is the number of a regression.

    Raises:
        ValueError: For a family that does not suit the task or the inputs, or sizes that are not positive.
    """
    inputs = keras.Input(input_shape, name="features")
    return build_on(
        inputs, inputs, family, sizes, classes, name, Windowing(kernel, stride, dropout, padding), predicted
    )


def build_on(
    begin: keras.KerasTensor,
    inputs: keras.KerasTensor,
    family: Family,
    sizes: Sequence[int],
    classes: int | None,
    name: str,
    windowing: Windowing,
    predicted: tuple[int, ...] = (),
) -> keras.Model:
    """As `build`, on what other layers have made of a model's input: `begin` is that input, `inputs` what they made of it."""
    input_shape, dropout = tuple(inputs.shape[1:]), windowing.dropout
    _require_sizes(family, sizes, name)
    if not predicted:
        _require_fit(family, classes, name)
    _require_shape(family, input_shape, name)
    if windowing.padding == "valid" and (family not in CONVOLUTIONAL or len(input_shape) != 2):
        raise ValueError(
            f"{name}: padding = 'valid' is for convolutions over time on (time, channels), and family {family!r} takes "
            f"{input_shape} here; leave it 'same'"
        )
    if family == "conv_autoencoder":
        hidden = _coded(inputs, sizes, windowing)
    elif family in CONVOLUTIONAL:
        hidden = pooled(convolved(inputs, family, sizes, windowing))
    elif family in RECURRENT:
        hidden = _recurrent(inputs, family, sizes, dropout)
    else:
        hidden = _dense(inputs, sizes, dropout)
    if classes is not None:
        last = "logits" if classes > 1 else "estimate"
        return keras.Model(begin, layers.Dense(classes, name=last)(hidden), name=name)
    shape = predicted or input_shape
    outputs = layers.Dense(math.prod(shape), name="prediction" if predicted else "reconstruction")(hidden)
    if len(shape) > 1:
        outputs = layers.Reshape(shape, name="unflatten")(outputs)
    return keras.Model(begin, outputs, name=name)


def _require_sizes(family: Family, sizes: Sequence[int], name: str) -> None:
    if not sizes or min(sizes) < 1:
        raise ValueError(f"{name}: sizes must be a list of positive numbers, got {list(sizes)}")
    if family == "conv_autoencoder" and len(sizes) < 2:
        raise ValueError(f"{name}: sizes must be filters and then the units of the code, got {list(sizes)}")


def _require_fit(family: Family, classes: int | None, name: str) -> None:
    if (family in AUTOENCODERS) != (classes is None):
        others = ", ".join(repr(each) for each in get_args(Family) if each not in AUTOENCODERS)
        fits = (
            f"anomaly detection takes {' or '.join(map(repr, AUTOENCODERS))}"
            if classes is None
            else f"classification and regression take one of {others}"
        )
        raise ValueError(f"{name}: family {family!r} does not suit this task; {fits}")


def _require_shape(family: Family, shape: tuple[int, ...], name: str) -> None:
    """ValueError for a family that takes inputs of other axes."""
    over_time = family in (*CONVOLUTIONAL, *RECURRENT) and family != "conv2d"
    if len(shape) == 1 and over_time:
        raise ValueError(
            f'{name}: family {family!r} needs features with a time axis, got {shape[0]} a window: features.kind = "raw" keeps '
            "the samples as they are, and features.frame stacks features of frames"
        )
    if family == "conv2d" and len(shape) != 3:
        other = "'conv1d'" if len(shape) == 2 else "'dense' or 'autoencoder'"
        raise ValueError(
            f"{name}: family 'conv2d' takes pictures, (height, width, channels), got {shape}; take {other}"
        )
    if over_time and len(shape) == 3 and family not in PLANAR:
        *first, last = (repr(each) for each in PLANAR if each not in AUTOENCODERS)
        raise ValueError(
            f"{name}: family {family!r} takes (time, channels), got {shape}: pictures, and raw samples in frames, have two "
            f"directions; take {', '.join(first)} or {last}, or leave out features.frame"
        )


def _dense(inputs: keras.KerasTensor, sizes: Sequence[int], dropout: float) -> keras.KerasTensor:
    hidden = layers.Flatten(name="flatten")(inputs) if len(inputs.shape) > 2 else inputs
    for number, units in enumerate(sizes):
        hidden = layers.Dense(units, activation="relu", name=f"dense_{number}")(hidden)
        hidden = dropped(hidden, dropout, number)
    return hidden


def _coded(inputs: keras.KerasTensor, sizes: Sequence[int], windowing: Windowing) -> keras.KerasTensor:
    """Convolutions and the code that all of their positions make together: an average would not tell where something was."""
    hidden = convolved(inputs, "conv_autoencoder", sizes[:-1], windowing)
    return layers.Dense(sizes[-1], activation="relu", name="code")(layers.Flatten(name="flatten")(hidden))


def _recurrent(inputs: keras.KerasTensor, family: Family, sizes: Sequence[int], dropout: float) -> keras.KerasTensor:
    kind = layers.GRU if family == "gru" else layers.LSTM
    hidden = inputs
    for number, units in enumerate(sizes):
        whole = number < len(sizes) - 1
        hidden = kind(units, return_sequences=whole, name=f"{family}_{number}")(hidden)
        hidden = dropped(hidden, dropout, number)
    return hidden
