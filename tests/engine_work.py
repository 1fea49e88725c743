"""Pieces of work for the tests of the engine, run by its workers."""

import os
import signal
import time
from pathlib import Path


def square(n):
    return {"square": n * n, "process": os.getpid()}


def refuse(n):
    raise ValueError(f"piece {n}\nis broken")


def stumble(n, folder):
    """Fails of something it cannot be blamed for, until the third try."""
    tries = Path(folder) / f"{n}-{os.getpid()}-{time.monotonic_ns()}"
    tries.touch()
    if len(list(Path(folder).glob(f"{n}-*"))) < 3:
        raise RuntimeError("the network is away")
    return {"n": n}


def die_once(n, folder):
    """Takes its worker with it the first time."""
    died = Path(folder) / f"{n}-died"
    if not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"n": n}


def wait_for(file):
    """Ends when somebody has made the file."""
    while not Path(file).exists():
        time.sleep(0.05)
    return {"seen": True}


def linger(n, folder):
    """Notes how many are at work beside it."""
    mark = Path(folder) / f"{n}.at-work"
    mark.touch()
    time.sleep(0.2)
    beside = len(list(Path(folder).glob("*.at-work")))
    mark.unlink()
    return {"beside": beside}
