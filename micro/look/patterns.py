"""Many columns by few patterns: ch01 to ch64 as 'ch*'."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from micro.support.patterns import matches_name

# Columns from which on a list of names is long, and names that a pattern takes the place of at least.
MANY, FEWEST = 7, 3
# What names differ in: a number, or what stands behind the last separator.
NUMBER = re.compile(r"(?P<before>.*?[^\d\s])(?P<varies>\d+)(?P<after>[^\d*?]*)")
ENDING = re.compile(r"(?P<before>.+[_.\-: ])(?P<varies>[^_.\-: ]+)(?P<after>)")


def shortened(columns: Sequence[str], headers: Iterable[Sequence[str]], special: Sequence[str | None]) -> list[str]:
    """Columns in which a pattern stands for names that share a stem, where it matches these and no other column in any file.

    Args:
        columns: Names of channels.
        headers: All columns of each file.
        special: Names of columns that a pattern never takes for channels.
    """
    if len(columns) < MANY:
        return list(columns)
    headers = [[name for name in header if name not in special] for header in headers]
    for names in (ENDING, NUMBER):
        stems: dict[str, list[str]] = {}
        for name in columns:
            if (found := names.fullmatch(name)) and not re.search(r"[*?\[\]]", name):
                stems.setdefault(f"{found['before']}*{found['after']}", []).append(name)
        patterns = {
            name: pattern
            for pattern, held in stems.items()
            if len(held) >= FEWEST and all(set(_matching(pattern, header)) == set(held) for header in headers)
            for name in held
        }
        columns = list(dict.fromkeys(patterns.get(name, name) for name in columns))
    return list(columns)


def _matching(pattern: str, header: Sequence[str]) -> list[str]:
    return [name for name in header if matches_name(name, pattern)]
