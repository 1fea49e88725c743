"""The ways in which a model, a recording or a run can fail, each with a message that says what would be right."""

from __future__ import annotations


class MicroError(Exception):
    """Base of everything that `micro` raises on its own account, beside ValueError for wrong arguments."""


class Terminated(KeyboardInterrupt):
    """The process was asked to end by SIGTERM; as on Ctrl-C, what has begun is cleaned up on the way out."""


class ModelError(MicroError):
    """A .tflite that cannot be read, or is not the int8 model it should be."""


class ConversionError(MicroError):
    """A Keras model that does not become an int8 model TFLite Micro runs."""


class ConversionWarning(UserWarning):
    """An int8 model that can be used, and will disappoint: what it loses, why, and what to do."""


class InterpreterError(MicroError):
    """TFLite Micro, or TFLite where the two are compared, refused or crashed on a model."""


class DataError(MicroError):
    """A recording that is missing, damaged or does not fit the config."""


class RunError(MicroError):
    """A run folder that is in the way, incomplete or from another config."""
