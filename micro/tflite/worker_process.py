"""The process that runs models: started at the first of them, and forked for each.

Python, NumPy and an interpreter take a third of a second to load, most models a few milliseconds to run. Each model still has
a process of its own, which may crash or take all of the memory that it is allowed.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from micro.errors import InterpreterError

# Where a process cannot be forked safely, one is started for each model.
FORKS = sys.platform == "linux"
# NumPy's threads are of no use to it, and a process with threads is not forked.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
# The process that waits for models, by the process that started it: a fork of that one starts its own.
_waiting: dict[int, subprocess.Popen[str]] = {}
_one_at_a_time = threading.Lock()


def _renew() -> None:
    """A lock for a fork of this process, in which no thread would ever free the one that another thread held."""
    global _one_at_a_time
    _one_at_a_time = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def answered(engine: str, request: Path, answer: Path, seconds: float) -> subprocess.CompletedProcess[str]:
    """Have a request of `_worker` answered: its exit code, negative for the signal that it died of, and what it printed.

    Raises:
        subprocess.TimeoutExpired: After `seconds`.
        InterpreterError: Where the process that waits for models does not start.
    """
    said = request.with_name("said.txt")
    said.touch()
    order = json.dumps([engine, str(request), str(answer), str(said)])
    with _one_at_a_time:
        try:
            # One that has waited may have been ended from outside.
            code = _code(order, seconds)
            code = _code(order, seconds) if code is None else code
        except BaseException:
            _stop()
            raise
        if code is None or not FORKS:
            _stop()
    if code is None:
        raise InterpreterError(f"the process that runs models does not start: {' '.join(_command())}")
    return subprocess.CompletedProcess([], code, "", said.read_text(errors="replace"))


def _code(order: str, seconds: float) -> int | None:
    """The exit code of the process that a request was answered in; None where the one that waits for requests has ended."""
    process = _ready()
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(order + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        _stop()
        return None
    if not select.select([process.stdout], [], [], seconds)[0]:
        raise subprocess.TimeoutExpired(process.args, seconds)
    line = process.stdout.readline()
    if line:
        return int(line)
    code = process.wait()
    _stop()
    return None if FORKS else code


def _ready() -> subprocess.Popen[str]:
    """The process that waits for requests."""
    process = _waiting.get(os.getpid())
    if process is None or process.poll() is not None:
        process = subprocess.Popen(
            _command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **ONE_THREAD},
            # An interrupt from the keyboard ends the caller, and the caller ends this.
            start_new_session=True,
        )
        _waiting[os.getpid()] = process
    return process


def _command() -> list[str]:
    return [sys.executable, str(Path(__file__).with_name("_worker.py"))]


@atexit.register
def _stop() -> None:
    """End the process that waits for requests, and the one that answers the latest."""
    process = _waiting.pop(os.getpid(), None)
    if process is None:
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, 9)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        with suppress(BrokenPipeError):
            pipe.close()
