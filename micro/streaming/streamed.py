"""A model that takes the samples of a hop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micro.support.files import write_bytes
from micro.tflite.graph import read
from micro.tflite.integers import dequantize, quantize_inputs
from micro.tflite.interpreter import all_outputs


@dataclass(frozen=True, repr=False)
class Streamed:
    """A model that takes the samples of a hop, as .tflite bytes.

    Attributes:
        content: The bytes of the .tflite. Its variables begin at their zero points, which stand for 0.
        hop: Samples that it takes at a time.
        warm_up: Hops until the output is that of the model of the whole window.
        state_bytes: Bytes that it keeps from hop to hop.
        macs, whole_macs: Multiply-accumulates of a hop, and of a window of the model that it was made of.
        stops: Layers from which on everything is computed again at each hop, each with the reason.

    Examples:
        >>> inputs = keras.Input((16, 2))
        >>> hidden = keras.layers.Conv1D(4, 3, activation="relu")(inputs)
        >>> model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling1D()(hidden)))
        >>> x = np.random.default_rng(0).normal(size=(200, 16, 2)).astype("float32")
        >>> streamed = micro.stream(micro.convert(model, x), hop=2)
        >>> streamed.macs, streamed.whole_macs, streamed.warm_up
        (60, 348, 8)
    """

    content: bytes
    hop: int
    warm_up: int
    state_bytes: int
    macs: int
    whole_macs: int
    stops: tuple[str, ...] = ()

    def save(self, path: str | Path) -> Path:
        """Write the .tflite; missing folders are made. Returns the path."""
        return write_bytes(path, self.content)

    def predict(self, samples: np.ndarray) -> np.ndarray:
        """The output after each hop of a series, from the start, in TFLite Micro.

        Shapes: samples (time, ...) in real units, or int8 as quantized; time is a multiple of `hop` -> (time / hop, *output)
            float32 in real units, or int8 of int8. The first `warm_up` - 1 are of no whole window.
        Raises:
            ValueError: For samples of another shape, or that are no whole hops.
            MicroError: As `measure`.

        Examples:
            >>> inputs = keras.Input((16, 2))
            >>> model = keras.Model(inputs, keras.layers.Conv1D(4, 3)(inputs)[:, -1])
            >>> x = np.random.default_rng(0).normal(size=(200, 16, 2)).astype("float32")
            >>> streamed = micro.stream(micro.convert(model, x), hop=1)
            >>> streamed.predict(x[0]).shape
            (16, 4)
        """
        graph, samples = read(self.content), np.asarray(samples)
        shape = graph.tensors[graph.inputs[0]].shape[2:]
        if samples.ndim != len(shape) + 1 or samples.shape[1:] != shape or not len(samples) or len(samples) % self.hop:
            raise ValueError(
                f"samples must have shape (time, {', '.join(map(str, shape))}), time a multiple of the hop of {self.hop}, got "
                f"{samples.shape}"
            )
        hops = samples.reshape(-1, self.hop, *shape)
        outputs = all_outputs(self.content, quantize_inputs(graph, hops))["output0"][:, 0]
        if samples.dtype == np.int8:
            return outputs
        return dequantize(outputs, graph.tensors[graph.outputs[0]].quantization)

    def __repr__(self) -> str:
        return (
            f"Streamed({len(self.content):,} bytes, hop {self.hop}, {self.macs:,} of {self.whole_macs:,} MACs, "
            f"state {self.state_bytes:,} bytes, right from hop {self.warm_up} on)"
        )
