"""Folders of work: held by one process at a time, published whole, gone on with after a kill at any step.

A run works in `OUT.partial`: `config.json`, what it was told; `parts/`, what is done so far; `whole/`, the run folder as it
will be; `replaces`, where an earlier run is to make way. It is published in four steps: a mark `publishing`, the earlier folder
into `OUT.partial/earlier`, `whole/` to `OUT`, the rest removed. A kill between any two leaves what `settle` puts in order: the
mark tells how far it came.

Searches and fleets live in their own folder, which `told.json` makes theirs. Other folders are made beside, under a hidden
name, and renamed. Whatever a kill leaves behind has a name by which the next call knows it.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from micro.errors import MicroError, RunError
from micro.files import is_unfinished, json_bytes, naming, write_bytes

# How long a worker waits for one that an earlier driver left behind, in seconds.
PATIENCE = 120.0
# What a run's working folder may hold before it is known what the run was told, and after that has been removed.
_MARKS = frozenset({"publishing", "replaces"})
# Noted on an interrupt that came before there was anything to go on with, whatever an earlier call has left.
NOT_BEGUN = "not begun"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


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
        if error.errno not in _NO_ROOM:
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


@dataclass(frozen=True)
class RunFolder:
    """Where a run works and where it will lie."""

    out: Path

    @property
    def working(self) -> Path:
        return self.out.with_name(f"{self.out.name}.partial")

    @property
    def parts(self) -> Path:
        """What is done so far."""
        return self.working / "parts"

    @property
    def whole(self) -> Path:
        """The run folder as it will be."""
        return self.working / "whole"

    @property
    def told(self) -> Path:
        return self.working / "config.json"

    @property
    def mark(self) -> Path:
        return self.working / "publishing"

    @property
    def earlier(self) -> Path:
        return self.working / "earlier"

    @property
    def replaces(self) -> Path:
        return self.working / "replaces"

    def check(self, told: bytes, *, resume: bool, force: bool) -> None:
        """See that a run may begin, or go on with `resume`; nothing is changed.

        Raises:
            RunError: If something of the user's would be lost or another config's work mixed in.
        """
        held = _holds_something(self.out)
        if held and not (self.out / "manifest.json").is_file():
            raise RunError(f"{self.out} exists and is not a run folder; choose another --out")
        begun = self.told.is_file()
        if not begun and not self._is_a_beginning():
            raise RunError(f"{self.working} exists and is not an interrupted run; move it away")
        if begun and resume and not force and self.told.read_bytes() != told:
            raise RunError(f"{self.working} belongs to another config; run that one, or start afresh with --force")
        if held and not (force or (begun and resume and self.replaces.exists())):
            raise RunError(f"{self.out} holds a run already; choose another --out, or replace it with --force")
        if begun and not (resume or force):
            raise RunError(
                f"{self.working} holds an interrupted run; go on with --resume, or start afresh with --force"
            )
        if resume and not (begun or force):
            raise RunError(f"nothing to resume: {self.working} holds no interrupted run")

    def settle(self, told: bytes, *, resume: bool) -> bool:
        """Put in order what a kill while publishing left, and tell whether the run is finished.

        With `resume` a whole run of the same config is published; without, the earlier folder is put back.

        Raises:
            RunError: Where somebody has put a folder where the run belongs.
        """
        if self.mark.is_file():
            if not self.whole.is_dir():
                _discard(self.working)
            elif self.earlier.is_dir() and _holds_something(self.out):
                raise RunError(
                    f"{self.out} has come while a run was put there, the earlier one is {self.earlier}; move one away"
                )
            elif resume and self.goes_on(told):
                self.publish()
            else:
                if self.earlier.is_dir():
                    _rename(self.earlier, self.out)
                self.mark.unlink()
        if not self.told.is_file() and self._is_a_beginning():
            _discard(self.working)
        return resume and not self.goes_on(told) and _is_run_of(self.out, told)

    def goes_on(self, told: bytes) -> bool:
        """Whether a run of this config was begun and is not published."""
        return self.told.is_file() and self.told.read_bytes() == told

    def begin(self, told: bytes, *, resume: bool) -> None:
        """Make the working folder anew, or with `resume` take up the one that is there."""
        if resume and self.goes_on(told):
            return
        _discard(self.working)
        if _holds_something(self.out):
            write_bytes(self.replaces, b"")
        write_bytes(self.told, told)

    def fresh_whole(self) -> Path:
        """An empty folder for what will be published, whatever a kill left in it."""
        _remove(self.whole)
        self.whole.mkdir()
        return self.whole

    def publish(self) -> None:
        """Rename what is whole into place; an earlier run goes only when the new one is there."""
        write_bytes(self.mark, b"")
        if _holds_something(self.out):
            os.replace(self.out, self.earlier)
        _rename(self.whole, self.out)
        _discard(self.working)

    def _is_a_beginning(self) -> bool:
        """Whether the working folder is missing, or holds no more than a kill in the first or the last steps leaves."""
        if not self.working.is_dir():
            return not os.path.lexists(self.working)
        return all(path.name in _MARKS or is_unfinished(path) for path in self.working.iterdir())


def can_resume(out: str | Path) -> bool:
    """Whether a run, a search or a fleet was begun for this --out that `--resume` goes on with."""
    path = Path(out).resolve()
    return RunFolder(path).told.is_file() or (path / "told.json").is_file()


def claim_folder(out: Path, told: bytes, resume: bool, what: str, difference: str) -> bool:
    """Make a folder that of a piece of work which goes on over several calls, or see that it is already; True if it is new.

    `told` is what the work was told, kept as told.json; `what` and `difference` name the work and what else it could have
    been told. To be called while `holding` the folder.

    Raises:
        RunError: If something of the user's would be lost, or another work's results mixed in.
    """
    check_claim(out, told, resume, what, difference)
    kept = out / "told.json"
    new = not kept.is_file()
    for place in (out, out / "lessons"):
        for left in list(place.iterdir()) if place.is_dir() else ():
            if is_unfinished(left):
                _remove(left)
    if new:
        write_bytes(kept, told)
    return new


def check_claim(out: Path, told: bytes, resume: bool, what: str, difference: str) -> None:
    """As `claim_folder`, and nothing is changed."""
    kept = out / "told.json"
    if kept.is_file():
        if not resume:
            raise RunError(f"{out} holds a {what} already; go on with --resume, or choose another --out")
        if kept.read_bytes() != told:
            raise RunError(f"{out} holds a {what} with {difference}; choose another --out")
    elif out.is_dir() and not all(is_unfinished(path) for path in out.iterdir()):
        raise RunError(f"{out} exists and is not a {what}'s folder; choose another --out")
    elif resume:
        raise RunError(f"nothing to resume: {out} holds no {what}")


@contextmanager
def starting(out: Path, *, fresh: bool) -> Iterator[None]:
    """Give up a folder just claimed (`fresh`) where what is done within the block tells why the work cannot start."""
    try:
        yield
    except (MicroError, ValueError):
        if fresh:
            unclaim_folder(out)
        raise


def unclaim_folder(out: Path) -> None:
    """Remove a folder just claimed whose work could not start, so that it does not stand in the way of the next; the claim goes
    last."""
    for path in sorted(out.iterdir(), key=lambda path: path.name == "told.json"):
        _remove(path)
    out.rmdir()


@contextmanager
def made_whole(out: Path, *, patience: float = 0.0) -> Iterator[Path]:
    """A hidden folder beside `out` to fill, renamed to `out` at the end of the block; nothing is left of it otherwise.

    Args:
        out: New or an empty folder, as `settled` gives it.
        patience: Seconds to wait for another that makes it.

    Raises:
        FileExistsError: If the folder holds something.
        RunError: If another process makes it.
    """
    with holding(out, patience=patience, kept=False):
        if _holds_something(out):
            raise FileExistsError(f"{out} exists and is not an empty folder; choose another")
        staged = out.with_name(f".{out.name}.keras-kd.staged")
        _remove(staged)
        try:
            staged.mkdir()
            yield staged
            _rename(staged, out)
        except BaseException:
            _remove(staged)
            raise


def write_folder(directory: str | Path, files: Mapping[str, bytes], *, patience: float = 0.0) -> tuple[Path, ...]:
    """Write files, by their paths inside a folder that is new or empty: all of them or none.

    Raises:
        ValueError: For a path that leads out of it.
        FileExistsError: If the folder holds something.
        RunError: If it is a file, lies in one, or another process writes it.
    """
    directory = Path(directory)
    for name in files:
        if Path(name).is_absolute() or ".." in Path(name).parts or not Path(name).name:
            raise ValueError(f"file {name!r} would leave {directory}")
    with made_whole(settled(directory), patience=patience) as staged:
        for name, content in files.items():
            path = staged / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with naming(directory / name):
                path.write_bytes(content)
    return tuple(directory / name for name in files)


def _holds_something(path: Path) -> bool:
    return path.is_dir() and any(path.iterdir())


def _rename(source: Path, target: Path) -> None:
    """Rename a folder to a name that is free or that of an empty folder."""
    if target.is_dir():
        target.rmdir()
    os.replace(source, target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _discard(working: Path) -> None:
    """Remove a working folder so that what is left of it is known for one after any step: what it was told and its marks go
    last."""
    if not working.is_dir():
        return
    last = ("config.json", "replaces", "publishing")
    for path in sorted(working.iterdir(), key=lambda path: (path.name in last, path.name)):
        _remove(path)
    working.rmdir()


def _is_run_of(out: Path, told: bytes) -> bool:
    """Whether a folder is a finished run of the config that `told` is."""
    try:
        manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
        return json_bytes(manifest["config"]) == told
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
