"""Dates and clock times as instruments write them, and the `time_format` that reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from itertools import product

# Such as 02.11.2026, 2026-11-02, 11/2/26 and 09:00: anything with one of them is taken for a date or a time.
LIKE_TIME = re.compile(r"(?<![0-9])(?:[0-9]{1,4}([-./])[0-9]{1,2}\1[0-9]{2,4}|[0-9]{1,2}:[0-9]{2})(?![0-9])")
DATES = (
    "%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d",
    "%d-%b-%Y", "%d %b %Y",
)  # fmt: skip
CLOCKS = (
    "%H:%M:%S", "%H:%M:%S.%f", "%H:%M:%S,%f", "%H:%M", "%I:%M:%S %p", "%I:%M:%S.%f %p", "%I:%M %p",
)  # fmt: skip
FORMATS = (
    *(f"{date}{gap}{clock}" for date, gap, clock in product(DATES, (" ", "T", "/"), CLOCKS)),
    *CLOCKS,
    *DATES,
)


def is_iso(text: str) -> bool:
    """Whether a cell is a date of ISO 8601, which is read without a format; digits alone are a number."""
    text = text.strip()
    if len(text) < 8 or text.isdecimal():
        return False
    return _reads(None, text)


def is_time(text: str) -> bool:
    """Whether a cell looks like a date or a clock time, readable or not."""
    return LIKE_TIME.search(text) is not None or is_iso(text)


def reading(texts: Sequence[str]) -> str:
    """The formats that read the first of some cells, and the others if any does: '"%H:%M:%S"', or '' where none is known."""
    present = [text.strip() for text in texts if text.strip()]
    if not present or is_iso(present[0]):
        return ""
    found = [form for form in FORMATS if _reads(form, present[0])]
    all_of_them = [form for form in found if all(_reads(form, text) for text in present[1:])]
    return " or ".join(f'"{form}"' for form in all_of_them or found)


def _reads(form: str | None, text: str) -> bool:
    try:
        datetime.fromisoformat(text) if form is None else datetime.strptime(text, form)
    except ValueError:
        return False
    return True
