"""What a conversion gives: the bytes of a .tflite, how its weights were quantized, and its error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from micro.keras_graph.calibration_data import Samples, check_inputs
from micro.keras_graph.ends import Ends
from micro.support.files import write_bytes
from micro.tflite.graph import read
from micro.tflite.interpreter import run_all

ONE_INPUT = Ends(("input",))
ONE_OUTPUT = Ends(("output",))


@dataclass(frozen=True, repr=False)
class Converted:
    """A model as int8 .tflite bytes, with how its weights were quantized and what that costs in accuracy.

    Attributes:
        content: The bytes of the .tflite.
        weights: 'per_channel', 'per_tensor', 'per_tensor_dense' (Dense kernels alone) or 'as simulated'.
        error: Root mean squared difference to the Keras model's outputs, in output units, on samples that the ranges were
            not calibrated on (`validation`, or part of the calibration data); of several outputs, over all their values.
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

    def predict(self, x: Samples) -> Any:
        """The outputs of TFLite Micro for inputs in real units, (n, *input) -> (n, *output) float32.

        Several inputs are taken in a list, or in a dict by name; several outputs are given as the Keras model gives them.

        Raises:
            ValueError: For inputs of another shape or that are not finite.
        """
        graph = read(self.content)
        arrays = check_inputs(self.inputs_in, [graph.tensors[index].shape[1:] for index in graph.inputs], x, "x")
        return self.outputs_in.packed(run_all(self.content, given(arrays)))

    def __repr__(self) -> str:
        graph = read(self.content)
        sides = ([graph.tensors[index] for index in side] for side in (graph.inputs, graph.outputs))
        shapes = " -> ".join(", ".join(f"{end.dtype}{list(end.shape)}" for end in side) for side in sides)
        warned = f", {len(self.warnings)} warnings" if self.warnings else ""
        return (
            f"Converted({len(self.content):,} bytes, {shapes}, weights {self.weights}, error {self.error:.3g}{warned})"
        )


def given(arrays: Sequence[np.ndarray]) -> Any:
    """Samples of each input as the interpreter takes them: those of a single one by themselves."""
    return arrays[0] if len(arrays) == 1 else list(arrays)
