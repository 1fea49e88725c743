"""What a caller passes to `convert` or `quantize_aware` as a model, as a Keras model of one input and one output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from micro.errors import ConversionError
from micro.keras_graph.calibration_data import Samples, as_array, check_samples
from micro.keras_graph.tracing import reason_of, takes_integers
from micro.tflite.layer_names import all_layers, phrase

if TYPE_CHECKING:
    import keras


def accept(model: object, samples: Samples | None) -> tuple[keras.Model, np.ndarray]:
    """The Keras model that is meant, and the samples as a float32 array of its inputs.

    A Distiller stands for its student. A subclassed model, which knows no input shape, takes that of the samples.

    Raises:
        ValueError: For what is no Keras model, more than one input or output, open shapes, samples that do not fit.
        ConversionError: For a model that cannot be called on a symbolic input.
    """
    accepted = keras_model(model)
    if not getattr(accepted, "inputs", None):
        accepted = _with_input(accepted, samples)
    name = accepted.name
    if len(accepted.inputs) != 1 or len(accepted.outputs) != 1:
        inputs = _counted("input", accepted.inputs, getattr(accepted, "input", None))
        outputs = _counted("output", accepted.outputs, getattr(accepted, "output", None))
        raise ValueError(f"model {name!r} has {inputs} and {outputs}; convert takes one of each")
    shape = tuple(accepted.inputs[0].shape)[1:]
    if None in shape:
        raise ValueError(f"model {name!r} takes inputs of open shape {shape}; a microcontroller needs it fixed")
    array = check_samples(shape, samples)
    if takes_integers(accepted) and (array != np.round(array)).any():
        raise ValueError(f"model {name!r} takes {accepted.inputs[0].dtype}; the calibration data has fractions")
    _require_finite_weights(accepted)
    return accepted, array


def _counted(what: str, tensors: Sequence[object], structure: object) -> str:
    """`2 outputs ('class', 'score')`, named where the model gives them in a dict."""
    names = f" ({', '.join(map(repr, structure))})" if isinstance(structure, Mapping) and len(structure) > 1 else ""
    return f"{len(tensors)} {what}{'' if len(tensors) == 1 else 's'}{names}"


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


def _with_input(model: keras.Model, samples: Samples | None) -> keras.Model:
    """A subclassed model behind an Input of the samples' shape, over the same layers."""
    import keras

    if not model.built or (model.layers and not model.weights):
        raise ValueError(
            f"model {model.name!r} has no known input shape and no weights yet: give it an Input, or call or fit it first"
        )
    inputs = keras.Input(as_array(samples).shape[1:], name="input")
    try:
        return keras.Model(inputs, model(inputs), name=model.name)
    except Exception as error:
        raise ConversionError(
            f"model {model.name!r} ({type(model).__name__}) cannot be called on a symbolic input of shape "
            f"{inputs.shape[1:]}: {reason_of(error)}"
        ) from None
