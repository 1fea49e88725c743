"""Zones of vibration severity: what a velocity in mm/s is called, A to D, by the class of the machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

Group = Literal[1, 2]
Support = Literal["rigid", "flexible"]
Borders = tuple[float, float, float]

# Borders A/B, B/C and C/D in mm/s RMS by group and support, 10 to 1,000 Hz, of ISO 20816-3 (before 2022 ISO 10816-3). Group 1:
# above 300 kW up to 50 MW, shaft height of electrical machines 315 mm or more; group 2: 15 to 300 kW, 160 to 315 mm.
BORDERS: dict[tuple[Group, Support], Borders] = {
    (1, "rigid"): (2.3, 4.5, 7.1),
    (1, "flexible"): (3.5, 7.1, 11.0),
    (2, "rigid"): (1.4, 2.8, 4.5),
    (2, "flexible"): (2.3, 4.5, 7.1),
}
ZONES = "ABCD"


def borders_of(group: int | None, support: str | None, borders: Sequence[float] | None = None) -> Borders | None:
    """The three borders of a machine in mm/s, of the table or one's own; None where nothing is said.

    Raises:
        ValueError: For a group or support that the table does not have, one of them alone, both ways at once, or borders that
            do not rise from above 0.
    """
    if borders is not None:
        if group is not None or support is not None:
            raise ValueError("borders take the place of machine_group and support; give one or the other")
        own = tuple(float(border) for border in borders)
        if len(own) != 3 or not 0 < own[0] < own[1] < own[2] < math.inf:
            raise ValueError(f"borders must be three velocities in mm/s that rise from above 0, got {list(borders)}")
        return own
    if group is None and support is None:
        return None
    for (known_group, known_support), known in BORDERS.items():
        if (group, support) == (known_group, known_support):
            return known
    raise ValueError(
        f"zones of ISO 20816-3 need machine_group 1 or 2 and support 'rigid' or 'flexible', got {group!r} and {support!r}; for "
        "other machines give borders, three velocities in mm/s"
    )


def vibration_zone(
    velocity: float,
    *,
    machine_group: int | None = None,
    support: str | None = None,
    borders: Sequence[float] | None = None,
) -> str:
    """The zone of a velocity RMS in mm/s: 'A' (as new), 'B' (long-term operation), 'C' (repair soon) or 'D' (damage).

    A velocity at a border is in the lower zone.

    Args:
        velocity: In mm/s RMS, as `velocity_rms` gives it.
        machine_group: 1 for large machines (above 300 kW to 50 MW), 2 for medium ones (15 to 300 kW).
        support: 'rigid' or 'flexible'.
        borders: In place of both three borders in mm/s: A/B, B/C and C/D.

    Raises:
        ValueError: For a velocity that is negative or NaN, and for borders that are not known or do not rise.

    Source: ISO 20816-3, before 2022 ISO 10816-3: table of zone borders for velocity.

    Examples:
        >>> micro.vibration_zone(2.8, machine_group=2, support="rigid")
        'B'
        >>> micro.vibration_zone(2.9, borders=(1.4, 2.8, 4.5))
        'C'
    """
    known = borders_of(machine_group, support, borders)
    if known is None:
        raise ValueError("a zone needs machine_group and support, or borders")
    if not velocity >= 0:
        raise ValueError(f"velocity must be 0 or more mm/s, got {velocity}")
    return ZONES[sum(velocity > border for border in known)]
