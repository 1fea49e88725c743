"""What a pattern that matches none of a config's files was probably meant to be."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from pathlib import Path

from micro.datasets.find import find_files, matches
from micro.errors import DataError
from micro.support.wording import counted

# Names that an error lists, and how much alike a part of a pattern and of a path are where one is a typing error.
LISTED, ALIKE = 5, 0.6


def unmatched(pattern: str, files: Mapping[Path, str], folder: str) -> str:
    """That a pattern matches none of the files, what they are called, and what would match."""
    names = [*files.values()]
    listed = ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")
    said = f"{pattern!r} matches none of {counted(len(names), 'file')} ({listed})"
    if (other := _elsewhere(pattern, files, folder)) is not None:
        return f"{said}; it matches {other}, which is none of those that files names"
    if (better := next(_nearer(pattern, files, folder), None)) is not None:
        return f"{said}; patterns start from the config's folder: write {better!r}"
    alike = max(_alike(pattern, files, folder), default=None)
    return said if alike is None else f"{said}; did you mean {alike[1]!r}?"


def _elsewhere(pattern: str, files: Mapping[Path, str], folder: str) -> str | None:
    """A file of the same kind that the pattern does match."""
    kinds = {path.suffix for path in files}
    try:
        return next((name for path, name in find_files([pattern], folder).items() if path.suffix in kinds), None)
    except DataError:
        return None


def _nearer(pattern: str, files: Mapping[Path, str], folder: str) -> Iterator[str]:
    """Patterns close to this one that match some file: with folders above, or the files in a folder."""
    for tail in (pattern, f"{pattern.rstrip('/')}/*"):
        ends = [path for path in files if matches(path, f"**/{tail.removeprefix('**/')}", "/")]
        for path in ends[:1]:
            depth = len(Path(tail.removeprefix("**/")).parts)
            above = Path(os.path.relpath(path, folder)).parts[:-depth]
            yield from (
                nearer
                for nearer in (f"**/{tail}", "/".join((*above, tail.removeprefix("**/"))))
                if any(matches(each, nearer, folder) for each in files)
            )


def _alike(pattern: str, files: Mapping[Path, str], folder: str) -> Iterator[tuple[float, str]]:
    """Patterns that match some file and differ in a few letters of one part; with how much alike those parts are."""
    parts = pattern.split("/")
    names = {name for path in files for name in Path(os.path.relpath(path, folder)).parts}
    for place, part in enumerate(parts):
        head = re.split(r"[*?\[]", part, maxsplit=1)[0]
        tail = part.removeprefix(head)
        heads = {name[: len(head) + more] for name in names for more in (-1, 0, 1)}
        for other in heads - {head, ""}:
            likeness = SequenceMatcher(None, head.lower(), other.lower()).ratio()
            # Numbers are no typing errors: m8 is another machine than m9.
            if likeness < ALIKE or re.findall("[0-9]+", head) != re.findall("[0-9]+", other):
                continue
            meant = "/".join((*parts[:place], other + tail, *parts[place + 1 :]))
            if any(matches(path, meant, folder) for path in files):
                yield likeness, meant
