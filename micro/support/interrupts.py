"""Ending on SIGTERM as on Ctrl-C: by an exception, so that what has begun is cleaned up on the way out."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from micro.errors import Terminated

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

# Long enough for what swallowed an interrupt to be left, short beside a person's patience.
SECONDS_UNTIL_AGAIN = 0.05


@contextmanager
def ended_by_sigterm() -> Iterator[Callable[[], None]]:
    """Turn SIGTERM into `Terminated` within the block; in threads other than the main one nothing can be turned.

    Gives a function that turns it again, for after a library has set a handler of its own. Python ignores an exception within
    a finalizer, a weak reference's callback or a hook of a fork; an interrupt that was met there is sent once more.
    """

    def end(number: int, frame: FrameType | None) -> None:
        raise Terminated

    def turn() -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, end)

    before, hook = signal.getsignal(signal.SIGTERM), sys.unraisablehook

    def send_again(ignored: UnraisableHookArgs) -> None:
        if not issubclass(ignored.exc_type, KeyboardInterrupt):
            hook(ignored)
            return
        number = signal.SIGTERM if issubclass(ignored.exc_type, Terminated) else signal.SIGINT
        again = threading.Timer(SECONDS_UNTIL_AGAIN, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()

    turn()
    sys.unraisablehook = send_again
    try:
        yield turn
    finally:
        sys.unraisablehook = hook
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
