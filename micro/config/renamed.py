"""Settings with a new name: a config that uses the old one is refused with the new one."""

from __future__ import annotations

from collections.abc import Mapping

# Old place in the config to new place, sections and settings joined by dots; "compress" means each of its stages.
RENAMED: dict[str, str] = {
    "detect.needed": "detect.min_hits",
    "detect.among": "detect.history",
    "detect.rearm": "detect.clear_after",
    "detect.release": "detect.clear_threshold",
    "detect.clipped": "detect.max_saturated",
}


class RenamedError(ValueError):
    """A config uses settings by names that they no longer have."""


def require_current_names(raw: object, what: str) -> None:
    """RenamedError, one line that starts with `what` and gives the new name of every old one in the config."""
    old = [f"{place} is now called {new}" for place, new in RENAMED.items() if _holds(raw, place.split("."))]
    if old:
        raise RenamedError(f"{what}: {', '.join(old)}")


def _holds(raw: object, place: list[str]) -> bool:
    if not place:
        return True
    if isinstance(raw, list | tuple):
        return any(_holds(item, place) for item in raw)
    return isinstance(raw, Mapping) and place[0] in raw and _holds(raw[place[0]], place[1:])
