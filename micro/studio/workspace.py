"""The studio's folder: recordings, configs, runs and jobs as plain files, and names that cannot lead out of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from micro.errors import RunError

# What recordings, configs and runs are called: also part of addresses and of commands.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
# Signs that a path, a pattern or a terminal would read as something else.
UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f/\\*?\[\]{}:|"]')
# The longest part of a path in bytes, and the deepest folder of a set of recordings.
LONGEST_PART, DEEPEST = 120, 8


@dataclass(frozen=True)
class Workspace:
    """A folder of the studio. Commands run in it, so that what is shown can be typed there."""

    folder: Path

    @property
    def uploads(self) -> Path:
        """Recordings, a folder for each set."""
        return self.folder / "uploads"

    @property
    def configs(self) -> Path:
        return self.folder / "configs"

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def jobs(self) -> Path:
        """Commands that were started, a file for each, with what they printed."""
        return self.folder / "jobs"

    def make(self) -> Workspace:
        """The same, with its folders made where they are missing.

        Raises:
            RunError: If one of them is a link or no folder.
        """
        for place in (self.folder, self.uploads, self.configs, self.runs, self.jobs):
            if place.is_symlink() and place != self.folder:
                raise RunError(f"{place} is a symbolic link, and the studio follows none; put a folder there")
            if place.exists() and not place.is_dir():
                raise RunError(f"{place} is a file; choose another --folder")
            place.mkdir(parents=True, exist_ok=True)
        return self

    def inside(self, *parts: str) -> Path:
        """A path below the folder, whose parts may have been typed by anybody.

        Raises:
            ValueError: If it leads out of the folder, also by a symbolic link.
        """
        top = self.folder.resolve()
        path = self.folder.joinpath(*parts)
        if not path.resolve().is_relative_to(top) or any("\x00" in part for part in parts):
            raise ValueError("this path leads out of the studio's folder")
        below = path
        while below not in (self.folder, below.parent):
            if below.is_symlink():
                raise ValueError(f"{below.relative_to(self.folder)} is a symbolic link, and the studio follows none")
            below = below.parent
        return path

    def relative(self, path: Path) -> str:
        """A path as commands that run in the folder name it."""
        return path.relative_to(self.folder).as_posix()


def checked_name(name: str) -> str:
    """The name itself.

    Raises:
        ValueError: If it is not letters, digits, '-' and '_'.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"a name has 1 to 60 letters, digits, '-' and '_', and begins with no sign; got {name[:80]!r}")
    return name


def as_name(text: str) -> str:
    """A name like that text.

    Examples:
        >>> from micro.studio.workspace import as_name
        >>> as_name("Pumpe 7 (Halle Ü).zip")
        'Pumpe-7-Halle-zip'
    """
    words = re.findall(r"[A-Za-z0-9]+", text)
    return "-".join(words)[:50].strip("-") or "recordings"


def safe_path(text: str) -> Path:
    """A file's relative path as a browser gives it, each part made harmless.

    Raises:
        ValueError: If nothing is left of it, or it is too deep.

    Examples:
        >>> from micro.studio.workspace import safe_path
        >>> safe_path("../healthy/./a*.csv").as_posix()
        'healthy/a_.csv'
    """
    parts = []
    for part in text.replace("\\", "/").split("/"):
        clean = UNSAFE.sub("_", part).strip().lstrip(".-~").strip()
        if clean:
            parts.append(_shortened(clean))
    if not parts:
        raise ValueError(f"{text[:80]!r} is no name for a file")
    if len(parts) > DEEPEST:
        raise ValueError(f"{text[:80]!r} lies {len(parts) - 1} folders deep; the studio takes {DEEPEST - 1}")
    return Path(*parts)


def _shortened(part: str) -> str:
    """A part of a path in at most that many bytes, its ending kept."""
    if len(part.encode()) <= LONGEST_PART:
        return part
    stem, dot, ending = part.rpartition(".")
    ending = dot + ending if stem and len(ending.encode()) <= 10 else ""
    kept = part.encode()[: LONGEST_PART - len(ending.encode())].decode(errors="ignore")
    return kept + ending


def free_name(wanted: str, taken: set[str]) -> str:
    """The name, or the first of NAME-2, NAME-3, ... that is not taken."""
    number, name = 1, wanted
    while name in taken:
        number += 1
        name = f"{wanted}-{number}"
    return name
