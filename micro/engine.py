"""Many pieces of work on one machine or a cluster, by Ray: retries, failures that stop nothing else, memory that stays flat."""

from __future__ import annotations

import importlib
import logging
import os
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from micro.errors import MicroError, RunError

# A worker serves so many pieces before a fresh one takes its place, so that what libraries hoard does not add up.
PIECES_A_WORKER = 40
# What passes through Ray's shared memory is small: plain numbers and words.
STORE_BYTES = 100 << 20


@dataclass(frozen=True)
class Outcome:
    """What became of one piece of work: its value, or why there is none; `attempts` counts those that ended a worker too."""

    name: str
    value: dict[str, Any] | None
    error: str | None
    attempts: int


@contextmanager
def cluster(workers: int = 2, address: str | None = None) -> Iterator[None]:
    """Ray for as long as the block lasts: so many worker processes here, or the cluster at `address`.

    Workers of a cluster see the same files under the same paths, and have this package installed.

    Raises:
        RunError: If Ray is missing or there is no cluster at the address.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    ray = _ray()
    _hush(ray)
    local = {"num_cpus": workers, "include_dashboard": False, "object_store_memory": STORE_BYTES}
    try:
        ray.init(
            address=address or "local",
            log_to_driver=False,
            logging_level="CRITICAL",
            configure_logging=False,
            **({} if address else local),
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise RunError(f"no Ray cluster at {address}: {str(error).splitlines()[0]}") from None
    try:
        yield
    finally:
        ray.shutdown()


def run_all(
    work: str, pieces: Iterable[tuple[str, Mapping[str, Any]]], *, workers: int = 2, retries: int = 2
) -> Iterator[Outcome]:
    """Outcomes as they come, within `cluster`; no more than `workers` pieces are under way or held in memory.

    Args:
        work: 'module:function' of what takes a piece's mapping and gives a mapping, both plain data.
        pieces: A name and a mapping each; drawn from as workers become free.
        workers: Pieces at a time.
        retries: How often a piece is tried again whose worker died, or that failed of something it cannot be blamed for.
            A ValueError, OSError or error of this package is the piece's own fault, and is not tried again.
    """
    ray = _ray()
    carry_out = ray.remote(num_cpus=1, max_retries=0, max_calls=PIECES_A_WORKER)(_carry_out)
    waiting = iter(pieces)
    running: dict[Any, tuple[str, Mapping[str, Any], int]] = {}

    def begin(name: str, told: Mapping[str, Any], attempt: int) -> None:
        running[carry_out.remote(work, dict(told))] = (name, told, attempt)

    while True:
        while len(running) < workers and (piece := next(waiting, None)) is not None:
            begin(*piece, 1)
        if not running:
            return
        (done,), _ = ray.wait(list(running), num_returns=1)
        name, told, attempt = running.pop(done)
        try:
            answer = ray.get(done)
        except ray.exceptions.RayError as error:
            answer = {"error": f"its worker died: {type(error).__name__}", "again": True}
        if answer.get("again") and attempt <= retries:
            begin(name, told, attempt + 1)
        else:
            yield Outcome(name, answer.get("value"), answer.get("error"), attempt)


def _hush(ray: Any) -> None:
    """Keep Ray's notices off standard output, which is for results; what became of a piece is told by its outcome."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    with suppress(AttributeError):
        ray._private.worker.print_to_stdstream = lambda *args, **kwargs: None


def _carry_out(work: str, told: dict[str, Any]) -> dict[str, Any]:
    """In a worker: a piece's value, or its error in one line and whether another try could help."""
    # One core a piece: so many small models train side by side faster than one after another on all cores.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    from micro.quiet import hush_tensorflow

    hush_tensorflow()
    module, function = work.split(":")
    try:
        return {"value": getattr(importlib.import_module(module), function)(**told)}
    except (MicroError, ValueError, OSError) as error:
        return {"error": " ".join(str(error).split()), "again": False}
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{os.path.basename(where.filename)}:{where.lineno}"
        return {"error": f"{type(error).__name__} at {place}: {' '.join(str(error).split())[:300]}", "again": True}


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    try:
        import ray
    except ImportError:
        raise RunError("Ray is not installed; install it with: pip install 'keras-kd[scale]'") from None
    return ray
