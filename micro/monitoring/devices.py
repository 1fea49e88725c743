"""The devices of one log, each compared with the run by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from micro.errors import DataError
from micro.monitoring.comparison import monitor
from micro.monitoring.log import devices_of
from micro.monitoring.result import Monitoring
from micro.monitoring.summaries import holds_summaries


def monitor_devices(
    run_folder: str | Path, log: str | Path, *, device: str | None = None, **options: Any
) -> dict[str, Monitoring | str]:
    """As `micro.monitor`, of each device that a log names; why not of one whose rows cannot be compared, such as too few.

    Args:
        device: The only one to compare.
        options: As of `micro.monitor`.

    Returns: by the devices' names in the log's order; '' of a log that names none.

    Raises:
        DataError: For a log of one device, or none that is named, as `micro.monitor` does.
    """
    names = [] if device is not None or holds_summaries(Path(log)) else devices_of(log)
    if len(names) < 2:
        return {device or "": monitor(run_folder, log, device=device, **options)}
    found: dict[str, Monitoring | str] = {}
    for name in names:
        try:
            found[name] = monitor(run_folder, log, device=name, **options)
        except DataError as error:
            found[name] = str(error)
    return found
