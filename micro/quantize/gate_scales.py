"""Scales of the weights of LSTM and GRU: one for each gate's kernel and one for each gate's recurrent kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras import ops

from micro.quantize.program import Node

if TYPE_CHECKING:
    from keras_kd.types import Tensor

LSTM = "UNIDIRECTIONAL_SEQUENCE_LSTM"
# Stands for the operators of all steps of a GRU layer, as TFLite has none of its own.
GRU = "GRU"
RECURRENT = (LSTM, GRU)
# Gates, in the order in which Keras has them: input, forget, cell and output; of a GRU update, reset and candidate. Both have
# four biases a unit: a GRU's candidate has one for the inputs' part and one for the states' part.
GATES = {LSTM: 4, GRU: 3}
BIASES = 4


def gate_scales(kernel: Tensor, node: Node, least: Tensor | float) -> Tensor:
    """A scale for each gate's part of the kernel and of the recurrent kernel: (2, gates)."""
    inputs, gates = kernel.shape[0] - node.shape[-1], GATES[node.op]
    parts = [ops.reshape(part, (-1, gates, node.shape[-1])) for part in (kernel[:inputs], kernel[inputs:])]
    largest = ops.stack([ops.max(ops.abs(part), axis=(0, 2)) for part in parts])
    largest = ops.where(largest > 0, largest, ops.ones_like(largest))
    scale = largest / (2.0 ** (node.bits - 1) - 1)
    if not isinstance(least, float) and node.op == LSTM:
        # The bias is summed with the inputs' part.
        per_gate = ops.max(ops.reshape(least, (gates, -1)), axis=1)
        scale = ops.maximum(scale, ops.stack([per_gate, ops.zeros_like(per_gate)]))
    elif not isinstance(least, float):
        scale = ops.maximum(scale, least)
    return ops.stop_gradient(scale)


def broadcast_gate_scales(scale: Tensor, node: Node) -> Tensor:
    """Scales of `gate_scales`, shaped as the kernel over the recurrent kernel."""
    assert node.kernel is not None
    units = node.shape[-1]
    inputs, recurrent = (ops.repeat(part, units)[None] for part in (scale[0], scale[1]))
    return ops.concatenate([ops.repeat(inputs, node.kernel[0] - units, axis=0), ops.repeat(recurrent, units, axis=0)])


def least_gate_scales(bias: Tensor, input_scale: Tensor, node: Node) -> Tensor:
    """The smallest scales of a GRU's kernels with which its biases fit 32 bits: (2, 3).

    Inputs are brought to 1/128 of their scale, states have 2^-15.
    """
    units, gates = node.shape[-1], GATES[GRU]
    given = ops.max(ops.abs(ops.reshape(bias[: gates * units], (gates, units))), axis=1) * 128.0 / input_scale
    inner = ops.max(ops.abs(bias[gates * units :])) * 2.0**15
    return ops.stack([given, ops.stack([ops.zeros_like(inner), ops.zeros_like(inner), inner])]) / 2.0**30
