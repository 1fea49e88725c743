"""Whether TFLite Micro and TFLite's reference kernels agree, value by value."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from micro.errors import ModelError
from micro.tflite.cost import bytes_of
from micro.tflite.graph import Graph, TfliteLike, content_of, read
from micro.tflite.integers import INTEGERS, clipped_fraction, quantize_inputs, random_inputs
from micro.tflite.interpreter import invoke, reference, require_runnable

# Random samples are drawn and compared in blocks of so many bytes of inputs and outputs.
BLOCK_BYTES = 1 << 26


# Where a larger fraction of the samples' values is clipped, samples and model hardly belong together.
MOST_CLIPPED = 0.5

# Samples on which operators are compared one by one, once outputs are seen to differ.
TRACED_SAMPLES = 16


@dataclass(frozen=True)
class OpDifference:
    """An operator that gave other values than the reference on the very same inputs."""

    index: int
    op: str
    tensor: str
    mismatches: int
    max_abs_difference: int


@dataclass(frozen=True)
class Parity:
    """TFLite Micro's kernels beside TFLite's reference kernels, value by value; differences are in LSB.

    `by_op` names the operators in which differences arise, found on the first samples that differ.
    """

    samples: int
    values: int
    mismatches: int
    max_abs_difference: int
    by_op: tuple[OpDifference, ...] = ()


def verify(tflite: TfliteLike, samples: Any = None, *, count: int = 256, seed: int = 0) -> Parity:
    """Run samples through TFLite Micro and through TFLite's reference kernels and compare every output value.

    Args:
        samples: (n, *input) in real units or as quantized integers; a sequence of such arrays for a model of several
            inputs; None for `count` random integer inputs over the whole range, drawn from `seed`.

    Warns:
        UserWarning: Where most of the samples' values lie beyond the input's range, so that all of them become its ends.

    Raises:
        MicroError: As `measure`.
        ValueError: For samples of another shape or with values that are not finite.
    """
    content = content_of(tflite)
    graph = read(content)
    require_runnable(graph)
    for index in graph.outputs:
        if graph.tensors[index].dtype not in INTEGERS:
            tensor = graph.tensors[index]
            raise ModelError(
                f"output {tensor.name!r} is {tensor.dtype}; steps are compared, so outputs must be integers"
            )
    if samples is None and count < 1:
        raise ValueError(f"verify: count must be at least 1, got {count}")
    blocks = _random_blocks(graph, count, seed) if samples is None else [quantize_inputs(graph, samples)]
    if samples is not None:
        _warn_if_clipped(graph, samples)
    taken = values = mismatches = largest = 0
    differing: list[list[np.ndarray]] = []
    for inputs in blocks:
        ours, _ = invoke(content, graph, inputs)
        theirs = reference(content, graph, inputs, [])
        odd: set[int] = set()
        for name in ours:
            difference = _differences(name, ours[name], theirs[name])
            values += difference.size
            mismatches += int(np.count_nonzero(difference))
            largest = max(largest, int(difference.max(initial=0)))
            odd.update(np.flatnonzero(difference.reshape(len(difference), -1).any(axis=1)).tolist())
        taken += len(inputs[0])
        missing = TRACED_SAMPLES - sum(len(kept[0]) for kept in differing)
        if odd and missing > 0:
            differing.append([array[sorted(odd)[:missing]] for array in inputs])
    by_op: tuple[OpDifference, ...] = ()
    if differing:
        by_op = _by_op(content, graph, [np.concatenate(arrays) for arrays in zip(*differing)])
    return Parity(taken, values, mismatches, largest, by_op)


def _warn_if_clipped(graph: Graph, samples: Any) -> None:
    clipped = clipped_fraction(graph, samples)
    if clipped > MOST_CLIPPED:
        warnings.warn(
            f"verify: {clipped:.0%} of the samples' values lie beyond the input's range and are clipped to its ends, so that "
            "little is compared: give samples in the units the model is fed, or none for random inputs",
            stacklevel=3,
        )


def _random_blocks(graph: Graph, count: int, seed: int) -> Iterator[list[np.ndarray]]:
    """Random inputs for so many samples, as many at once as BLOCK_BYTES hold; the first block is drawn from `seed` itself."""
    each = sum(bytes_of(graph.tensors[i]) for i in (*graph.inputs, *graph.outputs))
    at_once = max(1, BLOCK_BYTES // max(each, 1))
    for block, start in enumerate(range(0, count, at_once)):
        yield random_inputs(graph, min(at_once, count - start), seed + block)


def _differences(name: str, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """How far values lie apart; ModelError where TFLite makes another shape than the file says, by which TFLite Micro goes."""
    if ours.size != theirs.size:
        raise ModelError(
            f"{name} has shape {list(ours.shape[1:])} in TFLite Micro, by the file, and {list(theirs.shape[1:])} in TFLite, "
            "by its operators: the file's shapes do not go together"
        )
    return np.abs(ours.astype(np.int64) - theirs.astype(np.int64).reshape(ours.shape))


def _by_op(content: bytes, graph: Graph, inputs: Sequence[np.ndarray]) -> tuple[OpDifference, ...]:
    """Operators whose inputs agree on a sample while their outputs do not: where differences arise."""
    computed = [i for op in graph.ops for i in op.outputs if i >= 0]
    ours, _ = invoke(content, graph, inputs, computed)
    theirs = reference(content, graph, inputs, computed)

    def differences(index: int) -> np.ndarray:
        name = f"tensor{index}"
        if name not in ours:
            return np.zeros((len(inputs[0]), 1), np.int64)
        samples = len(ours[name])
        return _differences(name, ours[name].reshape(samples, -1), theirs[name].reshape(samples, -1))

    found = []
    for op in graph.ops:
        clean = ~np.any([differences(i).any(axis=1) for i in op.inputs if i >= 0], axis=0)
        for output in op.outputs:
            arising = differences(output)[clean]
            if arising.any():
                name = graph.tensors[output].name
                found.append(OpDifference(op.index, op.name, name, int(np.count_nonzero(arising)), int(arising.max())))
    return tuple(found)
