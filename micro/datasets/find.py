"""Which files a config names, the name of each as a recording, and which patterns it matches."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from micro.errors import DataError


def find_files(patterns: Sequence[str], folder: str | Path = ".") -> dict[Path, str]:
    """Files that match any pattern below `folder`, in order of pattern and name, with the name of each as a recording.

    A recording's name is its path below `folder`, with '/' between its parts; where a file is outside, all are named by their
    paths below the deepest folder that contains every one of them. So no two have the same name. Of folders of finished runs a
    pattern takes nothing, unless it matches nothing else.

    Raises:
        DataError: For a pattern without a match, or one that matches folders only.
    """
    files_by_path: dict[str, Path] = {}
    for pattern in patterns:
        paths = _matches(pattern, Path(folder))
        if glob.has_magic(pattern):
            # Runs are often made beside the data, and hold tables of scores.
            paths = [path for path in paths if not _of_a_run(path)] or paths
        files_by_path.update((_absolute(path), path) for path in paths if _absolute(path) not in files_by_path)
    inside = _absolute(folder)
    if any(os.path.commonpath((inside, absolute)) != inside for absolute in files_by_path):
        inside = os.path.commonpath([os.path.dirname(absolute) for absolute in files_by_path])
    return {path: Path(os.path.relpath(absolute, inside)).as_posix() for absolute, path in files_by_path.items()}


def _of_a_run(path: Path) -> bool:
    """Whether a file lies in the folder of a finished run."""
    return all((path.parent / name).is_file() for name in ("manifest.json", "report.json"))


def without(named: Mapping[Path, str], others: Iterable[str], folder: str | Path) -> dict[Path, str]:
    """The files without those that hold something else, such as labels: `others`, from the folder.

    Raises:
        DataError: Where no file is left.
    """
    aside = {(Path(folder) / other).resolve() for other in others}
    kept = {path: name for path, name in named.items() if path.resolve() not in aside}
    if not kept:
        raise DataError(f"files names only {', '.join(named.values())}, which holds labels; name the recordings")
    return kept


def require_files(files: Sequence[str | Path]) -> None:
    """Require that files exist; patterns of files are left for `short_names`.

    Raises:
        DataError: Names one that does not exist.
    """
    for file in map(str, files):
        if not glob.has_magic(file) and not Path(file).exists():
            raise DataError(f"{file}: no such file")


def short_names(files: Sequence[str | Path], beside: Iterable[str] = ()) -> dict[Path, str]:
    """Names for files, or patterns of files: their own names, or as much of their paths as makes them different.

    Args:
        files: Each is taken once.
        beside: Names of recordings that they are seen next to, such as those of a run. Where these have the same file names in
            several folders, one of `files` has its folder before its name even if it is alone.

    Raises:
        DataError: Names one that does not exist.
    """
    files_by_path: dict[str, Path] = {}
    for file in files:
        given = str(file)
        require_files([given])
        files_by_path.update(
            (_absolute(path), path) for path in _matches(given, Path()) if _absolute(path) not in files_by_path
        )
    names = [os.path.basename(absolute) for absolute in files_by_path]
    recurring = _recur([other.rpartition("/")[2] for other in set(beside)])
    if recurring or _recur(names):
        folders = [os.path.dirname(absolute) for absolute in files_by_path]
        top = os.path.commonpath(folders)
        top = os.path.dirname(top) if recurring and top in folders else top
        names = [Path(os.path.relpath(absolute, top)).as_posix() for absolute in files_by_path]
    return dict(zip(files_by_path.values(), names))


def _recur(names: Sequence[str]) -> bool:
    return len(set(names)) < len(names)


def about_another(path: Path) -> bool:
    """Whether a file says what is known of a recording beside it: its name with .json behind it."""
    return path.suffix == ".json" and path.with_suffix("").suffix != "" and path.with_suffix("").is_file()


def matches(path: Path, pattern: str, folder: str | Path) -> bool:
    """Whether a file matches a pattern: by its path below `folder` if the pattern names a folder, else by its name alone.

    '*' and '?' match within one part of a path, '**' matches any number of folders, as in `files`.
    """
    if "/" not in pattern:
        return fnmatch.fnmatchcase(path.name, pattern) or path.name == pattern
    wanted = pattern if os.path.isabs(pattern) else os.path.join(glob.escape(_absolute(folder)), pattern)
    return _parts_match(_absolute(path).split("/"), os.path.normpath(wanted).split("/"))


def placed(name: str, pattern: str, place: str) -> str | None:
    """What stands for `place` in a name, by a pattern that has it once; None where the name does not match.

    A pattern with folders is compared with as many last parts of the path.
    """
    depth = pattern.count("/") + 1
    tail = "/".join(name.split("/")[-depth:])
    before, after = pattern.split(place)

    def regex(part: str) -> str:
        return re.escape(part).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")

    found = re.fullmatch(f"{regex(before)}([^/]+?){regex(after)}", tail)
    return found[1] if found else None


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
        # What is known of a recording stands beside it, as NAME.csv.json.
        return [path for path in files if not about_another(path)] or files
    if paths:
        example = f"{pattern.rstrip('/')}/{_files_below(paths)}"
        raise DataError(f"{pattern!r} matches folders only; name the files in them, as in {example!r}")
    where = "" if os.path.isabs(pattern) else f" in {os.path.abspath(folder)}"
    raise DataError(f"no file matches {pattern!r}{where}{_deeper(pattern, folder)}")


def _files_below(folders: Sequence[Path], most: int = 3) -> str:
    """A pattern of the first files below folders, at most `most` folders deep: '*/*.csv'."""
    for depth in range(most):
        for folder in folders:
            first = next((path for path in sorted(folder.glob("*/" * depth + "*.*")) if path.is_file()), None)
            if first is not None:
                return "*/" * depth + f"*{first.suffix}"
    return "*.csv"


def _deeper(pattern: str, folder: Path) -> str:
    """The pattern that finds files in folders below, where one does."""
    above, _, name = pattern.rpartition("/")
    deeper = f"{above}/**/{name}" if above else f"**/{name}"
    if "**" in pattern or not any(
        (folder / path).is_file() for path in glob.iglob(deeper, root_dir=folder, recursive=True)
    ):
        return ""
    return f"; {deeper!r} finds files in folders below"


def _absolute(path: str | Path) -> str:
    return os.path.abspath(path)
