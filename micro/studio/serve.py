"""Starting the studio: its folder held by one process, a socket that only this machine reaches, and the address to open."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import filelock
import uvicorn

from micro.errors import RunError
from micro.studio.access import new_token
from micro.studio.app import application
from micro.studio.workspace import Workspace
from micro.support.files import json_bytes

HOST = "127.0.0.1"
# Seconds that open pages are given when the studio ends; their jobs go on.
GRACE = 1
# What the folder keeps of its address, for its owner alone to read.
ADDRESS = ".studio.json"


@dataclass(frozen=True)
class Address:
    """Where a studio answers, with its token."""

    port: int
    token: str

    def __str__(self) -> str:
        return f"http://{HOST}:{self.port}/?token={self.token}"


def serve(folder: str | Path, port: int = 0, tell: Callable[[Address], None] = lambda address: None) -> None:
    """Serve the studio of a folder until it is interrupted; jobs that run go on without it.

    Args:
        folder: Made where it is missing.
        port: On 127.0.0.1; 0 for any that is free.
        tell: Called with the address once the studio answers.

    Raises:
        RunError: If another studio serves the folder, or the port is taken.
    """
    space = Workspace(Path(folder).resolve()).make()
    with _holding(space):
        before = _before(space)
        listening = _first_free(port, before)
        with listening:
            taken = listening.getsockname()[1]
            # Whoever holds the former port now may have been told the token by pages that are still open.
            same = before is not None and before.port == taken
            address = Address(taken, before.token if same and before is not None else new_token())
            _remember(space, address)
            _answer(space, address, listening, tell)


def _answer(space: Workspace, address: Address, listening: socket.socket, tell: Callable[[Address], None]) -> None:
    app = application(space, address.token, address.port)
    config = uvicorn.Config(
        app, log_level="critical", access_log=False, lifespan="on", timeout_graceful_shutdown=GRACE, server_header=False
    )
    tell(address)
    uvicorn.Server(config).run(sockets=[listening])


def _before(space: Workspace) -> Address | None:
    """The address that this folder had before, by which tabs that are still open go on."""
    try:
        held = json.loads((space.folder / ADDRESS).read_bytes())
        port, token = held["port"], held["token"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    known = isinstance(port, int) and 0 < port < 65536 and isinstance(token, str) and len(token) >= 32
    return Address(port, token) if known else None


def _remember(space: Workspace, address: Address) -> None:
    path = space.folder / ADDRESS
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(json_bytes({"port": address.port, "token": address.token}))


def _first_free(port: int, before: Address | None) -> socket.socket:
    """A socket on the port that is asked for, else on the one before, else on any."""
    if port == 0 and before is not None:
        with contextlib.suppress(RunError):
            return _socket(before.port)
    return _socket(port)


@contextlib.contextmanager
def _holding(space: Workspace) -> Iterator[None]:
    lock = filelock.FileLock(space.folder / ".studio.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise RunError(
            f"{space.folder} is served by another studio; open the address that it has printed, or choose another --folder"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _socket(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((HOST, port))
        made.listen(128)
    except OSError as error:
        made.close()
        taken = "is taken; choose another" if error.errno == errno.EADDRINUSE else f"cannot be had: {error.strerror}"
        raise RunError(f"port {port} of {HOST} {taken}") from None
    return made
