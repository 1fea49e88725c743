"""Filters of a stream of samples in C: their coefficients, and what their states hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from micro.emission.c_text import CArray, c_array, float_text
from micro.signal import FrontEnd
from micro.signal.conditioning import UNUSABLE, fixed_sections, float32_sections
from micro.signal.spec import LARGEST_SAMPLE


def cascades(front_end: FrontEnd) -> list[CArray]:
    """Coefficients, section by section, of the low pass before samples are left out and of the filter."""
    fixed = front_end.arithmetic == "fixed"
    rows_of = fixed_sections if fixed else float32_sections
    return [
        c_array("int32_t" if fixed else "float", name, rows_of(sections))
        for name, sections in _named(front_end).items()
    ]


def conditioning_context(front_end: FrontEnd) -> dict[str, Any]:
    """For the templates of the front end: sections, and values in the states of a channel, 0 where there is no filter."""
    context: dict[str, Any] = {
        "conditioned": front_end.conditioning.changes,
        "decimate": front_end.decimate,
        "largest_sample": float_text(LARGEST_SAMPLE),
        "unusable": float_text(float(UNUSABLE)),
    }
    for name in ("low_pass", "filter"):
        count = len(_named(front_end).get(name, ()))
        context |= {f"{name}_sections": count, f"{name}_values": _values(front_end, count) if count else 0}
    return context


def filter_bytes(front_end: FrontEnd) -> int:
    """Of the states of filters in RAM, with what fills up the last word."""
    named = _named(front_end)
    values = 4 * sum(_values(front_end, len(sections)) for sections in named.values())
    flags = len(named) + (front_end.decimate > 1 and front_end.arithmetic != "fixed")
    return front_end.channels * values + -(-(flags * front_end.channels + (front_end.decimate > 1)) // 4) * 4


def _named(front_end: FrontEnd) -> dict[str, np.ndarray]:
    made = front_end.conditioning
    return {n: each for n, each in (("low_pass", made.low_pass), ("filter", made.sections)) if each is not None}


def _values(front_end: FrontEnd, sections: int) -> int:
    """Numbers in the state of a cascade: in fixed point two of every value, and what each sum left."""
    return 3 * sections + 2 if front_end.arithmetic == "fixed" else 2 * sections
