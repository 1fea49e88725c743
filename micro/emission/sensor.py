"""What every emitted last stage is given: the prefix, the model, and the limits of the sensor."""

from __future__ import annotations

from typing import Any

from micro.detection.outcome import Decider
from micro.detection.sensor import LARGEST_SAMPLE, saturated_count
from micro.emission.c_text import float_text
from micro.emission.front_end import source_prefix
from micro.signal import AnyFrontEnd, Hops, JoinedFrontEnd
from micro.support.c_names import CNames


def stage_context(
    stage: str, decider: Decider, front_end: AnyFrontEnd | Hops, digest: str, name: str
) -> dict[str, Any]:
    """For the templates of NAME_stage.h and NAME_stage.c; `missing_hops` lead to the first window, 0 where none are taken.

    Raises:
        ValueError: For a front end that filters its samples.
    """
    warm_up = front_end.warm_up if isinstance(front_end, Hops) else 0
    front_end = front_end.whole if isinstance(front_end, Hops) else front_end
    if front_end.conditioning.changes:
        raise ValueError(
            "a front end with decimate or filter is emitted by itself, by emit_front_end: a last stage looks for faults in "
            "samples that are not filtered"
        )
    if decider.saturation is not None and getattr(front_end, "orders", None) == "channel":
        raise ValueError(
            "saturation is for samples of a sensor, and the last channel is a speed: leave it out, or orders"
        )
    fixed = front_end.arithmetic == "fixed"
    limit = saturated_count(decider) if fixed else decider.saturation
    return {
        **CNames(name).context(stage),
        "stage": stage,
        "modes": None,
        "missing_hops": warm_up,
        "digest": digest,
        "fixed": fixed,
        "guarantee": decider.guarantee,
        "parts": _parts(front_end) if not fixed or limit is not None else None,
        "part_count": "uint16_t" if (front_end.frame_hop or 0) * front_end.channels < 2**16 else "uint32_t",
        "saturation": None if limit is None else str(limit) if fixed else float_text(limit),
        "max_saturated": decider.max_saturated,
        "largest_sample": float_text(LARGEST_SAMPLE),
        **sources_context(front_end, name),
    }


def sources_context(front_end: AnyFrontEnd, name: str) -> dict[str, Any]:
    """What templates are given of further sources; `inputs` is the macro that counts the model's inputs."""
    upper = CNames(name).upper
    if not isinstance(front_end, JoinedFrontEnd):
        return {"further": [], "inputs": f"{upper}_FEATURE_COUNT"}
    main = front_end.main
    sources = []
    for source in front_end.sources:
        names = CNames(source_prefix(name, source.name))
        sources.append(
            {
                "name": source.name,
                "prefix": names.name,
                "upper": names.upper,
                "fixed": source.front_end.arithmetic == "fixed",
                "max_age": source.max_age,
                "seconds": f"{source.max_age / (main.sample_rate or 1.0):.4g}",
                "rate": source.front_end.sample_rate,
                "channels": source.front_end.channels,
            }
        )
    return {"further": sources, "inputs": f"{upper}_JOINED_COUNT", "joined_count": front_end.shape[0]}


def _parts(front_end: AnyFrontEnd) -> int | None:
    """Parts of `frame_hop` samples that a window of frames is divided into, the last perhaps shorter; None without frames.

    When a frame is complete, as many parts, the latest, hold the samples of its window and no others.
    """
    return None if front_end.frame_hop is None else front_end.frames - 1 + -(-front_end.length // front_end.frame_hop)
