"""Which group, a subject or a machine, each file belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from micro.config import GroupedData, TableData
from micro.datasets.find import placed
from micro.errors import DataError
from micro.support.wording import listed


def groups_of(paths: Mapping[str, Path], config: GroupedData | TableData) -> dict[str, str]:
    """The group of each file: its own name, or what stands for {group} in the first of the config's patterns that it matches.

    Raises:
        DataError: For a file that matches no pattern.
    """
    if not config.group:
        return {name: name for name in paths}
    found = {}
    for name in paths:
        group = group_of(name, config)
        if group is None:
            patterns = listed([repr(pattern) for pattern in config.group])
            raise DataError(f"{name} does not match group = {patterns}; add a pattern that it matches to group")
        found[name] = group
    return found


def group_of(name: str, config: GroupedData | TableData) -> str | None:
    """What stands for {group} in the first of the config's patterns that a name matches; None where it matches none."""
    return next((group for pattern in config.group if (group := placed(name, pattern, "{group}")) is not None), None)
