"""GRU step by step in 16 bits, as the operators of `micro.quantize.write_gru` compute it: weights in int8, states in int16."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from keras import ops

from micro.quantize.fake_quant import Grid
from micro.quantize.fixed_point import (
    curve_16,
    doubled,
    half_away_exactly,
    limited,
    multiplied,
    product_16,
    whole,
    within_16,
)
from micro.quantize.gate_scales import GATES, GRU, broadcast_gate_scales
from micro.quantize.program import Node
from micro.tflite.sigmoids import sigmoids_of_int16, tanhs_of_int16

if TYPE_CHECKING:
    from keras_kd.types import Tensor

# Scales of 16-bit values: that which TFLite prescribes for sigmoid and tanh, which states have too; and that of differences.
STATE_SCALE, DIFFERENCE_SCALE = 2.0**-15, 2.0**-14
# An int8 value less its zero point, times this, fits int16 exactly.
WIDENING = 128
# What goes into the gates has a power of two as its scale, at least that of +-8, where sigmoid and tanh are all but flat.
FINEST_GATE, COARSEST_GATE = -12, -6


def gru(x: Tensor, kernel: Tensor, bias: Tensor | None, units: int) -> Tensor:
    """States of every step in float32, from 0.

    Shapes: x (n, steps, inputs), kernel (inputs + units, 3 * units), bias (4 * units,) -> (n, steps, units). The first three
    quarters of the bias are added to the inputs' part of each gate, the last to the states' part of the third gate.
    """
    given, recurrent, inner = _split(x, kernel, bias, units)

    def step(state: Tensor, gates: Tensor) -> Tensor:
        before = ops.matmul(state, recurrent) + inner
        update, reset = ops.split(ops.sigmoid(gates[:, : 2 * units] + before[:, : 2 * units]), 2, axis=-1)
        new = ops.tanh(gates[:, 2 * units :] + reset * before[:, 2 * units :])
        return new + update * (state - new)

    return _over_time(step, given, units)


def simulated_gru(
    x: Tensor, kernel: Tensor, bias: Tensor | None, node: Node, grid: Grid, input_scale: Tensor, scales: Tensor
) -> Tensor:
    """The output in the chip's own integers, (n, steps, units), or (n, units) of the last step alone; differentiable.

    Every operator of a step rounds to 16 bits; states are rounded to the output's scale where they leave the layer. Gradients
    are those of what is rounded. `scales` are the kernel's, (2, 3).
    """
    units, power, inputs = node.shape[-1], node.gate_power, kernel.shape[0] - node.shape[-1]
    assert power is not None
    scale, summed = 2.0**power, 2 * units
    sigmoids, tanhs = sigmoids_of_int16(power), tanhs_of_int16(power)
    taken = input_scale if grid.activations == "int16" else input_scale / WIDENING
    # TFLite multiplies the scales of a sum in float32.
    given_scale, inner_scale = (
        doubled(ops.repeat(part, units)) for part in (scales[0] * taken, scales[1] * STATE_SCALE)
    )
    given, recurrent, inner = _split(x, kernel, bias, units)
    weights = whole(kernel, broadcast_gate_scales(scales, node))
    exact = ops.matmul(whole(x, taken), weights[:inputs])
    if bias is not None:
        exact = exact + ops.round(doubled(bias[: GATES[GRU] * units]) / given_scale)
    inner_steps = ops.round(doubled(inner) / inner_scale)

    def step(state: Tensor, gates: Tensor) -> Tensor:
        sums = ops.matmul(whole(state, STATE_SCALE), weights[inputs:]) + inner_steps
        before = within_16(
            ops.matmul(state, recurrent) + inner, multiplied(sums, inner_scale / scale, wide=True), scale
        )
        opened = limited(gates[:, :summed] + before[:, :summed], scale)
        update, reset = ops.split(curve_16(ops.sigmoid, opened, power, sigmoids), 2, axis=-1)
        kept = product_16(reset, before[:, summed:], (STATE_SCALE, scale, scale))
        new = curve_16(ops.tanh, limited(gates[:, summed:] + kept, scale), power, tanhs)
        halves = whole(state - new, STATE_SCALE) * STATE_SCALE / DIFFERENCE_SCALE
        apart = within_16(state - new, half_away_exactly(halves), DIFFERENCE_SCALE)
        moved = product_16(update, apart, (STATE_SCALE, DIFFERENCE_SCALE, DIFFERENCE_SCALE))
        return limited(new + moved, STATE_SCALE)

    states = _over_time(step, within_16(given, multiplied(exact, given_scale / scale, wide=True), scale), units)
    made = states[:, -1] if len(node.shape) == 2 else states
    return grid.fake_quantize_exactly(made, whole(made, STATE_SCALE), STATE_SCALE)


def largest_gate(x: Tensor, kernel: Tensor, bias: Tensor | None, units: int) -> float:
    """The largest magnitude of what goes into gates, and of its parts, over all steps and samples."""
    given, recurrent, inner = _split(x, kernel, bias, units)
    states = gru(x, kernel, bias, units)
    states = ops.concatenate([ops.zeros_like(states[:, :1]), states[:, :-1]], axis=1)
    before = ops.matmul(states, recurrent) + inner
    return max(float(ops.max(ops.abs(part))) for part in (given, before, given + before))


def gate_power(largest: float) -> int:
    """The power of two that is the scale of what goes into the gates, up to `largest`."""
    power = int(np.ceil(np.log2(max(largest, 2.0**-15) / 32767.0)))
    return min(max(power, FINEST_GATE), COARSEST_GATE)


def _split(x: Tensor, kernel: Tensor, bias: Tensor | None, units: int) -> tuple[Tensor, Tensor, Tensor]:
    """The inputs' part of the gates, (n, steps, 3 * units); the kernel and the bias of the states' part."""
    inputs, gates = kernel.shape[0] - units, GATES[GRU]
    given, nothing = ops.matmul(x, kernel[:inputs]), ops.zeros(((gates - 1) * units,))
    if bias is None:
        return given, kernel[inputs:], ops.zeros((gates * units,))
    return given + bias[: gates * units], kernel[inputs:], ops.concatenate([nothing, bias[gates * units :]])


def _over_time(step: Callable[[Tensor, Tensor], Tensor], gates: Tensor, units: int) -> Tensor:
    """The state at every step, from 0; gates are (n, steps, 3 * units)."""

    def scanned(state: Tensor, gate: Tensor) -> tuple[Tensor, Tensor]:
        after = step(state, gate)
        return after, after

    _, states = ops.scan(scanned, ops.zeros((ops.shape(gates)[0], units)), ops.swapaxes(gates, 0, 1))
    return ops.swapaxes(states, 0, 1)
