"""One student a machine, for as many machines as there are: a shared teacher, a firmware each, one table at the end.

May import: keras_kd, errors, support, program, config, datasets, runs.
"""

from micro.fleet.driver import run_fleet
from micro.fleet.results import AssetResult, FleetResult
from micro.fleet.spec import Asset, Fleet, load_fleet

__all__ = ["Asset", "AssetResult", "Fleet", "FleetResult", "load_fleet", "run_fleet"]
