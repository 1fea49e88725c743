"""When a machine is off by its samples: `detect.off_rms`."""

from __future__ import annotations

from collections.abc import Mapping

from micro.config.data import TableData, Task
from micro.config.deployment import DetectConfig
from micro.config.features import FeaturesConfig
from micro.detection.limits import MOST_STILL_SAMPLES


def require_off_fits(detect: DetectConfig, task: Task, data: object, features: FeaturesConfig, *, learns: bool) -> None:
    """ValueError where windows cannot be left out by `off_rms`; `learns` of a device that learns its machine."""
    off_rms = detect.off_rms
    if off_rms is None:
        return
    if task != "anomaly" or not isinstance(data, TableData) or data.pictures:
        raise ValueError(
            "detect.off_rms is for job 'table' and task 'anomaly', whose windows are samples of a machine that may be off; "
            "leave it out"
        )
    if learns:
        raise ValueError(
            "detect.off_rms is not for [commissioning], which refuses a machine that is off by stopped_limit: leave out one"
        )
    limits = off_rms if isinstance(off_rms, Mapping) else {"": off_rms}
    if not limits:
        raise ValueError("detect.off_rms names no channel: give a number for all of them, or leave it out")
    if features.speed_column in limits:
        raise ValueError(
            f"detect.off_rms names {features.speed_column!r}, a speed and no channel with samples; take off_below of [modes]"
        )
    if data.columns and not any(set("*?") & set(column) for column in data.columns):
        unknown = next((name for name in limits if name and name not in data.columns), None)
        if unknown is not None:
            raise ValueError(f"detect.off_rms names {unknown!r}, which is not among data.columns")
    if features.arithmetic != "fixed" or features.full_scale is None:
        if features.window * features.decimate > MOST_STILL_SAMPLES:
            raise ValueError(
                f"detect.off_rms is for windows of float32 of at most {MOST_STILL_SAMPLES:,} samples, or their squares do not "
                f"fit 64 bits, got {features.window * features.decimate:,}; take a shorter window or arithmetic = 'fixed'"
            )
        return
    for name, limit in limits.items():
        what = f"detect.off_rms{f' of {name!r}' if name else ''} = {limit:g}"
        if limit * 32768 < features.full_scale:
            raise ValueError(
                f"{what} is less than a count of the converter, {features.full_scale / 32768:.3g}, which no samples with noise "
                "are below; give more"
            )
        if limit >= features.full_scale:
            raise ValueError(
                f"{what} is not below features.full_scale = {features.full_scale:g}: no machine would be on"
            )
