"""Which files a config means, what each recording is called, and which patterns it matches."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Sequence
from pathlib import Path

from micro.errors import DataError


def find_files(patterns: Sequence[str], folder: str | Path = ".") -> dict[Path, str]:
    """Files that match any pattern below `folder`, in order of pattern and name, with the name of each as a recording.

    A recording is called by its path below `folder`, with '/' between its parts; where a file lies outside, all are called by
    their paths below the deepest folder that holds every one of them. So no two have the same name.

    Raises:
        DataError: For a pattern without a match, or one that matches folders only.
    """
    found: dict[str, Path] = {}
    for pattern in patterns:
        paths = _matches(pattern, Path(folder))
        found.update((_whole(path), path) for path in paths if _whole(path) not in found)
    inside = _whole(folder)
    if any(os.path.commonpath((inside, whole)) != inside for whole in found):
        inside = os.path.commonpath([os.path.dirname(whole) for whole in found])
    return {path: Path(os.path.relpath(whole, inside)).as_posix() for whole, path in found.items()}


def short_names(files: Sequence[str | Path]) -> dict[Path, str]:
    """Names for files, or patterns of files, given one by one: their own names, or as much of their paths as tells them apart.

    Raises:
        DataError: Names one that does not exist.
    """
    found: dict[str, Path] = {}
    for file in files:
        given = str(file)
        if not glob.has_magic(given) and not Path(given).exists():
            raise DataError(f"{given}: no such file")
        found.update((_whole(path), path) for path in _matches(given, Path()) if _whole(path) not in found)
    names = [os.path.basename(whole) for whole in found]
    if len(set(names)) < len(names):
        top = os.path.commonpath([os.path.dirname(whole) for whole in found])
        names = [Path(os.path.relpath(whole, top)).as_posix() for whole in found]
    return dict(zip(found.values(), names))


def matches(path: Path, pattern: str, folder: str | Path) -> bool:
    """Whether a file matches a pattern: by its path below `folder` if the pattern names a folder, else by its name alone.

    '*' and '?' stay within one part of a path, '**' stands for any number of folders, as in `files`.
    """
    if "/" not in pattern:
        return fnmatch.fnmatchcase(path.name, pattern) or path.name == pattern
    wanted = pattern if os.path.isabs(pattern) else os.path.join(glob.escape(_whole(folder)), pattern)
    return _parts_match(_whole(path).split("/"), os.path.normpath(wanted).split("/"))


def _parts_match(parts: list[str], patterns: list[str]) -> bool:
    """Whether every part of a path matches its pattern, '**' matching any number of parts."""
    reachable = {0}
    for pattern in patterns:
        if pattern == "**":
            reachable = set(range(min(reachable), len(parts) + 1))
        else:
            reachable = {
                place + 1
                for place in reachable
                if place < len(parts) and (parts[place] == pattern or fnmatch.fnmatchcase(parts[place], pattern))
            }
        if not reachable:
            return False
    return len(parts) in reachable


def _matches(pattern: str, folder: Path) -> list[Path]:
    given = folder / pattern
    try:
        if given.is_file():
            return [given]
        names = sorted(glob.glob(pattern, root_dir=folder, recursive=True))
        paths = [folder / name for name in names]
        files = [path for path in paths if path.is_file()]
    except (OSError, ValueError) as error:
        raise DataError(f"no file matches {pattern!r}: {error}") from None
    if files:
        return files
    if paths:
        example = f"{pattern.rstrip('/')}/*.csv"
        raise DataError(f"{pattern!r} matches folders only; name the files in them, as in {example!r}")
    where = "" if os.path.isabs(pattern) else f" in {os.path.abspath(folder)}"
    raise DataError(f"no file matches {pattern!r}{where}{_deeper(pattern, folder)}")


def _deeper(pattern: str, folder: Path) -> str:
    """The pattern that finds files in folders below, where one does."""
    above, _, name = pattern.rpartition("/")
    deeper = f"{above}/**/{name}" if above else f"**/{name}"
    if "**" in pattern or not any(
        (folder / path).is_file() for path in glob.iglob(deeper, root_dir=folder, recursive=True)
    ):
        return ""
    return f"; {deeper!r} finds files in folders below"


def _whole(path: str | Path) -> str:
    return os.path.abspath(path)
