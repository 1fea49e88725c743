"""Keep TensorFlow's own chatter off the user's terminal."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


def hush_tensorflow() -> None:
    """Ask TensorFlow for silence; to be called before it is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    os.environ.setdefault("GLOG_minloglevel", "3")


@dataclass
class _Process:
    """What is set for the whole process: loggers are the user's own unless the command line runs."""

    quiet_loggers: bool = False


_process = _Process()


def quiet_loggers() -> None:
    """For the command line's process: what frameworks log once they are imported (retracing, deprecations) is dropped, except
    errors."""
    _process.quiet_loggers = True


def import_frameworks() -> None:
    """Import Keras and TensorFlow without the lines that they always write; after `quiet_loggers` their loggers are set."""
    hush_tensorflow()
    with silenced():
        import keras  # noqa: F401
        import tensorflow  # noqa: F401
    if _process.quiet_loggers:
        for name in ("tensorflow", "absl"):
            logging.getLogger(name).setLevel(logging.ERROR)


@contextlib.contextmanager
def quiet_frameworks() -> Iterator[None]:
    """Drop what frameworks log within the block, except errors; their loggers are afterwards as they were."""
    with _quiet_logger("tensorflow"), _quiet_logger("absl"):
        yield


def only_our_warnings() -> None:
    """For the command line's process: Python's warnings are dropped unless this package gives them, in one line each."""
    ours = tuple(str(Path(__file__).parents[2] / package) + os.sep for package in ("micro", "keras_kd"))

    def show(message: Warning | str, category: type[Warning], filename: str, *rest: object, **more: object) -> None:
        if filename.startswith(ours) and issubclass(category, UserWarning):
            print(f"Warning: {' '.join(str(message).split())}", file=sys.stderr)

    warnings.showwarning = show


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Drop what Python and C++ print within the block; what C++ wrote to standard error is kept for an exception's note."""
    with (
        tempfile.TemporaryFile() as sink,
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
        _descriptor_to(2, sink.fileno()),
        _quiet_logger("tensorflow"),
    ):
        warnings.simplefilter("ignore")
        try:
            yield
        except Exception as error:
            sink.seek(0)
            said = sink.read().decode(errors="replace").strip()
            if said:
                error.add_note(said)
            raise


@contextlib.contextmanager
def _descriptor_to(descriptor: int, target: int) -> Iterator[None]:
    saved = os.dup(descriptor)
    os.dup2(target, descriptor)
    try:
        yield
    finally:
        os.dup2(saved, descriptor)
        os.close(saved)


@contextlib.contextmanager
def _quiet_logger(name: str) -> Iterator[None]:
    # A notebook's standard error is no file descriptor.
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
