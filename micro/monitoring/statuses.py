"""What a device says of its windows: those that it learns its machine from, and those that it does not judge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from micro.monitoring.lines import Rows
from micro.support.wording import counted, was

# As the emitted application and `keras-kd score` print them, in lower case.
LEARNING, CALIBRATING, REFUSED = "learning", "calibrating", "refused"
OFF, UNKNOWN = "machine off", "unknown mode"
# Windows without a score that are no sensor faults, and how a note names them.
NOT_FAULTS = {
    LEARNING: "in which the device learned",
    CALIBRATING: "of the device's calibration, without a score",
    REFUSED: "after the device had refused its machine",
    OFF: "in which the machine was off",
    UNKNOWN: "of unknown operating mode",
}


def chosen(rows: Rows, which: np.ndarray) -> Rows:
    """Some of the rows."""
    sides = ("numbers", "scores", "sessions", "devices", "modes", "statuses", "features")
    return replace(rows, **{side: getattr(rows, side)[which] for side in sides})


def without_faultless(rows: Rows, left_out: Counter[str]) -> Rows:
    """Rows without those that have no score though the sensor is in order, which are counted by status."""
    if not (rows.statuses != "").any():
        return rows
    statuses = plain(rows.statuses)
    out = np.isin(statuses, list(NOT_FAULTS)) & ~np.isfinite(rows.scores)
    left_out.update(statuses[out].tolist())
    return chosen(rows, ~out) if out.any() else rows


def plain(statuses: np.ndarray) -> np.ndarray:
    """The statuses in lower case and with spaces, (n,) str: `keras-kd record --scores` writes 'machine_off'."""
    return np.char.replace(np.char.lower(statuses.astype(str)), "_", " ")


def left_out_notes(left_out: Mapping[str, int]) -> list[str]:
    """A note for each status whose windows were left out."""
    return [
        f"{counted(left_out[status], 'window')} {said} {was(left_out[status])} left out"
        for status, said in NOT_FAULTS.items()
        if left_out.get(status)
    ]
