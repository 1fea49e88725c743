"""What a device has learned, with another threshold, from the healthy windows that it has logged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from micro.errors import RunError
from micro.monitoring.result import Monitoring
from micro.monitoring.run import monitored_run
from micro.support.files import write_bytes


def recalibrate_learned(
    run_folder: str | Path, monitoring: Monitoring, parameters: str | Path, out: str | Path
) -> Path:
    """A record for a device that learned its machine: its scaling as it was, and the threshold that its log calls for.

    The record's counter is one higher, so that the device takes it for the newer one. How far a threshold may move counts from
    the record that is given: recalibrations in a row add up, unlike those of a run.

    Args:
        run_folder: The run that the device's firmware is from.
        monitoring: What `monitor` returned for it with the same `parameters`, with the advice 'recalibrate'.
        parameters: The record of what the device has learned.
        out: The new record; it must not exist.

    Returns: the path of the new record.

    Raises:
        RunError: If there is nothing to recalibrate, the record is not the one that was monitored with, or `out` exists.
        RecordError: For a record of another run, or none.
        DataError: For a file that cannot be read.
    """
    run, out = monitored_run(run_folder, parameters), Path(out)
    record, unit = run.record, run.unit
    assert record is not None
    assert unit is not None
    if monitoring.advice != "recalibrate" or monitoring.recalibrated is None:
        raise RunError(f"nothing to recalibrate: {monitoring.advice}: {monitoring.why}")
    if monitoring.threshold != record.threshold * unit:
        raise RunError(f"{parameters} is not what the device was monitored with: its threshold is another one")
    if out.exists():
        raise RunError(f"{out} exists; choose another file for the record")
    threshold = round(monitoring.recalibrated.value / unit)
    changed = replace(record, threshold=threshold, counter=(record.counter + 1) % 2**32)
    write_bytes(out, changed.to_bytes())
    return out
