"""Ranges for a program's values, from what they are on typical inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
from keras import ops

from micro.quantize.lowering import Weights
from micro.quantize.operators import OPERATORS
from micro.quantize.program import Activations, Node, Program, Range

Method = Literal["minmax", "percentile", "mse"]

# Of the values, what `percentile` leaves out at each end.
OUTSIDE = 1e-4
BINS = 4096
# A range that shrinks by more than this is looked at again, in finer bins, at most so often.
COARSE, REFINEMENTS = 16, 4
BATCH = 64
PRESCRIBED = {
    ("unit", "int8"): Range(0.0, 255 / 256, True),
    ("unit", "int16"): Range(0.0, 32767 / 32768, True),
    ("tanh", "int8"): Range(-1.0, 127 / 128, True),
    ("tanh", "int16"): Range(0.0, 32767 / 32768, True),
}


def calibrated(program: Program, weights: Weights, samples: np.ndarray, method: Method, to: Activations) -> Program:
    """The program with grids for its values: 'minmax' holds all that occurred on the samples, 'percentile' all but one
    value in ten thousand at each end, 'mse' what makes the mean squared rounding error least.

    Values that must share a grid get the range that holds each of theirs.

    Raises:
        ValueError: Names the operator whose values are all zero, or not finite.
    """
    grids, rules = assign_grids(program.nodes)
    lows, highs = np.zeros(len(rules)), np.zeros(len(rules))
    for values in _passes(program, weights, samples):
        for number, value in enumerate(values):
            if not np.isfinite(value).all():
                raise ValueError(f"calibration: {_what(program, number)} gives values that are not finite")
            lows[grids[number]] = min(lows[grids[number]], value.min())
            highs[grids[number]] = max(highs[grids[number]], value.max())
    for number, grid in enumerate(grids):
        if lows[grid] == highs[grid] and rules[grid] == "own":
            raise ValueError(
                f"calibration: {_what(program, number)} is 0 for all {len(samples)} samples, which leaves its range empty; "
                "give samples on which it is not, or a model without it"
            )
    for _ in range(REFINEMENTS if method == "percentile" else method in CLIPPING):
        wide = highs - lows
        lows, highs = _clipped(program, weights, samples, grids, lows, highs, CLIPPING[method], to)
        # A wild value makes the bins of its histogram so wide that all others share one.
        if not np.any(highs - lows < wide / COARSE):
            break
    ranges = tuple(
        PRESCRIBED[rule, to] if rule != "own" else Range(float(low), float(high))
        for rule, low, high in zip(rules, lows, highs)
    )
    return dataclasses.replace(program, grids=grids, ranges=ranges, activations=to)


def assign_grids(nodes: tuple[Node, ...]) -> tuple[tuple[int, ...], list[str]]:
    """For each value the number of its grid, and for each grid 'own' or the rule that prescribes it."""
    parents = list(range(len(nodes) + 1))
    rules = ["own"] * len(parents)

    def find(value: int) -> int:
        while parents[value] != value:
            value = parents[value]
        return value

    for output, node in enumerate(nodes, 1):
        rule = OPERATORS[node.op].grid
        if rule in ("unit", "tanh"):
            rules[output] = rule
        for value in node.inputs if rule == "tied" else node.inputs[:1] if rule == "same" else ():
            one, other = sorted((find(value), find(output)))
            parents[other] = one
            rules[one] = rules[one] if rules[one] != "own" else rules[other]
    roots = [find(value) for value in range(len(parents))]
    numbers = {root: number for number, root in enumerate(dict.fromkeys(roots))}
    return tuple(numbers[root] for root in roots), [rules[root] for root in numbers]


def float_values(program: Program, weights: Weights, x: Any) -> Iterator[Any]:
    """Every value of the program on a batch, in float32."""
    values = [x]
    yield x
    for node in program.nodes:
        held = weights.get(node.name, {})
        inputs = with_operand(node, [values[i] for i in node.inputs], held.get("operand"))
        values.append(OPERATORS[node.op].compute(node, inputs, held.get("kernel"), held.get("bias")))
        yield values[-1]


def with_operand(node: Node, inputs: list[Any], operand: Any) -> list[Any]:
    """The inputs with a constant operand in its place."""
    if operand is None:
        return inputs
    return [operand, *inputs] if node.operand_first else [*inputs, operand]


def _passes(program: Program, weights: Weights, samples: np.ndarray) -> Iterator[Iterator[np.ndarray]]:
    for start in range(0, len(samples), BATCH):
        batch = ops.convert_to_tensor(samples[start : start + BATCH], "float32")
        yield (ops.convert_to_numpy(value) for value in float_values(program, weights, batch))


def _clipped(
    program: Program,
    weights: Weights,
    samples: np.ndarray,
    grids: tuple[int, ...],
    lows: np.ndarray,
    highs: np.ndarray,
    choose: Callable[[np.ndarray, np.ndarray, Activations], tuple[float, float]],
    to: Activations,
) -> tuple[np.ndarray, np.ndarray]:
    """Narrower ranges, chosen from a histogram of each grid's values."""
    edges = [np.linspace(low, high, BINS + 1) for low, high in zip(lows, highs)]
    counts = np.zeros((len(lows), BINS))
    for values in _passes(program, weights, samples):
        for number, value in enumerate(values):
            grid = grids[number]
            if lows[grid] < highs[grid]:
                counts[grid] += np.histogram(np.clip(value, lows[grid], highs[grid]), edges[grid])[0]
    chosen = [choose(count, edge, to) if count.any() else (edge[0], edge[-1]) for count, edge in zip(counts, edges)]
    return np.array([low for low, _ in chosen]), np.array([high for _, high in chosen])


def _percentile(counts: np.ndarray, edges: np.ndarray, to: Activations) -> tuple[float, float]:
    below = np.cumsum(counts) / counts.sum()
    first = int(np.searchsorted(below, OUTSIDE, side="right"))
    last = int(np.searchsorted(below, 1 - OUTSIDE, side="left"))
    return min(edges[first], 0.0), max(edges[last + 1], 0.0)


def _least_error(counts: np.ndarray, edges: np.ndarray, to: Activations) -> tuple[float, float]:
    """The share of the range whose clipping and rounding cost least, over 100 shares."""
    centres = (edges[:-1] + edges[1:]) / 2
    levels = 255 if to == "int8" else 65535
    best = (np.inf, edges[0], edges[-1])
    for share in np.arange(1, 101) / 100:
        low, high = share * edges[0], share * edges[-1]
        step = (high - low) / levels
        outside = np.maximum(np.maximum(low - centres, centres - high), 0.0)
        cost = float(np.sum(counts * np.where(outside > 0, outside**2, step**2 / 12)))
        best = min(best, (cost, low, high))
    return best[1], best[2]


CLIPPING: dict[str, Callable[[np.ndarray, np.ndarray, Activations], tuple[float, float]]] = {
    "percentile": _percentile,
    "mse": _least_error,
}


def _what(program: Program, number: int) -> str:
    if number == 0:
        return "the model's input"
    node = program.nodes[number - 1]
    return f"{(node.source or node.name)!r} ({node.op})"
