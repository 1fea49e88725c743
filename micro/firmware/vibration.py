"""What a project's self-test and application are given of the velocity that the firmware measures."""

from __future__ import annotations

from typing import Any

import numpy as np

from micro.emission.c_text import float_text
from micro.signal.readings import read_vibration
from micro.signal.velocity import Vibration


def vibration_context(vibration: Vibration | None, windows: np.ndarray) -> dict[str, Any] | None:
    """For the templates; None where no velocity is measured.

    The self-test joins its windows, (n, window, channels) as the target takes them, and repeats them until there is a block of
    every channel.
    """
    if vibration is None:
        return None
    blocks = len(vibration.measured)
    stream = windows.reshape(-1, vibration.channels)
    needed = blocks * vibration.span
    seen = read_vibration(vibration, np.concatenate([stream] * -(-needed // len(stream)))[:needed])
    fixed = vibration.arithmetic == "fixed"

    def text(value: np.generic) -> str:
        return f"INT32_C({int(value)})" if fixed else float_text(float(value))

    return {
        "type": "int32_t" if fixed else "float",
        "blocks": blocks,
        "velocities": [text(value) for value in seen.blocks],
        "value": text(seen.velocities[-1]),
        "zones": vibration.borders is not None,
        "zone": int(seen.zones[-1]),
    }
