"""Units of channels, as files name them below the columns' names, in the channels' own properties or in a file beside them."""

from __future__ import annotations

import contextlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from micro.datasets.recording import Recording
from micro.datasets.reported import Doubt
from micro.support.wording import are, listed


def units_below(names: Sequence[str], places: Sequence[int], cells: Sequence[object]) -> dict[str, str]:
    """By channel, what stands in a row of units at the places of the channels' columns; none of an empty cell.

    Examples:
        >>> from micro.datasets.channel_units import units_below
        >>> units_below(["a_x", "mode"], [1, 2], ["s", " m/s2 ", ""])
        {'a_x': 'm/s2'}
    """
    below = {name: cells[place] for name, place in zip(names, places) if place < len(cells)}
    units = {name: str(cell).strip().strip("[]()").strip() for name, cell in below.items() if isinstance(cell, str)}
    return {name: unit for name, unit in units.items() if unit}


def units_beside(path: Path, channels: Sequence[str]) -> dict[str, str]:
    """By channel, the unit in the JSON file that `keras-kd record --unit` writes beside a recording; none without one."""
    try:
        about = json.loads(path.with_name(f"{path.name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    unit, recorded = (about.get("unit"), about.get("channels")) if isinstance(about, dict) else (None, None)
    if not isinstance(unit, str) or not isinstance(recorded, list) or not is_unit(unit):
        return {}
    return {channel: unit for channel in channels if channel in recorded}


def is_unit(text: str) -> bool:
    """Whether a text can be a unit: 1 to 100 letters of one line."""
    return 0 < len(text) <= 100 and text.isprintable()


def other_units(recordings: Sequence[Recording], trained: Mapping[str, str]) -> list[str]:
    """A sentence on each channel that files give in another unit than the files that a run was trained on."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for one in recordings:
        for channel, unit in one.units.items():
            if channel in trained and _plain(unit) != _plain(trained[channel]):
                found.setdefault((channel, unit), {})[one.name] = None
    return [
        f"{channel} is in {unit} in {listed(list(names))}, and the run was trained on {trained[channel]}: if these are not "
        f"two names of one unit, what is said of {'this file is' if len(names) == 1 else 'these files is'} wrong."
        for (channel, unit), names in found.items()
    ]


def units_of(recordings: Sequence[Recording], channels: Sequence[str]) -> tuple[dict[str, str], list[Doubt]]:
    """By channel, the unit that all files which name one agree on; and what to say of channels whose files do not agree."""
    named = [(one.name, one.units) for one in recordings]
    found = {channel: _units_in(named, channel) for channel in channels}
    agreed = {channel: its[0][0] for channel, its in found.items() if len(its) == 1}
    return agreed, differing_units(named, channels)


def differing_units(named: Sequence[tuple[str, Mapping[str, str]]], channels: Sequence[str]) -> list[Doubt]:
    """What to say of channels that files give in several units, those of the same files together.

    Args:
        named: Files by their names, each with the units of its channels; a name may come more than once.
        channels: Those that are looked at.
    """
    alike: dict[str, list[str]] = {}
    for channel in channels:
        found = _units_in(named, channel)
        if len(found) > 1:
            # The unit of the fewest files last: these are probably those to mend.
            ordered = sorted(found, key=lambda each: -len(each[1]))
            said = ", ".join(f"{unit} in {listed(list(names))}" for unit, names in ordered)
            alike.setdefault(said, []).append(channel)
    return [
        Doubt(
            "units differ by file",
            f"{listed(names, 5)} {are(len(names))} in units that differ by file, {said}",
            "bring all files to one unit",
        )
        for said, names in alike.items()
    ]


def joined_units(units: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """By channel, its units in several files, each once."""
    names = dict.fromkeys(name for each in units for name in each)
    return {name: ", ".join(dict.fromkeys(each[name] for each in units if name in each)) for name in names}


def _units_in(named: Sequence[tuple[str, Mapping[str, str]]], channel: str) -> list[tuple[str, dict[str, None]]]:
    """Each unit of a channel, as the first file spells it, and the names of its files."""
    found: dict[str, tuple[str, dict[str, None]]] = {}
    for name, units in named:
        if channel in units:
            found.setdefault(_plain(units[channel]), (units[channel], {}))[1][name] = None
    return list(found.values())


def _plain(unit: str) -> str:
    """A unit without what it may be spelled with or without: 'm/s²', 'm/s^2' and 'm / s2' are one, also in UTF-8 that was read
    in another encoding."""
    with contextlib.suppress(UnicodeError):
        unit = unit.encode("cp1252").decode("utf-8")
    return unicodedata.normalize("NFKC", unit).replace("^", "").replace(" ", "")
