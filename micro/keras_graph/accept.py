"""What a caller passes to `convert` or `quantize_aware`, as a Keras model of fixed shapes and samples of each of its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from micro.errors import ConversionError
from micro.keras_graph.calibration_data import Samples, as_array, check_inputs
from micro.keras_graph.ends import inputs_of
from micro.keras_graph.tracing import reason_of
from micro.tflite.layer_names import all_layers, phrase

if TYPE_CHECKING:
    import keras


def accept(model: object, samples: Samples | None) -> tuple[keras.Model, tuple[np.ndarray, ...]]:
    """The Keras model that is meant, and the samples as a float32 array for each of its inputs.

    A Distiller stands for its student. A subclassed model, which knows no input shape, takes that of the samples.

    Raises:
        ValueError: For what is no Keras model, open shapes, samples that do not fit.
        ConversionError: For a model that cannot be called on a symbolic input.
    """
    accepted = keras_model(model)
    if not getattr(accepted, "inputs", None):
        accepted = _with_input(accepted, samples)
    name = accepted.name
    shapes = [tuple(each.shape)[1:] for each in accepted.inputs]
    for shape in shapes:
        if None in shape:
            raise ValueError(f"model {name!r} takes inputs of open shape {shape}; a microcontroller needs it fixed")
    arrays = check_inputs(inputs_of(accepted), shapes, samples)
    for taken, array in zip(accepted.inputs, arrays):
        if "int" in str(taken.dtype) and (array != np.round(array)).any():
            raise ValueError(f"model {name!r} takes {taken.dtype}; the calibration data has fractions")
    _require_finite_weights(accepted)
    return accepted, arrays


def _require_finite_weights(model: keras.Model) -> None:
    import keras

    for layer in all_layers(model):
        for weight in () if hasattr(layer, "layers") else layer.weights:
            values = np.asarray(keras.ops.convert_to_numpy(weight))
            if values.dtype.kind not in "iub" and not np.isfinite(values.astype(np.float32)).all():
                raise ConversionError(
                    f"{phrase(layer)} of {model.name!r} holds weights that are not finite: train it again"
                )


def keras_model(model: object) -> keras.Model:
    """The model to convert, the student of a Distiller; ValueError for what is no model of Keras 3."""
    import keras

    if isinstance(model, (str, Path)):
        raise ValueError(f"model is the path {str(model)!r}: load it first, by keras.saving.load_model({str(model)!r})")
    if type(model).__module__.partition(".")[0] in ("tf_keras", "keras_legacy") or any(
        base.__module__.startswith("tf_keras.") for base in type(model).__mro__
    ):
        raise ValueError(
            f"model {getattr(model, 'name', model)!r} is one of tf_keras (Keras 2): save it by model.save('model.h5') and load "
            "it by keras.saving.load_model('model.h5'), or build it again with `import keras`"
        )
    if not isinstance(model, keras.Model):
        raise ValueError(f"model must be a Keras model, got {type(model).__module__}.{type(model).__qualname__}")
    student = getattr(model, "student", None)
    if isinstance(student, keras.Model):
        return student
    peers = getattr(model, "peers", None)
    if peers and all(isinstance(peer, keras.Model) for peer in peers):
        raise ValueError(
            f"{type(model).__name__} {model.name!r} holds {len(peers)} peers: convert one, such as peers[0]"
        )
    return model


def _with_input(model: keras.Model, samples: Any) -> keras.Model:
    """A subclassed model behind an Input of the samples' shape, over the same layers."""
    import keras

    if not model.built or (model.layers and not model.weights):
        raise ValueError(
            f"model {model.name!r} has no known input shape and no weights yet: give it an Input, or call or fit it first"
        )
    inputs: Any
    if isinstance(samples, Mapping) and len(samples) > 1:
        inputs = {name: keras.Input(as_array(each).shape[1:], name=name) for name, each in samples.items()}
    elif isinstance(samples, tuple) and len(samples) > 1:
        inputs = [keras.Input(as_array(each).shape[1:], name=f"input_{k}") for k, each in enumerate(samples)]
    else:
        inputs = keras.Input(as_array(samples).shape[1:], name="input")
    try:
        return keras.Model(inputs, model(inputs), name=model.name)
    except Exception as error:
        raise ConversionError(
            f"model {model.name!r} ({type(model).__name__}) cannot be called on a symbolic input of shape "
            f"{_shapes(inputs)}: {reason_of(error)}"
        ) from None


def _shapes(inputs: Any) -> str:
    """The shapes of symbolic inputs, without batch."""
    import keras

    return ", ".join(str(each.shape[1:]) for each in keras.tree.flatten(inputs))
