"""Folders of work: held by one process at a time, published whole, gone on with after a kill at any step.

A run works in `OUT.partial`: `config.json`, its config; `progress.jsonl`, how far it is; `parts/`, what is done so far;
`whole/`, the run folder as it will be; `replaces`, where an earlier run is to make way. It is published in four steps: a mark
`publishing`, the earlier folder into `OUT.partial/earlier`, `whole/` to `OUT`, the rest removed. A kill between any two leaves
what `settle` puts in order: the mark says how far it came.

Searches and fleets live in their own folder, which `claim.json` makes theirs. Other folders are made next to their place,
under a hidden name, and renamed. Whatever a kill leaves behind has a name by which the next call recognizes it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from micro.errors import MicroError, RunError
from micro.runs.publish import discard, holds_something, remove, rename
from micro.support.files import is_unfinished, json_bytes, write_bytes

# What a run's working folder may hold before its config is written, and after that has been removed.
_MARKS = frozenset({"publishing", "replaces"})
# Noted on an interrupt that came before there was anything to go on with, whatever an earlier call has left.
NOT_BEGUN = "not begun"


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
    def config_file(self) -> Path:
        """The config, as the run keeps it."""
        return self.working / "config.json"

    @property
    def progress_file(self) -> Path:
        """What the work has come to, for other programs to follow."""
        return self.working / "progress.jsonl"

    @property
    def mark(self) -> Path:
        return self.working / "publishing"

    @property
    def earlier(self) -> Path:
        return self.working / "earlier"

    @property
    def replaces(self) -> Path:
        return self.working / "replaces"

    def check(self, config: bytes, *, resume: bool, force: bool) -> None:
        """See that a run may begin, or go on with `resume`; nothing is changed.

        Raises:
            RunError: If something of the user's would be lost or another config's work mixed in.
        """
        held = holds_something(self.out)
        if held and not (self.out / "manifest.json").is_file():
            raise RunError(f"{self.out} exists and is not a run folder; choose another --out")
        begun = self.config_file.is_file()
        if not begun and not self._is_a_beginning():
            raise RunError(f"{self.working} exists and is not an interrupted run; move it away")
        if begun and resume and not force and self.config_file.read_bytes() != config:
            raise RunError(f"{self.working} belongs to another config; run that one, or start over with --force")
        if held and not (force or (begun and resume and self.replaces.exists())):
            raise RunError(f"{self.out} holds a run already; choose another --out, or replace it with --force")
        if begun and not (resume or force):
            raise RunError(f"{self.working} holds an interrupted run; go on with --resume, or start over with --force")
        if resume and not (begun or force):
            raise RunError(f"nothing to resume: {self.working} holds no interrupted run")

    def settle(self, config: bytes, *, resume: bool) -> bool:
        """Put in order what a kill while publishing left, and return whether the run is finished.

        With `resume` a whole run of the same config is published; without, the earlier folder is put back.

        Raises:
            RunError: Where somebody has put a folder where the run belongs.
        """
        if self.mark.is_file():
            if not self.whole.is_dir():
                discard(self.working)
            elif self.earlier.is_dir() and holds_something(self.out):
                raise RunError(
                    f"{self.out} has come while a run was put there, the earlier one is {self.earlier}; move one away"
                )
            elif resume and self.goes_on(config):
                self.publish()
            else:
                if self.earlier.is_dir():
                    rename(self.earlier, self.out)
                self.mark.unlink()
        if not self.config_file.is_file() and self._is_a_beginning():
            discard(self.working)
        return resume and not self.goes_on(config) and is_run_of(self.out, config)

    def goes_on(self, config: bytes) -> bool:
        """Whether a run of this config was begun and is not published."""
        return self.config_file.is_file() and self.config_file.read_bytes() == config

    def begin(self, config: bytes, *, resume: bool) -> None:
        """Make a new working folder, or with `resume` keep the one that is there."""
        if resume and self.goes_on(config):
            return
        discard(self.working)
        if holds_something(self.out):
            write_bytes(self.replaces, b"")
        write_bytes(self.config_file, config)

    def fresh_whole(self) -> Path:
        """An empty folder for what will be published, whatever a kill left in it."""
        remove(self.whole)
        self.whole.mkdir()
        return self.whole

    def publish(self) -> None:
        """Rename what is whole into place; an earlier run goes only when the new one is there."""
        write_bytes(self.mark, b"")
        if holds_something(self.out):
            os.replace(self.out, self.earlier)
        rename(self.whole, self.out)
        discard(self.working)

    def _is_a_beginning(self) -> bool:
        """Whether the working folder is missing, or holds no more than a kill in the first or the last steps leaves."""
        if not self.working.is_dir():
            return not os.path.lexists(self.working)
        return all(path.name in _MARKS or is_unfinished(path) for path in self.working.iterdir())


def can_resume(out: str | Path) -> bool:
    """Whether a run, a search or a fleet was begun for this --out that `--resume` goes on with."""
    path = Path(out).resolve()
    return RunFolder(path).config_file.is_file() or (path / "claim.json").is_file()


def claim_folder(out: Path, claim: bytes, resume: bool, what: str, difference: str) -> bool:
    """Make a folder that of a piece of work which goes on over several calls, or see that it is already; True if it is new.

    `claim` identifies the work and is kept as claim.json; `what` and `difference` name the work and how another could
    differ. To be called while `holding` the folder.

    Raises:
        RunError: If something of the user's would be lost, or another work's results mixed in.
    """
    check_claim(out, claim, resume, what, difference)
    kept = out / "claim.json"
    new = not kept.is_file()
    for place in (out, out / "windows"):
        for left in list(place.iterdir()) if place.is_dir() else ():
            if is_unfinished(left):
                remove(left)
    if new:
        write_bytes(kept, claim)
    return new


def check_claim(out: Path, claim: bytes, resume: bool, what: str, difference: str) -> None:
    """As `claim_folder`, and nothing is changed."""
    kept = out / "claim.json"
    if kept.is_file():
        if not resume:
            raise RunError(f"{out} holds a {what} already; go on with --resume, or choose another --out")
        if kept.read_bytes() != claim:
            raise RunError(f"{out} holds a {what} with {difference}; choose another --out")
    elif (out / "told.json").is_file():
        raise RunError(f"{out} holds a {what} of an earlier version; choose another --out")
    elif out.is_dir() and not all(is_unfinished(path) for path in out.iterdir()):
        raise RunError(f"{out} exists and is not a {what}'s folder; choose another --out")
    elif resume:
        raise RunError(f"nothing to resume: {out} holds no {what}")


@contextmanager
def starting(out: Path, *, fresh: bool) -> Iterator[None]:
    """Give up a folder just claimed (`fresh`) if the block raises because the work cannot start."""
    try:
        yield
    except (MicroError, ValueError):
        if fresh:
            unclaim_folder(out)
        raise


def unclaim_folder(out: Path) -> None:
    """Remove a folder just claimed whose work could not start, so that it does not stand in the way of the next; the claim goes
    last."""
    for path in sorted(out.iterdir(), key=lambda path: path.name == "claim.json"):
        remove(path)
    out.rmdir()


def is_run_of(out: Path, config: bytes) -> bool:
    """Whether a folder is a finished run of a config."""
    try:
        manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
        return json_bytes(manifest["config"]) == config
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
