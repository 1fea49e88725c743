"""Make a record of a model's numbers for firmware in the field."""

from __future__ import annotations

import numpy as np

from micro.aot.block import Block, difference
from micro.aot.generate import weights_of
from micro.aot.weights_format import MOST_WINDOWS, WeightsRecord
from micro.errors import ConversionError
from micro.tflite.graph import TfliteLike, content_of, read
from micro.tflite.interpreter import all_outputs


def weights_record(
    tflite: TfliteLike,
    windows: np.ndarray,
    *,
    firmware_from: TfliteLike | None = None,
    attached: bytes = b"",
    counter: int = 1,
) -> WeightsRecord:
    """A record that gives firmware with exchangeable weights the numbers of this model.

    Args:
        tflite: The model.
        windows: Quantized inputs of the self-test, (n, *shape) int8; the outputs are those of TFLite Micro. A model that keeps
            a state starts again with each.
        firmware_from: The model that the firmware was made of, to say before anything is sent where layers differ.
        attached, counter: As of `WeightsRecord`.

    Raises:
        ConversionError: Naming the operator in which the two models differ, or that cannot be exchanged, or for a model of more
            than one int8 input and output.
        ValueError: For windows of another shape, none, or more than 64.

    Examples:
        >>> inputs = keras.Input((8,))
        >>> model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
        >>> tflite = micro.convert(model, np.random.default_rng(0).normal(size=(32, 8)).astype("float32"))
        >>> micro.aot.weights_record(tflite, np.zeros((1, 8), "int8"), firmware_from=tflite).counter
        1
    """
    content = content_of(tflite)
    graph, block = read(content), weights_of(content)
    if firmware_from is not None:
        require_same_layers(block, weights_of(firmware_from))
    shape = graph.tensors[graph.inputs[0]].shape
    windows = np.asarray(windows)
    if windows.dtype != np.int8 or windows[:1].size != np.prod(shape) or not 1 <= len(windows) <= MOST_WINDOWS:
        raise ValueError(
            f"windows must be int8 of shape (1 to {MOST_WINDOWS}, {', '.join(map(str, shape[1:]))}), got {windows.dtype} "
            f"of shape {windows.shape}"
        )
    windows = windows.reshape(-1, *shape)
    tests = [x.tobytes() + all_outputs(content, [x[None]])["output0"].tobytes() for x in windows]
    return WeightsRecord(block.to_bytes(), tuple(tests), attached, counter)


def require_same_layers(block: Block, of_firmware: Block) -> None:
    """Refuse a model whose numbers the firmware of another one cannot take, naming the first operator in which they differ."""
    other = difference(of_firmware, block)
    if other is not None:
        raise ConversionError(f"the model has other layers than the firmware's: {other}; make new firmware")
