"""Scales of an LSTM's weights: one for each gate's kernel and one for each gate's recurrent kernel, as TFLite has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras import ops

from micro.quantize.program import Node

if TYPE_CHECKING:
    from keras_kd.types import Tensor

LSTM = "UNIDIRECTIONAL_SEQUENCE_LSTM"
# Gates, in the order in which Keras and TFLite have them: input, forget, cell and output.
GATES = 4


def gate_scales(kernel: Tensor, node: Node, least: Tensor | float) -> Tensor:
    """A scale for each gate's part of the kernel and of the recurrent kernel: (2, 4)."""
    inputs = kernel.shape[0] - node.shape[-1]
    parts = [ops.reshape(part, (-1, GATES, node.shape[-1])) for part in (kernel[:inputs], kernel[inputs:])]
    largest = ops.stack([ops.max(ops.abs(part), axis=(0, 2)) for part in parts])
    largest = ops.where(largest > 0, largest, ops.ones_like(largest))
    scale = largest / (2.0 ** (node.bits - 1) - 1)
    if not isinstance(least, float):
        # The bias is summed with the inputs' part.
        per_gate = ops.max(ops.reshape(least, (GATES, -1)), axis=1)
        scale = ops.maximum(scale, ops.stack([per_gate, ops.zeros_like(per_gate)]))
    return ops.stop_gradient(scale)


def broadcast_gate_scales(scale: Tensor, node: Node) -> Tensor:
    """Scales of `gate_scales`, shaped as the kernel over the recurrent kernel."""
    assert node.kernel is not None
    units = node.shape[-1]
    inputs, recurrent = (ops.repeat(part, units)[None] for part in (scale[0], scale[1]))
    return ops.concatenate([ops.repeat(inputs, node.kernel[0] - units, axis=0), ops.repeat(recurrent, units, axis=0)])
