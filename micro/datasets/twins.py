"""Files that hold the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from micro.support.wording import listed


def twins_of(paths: Mapping[str, Path]) -> list[tuple[str, ...]]:
    """Files of the same content, by name; only files of one size are read."""
    by_size: dict[int, list[str]] = {}
    for name, path in paths.items():
        by_size.setdefault(path.stat().st_size, []).append(name)
    by_digest: dict[tuple[int, str], list[str]] = {}
    for size, names in by_size.items():
        for name in names if len(names) > 1 else ():
            by_digest.setdefault((size, _digest(paths[name])), []).append(name)
    return [tuple(names) for names in by_digest.values() if len(names) > 1]


def same_stretches(names: Sequence[str], twins: Sequence[tuple[str, ...]]) -> dict[int, int]:
    """For stretches of these files' names, in order, the place of the stretch of an earlier file that holds the same."""
    first = {name: same[0] for same in twins for name in same}
    seen: dict[tuple[str, int], int] = {}
    found = {}
    for place, (name, number) in enumerate(zip(names, numbers_within(names))):
        original = seen.setdefault((first.get(name, name), number), place)
        if original != place:
            found[place] = original
    return found


def numbers_within(names: Sequence[str]) -> list[int]:
    """For stretches of these files' names, in order, which of its file's stretches each is, from 0."""
    counts: dict[str, int] = {}
    numbers = []
    for name in names:
        numbers.append(counts.get(name, 0))
        counts[name] = numbers[-1] + 1
    return numbers


def twins_note(twins: Sequence[tuple[str, ...]]) -> list[str]:
    """A sentence on files of the same content, if there are any."""
    same = [f"{names[0]} and {listed(names[1:])}" for names in twins]
    return [f"files that hold the same bytes: {listed(same)}."] if same else []


def _digest(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
