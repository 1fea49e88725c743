"""Which layers are worth the RAM that TFLite Micro keeps for a scale per channel."""

from __future__ import annotations

import keras
import numpy as np

from micro.keras_graph.accept import accept
from micro.keras_graph.calibration_data import Samples
from micro.keras_graph.tracing import predict
from micro.quantize.aware import quantize_aware
from micro.quantize.gate_scales import RECURRENT
from micro.quantize.program import Activations
from micro.quantize.rules import Granularity
from micro.quantize.write import write_tflite
from micro.tflite.cost import parse_bytes
from micro.tflite.footprint import measure

JUDGED = 128


def choose_weights(
    model: keras.Model, calibration: Samples, ram: str | int, *, activations: Activations = "int8"
) -> dict[str, Granularity]:
    """For each layer with a kernel but LSTM and GRU, 'per_channel' or 'per_tensor', so that the RAM fits; for `quantize_aware`.

    All layers start per channel. They change to per tensor in the order of the accuracy that it costs on the calibration data
    for each byte that it saves, until the model fits.

    Args:
        model: A built Keras model.
        calibration: (n, *input) typical inputs; of several inputs a list, or a dict by name.
        ram: Bytes, or a size such as '4KiB'; compared with `ram_bytes`, as `check` does.
        activations: As will be passed to `quantize_aware`.

    Raises:
        ValueError: Where the model does not fit per tensor either; the message has the smallest RAM.

    Examples:
        >>> x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="logits")])
        >>> micro.choose_weights(model, x, ram="4KiB")
        {'logits': 'per_channel'}
    """
    budget = parse_bytes(str(ram), "ram")
    accepted, samples = accept(model, calibration)
    trials = _Trials(accepted, samples, activations)
    names = trials.layers_with_kernels()
    chosen: dict[str, Granularity] = dict.fromkeys(names, "per_channel")
    ram_bytes, error = trials.cost(chosen)
    if ram_bytes <= budget:
        return chosen
    smallest, _ = trials.cost(dict.fromkeys(names, "per_tensor"))
    if smallest > budget:
        raise ValueError(
            f"ram: {budget:,} bytes cannot be met: quantized per tensor throughout, {accepted.name!r} still takes "
            f"{smallest:,} bytes"
        )
    price = {}
    for name in names:
        less, worse = trials.cost({**chosen, name: "per_tensor"})
        price[name] = (worse - error) / max(ram_bytes - less, 1)
    for name in sorted(names, key=lambda name: price[name]):
        chosen[name] = "per_tensor"
        if trials.cost(chosen)[0] <= budget:
            break
    return chosen


class _Trials:
    """One model quantized in several ways, untrained."""

    def __init__(self, model: keras.Model, samples: tuple[np.ndarray, ...], activations: Activations) -> None:
        self.model, self.activations = model, activations
        self.given: Samples = samples[0] if len(samples) == 1 else list(samples)
        self.judged = [each[:JUDGED] for each in samples]
        self.expected = predict(model, self.judged)

    def layers_with_kernels(self) -> list[str]:
        aware = quantize_aware(self.model, self.given, activations=self.activations)
        return list(
            dict.fromkeys(node.source for node in aware.program.nodes if node.kernel and node.op not in RECURRENT)
        )

    def cost(self, weights: dict[str, Granularity]) -> tuple[int, float]:
        """RAM in bytes, and the root mean squared error on the first samples."""
        aware = quantize_aware(self.model, self.given, weights=weights, activations=self.activations)
        outputs = keras.tree.flatten(aware.predict(aware.program.inputs_in.packed(self.judged), verbose=0))
        apart = [np.ravel(np.asarray(one) - other) for one, other in zip(outputs, self.expected, strict=True)]
        error = np.sqrt(np.mean(np.concatenate(apart) ** 2))
        return measure(write_tflite(aware)).ram_bytes, float(error)
