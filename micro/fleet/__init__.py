"""One student a machine, for as many machines as there are: a shared teacher, a firmware each, one table at the end."""

from micro.fleet.assets import Asset, Fleet, load_fleet
from micro.fleet.fleet import FleetResult, run_fleet

__all__ = ["Asset", "Fleet", "FleetResult", "load_fleet", "run_fleet"]
