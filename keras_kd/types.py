"""Names for the types that parameters have here, where no one class of Python stands for them.

Everything in this module is for annotations: import it under `TYPE_CHECKING` where Keras must not be loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import keras
import numpy as np

Shape: TypeAlias = tuple[int | None, ...]
"""Sizes of a tensor's axes, the batch axis first; None where a size is not known before data are seen."""


class Tensor(Protocol):
    """A tensor of the backend that Keras runs on, or a KerasTensor while a model is built.

    TensorFlow's, JAX's and PyTorch's tensors share no class. What they share is what this protocol names, and that every
    function of `keras.ops` takes and gives them.
    """

    @property
    def shape(self) -> tuple[Any, ...]: ...
    @property
    def dtype(self) -> object: ...
    def __getitem__(self, key: object, /) -> Tensor: ...
    def __neg__(self) -> Tensor: ...
    def __add__(self, other: Tensor | float, /) -> Tensor: ...
    def __radd__(self, other: Tensor | float, /) -> Tensor: ...
    def __sub__(self, other: Tensor | float, /) -> Tensor: ...
    def __rsub__(self, other: Tensor | float, /) -> Tensor: ...
    def __mul__(self, other: Tensor | float, /) -> Tensor: ...
    def __rmul__(self, other: Tensor | float, /) -> Tensor: ...
    def __truediv__(self, other: Tensor | float, /) -> Tensor: ...
    def __rtruediv__(self, other: Tensor | float, /) -> Tensor: ...
    def __pow__(self, other: Tensor | float, /) -> Tensor: ...
    def __gt__(self, other: Tensor | float, /) -> Tensor: ...
    def __lt__(self, other: Tensor | float, /) -> Tensor: ...


Structure: TypeAlias = "Tensor | np.ndarray | Sequence[Structure] | Mapping[str, Structure]"
"""One tensor or array, or several, nested in dicts, lists and tuples as a Keras model takes and gives them."""

Shapes: TypeAlias = "Shape | Sequence[Shapes] | Mapping[str, Shapes]"
"""The shapes of a Structure, nested alike."""

LayerRef: TypeAlias = "str | keras.layers.Layer | Callable[[keras.Model], keras.layers.Layer] | None"
"""A layer of a model: its name, its path 'block/conv' into nested models, the layer itself, or a callable that takes the model
and returns the layer. None is the model's own output."""

LayerRefs: TypeAlias = "LayerRef | Sequence[LayerRef]"
"""One layer of a model, or for an objective that compares several of each side, a sequence of them."""

LayerName: TypeAlias = "str | tuple[str, ...] | None"
"""What a LayerRef has become once the models are known: a name, None for the model's output, or several names as a tuple."""

Compiled: TypeAlias = (
    "str | keras.losses.Loss | Callable[..., Tensor] | Sequence[Compiled] | Mapping[str, Compiled] | None"
)
"""A loss on labels as `compile` takes it: one, or one for each output."""
