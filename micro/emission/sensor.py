"""What every emitted last stage is given: the prefix, the model, and the limits of the sensor."""

from __future__ import annotations

from typing import Any

from micro.detection.outcome import Decider
from micro.detection.sensor import LARGEST_SAMPLE, saturated_count
from micro.emission.c_text import float_text
from micro.signal import FrontEnd
from micro.support.c_names import CNames


def stage_context(stage: str, decider: Decider, front_end: FrontEnd, digest: str, name: str) -> dict[str, Any]:
    """For the templates of NAME_stage.h and NAME_stage.c."""
    fixed = front_end.arithmetic == "fixed"
    limit = saturated_count(decider) if fixed else decider.saturation
    return {
        **CNames(name).context(stage),
        "stage": stage,
        "digest": digest,
        "fixed": fixed,
        "guarantee": decider.guarantee,
        "saturation": None if limit is None else str(limit) if fixed else float_text(limit),
        "max_saturated": decider.max_saturated,
        "largest_sample": float_text(LARGEST_SAMPLE),
    }
