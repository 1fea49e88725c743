"""What is odd about the channels and labels of several files."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from micro.datasets.missing import SELDOM
from micro.datasets.precision import Precision, joined
from micro.look.surveyed import Surveyed


def never_changes(found: Sequence[Surveyed]) -> bool:
    """Whether all rows of all files have one label."""
    return len({word for each in found for word in each.labels}) == 1


def seldom_filled(found: Sequence[Surveyed]) -> list[str]:
    """Sentences on channels that have a value in few rows, as those of a slow sensor in a fast file."""
    said = []
    for name in dict.fromkeys(channel.name for file in found for channel in file.channels):
        held = [(file.rows, channel.missing) for file in found for channel in file.channels if channel.name == name]
        rows, values = sum(rows for rows, _ in held), sum(rows - missing for rows, missing in held)
        if 0 < values <= SELDOM * rows:
            said.append(
                f"column {name!r} has a value in one of {rows / values:.0f} rows: leave it out by --columns with the others, "
                'or make it a [[sources]] of its own with rows = "filled" (docs/tables.md)'
            )
    return said


def precision_of(files: Sequence[Surveyed]) -> dict[str, Precision]:
    """By channel, what float32 keeps of it in all files together."""
    return joined({each.name: each.precision} for file in files for each in file.channels if each.precision is not None)


def coarse(found: Mapping[str, Precision], columns: Sequence[str]) -> list[str]:
    """Sentences on those of some channels of which float32 keeps too few steps."""
    return [f"column {name!r} {found[name]}" for name in columns if name in found and found[name].is_coarse]


def without_odd(files: Sequence[Surveyed], columns: list[str] | None, remarks: list[str]) -> list[str] | None:
    """Channels without those that in every file only count up, that are one number in each file and another in others, or
    of which float32 keeps nothing."""
    names = columns or [channel.name for channel in files[0].channels]
    left: dict[str, str] = {}
    kept_of = precision_of(files)
    for name in names:
        held = [channel for file in files for channel in file.channels if channel.name == name]
        if held and all(channel.counts for channel in held):
            left[name] = "only counts up in every file"
        elif len(held) > 1 and all(channel.constant for channel in held) and len({channel.low for channel in held}) > 1:
            left[name] = (
                "is one number in each file, as the number of a machine or subject is; where it is a label, say "
                f"--label-column {shlex.quote(name)}"
            )
        elif name in kept_of and kept_of[name].lost_all:
            left[name] = str(kept_of[name])
    kept = [name for name in names if name not in left]
    if not left or not kept:
        return columns
    remarks += [f"column {name!r} is left out, as it {why}" for name, why in left.items()]
    return kept
