"""Random graphs that repeat steps, as a recurrent layer does, written without any converter; and such that only nearly do."""

from __future__ import annotations

import numpy as np
from int8_graphs import Builder

FLAWS = ("weights", "scale", "slice", "two steps back", "taken early", "reordered")


def repeated_graph(seed, flaw=None):
    """A sequence of which each step takes a row, and the state of the step before it, in a random row of operators.

    States of all steps are joined, or the last one alone is given. With a flaw one step is unlike the others.
    """
    rng = np.random.default_rng(seed)
    b = Builder(rng)
    steps, width = int(rng.integers(4 if flaw else 1, 9)), int(rng.integers(1, 7))
    before, stride = int(rng.integers(0, 3)), int(rng.integers(1, 3))
    x = b.tensor((1, before + steps * stride, width), scale=0.05, zero=int(rng.integers(-128, 128)))
    grid = {"scale": 0.05, "zero": int(rng.integers(-60, 60))}
    kernels = [
        b.tensor((width, width), scale=0.01, zero=0, data=rng.integers(-127, 128, (width, width), np.int8))
        for _ in range(2)
    ]
    bias = b.tensor((width,), "int32", scale=0.0005, zero=0, data=rng.integers(-999, 999, width).astype(np.int32))
    start = b.tensor((1, width), **grid, data=rng.integers(-128, 128, (1, width), np.int8))
    if rng.random() < 0.3:
        start = b.op("RELU", [start], b.tensor((1, width), **grid))
    pattern = [
        str(rng.choice(["ADD", "SUB", "MUL", "TANH", "FULLY_CONNECTED"])) for _ in range(int(rng.integers(1, 6)))
    ]
    odd = int(rng.integers(1, steps - 1)) if flaw else -1
    states = [start]
    for step in range(steps):
        at = before + step * stride - (step == odd and flaw == "slice")
        bounds = [b.numbers(each) for each in ((0, max(at, 0), 0), (1, max(at, 0) + 1, width), (1, 1, 1))]
        scale = 0.06 if step == odd and flaw == "scale" else 0.05
        value = b.tensor((1, width), **b.grid(x))
        b.op("STRIDED_SLICE", [x, *bounds], value, "StridedSliceOptions", shrinkAxisMask=2)
        state = states[-2] if step == odd and flaw == "two steps back" else states[-1]
        for place, name in enumerate(["ADD", *pattern, "ADD"]):
            made = b.tensor((1, width), scale=scale if name != "TANH" else 1 / 128, zero=0 if name == "TANH" else 3)
            if name == "FULLY_CONNECTED":
                kernel = kernels[1 if step == odd and flaw == "weights" else 0]
                b.op(name, [value, kernel, bias], made, "FullyConnectedOptions")
            elif name == "TANH":
                b.op(name, [value], made)
            else:
                other = state if place in (0, len(pattern) + 1) else value
                b.op(name, [value, other], made, f"{name.title()}Options")
            value = made
        states.append(b.op("QUANTIZE", [value], b.tensor((1, width), **grid), "QuantizeOptions"))
    last = states[-1]
    if flaw == "weights" and "FULLY_CONNECTED" not in pattern:
        return repeated_graph(seed + 1000, flaw)
    if flaw == "taken early":
        last = b.op("ADD", [last, states[2]], b.tensor((1, width), **grid), "AddOptions")
    elif flaw == "reordered" or rng.random() < 0.7:
        joined = states[1:]
        if flaw == "reordered":
            joined[0], joined[1] = joined[1], joined[0]
        y = b.tensor((1, steps, width), **grid)
        last = b.op("PACK", joined, y, "PackOptions", axis=1, valuesCount=steps)
    if rng.random() < 0.5:
        last = b.op("RELU", [last], b.tensor(b.shape(last), **grid))
    return b.build([x], [last])
