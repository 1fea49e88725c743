"""LSTM as TFLite Micro computes it: gates and cells in 16 bits, the hidden state rounded to the output's int8 at every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from keras import ops

from micro.quantize.fake_quant import Grid
from micro.quantize.fixed_point import curve_16, doubled, limited, multiplied, product_16, whole, within_16
from micro.quantize.gate_scales import GATES, LSTM, broadcast_gate_scales
from micro.quantize.program import Node
from micro.tflite.sigmoids import sigmoids_of_int16, tanhs_of_int16

if TYPE_CHECKING:
    from keras_kd.types import Tensor

# Scales that TFLite Micro's kernel prescribes: of what goes into a gate's sigmoid or tanh, and of what comes out.
GATE_POWER = -12
GATE_SCALE, UNIT_SCALE = 2.0**GATE_POWER, 2.0**-15
# The cell's scale is a power of two. TFLite takes none above 2^-9; cells below 1 need none below 2^-15.
COARSEST_CELL, FINEST_CELL = -9, -15


def lstm(x: Tensor, kernel: Tensor, bias: Tensor | None, units: int) -> tuple[Tensor, Tensor]:
    """Hidden states and cells of every step in float32, from 0.

    Shapes: x (n, steps, inputs), kernel (inputs + units, 4 * units), bias (4 * units,) -> twice (n, steps, units).
    """
    inputs = kernel.shape[0] - units
    gates = ops.matmul(x, kernel[:inputs])
    gates = gates if bias is None else gates + bias
    recurrent = kernel[inputs:]

    def step(states: tuple[Tensor, Tensor], gate: Tensor) -> tuple[Tensor, Tensor]:
        hidden, cell = states
        i, f, g, o = ops.split(gate + ops.matmul(hidden, recurrent), GATES[LSTM], axis=-1)
        cell = ops.sigmoid(f) * cell + ops.sigmoid(i) * ops.tanh(g)
        return ops.sigmoid(o) * ops.tanh(cell), cell

    return _over_time(step, gates, units)


def simulated_lstm(
    x: Tensor, kernel: Tensor, bias: Tensor | None, node: Node, hidden_grid: Grid, input_scale: Tensor, scales: Tensor
) -> Tensor:
    """Hidden states of every step in the chip's own integers, (n, steps, units); differentiable.

    What goes into a gate is the sum of two roundings, one of the inputs' part and one of the states', each within 16 bits.
    Gradients are those of the sums, products and curves that are rounded. `scales` are the kernel's, (2, 4).
    """
    units, power = node.shape[-1], node.cell_power
    assert power is not None
    inputs, wide = kernel.shape[0] - units, hidden_grid.activations == "int16"
    cell_scale, hidden_scale = 2.0**power, hidden_grid.parameters()[0]
    weights = whole(kernel, broadcast_gate_scales(scales, node))
    per_gate = ops.repeat(doubled(scales), units, axis=1)
    factors = per_gate[0] * doubled(input_scale) / GATE_SCALE, per_gate[1] * doubled(hidden_scale) / GATE_SCALE
    sigmoids, tanhs, tanhs_of_cells = sigmoids_of_int16(GATE_POWER), tanhs_of_int16(GATE_POWER), tanhs_of_int16(power)

    sums, exact = ops.matmul(x, kernel[:inputs]), ops.matmul(whole(x, input_scale), weights[:inputs])
    if bias is not None:
        sums, exact = sums + bias, exact + ops.round(doubled(bias) / (per_gate[0] * doubled(input_scale)))
    gates = within_16(sums, multiplied(exact, factors[0], wide), GATE_SCALE)

    def step(states: tuple[Tensor, Tensor], gate: Tensor) -> tuple[Tensor, Tensor]:
        hidden, cell = states
        recurrent = multiplied(ops.matmul(whole(hidden, hidden_scale), weights[inputs:]), factors[1], wide)
        gate = limited(gate + within_16(ops.matmul(hidden, kernel[inputs:]), recurrent, GATE_SCALE), GATE_SCALE)
        i, f, g, o = ops.split(gate, GATES[LSTM], axis=-1)
        i, f, o = (curve_16(ops.sigmoid, each, GATE_POWER, sigmoids) for each in (i, f, o))
        kept = product_16(f, cell, (UNIT_SCALE, cell_scale, cell_scale))
        new = curve_16(ops.tanh, g, GATE_POWER, tanhs)
        cell = limited(kept + product_16(i, new, (UNIT_SCALE, UNIT_SCALE, cell_scale)), cell_scale)
        seen = curve_16(ops.tanh, cell, power, tanhs_of_cells)
        product = whole(o, UNIT_SCALE) * whole(seen, UNIT_SCALE)
        return hidden_grid.fake_quantize_exactly(o * seen, product, UNIT_SCALE**2), cell

    return _over_time(step, gates, units)[0]


def _over_time(
    step: Callable[[tuple[Tensor, Tensor], Tensor], tuple[Tensor, Tensor]], gates: Tensor, units: int
) -> tuple[Tensor, Tensor]:
    """Both states at every step, from 0; gates are (n, steps, 4 * units)."""
    start = ops.zeros((ops.shape(gates)[0], units))

    def scanned(states: tuple[Tensor, Tensor], gate: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        after = step(states, gate)
        return after, after

    _, (hidden, cells) = ops.scan(scanned, (start, start), ops.swapaxes(gates, 0, 1))
    return ops.swapaxes(hidden, 0, 1), ops.swapaxes(cells, 0, 1)


def cell_power(largest: float) -> int:
    """The power of two that is the scale of cells up to `largest`."""
    power = int(np.ceil(np.log2(max(largest, 2.0**FINEST_CELL) / 32767.0)))
    return min(max(power, FINEST_CELL), COARSEST_CELL)
