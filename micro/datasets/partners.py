"""The files of further sources that belong to main files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from micro.config import PLACE, FilesData, SourceConfig
from micro.datasets.find import find_files, placed, without
from micro.errors import DataError

# Folders above a recording elsewhere in which the files of its sources are looked for.
LEVELS = 4


def require_partners(data: FilesData, sources: Sequence[SourceConfig]) -> None:
    """DataError for a main file without its file of a source, before any is read."""
    aside = [
        name for name in (getattr(data, "intervals", None), *getattr(data, "remaining_at_end", {}).values()) if name
    ]
    for path, name in without(find_files(data.files, data.folder), aside, data.folder).items():
        for source in sources:
            partner(path, name, source, data)


def partner(path: Path, name: str, source: SourceConfig, data: FilesData) -> Path:
    """The file of a source that belongs to a main file.

    Raises:
        DataError: Names both where it does not exist, and a main file whose name does not fit.
    """
    if source.files is None:
        return path
    root = Path(source.folder or data.folder)
    absolute, folder = path.resolve(), Path(data.folder).resolve()
    # A file from elsewhere, which is scored, lies next to its partner.
    below = absolute.relative_to(folder) if absolute.is_relative_to(folder) else None
    if PLACE not in source.files:
        found = (path.parent if below is None else root) / source.files
        if not found.is_file():
            raise DataError(f"source {source.name}: {found}: no such file, which {name} needs")
        return _other(found, path, name, source)
    value = path.stem if source.recording == PLACE else placed(path.as_posix(), source.recording, PLACE)
    if value is None:
        raise DataError(f"source {source.name}: {name} does not match recording = {source.recording!r}")
    own = source.files.replace(PLACE, value)
    found = _beside(path, own, root, folder) if below is None else root / below.parent / own
    if not found.is_file():
        itself = placed(path.name, source.files.rpartition("/")[2], PLACE) is not None
        more = ", or let data.files name the main recordings alone" if itself else ""
        raise DataError(f"source {source.name}: {name} has no file {found}; record it, leave {name} out{more}")
    return _other(found, path, name, source)


def _beside(path: Path, own: str, root: Path, folder: Path) -> Path:
    """The source's file of a recording elsewhere: laid out as the run's were below its folder, else next to the recording."""
    absolute, aside = path.resolve(), root.resolve()
    if aside != folder and aside.is_relative_to(folder):
        for above in absolute.parents[:LEVELS]:
            found = above / aside.relative_to(folder) / absolute.parent.relative_to(above) / own
            if found.is_file():
                return found
    return path.parent / own


def _other(found: Path, path: Path, name: str, source: SourceConfig) -> Path:
    """DataError where the file of a source is the recording itself."""
    if found.resolve() == path.resolve():
        raise DataError(
            f"source {source.name}: its file of {name} would be {name} itself; put it into a folder of its own and name that "
            "by folder, or leave files out for a column of the main files"
        )
    return found
