"""One student a machine, for as many machines as there are: a shared teacher, a firmware each, one table at the end."""

from micro.fleet.assets import Asset, Fleet, load_fleet
from micro.fleet.fleet import run_fleet
from micro.fleet.results import AssetResult, FleetResult

__all__ = ["Asset", "AssetResult", "Fleet", "FleetResult", "load_fleet", "run_fleet"]
