"""The kernels of a model that pruning and clustering work on, by layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import keras

# Depthwise kernels are left alone, as tfmot does: few weights, each of which a whole channel depends on.
KERNELS: tuple[tuple[type, str], ...] = (
    (keras.layers.SeparableConv1D, "pointwise_kernel"),
    (keras.layers.SeparableConv2D, "pointwise_kernel"),
    (keras.layers.Dense, "kernel"),
    (keras.layers.Conv1D, "kernel"),
    (keras.layers.Conv2D, "kernel"),
    (keras.layers.Conv1DTranspose, "kernel"),
    (keras.layers.Conv2DTranspose, "kernel"),
)


@runtime_checkable
class StandsForLayer(Protocol):
    """A layer that takes the place of a Keras layer, as those of a model from `quantize_aware` do."""

    @property
    def source_name(self) -> str:
        """The name of the layer that it stands for."""

    @property
    def prunable_kernel(self) -> keras.Variable | None:
        """Its kernel, None where it has none that can be pruned."""


def prunable_kernels(model: keras.Model, layers: Sequence[str] | None = None) -> list[keras.Variable]:
    """Kernels of the model's Dense, Conv and pointwise layers, or of the named ones among them.

    Raises:
        ValueError: For a named layer without such a kernel, and a model without any.
    """
    by_layer = prunable_layers(model)
    unknown = [name for name in layers or () if name not in by_layer]
    if unknown:
        raise ValueError(
            f"prune: layer {unknown[0]!r} has no kernel to prune in {model.name!r}; those that do: {', '.join(by_layer)}"
        )
    kernels = [kernel for name, own in by_layer.items() if layers is None or name in layers for kernel in own]
    if not kernels:
        raise ValueError(f"prune: model {model.name!r} has no Dense or Conv layer")
    return kernels


def prunable_layers(model: keras.Model) -> dict[str, list[keras.Variable]]:
    """Every layer of the model that has kernels to prune, by name, nested models included.

    Those of a model from `quantize_aware` go by the names of the layers that they came from.
    """
    by_layer: dict[str, list[keras.Variable]] = {}
    for name, kernel in _layer_kernels(model):
        by_layer.setdefault(name, []).append(kernel)
    return by_layer


def _layer_kernels(model: keras.Model) -> Iterator[tuple[str, keras.Variable]]:
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _layer_kernels(layer)
        elif isinstance(layer, StandsForLayer):
            if layer.prunable_kernel is not None:
                yield layer.source_name, layer.prunable_kernel
        else:
            attribute = next((attribute for kind, attribute in KERNELS if isinstance(layer, kind)), None)
            if attribute is not None:
                yield layer.name, getattr(layer, attribute)
