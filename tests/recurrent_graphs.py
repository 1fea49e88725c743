"""Random LSTM in int8, written without any converter."""

from __future__ import annotations

import numpy as np
from int8_graphs import Builder

LSTM = "UNIDIRECTIONAL_SEQUENCE_LSTM"
GATES = 4


def state(b, dtype, units, start, scale, zero):
    """A tensor that an operator changes, set to a constant first."""
    made = b.tensor((1, units), dtype, scale=scale, zero=zero)
    b.tensors[made].isVariable = True
    constant = b.tensor((1, units), dtype, scale=scale, zero=zero, data=np.full((1, units), start, dtype))
    b.op("RESHAPE", [constant, b.numbers((1, units))], made)
    return made


def lstm(b, x, units, cell_power=None, hidden=None, wide=1.0):
    """Append an LSTM that starts from 0; sums of its gates are about `wide`. Returns its output."""
    rng, (_, steps, depth) = b.rng, b.shape(x)
    scale, zero = (float(2.0 ** rng.uniform(-9, -5)), int(rng.integers(-128, 128))) if hidden is None else hidden
    power = int(rng.integers(-15, -8)) if cell_power is None else cell_power
    x_scale = b.grid(x)["scale"]

    def gate(length, scale_in):
        step = float(wide * 2.0 ** rng.uniform(-1, 1) / (scale_in * 74 * 74 * np.sqrt(length)))
        return step, [
            b.tensor(shape, scale=step * factor, zero=0, data=rng.integers(-127, 128, shape, np.int8))
            for shape, factor in (((units, length), float(2.0 ** rng.uniform(-1, 1))) for _ in range(GATES))
        ]

    _, kernels = gate(depth, x_scale)
    _, recurrent = gate(units, scale)
    biases = [
        b.tensor(
            (units,),
            "int32",
            scale=x_scale * b.grid(kernel)["scale"],
            zero=0,
            data=(rng.normal(0, 1, units) / (x_scale * b.grid(kernel)["scale"])).astype(np.int32),
        )
        for kernel in kernels
    ]
    states = [state(b, "int8", units, zero, scale, zero), state(b, "int16", units, 0, 2.0**power, 0)]
    y = b.tensor((1, steps, units), scale=scale, zero=zero)
    inputs = [x, *kernels, *recurrent, -1, -1, -1, *biases, -1, -1, *states, -1, -1, -1, -1]
    return b.op(LSTM, inputs, y, "UnidirectionalSequenceLSTMOptions", fusedActivationFunction=4)


def random_lstm(seed):
    """One or two LSTM over a few steps, with scales and zero points at odd places too."""
    rng = np.random.default_rng(seed)
    b = Builder(rng)
    shape = (1, int(rng.integers(1, 13)), int(rng.integers(1, 8)))
    zero = int(rng.choice([-128, 127, rng.integers(-128, 128)]))
    x = y = b.tensor(shape, scale=float(2.0 ** rng.uniform(-8, 0)), zero=zero)
    for _ in range(1 + int(rng.random() < 0.3)):
        ends = [(float(2.0 ** rng.uniform(-8, -6)), int(end)) for end in (-128, 127)]
        hidden = ends[int(rng.integers(2))] if rng.random() < 0.3 else None
        wide = float(2.0 ** rng.uniform(-2, 4))
        y = lstm(b, y, int(rng.integers(1, 10)), hidden=hidden, wide=wide)
    return b.build([x], [y])
