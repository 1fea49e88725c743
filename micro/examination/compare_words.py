"""Compared runs in words: the same in the terminal and on the page."""

from __future__ import annotations

import dataclasses
from typing import Any

from micro.examination.compare import Compared, Figure, Row

DATA = {True: "the same files", False: "other files", None: "not known, as a run keeps no digests"}


def sections(found: Compared) -> list[tuple[str, tuple[Row, ...]]]:
    """The tables that have rows, with their titles."""
    digests = tuple(dataclasses.replace(row, values=tuple(map(_digest, row.values))) for row in found.data)
    tables = (
        ("Figures of the test", found.metrics),
        ("Sizes and time", found.sizes),
        ("Thresholds", found.thresholds),
        ("Data that differ", digests),
        ("Settings that differ", found.config),
    )
    return [(title, rows) for title, rows in tables if rows]


def cell(value: Any) -> str:
    """A value of a run: a metric with its spread, a number, a setting."""
    if value is None:
        return "–"
    if isinstance(value, Figure):
        if value.mean is None:
            return cell(value.deployed)
        if value.deviation is None:
            return cell(value.mean)
        return f"{value.mean:.4g} ± {value.deviation:.4g} ({value.repeats} {value.over}s)"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _digest(value: str | None) -> str | None:
    return None if value is None else f"{value[:12]}..."
