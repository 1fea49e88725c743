"""Files of a test that hold the same bytes, of which each counts once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from micro.datasets.twins import twins_of
from micro.runs.assessment.alarms import Stretch
from micro.runs.scored import Scored
from micro.support.wording import hold, listed


def without_copies(
    by_file: Mapping[str, list[Scored]], paths: Mapping[str, Path], stretches: Mapping[str, Sequence[Stretch]]
) -> tuple[dict[str, list[Scored]], list[str]]:
    """Windows by file, without those of files that hold the same bytes as an earlier one, and sentences on these.

    Files of the same bytes whose labels differ all stay, which a sentence says.

    Args:
        paths: Of the files, by their names.
        stretches: Of each file by its name, what is labeled; empty where files hold their labels themselves.
    """
    kept, said = dict(by_file), []
    for names in twins_of({name: paths[name] for name in by_file}):
        first, *others = names
        differ = [name for name in others if tuple(stretches.get(name, ())) != tuple(stretches.get(first, ()))]
        same = [name for name in others if name not in differ]
        for name in same:
            del kept[name]
        if same:
            said.append(f"{listed(same)} {hold(len(same))} the same bytes as {first}: the recording counts once.")
        if differ:
            said.append(
                f"{listed(differ)} {hold(len(differ))} the same bytes as {first}, but other labels: one of these is wrong."
            )
    return kept, said
