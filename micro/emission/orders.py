"""What the C of a front end is given of bands in orders of a shaft's speed."""

from __future__ import annotations

from typing import Any

from micro.emission.c_text import float_text
from micro.signal import FrontEnd, fixed_point, float32, shaft_orders


def orders_context(front_end: FrontEnd) -> dict[str, Any] | None:
    """What templates are given of bands in orders; None where bands are in Hz."""
    if front_end.orders is None:
        return None
    in_fixed = front_end.arithmetic == "fixed"
    slowest, fastest = shaft_orders.ends(front_end)
    known = {} if front_end.orders == "spectrum" else _known_speed(front_end, in_fixed)
    return {
        "estimated": front_end.orders == "spectrum",
        "slowest": slowest,
        "fastest": fastest,
        "step": shaft_orders.step(front_end),
        "multiples": shaft_orders.multiples(front_end),
        "around": shaft_orders.around(front_end),
        "most": fixed_point.MOST_LEVEL if in_fixed else float32.MOST_LEVEL,
        "level_fraction": shaft_orders.LEVEL_FRACTION,
        "one_level": float_text(1 << shaft_orders.LEVEL_FRACTION),
        "full_scale": f"{front_end.speed_full_scale or 0:g}",
        **known,
    }


def _known_speed(front_end: FrontEnd, in_fixed: bool) -> dict[str, Any]:
    if in_fixed:
        return {"factor": fixed_point.speed_factor(front_end), "factor_fraction": fixed_point.SPEED_FRACTION}
    return {
        "slow": float_text(front_end.slowest or 0.0),
        "fast": float_text(front_end.fastest or 0.0),
        "factor": float_text(float32.speed_factor(front_end)),
    }
