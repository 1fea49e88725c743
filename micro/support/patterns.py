"""Patterns of columns' names."""

from __future__ import annotations

from fnmatch import fnmatchcase


def matches_name(name: str, pattern: str) -> bool:
    """Whether a pattern stands for a column's name: '*' and '?' are any letters; brackets, as of units, are themselves."""
    return fnmatchcase(name, pattern.replace("[", "[[]"))
