"""What scored windows hold, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from micro.runs.scored import FAULT, NOT_JUDGED, Scored
from micro.support.wording import counted, was

REASONS = (FAULT, *NOT_JUDGED.values())


def estimated_spans(scored: Sequence[Scored]) -> str:
    """From which to which value estimates go, those of several numbers with their names; empty where there are none."""
    found: dict[str, list[float]] = {}
    for window in scored:
        if window.result == "estimate" and window.score is not None:
            found.setdefault("", []).append(window.score)
        for one in window.numbers:
            if one.number is not None:
                found.setdefault(f"of {one.name} ", []).append(one.number)
    return ", ".join(f"{name}from {min(values):.6g} to {max(values):.6g}" for name, values in found.items())


def labels_said(scored: Sequence[Scored]) -> str:
    """After how many windows each of several labels is reported; without a labeler, in how many it is likelier than not."""
    names = [one.name for one in scored[0].labels]
    counts = dict.fromkeys(names, 0)
    is_reported = any(window.reported is not None for window in scored)
    for window in scored:
        for name in (window.reported if is_reported and window.reported is not None else window.result).split("+"):
            if name in counts:
                counts[name] += 1
    what = "reported after" if is_reported else "likelier than not in"
    return ", ".join(f"{name} {what} {count}" for name, count in counts.items())


def not_judged(scored: Sequence[Scored]) -> list[str]:
    """A sentence for each reason why windows were not judged: a fault of the sensor, a machine that is off, an unknown mode."""
    counts = Counter(window.result for window in scored if window.result in REASONS)
    return [
        f"{count:,} of {counted(len(scored), 'window')} {was(count)} not judged: {why}."
        for why, count in counts.items()
    ]
