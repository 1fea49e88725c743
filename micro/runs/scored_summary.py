"""What the scores of files come to, in words."""

from __future__ import annotations

from collections.abc import Sequence

from micro.runs.score_files import Scored


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
