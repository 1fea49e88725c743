"""What appends to a .tflite that is being written, as the writers of single layers know it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from micro.quantize.program import Program


@dataclass(frozen=True)
class Scale:
    """Quantization parameters of one tensor."""

    scale: np.ndarray
    zero: int = 0
    axis: int = 0


class Writer(Protocol):
    """A .tflite while it grows; `values` are the tensors of the program's values, by their numbers."""

    program: Program
    values: list[int]

    def constant(self, name: str, values: np.ndarray, scale: Scale | None = None) -> int: ...

    def tensor(
        self, name: str, dtype: str, shape: Sequence[int], scale: Scale | None = None, buffer: int = 0
    ) -> int: ...

    def operator(self, op: str, inputs: list[int], output: int, options: Mapping[str, Any]) -> Any: ...

    def plain_scale(self, scale: float | np.ndarray) -> Scale: ...

    def scale_of(self, value: int) -> Scale: ...
