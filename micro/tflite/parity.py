"""Whether TFLite Micro and TFLite's reference kernels agree, value by value."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from micro.errors import ModelError
from micro.support.notebook import table
from micro.tflite.cost import bytes_of
from micro.tflite.graph import Graph, TfliteLike, content_of, read
from micro.tflite.integers import INTEGERS, Samples, clipped_fraction, quantize_inputs, random_inputs
from micro.tflite.interpreter import invoke, reference, require_runnable

# Random samples are drawn and compared in blocks of at most this many bytes of inputs and outputs.
BLOCK_BYTES = 1 << 26
# Where a larger fraction of the samples' values is clipped, samples and model hardly belong together.
MOST_CLIPPED = 0.5
# Samples on which operators are compared one by one, where outputs differ.
TRACED_SAMPLES = 16


@dataclass(frozen=True)
class OpDifference:
    """An operator whose outputs differ from the reference's on equal inputs."""

    index: int
    op: str
    tensor: str
    mismatches: int
    max_abs_difference: int


@dataclass(frozen=True)
class Parity:
    """TFLite Micro's kernels compared with TFLite's reference kernels, value by value.

    Attributes:
        samples, values: How many were compared.
        mismatches: Output values that differ.
        max_abs_difference: The largest difference, in LSB.
        by_op: The operators in which differences arise, on the first samples that differ; empty if there are none.
        passed: Whether no operator differs by more than 1 LSB on equal inputs. That much is rounding, of halves and of
            products, in which the two runtimes are not alike; over many layers it may add up to more in the outputs.

    Examples:
        >>> inputs = keras.Input((8,))
        >>> model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
        >>> tflite = micro.convert(model, np.random.default_rng(0).normal(size=(32, 8)).astype("float32"))
        >>> parity = micro.verify(tflite, count=16)
        >>> parity.samples, parity.values, parity.mismatches
        (16, 48, 0)
        >>> parity.verdict
        'pass: all 48 values of 16 samples are equal'
    """

    samples: int
    values: int
    mismatches: int
    max_abs_difference: int
    by_op: tuple[OpDifference, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no operator differs by more than 1 LSB on equal inputs."""
        if not self.mismatches:
            return True
        return max((each.max_abs_difference for each in self.by_op), default=self.max_abs_difference) <= 1

    @property
    def verdict(self) -> str:
        """Pass or fail, and why, in a line."""
        if not self.mismatches:
            return f"pass: all {self.values:,} values of {self.samples:,} samples are equal"
        said = f"{self.mismatches:,} of {self.values:,} values differ, by at most {self.max_abs_difference:,} LSB"
        if self.passed:
            return f"pass: {said}; no operator by more than 1 on equal inputs, which is rounding"
        wrong = ", ".join(f"{each.index} {each.op}" for each in self.by_op if each.max_abs_difference > 1)
        return f"FAIL: {said}; more than 1 on equal inputs: {wrong or 'unknown'}"

    def _repr_html_(self) -> str:
        rows = (
            ("samples", self.samples),
            ("output values", self.values),
            ("values that differ", self.mismatches),
            ("largest difference, LSB", self.max_abs_difference),
        )
        made = table("TFLite Micro and TFLite's reference kernels", rows, note=self.verdict)
        if not self.by_op:
            return made
        header = ("Operator", "", "Output", "Values that differ", "Largest difference, LSB")
        each = [(one.index, one.op, one.tensor, one.mismatches, one.max_abs_difference) for one in self.by_op]
        return made + table("Operators in which differences arise", each, header)


def verify(
    tflite: TfliteLike, samples: Samples | Mapping[str, np.ndarray] | None = None, *, count: int = 256, seed: int = 0
) -> Parity:
    """Run samples through TFLite Micro and through TFLite's reference kernels and compare every output value.

    Args:
        tflite: A model with integer outputs: bytes, a path, or what `convert` returns.
        samples: (n, *input) in real units or as quantized integers; for a model with several inputs a sequence of such
            arrays, or a dict by the names that its inputs have in the file; None for `count` random integer samples over
            the whole range, drawn from `seed`.

    Returns:
        The `Parity`: how many values differ, by how much, and in which operators the differences arise.

    Warns:
        UserWarning: Where most of the samples' values lie beyond the input's range, so that all of them become its ends.

    Raises:
        MicroError: As `measure`.
        ValueError: For samples of another shape or with values that are not finite.

    Examples:
        >>> inputs = keras.Input((8,))
        >>> model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
        >>> tflite = micro.convert(model, np.random.default_rng(0).normal(size=(32, 8)).astype("float32"))
        >>> micro.verify(tflite, count=16).mismatches
        0
    """
    content = content_of(tflite)
    graph = read(content)
    require_runnable(graph)
    for index in graph.outputs:
        if graph.tensors[index].dtype not in INTEGERS:
            tensor = graph.tensors[index]
            raise ModelError(
                f"output {tensor.quoted} is {tensor.dtype}; outputs must be integers, since differences are counted in LSB"
            )
    if isinstance(samples, Mapping):
        samples = _by_name(graph, samples)
    if samples is None and count < 1:
        raise ValueError(f"verify: count must be at least 1, got {count}")
    blocks = _random_blocks(graph, count, seed) if samples is None else [quantize_inputs(graph, samples)]
    if samples is not None:
        _warn_if_clipped(graph, samples)
    return _compared(content, graph, blocks)


def _by_name(graph: Graph, samples: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    names = [graph.tensors[index].name for index in graph.inputs]
    if set(samples) != set(names):
        raise ValueError(
            f"samples: the model's inputs are {', '.join(names)}, samples were given for {', '.join(samples)}"
        )
    return [samples[name] for name in names]


def _compared(content: bytes, graph: Graph, blocks: Iterable[list[np.ndarray]]) -> Parity:
    """Both interpreters on each block of samples, and operators one by one on the first samples that differ."""
    samples = values = mismatches = largest = 0
    differing: list[list[np.ndarray]] = []
    for inputs in blocks:
        ours, _ = invoke(content, graph, inputs)
        theirs = reference(content, graph, inputs, [])
        affected: set[int] = set()
        for name in ours:
            difference = _differences(name, ours[name], theirs[name])
            values += difference.size
            mismatches += int(np.count_nonzero(difference))
            largest = max(largest, int(difference.max(initial=0)))
            affected.update(np.flatnonzero(difference.reshape(len(difference), -1).any(axis=1)).tolist())
        samples += len(inputs[0])
        missing = TRACED_SAMPLES - sum(len(kept[0]) for kept in differing)
        if affected and missing > 0:
            differing.append([array[sorted(affected)[:missing]] for array in inputs])
    by_op: tuple[OpDifference, ...] = ()
    if differing:
        by_op = _by_op(content, graph, [np.concatenate(arrays) for arrays in zip(*differing)])
    return Parity(samples, values, mismatches, largest, by_op)


def _warn_if_clipped(graph: Graph, samples: Samples) -> None:
    clipped = clipped_fraction(graph, samples)
    if clipped > MOST_CLIPPED:
        warnings.warn(
            f"verify: {clipped:.0%} of the samples' values lie beyond the input's range and are clipped to its ends, so that "
            "little is compared: give samples in the units the model is fed, or none for random inputs",
            stacklevel=3,
        )


def _random_blocks(graph: Graph, count: int, seed: int) -> Iterator[list[np.ndarray]]:
    """`count` random samples in blocks of at most BLOCK_BYTES; the first block is drawn from `seed` itself."""
    each = sum(bytes_of(graph.tensors[i]) for i in (*graph.inputs, *graph.outputs))
    at_once = max(1, BLOCK_BYTES // max(each, 1))
    for block, start in enumerate(range(0, count, at_once)):
        yield random_inputs(graph, min(at_once, count - start), seed + block)


def _differences(name: str, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Absolute differences; ModelError where TFLite computes another shape than the file's, which TFLite Micro uses."""
    if ours.size != theirs.size:
        raise ModelError(
            f"{name} has shape {list(ours.shape[1:])} in TFLite Micro, by the file, and {list(theirs.shape[1:])} in TFLite, "
            "by its operators: the file's shapes contradict each other"
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

    arising_in = []
    for op in graph.ops:
        clean = ~np.any([differences(i).any(axis=1) for i in op.inputs if i >= 0], axis=0)
        for output in op.outputs:
            arising = differences(output)[clean]
            if arising.any():
                name = graph.tensors[output].name
                arising_in.append(
                    OpDifference(op.index, op.name, name, int(np.count_nonzero(arising)), int(arising.max()))
                )
    return tuple(arising_in)
