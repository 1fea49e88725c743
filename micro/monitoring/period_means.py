"""Means over periods that are put together from several summaries."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from micro.detection.summary import Summary
from micro.support.wording import counted


def joined_means(
    each: Sequence[Summary], part: Callable[[Summary], Sequence[float] | np.ndarray | None], unit: float = 1.0
) -> np.ndarray | None:
    """Means over several summaries of a part of each, times a unit; None where one with windows lacks it."""
    scored = [(one.windows, part(one)) for one in each if one.windows]
    if any(means is None for _, means in scored):
        return None
    windows = np.array([count for count, _ in scored], float)
    return np.asarray(windows @ np.array([means for _, means in scored], float) / windows.sum() * unit)


def whole(each: Sequence[np.ndarray | None], what: str, notes: list[str]) -> np.ndarray | None:
    """Means of all periods; None, and a note, where some periods have none."""
    known = [mean for mean in each if mean is not None]
    if known and len(known) < len(each):
        notes.append(f"{what} of {counted(len(each) - len(known), 'period')} are missing, so that none are compared")
    return np.stack(known) if known and len(known) == len(each) else None
