"""Values of constant tensors of a .tflite in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from micro.quantize.program import tuples
from micro.tflite.graph import Tensor


def floats_of(tensor: Tensor) -> np.ndarray:
    """The values; zeros of a tensor without data."""
    if tensor.data is None:
        return np.zeros(tensor.shape, np.float32)
    return np.frombuffer(tensor.data, tensor.dtype).reshape(tensor.shape).astype(np.float32)


def integers_of(tensor: Tensor) -> Any:
    """A constant's integers, as nested tuples."""
    return tuples(np.frombuffer(tensor.data or b"", tensor.dtype).reshape(tensor.shape).tolist())
