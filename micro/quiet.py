"""Keep TensorFlow's own chatter off the user's terminal."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator


def hush_tensorflow() -> None:
    """Ask TensorFlow for silence; to be called before it is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    os.environ.setdefault("GLOG_minloglevel", "3")


def import_frameworks() -> None:
    """Import Keras and TensorFlow without the lines that they write whatever they are asked."""
    hush_tensorflow()
    with silenced():
        import keras  # noqa: F401
        import tensorflow  # noqa: F401


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
