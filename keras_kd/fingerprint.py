"""Whether a model is still the same: a digest of its weights and of its layers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_kd.layers import children_of

# Settings that do not change what a model computes at inference.
IRRELEVANT = ("name", "trainable", "seed", "dtype", "build_config", "compile_config", "module", "registered_name")
IRRELEVANT_ENDINGS = ("_initializer", "_regularizer", "_constraint")


def fingerprint(model: keras.Model) -> str:
    """SHA-256 of a model's weights in their order, and of its layers, their settings and their connections.

    Names, `trainable` flags, initializers, regularizers and dtype policies do not count, so a model that was built again by the
    same code and given the same weights has the same fingerprint. For a subclassed model, its class, settings and layers count,
    but not the code of its `call`.
    """
    digest = hashlib.sha256()
    for weight in model.weights:
        array = np.ascontiguousarray(keras.ops.convert_to_numpy(weight))
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    for line in _layers(model):
        digest.update(line.encode())
    return digest.hexdigest()


def _layers(layer: keras.Layer) -> Iterator[str]:
    """A layer and all layers inside it, a line for each."""
    try:
        config: Any = layer.get_config()
    except Exception:  # A custom model need not have a config, and may fail in any way.
        config = {}
    yield f"{type(layer).__name__} {json.dumps(_plain(config, {}), sort_keys=True, default=_type)}\n"
    for child in children_of(layer):
        yield from _layers(child)


def _plain(value: object, places: dict[str, int]) -> Any:
    """A configuration without irrelevant settings, and with positions in place of the names by which layers are connected."""
    if isinstance(value, dict):
        if isinstance(value.get("layers"), list):
            names = [layer.get("name") or layer.get("config", {}).get("name") for layer in value["layers"] if layer]
            places = {name: place for place, name in enumerate(names)}
        return {
            str(key): _ends(item, places)
            if key in ("keras_history", "input_layers", "output_layers")
            else _plain(item, places)
            for key, item in value.items()
            if key not in IRRELEVANT and not str(key).endswith(IRRELEVANT_ENDINGS)
        }
    if isinstance(value, (list, tuple)):
        return [_plain(item, places) for item in value]
    return value


def _ends(value: object, places: dict[str, int]) -> Any:
    """[layer, node, tensor], or any structure of such, with the layer's position in place of its name."""
    if isinstance(value, dict):
        return {key: _ends(item, places) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_ends(item, places) for item in value]
    return places.get(value, value) if isinstance(value, str) else value


def _type(value: object) -> str:
    """The type of a value that is not JSON, in its place: its repr may hold an address."""
    return type(value).__name__
