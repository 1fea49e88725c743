"""The devices of one log, each compared with the run by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from micro.errors import DataError
from micro.monitoring.comparison import compare, monitor
from micro.monitoring.formats import holds_summaries
from micro.monitoring.log import read_each
from micro.monitoring.result import Monitoring, Options
from micro.monitoring.run import monitored_run


def monitor_devices(
    run_folder: str | Path,
    log: str | Path,
    *,
    false_alarm_rate: float = 0.01,
    every: int = 4,
    recent: int = 8,
    seed: int = 0,
    device: str | None = None,
    parameters: str | Path | None = None,
) -> dict[str, Monitoring | str]:
    """As `micro.monitor`, of each device that a log names; why not of one whose rows cannot be compared, such as too few.

    The log is read once for all of them.

    Args:
        device: The only one to compare.
        parameters: As of `micro.monitor`; of a log of several devices only with `device`.

    Returns: by the devices' names in the log's order; '' of a log that names none.

    Raises:
        DataError: For a log of one device, or none that is named, as `micro.monitor` does, and for parameters with a log of
            several.
    """
    options: Options = {"false_alarm_rate": false_alarm_rate, "every": every, "recent": recent}
    if device is not None or holds_summaries(Path(log)):
        more: dict[str, Any] = {"seed": seed, "device": device, "parameters": parameters}
        return {device or "": monitor(run_folder, log, **options, **more)}
    run = monitored_run(run_folder, parameters)
    logs = read_each(log, run.unit, run.block, run.modes, run.starts(every, recent))
    if parameters is not None and len(logs) > 1:
        raise DataError(
            f"{log} is of several devices, and what was learned is of one: choose with --device, each with its own parameters"
        )
    found: dict[str, Monitoring | str] = {}
    for name, one in logs.items():
        try:
            if isinstance(one, DataError):
                raise one
            found[name] = compare(run, log, one, options, seed)
        except DataError as error:
            if len(logs) == 1:
                raise
            found[name] = str(error)
    return found
