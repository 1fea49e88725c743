"""A tachometer in C: from pulses of a pin to the speed that a detector is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from micro.detection.modes import LARGEST_VALUE, Ranges
from micro.emission.c_text import render
from micro.signal import AnyFrontEnd
from micro.signal.tachometer import MINUTE, TURNS, Tachometer, numerator
from micro.support.c_names import CNames


def tachometer_files(
    tachometer: Tachometer, front_end: AnyFrontEnd, ranges: Ranges | None, name: str
) -> dict[str, bytes]:
    """Contents of NAME_tachometer.h and NAME_tachometer.c by name; `ranges` are those of operating modes by the speed."""
    context: dict[str, Any] = {
        **CNames(name).context("tachometer"),
        "tachometer": tachometer,
        "turns": TURNS,
        "minute": MINUTE,
        "speeds": [each for each in (_of_modes(ranges), _of_orders(front_end)) if each is not None],
    }
    return {f"{name}_tachometer.{end}": render(f"tachometer.{end}.j2", context).encode() for end in "hc"}


def _of_modes(ranges: Ranges | None) -> Mapping[str, Any] | None:
    """The speed that selects the operating mode; None where there are none."""
    if ranges is None:
        return None
    what = {"function": "speed", "for": "sets operating modes by", "unit": "RPM", "type": "float", "numerator": None}
    if ranges.resolution is None:
        return what
    own = {"unit": f"counts of {ranges.resolution:g} RPM", "type": "int32_t", "most": f"INT32_C({LARGEST_VALUE})"}
    return {**what, **own, "numerator": f"UINT64_C({numerator(ranges.resolution)})"}


def _of_orders(front_end: AnyFrontEnd) -> Mapping[str, Any] | None:
    """The speed that is the last channel of a sample; None where bands are not in its orders."""
    if getattr(front_end, "orders", None) != "channel":
        return None
    what = {"function": "sample", "for": "is the last value of a sample", "unit": "RPM", "type": "float"}
    scale = getattr(front_end, "speed_full_scale", None)
    if front_end.arithmetic != "fixed" or scale is None:
        return {**what, "numerator": None}
    own = {"unit": f"counts of which 32768 are {scale:g} RPM", "type": "int16_t", "most": "32767"}
    return {**what, **own, "numerator": f"UINT64_C({numerator(scale / 32768)})"}
