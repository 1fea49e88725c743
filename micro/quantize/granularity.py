"""Where a scale for each channel is worth the RAM that TFLite Micro keeps for it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from micro.keras_graph.accept import accept
from micro.keras_graph.tracing import predict
from micro.quantize.aware import Granularity, quantize_aware
from micro.quantize.program import Activations
from micro.quantize.write import write_tflite
from micro.tflite.cost import parse_bytes
from micro.tflite.footprint import measure

JUDGED = 128


def choose_weights(
    model: keras.Model, calibration: Any, ram: str | int, *, activations: Activations = "int8"
) -> dict[str, Granularity]:
    """For each layer with a kernel, 'per_channel' or 'per_tensor', so that the arena fits; for `quantize_aware`.

    All begin with a scale for each channel. Those give it up first whose doing so costs least accuracy on the calibration data
    for each byte that it saves.

    Args:
        ram: Bytes, or a size such as '4KiB'; compared with `ram_bytes`, as `check` does.
        activations: As `quantize_aware` will be told.

    Raises:
        ValueError: Where one scale for each kernel does not fit either: the smallest arena is told.
    """
    budget = parse_bytes(str(ram), "ram")
    model, samples = accept(model, calibration)
    expected = predict(model, samples[:JUDGED])

    def tried(weights: dict[str, Granularity]) -> tuple[int, float]:
        aware = quantize_aware(model, samples, weights=weights, activations=activations)
        error = np.sqrt(np.mean((np.asarray(aware.predict(samples[:JUDGED], verbose=0)) - expected) ** 2))
        return measure(write_tflite(aware)).ram_bytes, float(error)

    aware = quantize_aware(model, samples, activations=activations)
    names = list(dict.fromkeys(node.source for node in aware.program.nodes if node.kernel))
    chosen: dict[str, Granularity] = dict.fromkeys(names, "per_channel")
    arena, error = tried(chosen)
    if arena <= budget:
        return chosen
    smallest, _ = tried(dict.fromkeys(names, "per_tensor"))
    if smallest > budget:
        raise ValueError(
            f"ram: {budget:,} bytes cannot be met: with one scale for each kernel the arena of {model.name!r} still takes "
            f"{smallest:,} bytes"
        )
    price = {}
    for name in names:
        lean, worse = tried({**chosen, name: "per_tensor"})
        price[name] = (worse - error) / max(arena - lean, 1)
    for name in sorted(names, key=lambda name: price[name]):
        chosen[name] = "per_tensor"
        if tried(chosen)[0] <= budget:
            break
    return chosen
