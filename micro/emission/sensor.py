"""What every emitted last stage is given: the prefix, the model, and the limits of the sensor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from micro.detection.outcome import Decider
from micro.detection.sensor import LARGEST_SAMPLE, saturated_count
from micro.detection.standstill import COUNTS_OF_LIMIT, MOST_COUNTS, energy_limit, factor_of
from micro.emission.c_text import float_text
from micro.emission.front_end import source_prefix
from micro.signal import AnyFrontEnd, FrontEnd, Hops, JoinedFrontEnd
from micro.support.c_names import CNames


def stage_context(
    stage: str, decider: Decider, front_end: AnyFrontEnd | Hops, digest: str, name: str
) -> dict[str, Any]:
    """For the templates of NAME_stage.h and NAME_stage.c; `missing_hops` lead to the first window, 0 where none are taken."""
    warm_up = front_end.warm_up if isinstance(front_end, Hops) else 0
    front_end = front_end.whole if isinstance(front_end, Hops) else front_end
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
        "off": off_context(getattr(decider, "off_rms", ()), front_end.sensor_window, fixed=fixed),
        "exchangeable": False,
        "missing_hops": warm_up,
        "digest": digest,
        "fixed": fixed,
        "guarantee": decider.guarantee,
        "filters": front_end.conditioning.words,
        **_parts(front_end, CNames(name).upper, not fixed or limit is not None or any(getattr(decider, "off_rms", ()))),
        "saturation": None if limit is None else str(limit) if fixed else float_text(limit),
        "max_saturated": decider.max_saturated,
        "largest_sample": float_text(LARGEST_SAMPLE),
        **sources_context(front_end, name),
    }


def off_context(off_rms: Sequence[float], samples: int, *, fixed: bool) -> dict[str, Any] | None:
    """What templates are given of when a machine is off, of windows of a number of the sensor's samples; None where it is
    never."""
    channels = [channel for channel, limit in enumerate(off_rms) if limit > 0]
    if not channels:
        return None
    limits = [off_rms[channel] for channel in channels]
    unit = "counts" if fixed else "in the unit of the samples"
    named = [f"{limit:.6g} {unit} in channel {channel}" for channel, limit in zip(channels, limits, strict=True)]
    return {
        "channels": channels,
        "limits": [f"INT64_C({energy_limit(limit, samples, fixed=fixed)})" for limit in limits],
        "factors": [float_text(float(factor_of(limit))) for limit in limits],
        "counts": COUNTS_OF_LIMIT,
        "most": MOST_COUNTS,
        "beyond": MOST_COUNTS**2,
        "samples": samples,
        "words": " and ".join(named),
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


def _parts(front_end: AnyFrontEnd, upper: str, looks: bool) -> dict[str, Any]:
    """How the sensor's samples of a window are divided, where the ring does not hold them, and the types of what is counted.

    The last of the `parts` may be shorter. When a window is complete, as many parts, the latest, hold its samples and no
    others. None of them where the ring holds a window's samples as they came, or where faults are not looked for.
    """
    step, parts, text = front_end.frame_hop, None, ""
    if step is not None:
        assert isinstance(front_end, FrontEnd)
        parts, text = front_end.frames - 1 + -(-front_end.length // step), f"{upper}_FRAME_HOP"
    elif front_end.conditioning.changes:
        step = math.gcd(front_end.window, front_end.hop)
        parts, text = front_end.window // step, str(step)
    samples = (step or 0) * front_end.decimate
    counts = "uint16_t" if samples * front_end.channels < 2**16 else "uint32_t"
    return {
        "parts": parts if looks else None,
        "part_samples": text if front_end.decimate == 1 else f"((uint32_t){text} * {upper}_DECIMATE)",
        "filled_count": "uint16_t" if samples < 2**16 else "uint32_t",
        "part_count": counts,
    }
