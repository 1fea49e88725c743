"""Sets of recordings: files that were dropped into the page, and what `keras-kd look` says of them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from micro.datasets.find import about_another
from micro.errors import DataError
from micro.studio import jobs
from micro.studio.workspace import Workspace, as_name, checked_name, free_name, safe_path

# The largest file that is taken, and how much of the disk is left free.
MOST_BYTES, LEFT_FREE = 8 * 2**30, 2**30
# Files of a set at most.
MOST_FILES = 20_000
# Options of `look` that a page may give, and the values of those that have few.
OPTIONS = {
    "task": ("anomaly", "classification", "multilabel", "regression"),
    "sample-rate": (),
    "separator": (),
    "decimal": (".", ","),
    "time-column": (),
    "time-unit": ("auto", "s", "ms", "us", "ns", "min", "h", "d"),
    "label-column": (),
    "target-column": (),
    "healthy-files": (),
    "group": (),
}


@dataclass(frozen=True)
class RecordingSet:
    """Files that belong together: their number and bytes, and the newest job that looked at them."""

    name: str
    files: int
    bytes: int
    look: jobs.Job | None


def all_sets(space: Workspace) -> list[RecordingSet]:
    """Every set, by name."""
    looks: dict[str, jobs.Job] = {}
    for job in jobs.all_jobs(space):
        if job.kind == "look":
            looks.setdefault(job.about, job)
    found = []
    for place in sorted(space.uploads.iterdir()):
        if place.is_dir() and not place.is_symlink():
            sizes = [path.stat().st_size for path in files_of(place)]
            found.append(RecordingSet(place.name, len(sizes), sum(sizes), looks.get(place.name)))
    return found


def files_of(folder: Path) -> list[Path]:
    """The files of a set, without links, what is being written, and what is known of a recording beside it."""
    found = []
    for top, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        found += [Path(top, name) for name in sorted(names) if not name.startswith(".")]
    return [path for path in found if path.is_file() and not path.is_symlink() and not about_another(path)]


def readable_files(space: Workspace, name: str) -> list[str]:
    """The files of a set as commands name them, without those of which nothing could be read when it was looked at."""
    top, look_job = space.inside("uploads", name), jobs.newest(space, "look", name)
    files = {space.relative(path): path for path in files_of(top)}
    survey = survey_of(space, look_job)
    if survey is None or look_job is None or not survey.get("files"):
        return list(files)
    known = {str(each["path"]) for each in survey["files"]}
    # What has come since was not looked at.
    return [called for called, path in files.items() if called in known or path.stat().st_mtime > look_job.created]


def new_set(space: Workspace, wanted: str) -> str:
    """An empty set, called as wanted as far as that is a free name; its name."""
    base = as_name(wanted)
    while True:
        name = free_name(base, {path.name for path in space.uploads.iterdir()})
        try:
            space.inside("uploads", name).mkdir()
        except FileExistsError:
            continue  # somebody else was quicker
        return name


async def receive(space: Workspace, name: str, given: str, content: AsyncIterator[bytes]) -> str:
    """Write one file of a set as it arrives; its path within the set.

    Raises:
        ValueError: For a name that cannot be used, an archive, or a file that is too large.
        DataError: If the disk would be full.
    """
    folder = space.inside("uploads", checked_name(name))
    if not folder.is_dir():
        raise ValueError(f"there are no recordings {name!r}")
    relative = safe_path(given)
    if relative.suffix.lower() in (".zip", ".gz", ".7z", ".tar", ".rar", ".xz", ".bz2"):
        raise ValueError(f"{relative.name} is an archive: unpack it and drop the folder")
    target = space.inside("uploads", name, *relative.parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name[:40]}.{os.urandom(6).hex()}.unfinished")
    taken = 0
    try:
        with partial.open("xb") as file:
            async for block in content:
                taken += len(block)
                if taken > MOST_BYTES:
                    raise ValueError(
                        f"{relative.name} is larger than {MOST_BYTES // 2**30} GiB, the most that is taken"
                    )
                if shutil.disk_usage(folder).free < LEFT_FREE:
                    raise DataError(f"{relative.name}: the disk is full up to the last GiB, which is left free")
                file.write(block)
        number, place = 1, target
        while True:
            try:
                # Whoever makes the file has the name, on file systems without hard links too; what it is renamed over is empty.
                place.open("xb").close()
                break
            except FileExistsError:
                number += 1
                place = target.with_name(f"{target.stem}-{number}{target.suffix}")
        partial.replace(place)
    finally:
        partial.unlink(missing_ok=True)
    return place.relative_to(folder).as_posix()


def look(space: Workspace, name: str, options: Mapping[str, Any]) -> jobs.Job:
    """Look at a set, which writes a config to start from.

    Args:
        space: The studio's folder.
        name: Of the set.
        options: Of `keras-kd look`, without dashes; a list for several values.

    Raises:
        ValueError: For an option that is not known, or a set without files.
    """
    files = files_of(space.inside("uploads", checked_name(name)))
    if not files:
        raise ValueError(f"{name!r} has no files yet")
    if len(files) > MOST_FILES:
        raise ValueError(f"{name!r} has {len(files):,} files; the studio takes {MOST_FILES:,}")
    words: list[str] = []
    for key, given in options.items():
        if key not in OPTIONS:
            raise ValueError(f"{key[:40]!r} is no option of look here")
        for value in given if isinstance(given, list) else [given]:
            if str(value).strip():
                # With '=' a value that begins with a dash stays a value.
                words.append(f"--{key}={str(value).strip()}")
    taken = {path.stem for path in space.configs.glob("*.toml")}
    taken |= {
        Path(job.words[job.words.index("--out") + 1]).stem for job in jobs.all_jobs(space) if "--out" in job.words
    }
    config = free_name(name, taken)
    pattern = f"uploads/{name}/*" if all(path.parent.name == name for path in files) else f"uploads/{name}/**/*"
    return jobs.add(space, ["look", pattern, *words, "--out", f"configs/{config}.toml", "--json"], name)


def survey_of(space: Workspace, job: jobs.Job | None) -> dict[str, Any] | None:
    """What a job that looked has found, None where it has not or has failed."""
    if job is None or job.state != "done":
        return None
    try:
        found = json.loads(jobs.printed(space, job, "out", whole=True))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def file_of(space: Workspace, name: str, survey: Mapping[str, Any], file: str) -> Path:
    """The path of a file by its name in a survey.

    Raises:
        ValueError: If it is none of them.
    """
    for each in survey["files"]:
        if each["name"] == file:
            path = space.folder / each["path"]
            return space.inside("uploads", name, *path.relative_to(space.uploads / name).parts)
    raise ValueError(f"there is no file {file[:80]!r} in {name!r}")
