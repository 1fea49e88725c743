"""Ranges for a program's values, from what they are on typical inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from keras import ops
from scipy.cluster.hierarchy import DisjointSet

from micro.quantize.gate_scales import GRU, LSTM, RECURRENT
from micro.quantize.gru import gate_power, largest_gate
from micro.quantize.lowering import Weights
from micro.quantize.operators import OPERATORS
from micro.quantize.program import Activations, Node, Program, Range
from micro.quantize.recurrent import cell_power, lstm

if TYPE_CHECKING:
    from keras_kd.types import Tensor

Method = Literal["minmax", "percentile", "mse"]
# Samples of each input, (n, *input).
Inputs: TypeAlias = Sequence[np.ndarray]

# The fraction of the values that `percentile` leaves out at each end.
OUTSIDE = 1e-4
BINS = 4096
# A range that shrinks by more than a factor of COARSE is searched again in finer bins, REFINEMENTS times at most.
COARSE, REFINEMENTS = 16, 4
BATCH = 64
PRESCRIBED = {
    ("unit", "int8"): Range(0.0, 255 / 256, True),
    ("unit", "int16"): Range(0.0, 32767 / 32768, True),
    ("tanh", "int8"): Range(-1.0, 127 / 128, True),
    ("tanh", "int16"): Range(0.0, 32767 / 32768, True),
}


def calibrated(program: Program, weights: Weights, samples: Inputs, method: Method, to: Activations) -> Program:
    """The program with a range for each of its values.

    'minmax' holds all values that occurred on the samples, 'percentile' all but one in ten thousand at each end, 'mse' has the
    least mean squared rounding error. Values that must have one scale get a range that holds the ranges of all of them.

    Raises:
        ValueError: Names the operator whose values are all zero, or not finite.
    """
    range_of, rules = assign_ranges(program)
    lows, highs = np.zeros(len(rules)), np.zeros(len(rules))
    for values in _passes(program, weights, samples):
        for number, value in enumerate(values):
            if not np.isfinite(value).all():
                raise ValueError(f"calibration: {_what(program, number)} gives values that are not finite")
            index = range_of[number]
            lows[index] = min(lows[index], value.min())
            highs[index] = max(highs[index], value.max())
    indices = {range_of[value]: rows for value, rows in program.indices.items()}
    for number, node in enumerate(program.nodes, program.first):
        if node.op == "GATHER":
            # Rows that no sample looks up count too.
            table, index = weights[node.name]["operand"], range_of[number]
            lows[index], highs[index] = min(lows[index], table.min()), max(highs[index], table.max())
    for number, index in enumerate(range_of):
        if lows[index] == highs[index] and index not in indices and rules[index] == "own":
            raise ValueError(
                f"calibration: {_what(program, number)} is 0 for all {len(samples[0])} samples, which leaves its range empty; "
                "give samples on which it is not, or a model without it"
            )
    for _ in range(REFINEMENTS if method == "percentile" else method in CLIPPING):
        wide = highs - lows
        lows, highs = _clipped(program, weights, samples, range_of, lows, highs, CLIPPING[method], to)
        # An outlier makes the bins of its histogram so wide that all other values fall into one.
        if not np.any(highs - lows < wide / COARSE):
            break
    for index, rows in indices.items():
        lows[index], highs[index] = 0.0, rows - 1.0
    ranges = tuple(
        PRESCRIBED[rule, to] if rule != "own" else Range(float(low), float(high), index in indices)
        for index, (rule, low, high) in enumerate(zip(rules, lows, highs))
    )
    nodes = _with_cells(program, weights, samples)
    return dataclasses.replace(program, nodes=nodes, grids=range_of, ranges=ranges, activations=to)


def _with_cells(program: Program, weights: Weights, samples: Inputs) -> tuple[Node, ...]:
    """The nodes, each LSTM with its cells' scale and each GRU with its gates': they are in no value of the program."""
    recurrent = [number for number, node in enumerate(program.nodes) if node.op in RECURRENT]
    largest = dict.fromkeys(recurrent, 0.0)
    for values in _passes(program, weights, samples) if recurrent else ():
        known = list(values)
        for number in recurrent:
            node = program.nodes[number]
            held: Mapping[str, Any] = weights[node.name]
            x = ops.convert_to_tensor(known[node.inputs[0]])
            largest_in = _largest_cell if node.op == LSTM else largest_gate
            largest[number] = max(largest[number], largest_in(x, held["kernel"], held.get("bias"), node.shape[-1]))
    return tuple(_with_power(node, largest.get(number)) for number, node in enumerate(program.nodes))


def _largest_cell(x: Tensor, kernel: Tensor, bias: Tensor | None, units: int) -> float:
    return float(ops.max(ops.abs(lstm(x, kernel, bias, units)[1])))


def _with_power(node: Node, largest: float | None) -> Node:
    """The node with the power of two that values inside it of up to `largest` need; None of one that has none inside."""
    if largest is None:
        return node
    if node.op == GRU:
        return dataclasses.replace(node, gate_power=gate_power(largest))
    return dataclasses.replace(node, cell_power=cell_power(largest))


def assign_ranges(program: Program) -> tuple[tuple[int, ...], list[str]]:
    """For each value the index of its range, and for each range 'own' or the rule that prescribes it."""
    count = program.first + len(program.nodes)
    shared = DisjointSet(range(count))
    prescribed: dict[int, str] = {}
    for output, node in enumerate(program.nodes, program.first):
        rule = OPERATORS[node.op].range_rule
        if rule in ("unit", "tanh"):
            prescribed[output] = rule
        for value in node.inputs if rule == "tied" else node.inputs[:1] if rule == "same" else ():
            shared.merge(value, output)
    groups = sorted(shared.subsets(), key=min)
    number_of = {value: number for number, values in enumerate(groups) for value in values}
    rules = [next((prescribed[value] for value in sorted(values) if value in prescribed), "own") for values in groups]
    return tuple(number_of[value] for value in range(count)), rules


def float_values(program: Program, weights: Weights, inputs: Sequence[Tensor]) -> Iterator[Tensor]:
    """Every value of the program on a batch of each input, in float32."""
    values = list(inputs)
    yield from inputs
    for node in program.nodes:
        held: Mapping[str, Any] = weights.get(node.name, {})
        taken = with_operand(node, [values[i] for i in node.inputs], held.get("operand"))
        values.append(OPERATORS[node.op].compute(node, taken, held.get("kernel"), held.get("bias")))
        yield values[-1]


def with_operand(node: Node, inputs: list[Tensor], operand: Tensor | None) -> list[Tensor]:
    """The inputs with a constant operand in its place."""
    if operand is None:
        return inputs
    return [operand, *inputs] if node.operand_first else [*inputs, operand]


def _passes(program: Program, weights: Weights, samples: Inputs) -> Iterator[Iterator[np.ndarray]]:
    for start in range(0, len(samples[0]), BATCH):
        batch = [ops.convert_to_tensor(each[start : start + BATCH], "float32") for each in samples]
        yield (ops.convert_to_numpy(value) for value in float_values(program, weights, batch))


def _clipped(
    program: Program,
    weights: Weights,
    samples: Inputs,
    range_of: tuple[int, ...],
    lows: np.ndarray,
    highs: np.ndarray,
    choose: Callable[[np.ndarray, np.ndarray, Activations], tuple[float, float]],
    to: Activations,
) -> tuple[np.ndarray, np.ndarray]:
    """Narrower ranges, chosen from a histogram of the values that have each."""
    edges = [np.linspace(low, high, BINS + 1) for low, high in zip(lows, highs)]
    counts = np.zeros((len(lows), BINS))
    for values in _passes(program, weights, samples):
        for number, value in enumerate(values):
            index = range_of[number]
            if lows[index] < highs[index]:
                counts[index] += np.histogram(np.clip(value, lows[index], highs[index]), edges[index])[0]
    chosen = [choose(count, edge, to) if count.any() else (edge[0], edge[-1]) for count, edge in zip(counts, edges)]
    return np.array([low for low, _ in chosen]), np.array([high for _, high in chosen])


def _percentile(counts: np.ndarray, edges: np.ndarray, to: Activations) -> tuple[float, float]:
    below = np.cumsum(counts) / counts.sum()
    first = int(np.searchsorted(below, OUTSIDE, side="right"))
    last = int(np.searchsorted(below, 1 - OUTSIDE, side="left"))
    return min(edges[first], 0.0), max(edges[last + 1], 0.0)


def _least_error(counts: np.ndarray, edges: np.ndarray, to: Activations) -> tuple[float, float]:
    """The fraction of the range, in hundredths, with the least error by clipping and rounding."""
    centers = (edges[:-1] + edges[1:]) / 2
    levels = 255 if to == "int8" else 65535
    best = (np.inf, edges[0], edges[-1])
    for fraction in np.arange(1, 101) / 100:
        low, high = fraction * edges[0], fraction * edges[-1]
        step = (high - low) / levels
        outside = np.maximum(np.maximum(low - centers, centers - high), 0.0)
        cost = float(np.sum(counts * np.where(outside > 0, outside**2, step**2 / 12)))
        best = min(best, (cost, low, high))
    return best[1], best[2]


CLIPPING: dict[str, Callable[[np.ndarray, np.ndarray, Activations], tuple[float, float]]] = {
    "percentile": _percentile,
    "mse": _least_error,
}


def _what(program: Program, number: int) -> str:
    node = program.maker(number)
    if node is None:
        return "the model's input" + (f" {program.inputs_in.names[number]!r}" if program.first > 1 else "")
    return f"{(node.source or node.name)!r} ({node.op})"
