"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from micro.runs.lock import holding, settled
from micro.support.files import naming


@contextmanager
def made_whole(out: Path, *, patience: float = 0.0) -> Iterator[Path]:
    """A hidden folder next to `out` to fill, renamed to `out` at the end of the block; nothing is left of it otherwise.

    Args:
        out: New or an empty folder, as `settled` gives it.
        patience: Seconds to wait for another that makes it.

    Raises:
        FileExistsError: If the folder holds something.
        RunError: If another process makes it.
    """
    with holding(out, patience=patience, kept=False):
        if holds_something(out):
            raise FileExistsError(f"{out} exists and is not an empty folder; choose another")
        staged = out.with_name(f".{out.name}.keras-kd.staged")
        remove(staged)
        try:
            staged.mkdir()
            yield staged
            rename(staged, out)
        except BaseException:
            remove(staged)
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


def holds_something(path: Path) -> bool:
    """Whether it is a folder that is not empty."""
    return path.is_dir() and any(path.iterdir())


def rename(source: Path, target: Path) -> None:
    """Rename a folder to a name that is free or that of an empty folder."""
    if target.is_dir():
        target.rmdir()
    os.replace(source, target)


def remove(path: Path) -> None:
    """Remove a folder with all in it, or a file, where there is one; a link is removed, not followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def discard(working: Path) -> None:
    """Remove a working folder so that what is left of it is recognized after any step: its config and its marks go
    last."""
    if not working.is_dir():
        return
    last = ("config.json", "replaces", "publishing")
    for path in sorted(working.iterdir(), key=lambda path: (path.name in last, path.name)):
        remove(path)
    working.rmdir()
