"""One process at a time on a folder of work, whether it exists yet or not."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from micro.errors import RunError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

# How long a worker waits for one that an earlier driver left behind, in seconds.
PATIENCE = 120.0


def settled(out: str | Path, *, renamed: bool = True) -> Path:
    """`out` as the folder that it stands for, links followed.

    Args:
        renamed: The folder will come by a rename, so it must not be where this process or its shell stands.

    Raises:
        RunError: Where it is a file, lies in one, or cannot be renamed.
    """
    try:
        path = Path(out).resolve()
    except (OSError, RuntimeError) as error:
        raise RunError(f"{out} leads nowhere: {error}; choose another --out") from None
    for place in (path, *path.parents):
        if os.path.lexists(place) and not place.is_dir():
            said = "is a file" if place == path else f"lies in {place}, which is a file"
            raise RunError(f"{out} {said}; choose another --out")
    here = Path.cwd()
    if renamed and (path == here or path in here.parents):
        raise RunError(f"{out} is the folder that you are in; name one inside it as --out")
    return path


@contextmanager
def holding(out: Path, *, patience: float = 0.0, kept: bool = True) -> Iterator[None]:
    """Hold a folder of work for one process, whether it exists yet or not; nothing is left of the lock afterwards.

    Args:
        out: As `settled` gives it.
        patience: Seconds to wait for another that holds it.
        kept: What is done so far can be gone on with, should there be no room for the rest.

    Raises:
        RunError: If another process holds it, or nothing can be written there.
    """
    from filelock import FileLock, Timeout  # only what holds a folder waits for this import

    path = out.with_name(f".{out.name}.keras-kd.lock")
    made = [place for place in path.parents if not place.exists()]
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=patience)
    except (Timeout, OSError) as error:
        _unmake(made)
        if not isinstance(error, Timeout):
            raise RunError(f"{out}: nothing can be written in {path.parent}: {error.strerror}") from None
        waited = f" for {patience:.0f} s" if patience else ""
        raise RunError(
            f"{out}: another keras-kd has been at work on it{waited}; wait for its end, or choose another --out"
        ) from None
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        advice = "what is done is kept: make room and go on with --resume" if kept else "make room and try again"
        raise RunError(f"{error.filename or out}: {error.strerror}; {advice}") from None
    finally:
        # Removed while it is held: whoever has opened it meanwhile finds it gone once it has the lock, and opens a new one.
        with suppress(OSError):
            path.unlink()
        lock.release()
        _unmake(made)


def _unmake(folders: list[Path]) -> None:
    """Remove folders that were made for a lock alone, the deepest first; what holds something stays."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
