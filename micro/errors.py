"""The ways in which a model, a recording or a run can fail, each with a message that says what would be right."""

from __future__ import annotations

from enum import IntEnum


class MicroError(Exception):
    """Base of the errors that `micro` raises itself; wrong arguments raise ValueError.

    Messages are one line, whatever the names in a file hold that they quote: what cannot be printed stands there as its escape.

    Examples:
        >>> try:
        ...     micro.measure(b"not a model")
        ... except micro.MicroError as error:
        ...     print(type(error).__name__)
        ModelError
        >>> print(micro.DataError("no column 'a\\x1eb'"))
        no column 'a\\x1eb'
    """

    def __init__(self, message: object = "") -> None:
        text = str(message)
        super().__init__("".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text))


class Terminated(KeyboardInterrupt):
    """The process was asked to end by SIGTERM; as on Ctrl-C, what has begun is cleaned up on the way out."""


class ModelError(MicroError):
    """A .tflite that cannot be read, or is not the int8 model it should be.

    Examples:
        >>> try:
        ...     micro.measure(b"not a model")
        ... except micro.ModelError:
        ...     print("no .tflite")
        no .tflite
    """


class ConversionError(MicroError):
    """A Keras model that cannot be converted to an int8 model that TFLite Micro runs.

    Examples:
        >>> issubclass(micro.ConversionError, micro.MicroError)
        True
    """


class ConversionWarning(UserWarning):
    """An int8 model that works but loses much accuracy: what it loses, why, and what to do.

    Examples:
        >>> import warnings
        >>> warnings.simplefilter("error", micro.ConversionWarning)  # such a model is an error from here on
        >>> warnings.simplefilter("default", micro.ConversionWarning)
    """


class InterpreterError(MicroError):
    """TFLite Micro, or TFLite where the two are compared, refused a model or crashed on it.

    Examples:
        >>> issubclass(micro.InterpreterError, micro.MicroError)
        True
    """


class DataError(MicroError):
    """A recording that is missing, damaged or does not fit the config.

    Examples:
        >>> from pathlib import Path
        >>> from micro.config import parse_config
        >>> data = {"files": "pump*.csv", "healthy_files": "pump*.csv", "sample_rate": 1000}
        >>> sizes = {"teacher": {"sizes": [16, 4, 16]}, "student": {"sizes": [4]}}
        >>> config = parse_config({"job": "table", "data": data, **sizes}, Path("no/such/folder"))
        >>> try:
        ...     micro.run_pipeline(config, "runs/pump")
        ... except micro.DataError as error:
        ...     print(error)
        no file matches 'pump*.csv' in ...
    """


class RunError(MicroError):
    """A run folder that is in the way, incomplete or from another config.

    Examples:
        >>> try:
        ...     micro.simulate("no/such/run", np.zeros(1024))
        ... except micro.RunError as error:
        ...     print(error)
        no/such/run is not a finished run: ...
    """


class RecordError(MicroError):
    """A record of parameters that a device would not take; `status` is what the emitted C returns for it.

    Examples:
        >>> try:
        ...     micro.Parameters.from_bytes(b"something else")
        ... except micro.RecordError as error:
        ...     print(error.status.name)
        NOT_A_RECORD
    """

    def __init__(self, message: object, status: IntEnum) -> None:
        super().__init__(message)
        self.status = status
