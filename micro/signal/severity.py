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
# The same by category and whether the power is above 200 kW, of ISO 10816-7: rotodynamic pumps above 1 kW, on any support.
# Category 1: high demands on reliability, availability or safety; category 2: general or less critical use. Checked against a
# summary of DIN ISO 10816-7:2009-08 (fdokument.com, "Zusammenfassung DIN ISO 10816-7").
PUMP_BORDERS: dict[tuple[Group, bool], Borders] = {
    (1, False): (2.5, 4.0, 6.6),
    (1, True): (3.5, 5.0, 7.6),
    (2, False): (3.2, 5.1, 8.5),
    (2, True): (4.2, 6.1, 9.5),
}
PUMP_LEAST, PUMP_LARGE = 1.0, 200.0
ZONES = "ABCD"


def borders_of(
    group: int | None,
    support: str | None,
    borders: Sequence[float] | None = None,
    pump_category: int | None = None,
    pump_power: float | None = None,
) -> Borders | None:
    """The three borders of a machine in mm/s, of a table or one's own; None where nothing is said.

    Raises:
        ValueError: For a group, support, category or power that no table has, one of a pair alone, two ways at once, or borders
            that do not rise from above 0.
    """
    if pump_category is not None or pump_power is not None:
        if group is not None or support is not None or borders is not None:
            raise ValueError(
                "pump_category and pump_power are of ISO 10816-7, machine_group and support of ISO 20816-3, and borders take "
                "the place of both; give one of the three"
            )
        return _pump_borders(pump_category, pump_power)
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


def _pump_borders(category: int | None, power: float | None) -> Borders:
    if power is None or not PUMP_LEAST < power < math.inf or category not in (1, 2):
        raise ValueError(
            f"zones of ISO 10816-7 need pump_category 1 or 2 and pump_power above {PUMP_LEAST:g} kW, got {category!r} and "
            f"{power!r}; for other pumps give borders, three velocities in mm/s"
        )
    return next(known for (own, large), known in PUMP_BORDERS.items() if (own, large) == (category, power > PUMP_LARGE))


def vibration_zone(
    velocity: float,
    *,
    machine_group: int | None = None,
    support: str | None = None,
    borders: Sequence[float] | None = None,
    pump_category: int | None = None,
    pump_power: float | None = None,
) -> str:
    """The zone of a velocity RMS in mm/s: 'A' (as new), 'B' (long-term operation), 'C' (repair soon) or 'D' (damage).

    A velocity at a border is in the lower zone.

    Args:
        velocity: In mm/s RMS, as `velocity_rms` gives it.
        machine_group: 1 for large machines (above 300 kW to 50 MW), 2 for medium ones (15 to 300 kW).
        support: 'rigid' or 'flexible'.
        borders: In place of both three borders in mm/s: A/B, B/C and C/D.
        pump_category: Of a rotodynamic pump in place of these: 1 for high demands on reliability, availability or safety, 2 for
            general or less critical use.
        pump_power: Its power in kW; the limits are others above 200 kW.

    Raises:
        ValueError: For a velocity that is negative or NaN, and for borders that are not known or do not rise.

    Source: ISO 20816-3, before 2022 ISO 10816-3, and ISO 10816-7 for pumps: tables of zone borders for velocity.

    Examples:
        >>> micro.vibration_zone(2.8, machine_group=2, support="rigid")
        'B'
        >>> micro.vibration_zone(2.9, borders=(1.4, 2.8, 4.5))
        'C'
        >>> micro.vibration_zone(2.9, pump_category=2, pump_power=30)
        'A'
    """
    known = borders_of(machine_group, support, borders, pump_category, pump_power)
    if known is None:
        raise ValueError("a zone needs machine_group and support, pump_category and pump_power, or borders")
    if not velocity >= 0:
        raise ValueError(f"velocity must be 0 or more mm/s, got {velocity}")
    return ZONES[sum(velocity > border for border in known)]
