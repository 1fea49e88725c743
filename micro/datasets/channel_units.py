"""Units of channels, as files name them below the columns' names or in the channels' own properties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from micro.datasets.recording import Recording
from micro.support.wording import listed


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


def units_of(recordings: Sequence[Recording], channels: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """By channel, the unit that all files which name one agree on; and a sentence on each channel whose files do not agree."""
    units: dict[str, str] = {}
    notes = []
    for channel in channels:
        found: dict[str, str] = {}
        for one in recordings:
            if channel in one.units:
                found.setdefault(one.units[channel], one.name)
        if len(found) == 1:
            units[channel] = next(iter(found))
        elif found:
            said = listed([f"{unit} in {name}" for unit, name in found.items()])
            notes.append(f"{channel} is in units that differ by file, {said}: bring all files to one unit.")
    return units, notes


def joined_units(units: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """By channel, its units in several files, each once."""
    names = dict.fromkeys(name for each in units for name in each)
    return {name: ", ".join(dict.fromkeys(each[name] for each in units if name in each)) for name in names}
