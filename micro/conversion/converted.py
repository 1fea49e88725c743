"""What a conversion gives: the bytes of a .tflite, how its weights were quantized, and its error."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np

from micro.conversion.batches import batches_of, gathered, given, in_parts, labeled_batches
from micro.conversion.described import html_of, summary_of
from micro.conversion.evaluated import evaluated, joined
from micro.keras_graph.calibration_data import Samples, check_inputs
from micro.keras_graph.ends import Ends
from micro.support.files import write_bytes
from micro.tflite.graph import Graph, Tensor, read
from micro.tflite.integers import dequantize, quantize_inputs
from micro.tflite.interpreter import all_outputs

ONE_INPUT = Ends(("input",))
ONE_OUTPUT = Ends(("output",))


@dataclass(frozen=True, repr=False)
class Converted:
    """A model as int8 .tflite bytes, with how its weights were quantized and what that costs in accuracy.

    Attributes:
        content: The bytes of the .tflite.
        weights: 'per_channel', 'per_tensor', 'per_tensor_dense' (Dense kernels alone) or 'as simulated'.
        error: Root mean squared difference to the Keras model's outputs, in output units, on samples that the ranges were
            not calibrated on (`validation`, or part of the calibration data); of several outputs, over all their values. NaN
            of a file that was loaded, since the Keras model is not there.
        constant_inputs, constant_outputs: Channels, by number along the last axis, that int8 makes all but constant; of several
            inputs or outputs, counted on from one to the next.
        warnings: Why, and what to do.
        errors: The error of each output, where there are several.
        inputs_in, outputs_in: Names of the inputs and outputs, as the Keras model has them.

    Examples:
        >>> x = np.random.default_rng(0).normal(size=(200, 4))
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> converted = micro.convert(model, x)
        >>> converted.predict(x).shape
        (200, 2)
        >>> loaded = micro.Converted.load(converted.save("model.tflite"))
        >>> np.array_equal(loaded.predict(x), converted.predict(x))
        True
    """

    content: bytes
    weights: str
    error: float
    constant_inputs: tuple[int, ...] = ()
    constant_outputs: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    errors: tuple[float, ...] = ()
    inputs_in: Ends = ONE_INPUT
    outputs_in: Ends = ONE_OUTPUT

    def save(self, path: str | Path) -> Path:
        """Write the .tflite; missing folders are made. Returns the path."""
        return write_bytes(path, self.content)

    @classmethod
    def load(cls, path: str | Path) -> Converted:
        """A .tflite that `save` or another program wrote, int8 inside or not, to predict with, measure and emit.

        Several inputs and outputs come as lists, in the file's order.

        Raises:
            OSError: If there is no file.
            ModelError: If it cannot be read.
        """
        content = Path(path).read_bytes()
        graph = read(content)
        inputs, outputs = (
            _ends([graph.tensors[index] for index in side], only)
            for side, only in ((graph.inputs, ONE_INPUT), (graph.outputs, ONE_OUTPUT))
        )
        return cls(content, _weights_of(graph), math.nan, inputs_in=inputs, outputs_in=outputs)

    def predict(self, x: Samples, batch_size: int | None = None) -> Any:
        """The outputs of TFLite Micro for inputs in real units, (n, *input) -> (n, *output) float32.

        `quantize`, `predict_integers` and `dequantize` in one: the values are those of the chip, times the output's scale.

        Args:
            x: An array, or what yields batches and ends, such as a tf.data.Dataset, with labels or without. Several inputs are
                taken in a list, or in a dict by name; several outputs are given as the Keras model gives them.
            batch_size: How many samples the interpreter is handed at a time, to save memory; None for all of an array. The
                model has a batch of 1, so outputs do not depend on it.

        Raises:
            ValueError: For inputs of another shape or that are not finite, or a batch size below 1.
        """
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        graph = read(self.content)
        parts = [
            [dequantize(array, tensor.quantization) for array, tensor in zip(self._run(integers), _outputs(graph))]
            for arrays in gathered(self._batches(graph, x))
            for integers in in_parts(quantize_inputs(graph, given(arrays)), batch_size)
        ]
        if not parts:
            raise ValueError(f"x is empty: the {type(x).__name__} gave no samples")
        return self.outputs_in.packed([np.concatenate(each) for each in zip(*parts)])

    def evaluate(
        self,
        x: Samples,
        y: Any = None,
        *,
        loss: Any = None,
        metrics: Any = None,
        sample_weight: Any = None,
        batch_size: int | None = None,
    ) -> dict[str, float]:
        """The loss and metrics of what `predict` gives, by name: figures of the int8 model, as `keras.Model.evaluate` has them.

        Args:
            x: As `predict` takes it.
            y: Labels, (n, ...), in the structure of the outputs; None where `x` yields batches of inputs and labels.
            loss, metrics: As `keras.Model.compile` takes them: names, objects or functions; of several outputs a list or dict.
            sample_weight: (n,) or None; what `x` yields may hold it as its third.
            batch_size: As in `predict`.

        Returns: the loss, where there is one, and each metric.

        Raises:
            ValueError: As `predict`; without loss and metrics; for labels that are missing or not as many as the samples.

        Examples:
            >>> x = np.random.default_rng(0).normal(size=(200, 4))
            >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
            >>> sorted(micro.convert(model, x).evaluate(x, x[:, :2], loss="mse", metrics=["mae"]))
            ['loss', 'mae']
        """
        if y is None:
            shapes = _sample_shapes(read(self.content))
            batches = labeled_batches(x, shapes)
            first = next(batches, None)
            if first is None:
                raise ValueError(f"x is empty: the {type(x).__name__} gave no samples")
            labels: list[tuple[Any, ...]] = []
            predicted = self.predict(_inputs(chain([first], batches), labels), batch_size)
            y, *weights = (joined(parts) for parts in zip(*labels))
            sample_weight = weights[0] if weights else sample_weight
        else:
            predicted = self.predict(x, batch_size)
        return evaluated(self.outputs_in, self.outputs_in.flat(predicted, "y"), y, sample_weight, loss, metrics)

    def quantize(self, x: Samples) -> Any:
        """Inputs in real units as the integers that the model takes, (n, *input), rounded and clipped to the input's range.

        Raises:
            ValueError: As `predict`.
        """
        graph = read(self.content)
        parts = [quantize_inputs(graph, given(arrays)) for arrays in self._batches(graph, x)]
        return self.inputs_in.packed([np.concatenate(each)[:, 0] for each in zip(*parts)])

    def predict_integers(self, x: Any) -> Any:
        """The outputs of TFLite Micro as integers for inputs that are integers, (n, *input) int8 -> (n, *output) int8.

        Raises:
            ValueError: For another type or shape.
        """
        graph = read(self.content)
        arrays = [np.asarray(each) for each in self.inputs_in.flat(x, "x")]
        for array, index in zip(arrays, graph.inputs):
            tensor = graph.tensors[index]
            if array.dtype != tensor.dtype:
                raise ValueError(f"x: input {tensor.quoted} takes {tensor.dtype}, got {array.dtype}; see quantize")
        return self.outputs_in.packed(self._run(quantize_inputs(graph, given(arrays))))

    def dequantize(self, y: Any) -> Any:
        """Integers of the outputs in real units, scale * (integer - zero point), (n, *output) -> the same in float32."""
        values = [np.asarray(each) for each in self.outputs_in.flat(y, "y")]
        outputs = _outputs(read(self.content))
        return self.outputs_in.packed([dequantize(each, end.quantization) for each, end in zip(values, outputs)])

    def summary(self, print_fn: Callable[[str], object] = print) -> None:
        """Print inputs, outputs and operators with their shapes, multiply-accumulates and bytes, line by line by `print_fn`."""
        for line in summary_of(read(self.content), len(self.content)):
            print_fn(line)

    def _batches(self, graph: Graph, x: Any) -> Iterator[tuple[np.ndarray, ...]]:
        """Samples of each input, batch by batch."""
        shapes = _sample_shapes(graph)
        for batch in batches_of(x, shapes):
            yield check_inputs(self.inputs_in, shapes, batch, "x")

    def _run(self, integers: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Integer outputs of integer inputs, both as the interpreter has them with a batch of 1: (n, *output) each."""
        found = all_outputs(self.content, integers)
        return [found[f"output{place}"][:, 0] for place in range(len(found))]

    def _repr_html_(self) -> str:
        return html_of(read(self.content), len(self.content), self.weights, self.error, self.warnings)

    def __repr__(self) -> str:
        graph = read(self.content)
        sides = ([graph.tensors[index] for index in side] for side in (graph.inputs, graph.outputs))
        shapes = " -> ".join(", ".join(f"{end.dtype}{list(end.shape)}" for end in side) for side in sides)
        warned = f", {len(self.warnings)} warnings" if self.warnings else ""
        error = "not measured" if math.isnan(self.error) else f"{self.error:.3g}"
        return f"Converted({len(self.content):,} bytes, {shapes}, weights {self.weights}, error {error}{warned})"


def _sample_shapes(graph: Graph) -> list[tuple[int, ...]]:
    """The shape of a sample of each input, without the batch."""
    return [graph.tensors[index].shape[1:] for index in graph.inputs]


def _inputs(batches: Iterable[tuple[Any, ...]], labels: list[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """The inputs of labeled batches; what else each has is put into `labels`."""
    for inputs, *rest in batches:
        labels.append(tuple(rest))
        yield (inputs,)


def _outputs(graph: Graph) -> list[Tensor]:
    return [graph.tensors[index] for index in graph.outputs]


def _ends(tensors: Sequence[Tensor], only: Ends) -> Ends:
    """The inputs or outputs of a file by their names there; a single one is called as `convert` calls it."""
    return only if len(tensors) == 1 else Ends(tuple(tensor.name for tensor in tensors), "list")


def _weights_of(graph: Graph) -> Literal["per_channel", "per_tensor_dense", "per_tensor"]:
    """How a file's weights are quantized."""
    scales: dict[bool, int] = {True: 1, False: 1}
    for op in graph.ops:
        for tensor in (graph.tensors[index] for index in op.inputs if index >= 0):
            if tensor.data is not None and tensor.quantization is not None:
                dense = op.name == "FULLY_CONNECTED"
                scales[dense] = max(scales[dense], len(tensor.quantization.scale))
    if scales[True] > 1:
        return "per_channel"
    if scales[False] == 1:
        return "per_tensor"
    return "per_tensor_dense" if "FULLY_CONNECTED" in graph.op_counts else "per_channel"
