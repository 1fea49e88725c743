"""What a project's self-test and application are given of the bearing that the firmware diagnoses."""

from __future__ import annotations

from typing import Any

import numpy as np

from micro.emission.c_text import float_text
from micro.errors import RunError
from micro.runs.run_report import RunReport
from micro.signal.bearing_monitor import Diagnosing
from micro.signal.bearings import FAULTS
from micro.targets.boards import board_of
from micro.targets.cores import core_of


def diagnosis_context(diagnosing: Diagnosing | None, windows: np.ndarray) -> dict[str, Any] | None:
    """For the templates; None where no part is named.

    The self-test joins its windows, (n, window, channels) as the target takes them, and repeats them until a result is
    complete.
    """
    if diagnosing is None:
        return None
    monitor = diagnosing.monitor
    stream = windows.reshape(-1, windows.shape[-1])[:, diagnosing.channel].astype(np.float32)
    levels = monitor.levels(np.tile(stream, -(-monitor.window // len(stream)))[: monitor.window])[0]
    named = monitor.named(levels)
    return {
        "channel": diagnosing.channel,
        "parts": FAULTS,
        "seconds": monitor.window / monitor.sample_rate,
        "ram": monitor.ram_bytes,
        "steps": monitor.steps,
        "levels": [float_text(float(level)) for level in levels],
        "rises": [float_text(float(rise)) for rise in monitor.rises(levels)],
        "named": -1 if named is None else FAULTS.index(named),
    }


def require_room(report: RunReport, diagnosing: Diagnosing | None, board: str | None) -> None:
    """RunError for a board whose RAM does not hold the diagnosis beside the model."""
    if diagnosing is None or board is None:
        return
    chip, needed = board_of(board), diagnosing.monitor.ram_bytes
    if needed + report.footprint.ram_bytes > chip.ram:
        raise RunError(
            f"{chip.id} ({core_of(chip.core).title}) has {chip.ram:,} bytes of RAM, and the diagnosis of [bearing] takes "
            f"{needed:,} beside {report.footprint.ram_bytes:,} of the model: set bearing.on_chip = false, or take a "
            "board with more"
        )
