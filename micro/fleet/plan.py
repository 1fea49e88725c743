"""What a fleet would do, without training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from micro.errors import MicroError
from micro.fleet.driver import check_fleet
from micro.fleet.spec import Fleet
from micro.runs.lock import settled
from micro.runs.plan import PARTS, RunPlan, planned
from micro.runs.reading import checked_data


@dataclass(frozen=True)
class FleetPlan:
    """The plan of the first machine whose data can be read, windows of each part by machine, and those that would fail."""

    first: RunPlan
    windows: dict[str, dict[str, int]]
    failing: dict[str, str]
    taught_by: tuple[str, ...]


def plan_fleet(fleet: Fleet, out: str | Path, *, resume: bool = False) -> FleetPlan:
    """Read every machine's data and say what a fleet would do.

    Raises:
        RunError: If `out` is in the way, as `run_fleet` raises it.
        DataError: Or ValueError, the first machine's, where no machine's data can be used.
    """
    folder = settled(out, renamed=False)
    check_fleet(folder, fleet, resume)
    first, windows, errors = None, {}, {}
    for asset in fleet.asset:
        config = fleet.config(asset)
        try:
            data = checked_data(config)[0]
        except (MicroError, ValueError, OSError) as error:
            errors[asset.name] = error
            continue
        windows[asset.name] = {part: len(getattr(data, part)) for part in PARTS}
        if first is None:
            first = planned(config, data, 1, f"{folder} goes on" if resume else f"{folder} would be new")
    if first is None:
        raise next(iter(errors.values()))
    taught_by = tuple(asset.name for asset, *_ in fleet.teaching())
    return FleetPlan(first, windows, {name: str(error) for name, error in errors.items()}, taught_by)
