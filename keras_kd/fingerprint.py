"""Whether a model is the one it was: a digest of its weights and of what its layers do with them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_kd.layers import children_of

# What a model computes at inference does not depend on these.
IRRELEVANT = ("name", "trainable", "seed", "dtype", "build_config", "compile_config", "module", "registered_name")
IRRELEVANT_ENDINGS = ("_initializer", "_regularizer", "_constraint")


def fingerprint(model: keras.Model) -> str:
    """SHA-256 of a model's weights in their order, and of its layers, their settings and how they are joined.

    Names, `trainable` flags, initializers, regularizers and precision of computing do not count, so a model that was
    built again by the same code and given the same weights is the same. A subclassed model is known by its class, its settings
    and its layers; what the code of its `call` does between them is not seen.
    """
    digest = hashlib.sha256()
    for weight in model.weights:
        array = np.ascontiguousarray(keras.ops.convert_to_numpy(weight))
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    for words in _layers(model):
        digest.update(words.encode())
    return digest.hexdigest()


def _layers(layer: keras.Layer) -> Iterator[str]:
    """A layer and all inside it, each as words."""
    try:
        config: Any = layer.get_config()
    except Exception:  # A model of one's own need not describe itself, and may fail to in any way.
        config = {}
    yield f"{type(layer).__name__} {json.dumps(_plain(config, {}), sort_keys=True, default=_type)}\n"
    for child in children_of(layer):
        yield from _layers(child)


def _plain(value: Any, places: dict[str, int]) -> Any:
    """A configuration without what is irrelevant; where layers refer to each other by name, by place."""
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


def _ends(value: Any, places: dict[str, int]) -> Any:
    """[layer, node, tensor], or any structure of such, with the layer's place for its name."""
    if isinstance(value, dict):
        return {key: _ends(item, places) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_ends(item, places) for item in value]
    return places.get(value, value) if isinstance(value, str) else value


def _type(value: Any) -> str:
    """What stands for a value that is no JSON: its own words may hold an address."""
    return type(value).__name__
