"""Ending on SIGTERM as on Ctrl-C: by an exception, so that what has begun is cleaned up on the way out."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from micro.errors import Terminated


@contextmanager
def ended_by_sigterm() -> Iterator[Callable[[], None]]:
    """Turn SIGTERM into `Terminated` within the block; in threads other than the main one nothing can be turned.

    Gives a function that turns it again, for after a library has set a handler of its own.
    """

    def end(number: int, frame: FrameType | None) -> None:
        raise Terminated

    def turn() -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, end)

    before = signal.getsignal(signal.SIGTERM)
    turn()
    try:
        yield turn
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
