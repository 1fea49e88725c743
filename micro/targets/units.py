"""Durations, charges, energies and clocks as they are typed: a number and its unit."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
MILLIAMPERE_HOURS = {"mAh": 1.0, "Ah": 1000.0}
MICROJOULES = {"nJ": 1e-3, "uJ": 1.0, "mJ": 1e3, "J": 1e6}
MEGAHERTZ = {"kHz": 1e-3, "MHz": 1.0, "GHz": 1e3}


@dataclass(frozen=True)
class Latency:
    """Seconds that an inference may take at most, and the clock in MHz at which it is judged; None is the board's highest."""

    seconds: float
    mhz: float | None


def parse_duration(text: str, what: str) -> float:
    """Seconds: '1s', '250ms', '5min', '2h'.

    Raises:
        ValueError: Names `what` for anything else, a number without a unit and zero among them.
    """
    return _parsed(text, what, SECONDS, "a duration such as 20ms, 1s or 5min")


def parse_charge(text: str, what: str) -> float:
    """Milliampere-hours: '220mAh', '1.2Ah'; raises as `parse_duration`."""
    return _parsed(text, what, MILLIAMPERE_HOURS, "a charge such as 220mAh or 2Ah")


def parse_energy(text: str, what: str) -> float:
    """Microjoules: '50uJ', '1.5mJ'; raises as `parse_duration`."""
    return _parsed(text, what, MICROJOULES, "an energy such as 50uJ or 1.5mJ")


def parse_clock(text: str, what: str) -> float:
    """Megahertz: '64MHz', '32kHz'; raises as `parse_duration`."""
    return _parsed(text, what, MEGAHERTZ, "a clock such as 64MHz")


def parse_latency(text: str, what: str) -> Latency:
    """A duration, and behind an @ the clock at which it holds: '20ms', '20ms@64MHz'; raises as `parse_duration`."""
    duration, at, clock = text.partition("@")
    seconds = parse_duration(duration, what)
    return Latency(seconds, parse_clock(clock, f"{what}, after @,") if at else None)


def _parsed(text: str, what: str, units: Mapping[str, float], right: str) -> float:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*([a-zA-Zµ]*)\s*", text)
    unit = match[2].replace("µ", "u") if match else ""
    by_letter = {name.lower(): name for name in units}
    name = unit if unit in units else by_letter.get(unit.lower(), "")
    value = float(match[1]) * units[name] if match and name else 0.0
    if not 0 < value < math.inf:
        hint = f"; its unit is missing, one of {', '.join(units)}" if match and not unit else ""
        raise ValueError(f"{what} must be {right}, got {text!r}{hint}")
    return value
