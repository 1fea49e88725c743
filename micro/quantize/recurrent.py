"""LSTM as TFLite Micro computes it: gates and cells in 16 bits, the hidden state rounded to the output's int8 at every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from keras import ops

from micro.quantize.fake_quant import Grid, round_through
from micro.quantize.gate_scales import GATES, LSTM
from micro.quantize.program import Node

if TYPE_CHECKING:
    from keras_kd.types import Tensor

# Scales that TFLite Micro's kernel prescribes: of what goes into a gate's sigmoid or tanh, and of what comes out.
GATE_SCALE, UNIT_SCALE = 2.0**-12, 2.0**-15
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


def simulated_lstm(x: Tensor, kernel: Tensor, bias: Tensor | None, node: Node, hidden_grid: Grid) -> Tensor:
    """Hidden states of every step as the chip computes them, (n, steps, units); differentiable.

    What goes into a gate is the sum of two roundings, one of the inputs' part and one of the states', each within 16 bits.
    """
    units, power = node.shape[-1], node.cell_power
    assert power is not None
    inputs = kernel.shape[0] - units
    gates = ops.matmul(x, kernel[:inputs])
    gates = int16(gates if bias is None else gates + bias, GATE_SCALE)
    recurrent, cell_scale = kernel[inputs:], 2.0**power

    def step(states: tuple[Tensor, Tensor], gate: Tensor) -> tuple[Tensor, Tensor]:
        hidden, cell = states
        gate = int16(gate + int16(ops.matmul(hidden, recurrent), GATE_SCALE), GATE_SCALE)
        i, f, g, o = ops.split(gate, GATES[LSTM], axis=-1)
        i, f, o = (int16(ops.sigmoid(each), UNIT_SCALE) for each in (i, f, o))
        kept, added = f * cell, i * int16(ops.tanh(g), UNIT_SCALE)
        cell = int16(int16(kept, cell_scale) + int16(added, cell_scale), cell_scale)
        product = o * int16(ops.tanh(cell), UNIT_SCALE)
        return hidden_grid.fake_quantize(product, (ops.convert_to_tensor(UNIT_SCALE**2, "float32"), 0)), cell

    return _over_time(step, gates, units)[0]


def int16(x: Tensor, scale: float) -> Tensor:
    """Multiples of a scale within 16 bits, with the gradient of x itself inside them."""
    return ops.clip(round_through(x / scale), -32768.0, 32767.0) * scale


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
