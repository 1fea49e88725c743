"""Random LSTM of int8 and of 16-bit values, written without any converter."""

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


def variable(b, dtype, units, start, scale, zero):
    """A tensor that goes on from its last inference, from 0 at first."""
    made = b.tensor((1, units), dtype, scale=scale, zero=zero)
    b.tensors[made].isVariable = True
    return made


def lstm(b, x, units, cell_power=None, hidden=None, wide=1.0, dtype="int8", starts=True):
    """Append an LSTM that starts from 0, or from its last inference; sums of its gates are about `wide`. Returns its output."""
    rng, (_, steps, depth) = b.rng, b.shape(x)
    if hidden is None:
        grids = {
            "int8": lambda: (rng.uniform(-9, -5), rng.integers(-128, 128)),
            "int16": lambda: (rng.uniform(-17, -13), 0),
        }
        power, zero = grids[dtype]()
        hidden = float(2.0**power), int(zero)
    scale, zero = hidden
    power = int(rng.integers(-15, -8)) if cell_power is None else cell_power
    x_scale, values, wide_bias = b.grid(x)["scale"], *{"int8": (74, "int32"), "int16": (19000, "int64")}[dtype]

    def gate(length, scale_in):
        step = float(wide * 2.0 ** rng.uniform(-1, 1) / (scale_in * 74 * values * np.sqrt(length)))
        return step, [
            b.tensor(shape, scale=step * factor, zero=0, data=rng.integers(-127, 128, shape, np.int8))
            for shape, factor in (((units, length), float(2.0 ** rng.uniform(-1, 1))) for _ in range(GATES))
        ]

    _, kernels = gate(depth, x_scale)
    _, recurrent = gate(units, scale)
    biases = [
        b.tensor(
            (units,),
            wide_bias,
            scale=x_scale * b.grid(kernel)["scale"],
            zero=0,
            data=(rng.normal(0, 1, units) / (x_scale * b.grid(kernel)["scale"])).astype(wide_bias),
        )
        for kernel in kernels
    ]
    made = state if starts else variable
    states = [made(b, dtype, units, zero, scale, zero), made(b, "int16", units, 0, 2.0**power, 0)]
    y = b.tensor((1, steps, units), dtype, scale=scale, zero=zero)
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


def random_lstm_16(seed, sizes=None, from_int8=False):
    """One or two LSTM of 16-bit values; of some the last step alone is taken, and some go on from their last inference.

    With `from_int8` the input is int8 and becomes wider first.
    """
    rng = np.random.default_rng(seed)
    b = Builder(rng)
    steps, depth, units = sizes or (int(n) for n in (rng.integers(1, 9), rng.integers(1, 8), rng.integers(1, 10)))
    scale = float(2.0 ** rng.uniform(-16, -8))
    x = y = b.tensor((1, steps, depth), "int16", scale=scale, zero=0)
    if from_int8:
        x = b.tensor((1, steps, depth), scale=128 * scale, zero=int(rng.integers(-128, 128)))
        b.op("QUANTIZE", [x], y)
    options = {"dtype": "int16", "starts": rng.random() < 0.7}
    for count in (units, 3)[: 1 + int(rng.random() < 0.3)]:
        y = lstm(b, y, count, wide=float(2.0 ** rng.uniform(-2, 4)), **options)
    if steps > 1 and rng.random() < 0.5:
        last = b.tensor((1, b.shape(y)[2]), "int16", **b.grid(y))
        bounds = [b.numbers(each) for each in ((0, steps - 1, 0), (1, steps, b.shape(y)[2]), (1, 1, 1))]
        y = b.op("STRIDED_SLICE", [y, *bounds], last, "StridedSliceOptions", beginMask=5, endMask=5, shrinkAxisMask=2)
    return b.build([x], [y])
