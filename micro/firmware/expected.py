"""What a firmware's self-test compares with: what Python makes of the same windows."""

from __future__ import annotations

from typing import Any

import numpy as np

from micro.detection.outcome import decided
from micro.emission.c_text import c_array
from micro.emission.detector import spelled
from micro.runs.device import observe
from micro.runs.firmware import Firmware
from micro.signal import Frames


def expected(firmware: Firmware, samples: Frames) -> dict[str, Any]:
    """What the last stage computes for each window after a reset; features, outputs and score are 0 for a sensor fault."""
    given, modes = _speeds(firmware, len(samples))
    seen = observe(firmware, samples, modes)
    parts = (seen.features, seen.outputs, seen.faulty)
    # Each window by itself, as after a reset.
    each = [
        decided(firmware.decider, a, b, c, None if modes is None else modes[n : n + 1])
        for n, (a, b, c) in ((n, [part[n : n + 1] for part in parts]) for n in range(len(samples)))
    ]
    features, outputs = (part.reshape(len(samples), -1) for part in parts[:2])
    return {
        "outputs": outputs.shape[1],
        "features": [c_array("int8_t", "", row).rows for row in features],
        "model_outputs": [c_array("int8_t", "", row).rows for row in outputs],
        "scores": [one.scores[0].tolist() for one in each],
        "classes": [int(one.classes[0]) for one in each],
        "masks": [int(one.labels[0]) for one in each],
        "statuses": [one.statuses[0].name for one in each],
        "speeds": given,
    }


def _speeds(firmware: Firmware, count: int) -> tuple[list[str], np.ndarray | None]:
    """Of a detector with operating modes, for each window of the self-test a value as C writes it, and its mode: all modes in
    turn, also that of a machine that is off."""
    modes = getattr(firmware.decider, "modes", None)
    if modes is None:
        return [], None
    # One that is judged stands first: of a single window all is compared.
    every = (modes.first, *(each for each in modes.ranges.every if each != modes.first))
    taken = [every[n % len(every)] for n in range(count)]
    return [spelled(modes.ranges, modes.ranges.middle(mode)) for mode in taken], np.array(taken)
