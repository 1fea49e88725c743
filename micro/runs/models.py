"""The networks that the jobs train, built from a family and its sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import keras
from keras import layers

Family = Literal["autoencoder", "dense", "conv1d"]


def build(
    family: Family,
    sizes: Sequence[int],
    input_shape: tuple[int, ...],
    classes: int | None,
    name: str,
    *,
    kernel: int = 9,
    stride: int = 4,
) -> keras.Model:
    """A network of a family.

    'autoencoder': Dense layers of these sizes with ReLU between, then as many linear outputs as inputs.
    'dense': Dense layers with ReLU, then one logit a class.
    'conv1d': Conv1D of `kernel` taps and that stride with BatchNormalization and ReLU, averaged over time, then one logit a
        class.

    Shapes: (*input_shape) -> the same for an autoencoder, (classes,) otherwise.

    Raises:
        ValueError: For a family that does not suit the task, or sizes that are not positive.
    """
    _require_fit(family, sizes, input_shape, classes, name)
    inputs = keras.Input(input_shape, name="features")
    if family == "conv1d":
        hidden = _conv1d(inputs, sizes, kernel, stride)
    else:
        hidden = layers.Flatten(name="flatten")(inputs) if len(input_shape) > 1 else inputs
        for number, units in enumerate(sizes):
            hidden = layers.Dense(units, activation="relu", name=f"dense_{number}")(hidden)
    if classes is not None:
        return keras.Model(inputs, layers.Dense(classes, name="logits")(hidden), name=name)
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
        fits = (
            "anomaly detection takes 'autoencoder'" if classes is None else "classification takes 'dense' or 'conv1d'"
        )
        raise ValueError(f"{name}: family {family!r} does not suit this job; {fits}")
    if family == "conv1d" and len(input_shape) != 2:
        raise ValueError(f"{name}: family 'conv1d' needs features.kind = \"raw\", the spectrum has no time axis")


def _conv1d(inputs: keras.KerasTensor, sizes: Sequence[int], kernel: int, stride: int) -> keras.KerasTensor:
    hidden = inputs
    for number, filters in enumerate(sizes):
        convolution = layers.Conv1D(
            filters, kernel, strides=stride, padding="same", use_bias=False, name=f"conv_{number}"
        )
        hidden = convolution(hidden)
        hidden = layers.BatchNormalization(name=f"norm_{number}")(hidden)
        hidden = layers.ReLU(name=f"relu_{number}")(hidden)
    return layers.GlobalAveragePooling1D(name="pool")(hidden)
