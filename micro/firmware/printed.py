"""Estimates as an application prints them: integers, so that no board's float rounds them, and cells of a CSV file."""

from __future__ import annotations

import math
from typing import Any

from micro.config import result_columns
from micro.detection.estimator import Estimator
from micro.emission.c_text import c_string

# Decimals of an estimate that the application prints, digits more that it computes with, and the largest integer of those.
MOST_DECIMALS, EXTRA_DIGITS, LARGEST_PRINTED = 15, 5, 4e18


def printed_name(estimator: Estimator) -> dict[str, Any]:
    """What an application calls one of several numbers: in text, and as cells of a CSV file's header."""
    cells = map(csv_cell, result_columns(estimator.name))
    return {
        "target": estimator.name,
        "string": c_string(estimator.name),
        "header": c_string("".join(f",{cell}" for cell in cells)),
    }


def csv_cell(text: str) -> str:
    """Text in quotes, as a cell of a CSV file."""
    return f'"{text.replace(chr(34), 2 * chr(34))}"'


def printed(estimator: Estimator, wide: bool = False) -> dict[str, Any]:
    """An estimator's numbers as integers, of a few digits more than are printed, so that no float rounds them; `wide` with the
    ends of the interval."""
    largest = abs(estimator.offset) + 256 * estimator.unit + (estimator.half_width if wide else 0.0)
    room = math.floor(math.log10(LARGEST_PRINTED / largest))
    decimals = max(0, min(math.ceil(-math.log10(estimator.unit)), MOST_DECIMALS, room))
    extra = max(0, min(EXTRA_DIGITS, room - decimals))
    factor = 10 ** (decimals + extra)
    # Beyond what outputs reach a bound may be too large for the integers.
    lowest, highest = (
        None if bound is None else min(max(bound, -largest), largest) for bound in (estimator.lowest, estimator.highest)
    )
    bounds = {
        "fixed_lowest": None if lowest == -largest else lowest,
        "fixed_highest": None if highest == largest else highest,
    }
    return {
        "decimals": decimals,
        "extra": extra,
        "half": 10**extra // 2,
        "fixed_offset": round(estimator.offset * factor),
        "fixed_unit": round(estimator.unit * factor),
        "fixed_half_width": round(min(estimator.half_width, LARGEST_PRINTED / factor) * factor),
        **{name: None if bound is None else round(bound * factor) for name, bound in bounds.items()},
    }
