"""Many pieces of work on one host or a cluster, by Ray: retries, failures that stop nothing else, memory that stays flat."""

from __future__ import annotations

import importlib
import logging
import os
import secrets
import shutil
import socket
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from filelock import FileLock, Timeout

from micro.errors import MicroError, RunError, Terminated
from micro.support.extras import required
from micro.support.interrupts import ended_by_sigterm

# A worker serves this many pieces before a fresh one takes its place, so that what libraries hoard does not add up.
PIECES_A_WORKER = 40
# What passes through Ray's shared memory is small: plain numbers and words.
STORE_BYTES = 100 << 20
# Ray's sockets lie deep in its folder, and the system allows a socket's path 107 bytes.
LONGEST_TEMP = 40
SCRATCH = "kd-ray-"
SECONDS_TO_ANSWER = 10.0
SECONDS_BETWEEN_LOOKS = 0.25


@dataclass(frozen=True)
class Outcome:
    """What became of one piece of work: its value, or why there is none; `attempts` counts those that ended a worker too."""

    name: str
    value: dict[str, Any] | None
    error: str | None
    attempts: int


def require_ray() -> None:
    """RunError with the command that installs Ray, where it is missing."""
    _ray()


@contextmanager
def cluster(workers: int = 2, address: str | None = None) -> Iterator[None]:
    """Ray for as long as the block lasts: `workers` processes here, or the cluster at `address`.

    Here, Ray listens on the loopback interface alone and asks all that connect for a token made for this block; its folder of
    logs and sockets goes at the end. Workers of a cluster see the same files under the same paths, and have this package
    installed; its token comes from RAY_AUTH_TOKEN or ~/.ray/auth_token, as for Ray's own programs.

    Raises:
        RunError: If Ray is missing or there is no cluster at the address.
        Terminated: On SIGTERM within the block.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    if address:
        _require_listener(address)
        with _connected(address=address):
            yield
        return
    with (
        _scratch() as folder,
        _token(),
        _connected(
            address="local",
            num_cpus=workers,
            include_dashboard=False,
            object_store_memory=STORE_BYTES,
            _temp_dir=str(folder),
        ),
    ):
        yield


def _require_listener(address: str) -> None:
    """RunError where nobody answers at a cluster's address: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return  # 'auto' and names that Ray looks up itself
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS_TO_ANSWER).close()
    except (OSError, OverflowError) as error:
        raise RunError(f"no Ray cluster at {address}: {error}") from None


@contextmanager
def _connected(**options: str | int | bool) -> Iterator[None]:
    ray = _ray()
    _hush(ray)
    if options["address"] == "local":
        _stay_on_loopback(ray)
    _keep_handlers(ray)
    with ended_by_sigterm() as turn:
        try:
            try:
                ray.init(log_to_driver=False, logging_level="CRITICAL", configure_logging=False, **options)
            except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
                first = (str(error).splitlines() or [type(error).__name__])[0]
                raise RunError(f"no Ray cluster at {options['address']}: {first}") from None
            except SystemExit:
                raise Terminated from None  # a handler of Ray's own, in versions that set it elsewhere
            turn()  # Ray's C++ has set a handler, which writes where it was met
            yield
        finally:
            ray.shutdown()


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder for Ray's logs and sockets, gone at the end; what killed drivers left is removed first."""
    root = Path(tempfile.gettempdir())
    if len(str(root)) > LONGEST_TEMP:
        root = Path("/tmp")
    _sweep(root)
    folder = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=root))
    lock = FileLock(folder / "held")
    lock.acquire()
    try:
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(root: Path) -> None:
    """Remove the folders whose driver is gone: a lock that is still held says that it is not."""
    for folder in root.glob(f"{SCRATCH}*"):
        with suppress(OSError, Timeout):
            if not (folder / "held").is_file() or (hasattr(os, "getuid") and folder.stat().st_uid != os.getuid()):
                continue
            with FileLock(folder / "held", timeout=0):
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _token() -> Iterator[None]:
    """A token of this block's own in the environment, which Ray and its workers take it from."""
    mine = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    before = {name: os.environ.get(name) for name in (*mine, "RAY_AUTH_TOKEN_PATH")}
    os.environ.pop("RAY_AUTH_TOKEN_PATH", None)
    os.environ.update(mine)
    _reread_token()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        _reread_token()


def _reread_token() -> None:
    """Ray keeps mode and token of the process's first connection; both are read again."""
    with suppress(ImportError, AttributeError):
        raylet: Any = importlib.import_module("ray._raylet")
        raylet.AuthenticationTokenLoader.instance().reset_cache()
        raylet.Config.initialize("")


def run_all(
    work: str,
    pieces: Iterable[tuple[str, Mapping[str, Any]]],
    *,
    workers: int = 2,
    retries: int = 2,
    look: Callable[[], None] | None = None,
) -> Iterator[Outcome]:
    """Outcomes as they come, within `cluster`; no more than `workers` pieces are under way or held in memory.

    Args:
        work: 'module:function' of what takes a piece's mapping and gives a mapping, both plain data.
        pieces: A name and a mapping each; drawn from as workers become free.
        workers: Pieces at a time.
        retries: How often a piece is tried again whose worker died, or that failed of something it cannot be blamed for.
            A ValueError, OSError or error of this package is the piece's own fault, and is not tried again.
        look: Called a few times a second while pieces are under way.
    """
    ray = _ray()
    run_piece = ray.remote(num_cpus=1, max_retries=0, max_calls=PIECES_A_WORKER)(_run_piece)
    waiting = iter(pieces)
    running: dict[Any, tuple[str, Mapping[str, Any], int]] = {}

    def begin(name: str, arguments: Mapping[str, Any], attempt: int) -> None:
        running[run_piece.remote(work, dict(arguments))] = (name, arguments, attempt)

    while True:
        while len(running) < workers and (piece := next(waiting, None)) is not None:
            begin(*piece, 1)
        if not running:
            return
        while not (ended := ray.wait(list(running), num_returns=1, timeout=look and SECONDS_BETWEEN_LOOKS)[0]):
            if look is not None:
                look()
        (done,) = ended
        name, arguments, attempt = running.pop(done)
        try:
            answer = ray.get(done)
        except ray.exceptions.RayError as error:
            answer = {"error": f"its worker died: {type(error).__name__}", "again": True}
        if answer.get("again") and attempt <= retries:
            begin(name, arguments, attempt + 1)
        else:
            yield Outcome(name, answer.get("value"), answer.get("error"), attempt)


def _hush(ray: ModuleType) -> None:
    """Keep Ray's notices off standard output, which is for results; the outcome says what became of a piece."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    with suppress(AttributeError):
        ray._private.worker.print_to_stdstream = lambda *args, **kwargs: None


def _keep_handlers(ray: ModuleType) -> None:
    """Keep Ray from handling SIGTERM in this process by SystemExit, which is lost where Python ignores exceptions."""
    with suppress(AttributeError):
        ray._private.utils.set_sigterm_handler = lambda handler: None


def _stay_on_loopback(ray: ModuleType) -> None:
    """Have a cluster of this host alone listen on 127.0.0.1: Ray does so by itself on Windows and macOS, by this switch."""
    with suppress(AttributeError):
        ray._private.ray_constants.ENABLE_RAY_CLUSTER = False


def _run_piece(work: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """In a worker: a piece's value, or its error in one line and whether another try could help."""
    # One core per piece: many small models train side by side faster than one after another on all cores.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    from micro.support.silence import hush_tensorflow, quiet_loggers

    hush_tensorflow()
    quiet_loggers()
    module, function = work.split(":")
    try:
        return {"value": getattr(importlib.import_module(module), function)(**arguments)}
    except (MicroError, ValueError, OSError) as error:
        return {"error": " ".join(str(error).split()), "again": False}
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{os.path.basename(where.filename)}:{where.lineno}"
        return {"error": f"{type(error).__name__} at {place}: {' '.join(str(error).split())[:300]}", "again": True}


def _ray() -> ModuleType:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    return required("ray", "scale")
