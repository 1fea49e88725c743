"""Reading a .keras file from an untrusted source: limits are checked first, and none of its code is run."""

from __future__ import annotations

import json
import math
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micro.errors import ModelError
from micro.keras_graph.tracing import reason_of
from micro.support.silence import import_frameworks, silenced

if TYPE_CHECKING:
    import keras

CONFIG, WEIGHTS, ASSETS = "config.json", "model.weights.h5", "assets/"
# The configs of the largest models that Keras ships take a few hundred thousand bytes.
LARGEST_CONFIG = 8 << 20
LARGEST_WEIGHTS = 2 << 30
# Bytes that a weight takes at least, in float8 or int8 as in float32.
LEAST_WEIGHT = 1
# Deeper than any model; near Python's limit on recursion, for what Keras needs at each level.
DEEPEST = 60
UNKNOWN_CLASS = re.compile(r"Could not locate (?:class|function|object) '([^']+)'")
UNKNOWN_MODULE = re.compile(r"deserialize class '([^']+)' because its parent module (\w+)[\w.]* cannot be imported")


def load_keras(path: str | Path) -> keras.Model:
    """The model of a .keras file, not compiled; no code in it is run, such as a Lambda's.

    Raises:
        ModelError: For a file that is damaged, declares more than it contains, or needs classes of its author.
    """
    try:
        config = _checked_config(path)
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
        raise ModelError(f"{path} is not a .keras model: {reason_of(error)}") from None
    import_frameworks()
    import keras

    from micro.quantize.aware import QuantizationAware  # noqa: F401, lets Keras find the class

    try:
        with silenced():
            _require_room(path, config)
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(_refusal(path, error)) from None
    if not isinstance(model, keras.Model):
        raise ModelError(f"{path} holds a {type(model).__name__}, and not a model")
    return model


def _checked_config(path: str | Path) -> dict[str, Any]:
    """The config, once the sizes in the archive and in the config are within limits."""
    with zipfile.ZipFile(path) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        if CONFIG not in sizes or WEIGHTS not in sizes:
            raise ModelError(
                f"{path} is a zip archive without {CONFIG if CONFIG not in sizes else WEIGHTS}, not a .keras file"
            )
        for name, most in ((CONFIG, LARGEST_CONFIG), (WEIGHTS, LARGEST_WEIGHTS)):
            if sizes[name] > most:
                raise ModelError(f"{path}: its {name} has {sizes[name]:,} bytes; at most {most:,} are read")
        if sum(sizes.values()) > LARGEST_CONFIG + LARGEST_WEIGHTS:
            raise ModelError(f"{path} holds {sum(sizes.values()):,} bytes; at most {LARGEST_WEIGHTS:,} are read")
        text = archive.read(CONFIG)
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: its {CONFIG} is damaged: {reason_of(error)}") from None
    if not isinstance(config, dict):
        raise ModelError(f"{path}: its {CONFIG} is damaged: it holds a {type(config).__name__}")
    depth = _models_deep(config)
    if depth > DEEPEST:
        raise ModelError(f"{path}: its models are nested {depth} deep; at most {DEEPEST} are read")
    return config


def _models_deep(config: dict[str, Any]) -> int:
    """How many models, or wrappers of layers, are inside one another; without recursion, which a file could exhaust."""
    deepest = 0
    left: list[tuple[object, int]] = [(config, 0)]
    while left:
        value, depth = left.pop()
        deepest = max(deepest, depth)
        if isinstance(value, dict):
            inside = depth + ("class_name" in value)
            left.extend((item, inside) for item in value.values() if isinstance(item, (dict, list)))
        elif isinstance(value, list):
            left.extend((item, depth) for item in value if isinstance(item, (dict, list)))
    return deepest


def _require_room(path: str | Path, config: dict[str, Any]) -> None:
    """Refuse a config whose weights the file cannot hold, before they are allocated."""
    import keras
    from keras.src.backend.common import global_state

    with zipfile.ZipFile(path) as archive:
        held = archive.getinfo(WEIGHTS).file_size
    waiting = list(global_state.get_global_attribute("uninitialized_variables") or ())
    try:
        # Within this scope Keras notes a weight's shape and allocates nothing.
        with keras.StatelessScope(initialize_variables=False), _optimizers_outside_of_it():
            model = keras.saving.deserialize_keras_object({**config, "compile_config": None}, safe_mode=True)
    finally:
        # Or it would allocate them at the end of the next such scope.
        global_state.set_global_attribute("uninitialized_variables", waiting)
    weights = sum(_elements(weight.shape) for weight in getattr(model, "weights", ()))
    if weights * LEAST_WEIGHT > held:
        raise ModelError(f"{path} declares {weights:,} weights, and its {WEIGHTS} has {held:,} bytes: it is damaged")


@contextmanager
def _optimizers_outside_of_it() -> Iterator[None]:
    """Optimizers are made outside the stateless scope, in which their counters cannot be: keras-hub's models compile themselves
    while they are made."""
    from keras.src.backend.common import global_state
    from keras.src.optimizers.base_optimizer import BaseOptimizer

    make = BaseOptimizer.__init__

    def make_outside(self: Any, *arguments: Any, **keywords: Any) -> None:
        scope = global_state.get_global_attribute("stateless_scope")
        global_state.set_global_attribute("stateless_scope", None)
        try:
            make(self, *arguments, **keywords)
        finally:
            global_state.set_global_attribute("stateless_scope", scope)

    BaseOptimizer.__init__ = make_outside
    try:
        yield
    finally:
        BaseOptimizer.__init__ = make


def _elements(shape: Sequence[int | None]) -> int:
    return math.prod(int(size or 0) for size in shape)


def _refusal(path: str | Path, error: Exception) -> str:
    missing = UNKNOWN_MODULE.search(str(error))
    if missing is not None:
        package = missing[2].replace("_", "-")
        return (
            f"{path} holds {missing[1]!r} of the package {missing[2]}, which cannot be imported here; install it, as with "
            f"pip install {package}"
        )
    unknown = UNKNOWN_CLASS.search(str(error))
    if unknown is not None:
        return (
            f"{path} holds {unknown[1]!r}, a class or function of your own that is not known here; convert the model in "
            "Python, where it is defined: micro.convert(model, calibration)"
        )
    return f"{path} is not a .keras model that can be loaded safely: {reason_of(error)}"
