"""Quantizes a model's inputs and dequantizes its outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from micro.errors import ModelError
from micro.tflite.graph import Graph, Quantization, Tensor

INTEGERS = ("int8", "uint8", "int16")

Samples: TypeAlias = "npt.ArrayLike | Sequence[npt.ArrayLike]"
"""Samples of a model with one input, (n, *input); of a model with several inputs, a sequence of such arrays."""


def quantize_inputs(graph: Graph, samples: Samples) -> list[np.ndarray]:
    """Samples quantized as the model's integer inputs, (n, *input shape with its batch of 1) each.

    Raises:
        ValueError: For another number of inputs, another shape, no samples, or values that are not finite.
    """
    given = list(samples) if len(graph.inputs) > 1 and isinstance(samples, Sequence) else [samples]
    if len(given) != len(graph.inputs):
        raise ValueError(f"the model has {len(graph.inputs)} inputs, samples were given for {len(given)}")
    return [_quantize(np.asarray(array), graph.tensors[i]) for array, i in zip(given, graph.inputs)]


def clipped_fraction(graph: Graph, samples: Samples) -> float:
    """The fraction of samples' values, in real units, beyond the range of the model's inputs by more than a step."""
    given = list(samples) if len(graph.inputs) > 1 and isinstance(samples, Sequence) else [samples]
    beyond = total = 0
    for array, tensor in zip(map(np.asarray, given), (graph.tensors[index] for index in graph.inputs)):
        if array.dtype != tensor.dtype and tensor.quantization is not None:
            info = np.iinfo(tensor.dtype)
            steps = array / tensor.quantization.scale[0] + tensor.quantization.zero_point[0]
            beyond += int(np.count_nonzero((steps < info.min - 1) | (steps > info.max + 1)))
            total += array.size
    return beyond / max(total, 1)


def random_inputs(graph: Graph, count: int, seed: int) -> list[np.ndarray]:
    """Integer inputs drawn evenly over the type's whole range."""
    rng = np.random.default_rng(seed)
    inputs = []
    for index in graph.inputs:
        tensor = graph.tensors[index]
        if tensor.dtype not in INTEGERS:
            raise ModelError(f"input {tensor.quoted} is {tensor.dtype}; random inputs need an integer model")
        info = np.iinfo(tensor.dtype)
        inputs.append(rng.integers(info.min, info.max + 1, (count, *tensor.shape), tensor.dtype))
    return inputs


def dequantize(values: np.ndarray, quantization: Quantization | None) -> np.ndarray:
    """Integers in real units, float32. Values without quantization stay as they are."""
    if quantization is None:
        return values.astype(np.float32)
    real = quantization.scale[0] * (values.astype(np.float64) - quantization.zero_point[0])
    return real.astype(np.float32)


def _quantize(array: np.ndarray, tensor: Tensor) -> np.ndarray:
    wanted = tensor.shape[1:]
    if array.ndim != len(wanted) + 1 or array.shape[1:] != wanted:
        raise ValueError(f"samples must have shape (n, {', '.join(map(str, wanted))}), got {array.shape}")
    if not len(array):
        raise ValueError("samples are empty")
    return quantized(array, tensor)[:, None]


def quantized(values: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Values in the integers of an input, in their own shape; those that are of its type already stay as they are.

    Raises:
        ValueError: For values that are not finite.
    """
    if values.dtype == tensor.dtype:
        return values
    if not np.isfinite(values).all():
        raise ValueError(f"samples hold {np.count_nonzero(~np.isfinite(values))} values that are not finite")
    if tensor.quantization is None:
        return values.astype(tensor.dtype)
    scale = tensor.quantization.scale[0]
    if not (math.isfinite(scale) and scale > 0):
        raise ModelError(f"input {tensor.quoted} has the scale {scale}; a scale is a positive number")
    info = np.iinfo(tensor.dtype)
    steps = np.round(values / scale) + tensor.quantization.zero_point[0]
    return np.clip(steps, info.min, info.max).astype(tensor.dtype)
