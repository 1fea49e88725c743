"""The networks that the jobs train, built from a family and its sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

import keras
from keras import layers

from micro.config import CONVOLUTIONAL, Family


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
) -> keras.Model:
    """A network of a family.

    'autoencoder': Dense layers of these sizes with ReLU between, then as many linear outputs as inputs.
    'dense': Dense layers with ReLU, then one logit a class.
    'conv1d': Conv1D of `kernel` taps and that stride with BatchNormalization and ReLU, averaged over time, then one logit a
        class.
    'ds_cnn': the same with each Conv1D but the first divided into one over time and one over channels (Zhang et al. 2017,
        https://arxiv.org/abs/1711.07128): fewer weights for as many filters.
    'resnet': the same with a second Conv1D behind each, to which the first one's output is added (He et al. 2015,
        https://arxiv.org/abs/1512.03385): for deep ones.

    While it trains, a `dropout` of the values behind each of these layers are left out (Srivastava et al. 2014).

    Shapes: (*input_shape) -> the same for an autoencoder, (classes,) otherwise; one class is the number of a regression.

    Raises:
        ValueError: For a family that does not suit the task, or sizes that are not positive.
    """
    _require_fit(family, sizes, input_shape, classes, name)
    inputs = keras.Input(input_shape, name="features")
    if family in CONVOLUTIONAL:
        hidden = _convolved(inputs, family, sizes, kernel, stride, dropout)
    else:
        hidden = layers.Flatten(name="flatten")(inputs) if len(input_shape) > 1 else inputs
        for number, units in enumerate(sizes):
            hidden = layers.Dense(units, activation="relu", name=f"dense_{number}")(hidden)
            hidden = _dropped(hidden, dropout, number)
    if classes is not None:
        last = "logits" if classes > 1 else "estimate"
        return keras.Model(inputs, layers.Dense(classes, name=last)(hidden), name=name)
    outputs = layers.Dense(math.prod(input_shape), name="reconstruction")(hidden)
    if len(input_shape) > 1:
        outputs = layers.Reshape(input_shape, name="unflatten")(outputs)
    return keras.Model(inputs, outputs, name=name)


def _require_fit(
    family: Family, sizes: Sequence[int], input_shape: tuple[int, ...], classes: int | None, name: str
) -> None:
    if not sizes or min(sizes) < 1:
        raise ValueError(f"{name}: sizes must be a list of positive numbers, got {list(sizes)}")
    if (family == "autoencoder") != (classes is None):
        others = ", ".join(repr(each) for each in get_args(Family)[1:])
        fits = (
            "anomaly detection takes 'autoencoder'"
            if classes is None
            else f"classification and regression take one of {others}"
        )
        raise ValueError(f"{name}: family {family!r} does not suit this task; {fits}")
    if family in CONVOLUTIONAL and len(input_shape) != 2:
        raise ValueError(f'{name}: family {family!r} needs features.kind = "raw", the spectrum has no time axis')


def _convolved(
    inputs: keras.KerasTensor, family: Family, sizes: Sequence[int], kernel: int, stride: int, dropout: float
) -> keras.KerasTensor:
    """Blocks that each shorten the time axis by the stride, averaged over what is left of it."""
    hidden = inputs
    for number, filters in enumerate(sizes):
        if family == "ds_cnn" and number:
            depthwise = layers.DepthwiseConv1D(
                kernel, strides=stride, padding="same", use_bias=False, name=f"depth_{number}"
            )
            hidden = _activated(depthwise(hidden), f"depth_{number}")
            hidden = _activated(layers.Conv1D(filters, 1, use_bias=False, name=f"conv_{number}")(hidden), f"{number}")
            hidden = _dropped(hidden, dropout, number)
            continue
        hidden = _activated(_conv1d(filters, kernel, stride, f"conv_{number}")(hidden), f"{number}")
        if family == "resnet":
            added = layers.BatchNormalization(name=f"norm_{number}b")(
                _conv1d(filters, kernel, 1, f"conv_{number}b")(hidden)
            )
            hidden = layers.ReLU(name=f"relu_{number}b")(layers.Add(name=f"add_{number}")([hidden, added]))
        hidden = _dropped(hidden, dropout, number)
    return layers.GlobalAveragePooling1D(name="pool")(hidden)


def _conv1d(filters: int, kernel: int, stride: int, name: str) -> keras.layers.Layer:
    return layers.Conv1D(filters, kernel, strides=stride, padding="same", use_bias=False, name=name)


def _dropped(hidden: keras.KerasTensor, dropout: float, number: int) -> keras.KerasTensor:
    return layers.Dropout(dropout, name=f"dropout_{number}")(hidden) if dropout else hidden


def _activated(hidden: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.ReLU(name=f"relu_{name}")(layers.BatchNormalization(name=f"norm_{name}")(hidden))
