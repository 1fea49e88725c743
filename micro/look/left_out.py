"""States and classes of which a look read no file: what a config of the others can never learn."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from pathlib import PurePosixPath

from micro.look.given import NOTHING, Given
from micro.look.naming import classes_of, is_faulty, is_healthy
from micro.look.survey import Survey
from micro.support.wording import listed, was


def wholly_left_out(survey: Survey, given: Given = NOTHING) -> list[str]:
    """A sentence for each state, or class, of which every file was left out; none where labels are in the files themselves."""
    read, left = [file.name for file in survey.files], survey.left_out
    if not left or survey.label_column is not None or survey.label_columns or survey.target_column is not None:
        return []
    groups = _states([*read, *left], given.settings.get("healthy_files", ())) or _classes([*read, *left])
    lost = [(what, names) for what, names in groups if names and not set(names) & set(read)]
    return [f"{_all_of(what, len(names))} {was(len(names))} left out: {listed(names)}" for what, names in lost]


def _all_of(what: str, count: int) -> str:
    """'all 5 faulty files', 'the only healthy file', 'all 3 files of class 'run''."""
    before, _, behind = what.partition("file")
    whole = f"{before}{'file' if count == 1 else 'files'}{behind}"
    return f"the only {whole}" if count == 1 else f"all {count:,} {whole}"


def _states(names: Sequence[str], patterns: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The faulty and the healthy files by patterns of healthy ones or by their names; none where nothing says so."""
    if patterns:
        healthy = [name for name in names if any(PurePosixPath(name).match(pattern) for pattern in patterns)]
    else:
        healthy = [name for name in names if is_healthy(name)]
        if not healthy and any(map(is_faulty, names)):
            healthy = [name for name in names if not is_faulty(name)]
    faulty = [name for name in names if name not in healthy] if healthy else []
    return [("faulty file", faulty), ("healthy file", healthy)] if faulty else []


def _classes(names: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The files of each class that folders or names tell."""
    found = classes_of(names)
    if found is None:
        return []
    patterns = found.settings.get("classes")
    if not isinstance(patterns, dict):
        of = {word: [name for name in names if name.split("/")[-2:-1] == [word]] for word in found.names}
    else:
        of = {word: [name for name in names if _match(name, patterns[word])] for word in found.names}
    return [(f"file of class {word!r}", own) for word, own in of.items()]


def _match(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name matches one of the patterns of a class: those without a folder are of the file's own name."""
    own = PurePosixPath(name).name
    return any(fnmatch.fnmatchcase(name if "/" in each else own, each.replace("**", "*")) for each in patterns)
