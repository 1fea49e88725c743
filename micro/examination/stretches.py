"""The stretches of a file in which something is reported: joined where they overlap, and chosen by a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from micro.errors import DataError
from micro.runs.scored import Scored


@dataclass(frozen=True)
class Report:
    """One report of one thing: the `places` of its windows, (n,) int, and the window after which the device reports it, None
    where nothing is reported."""

    what: str
    places: np.ndarray
    raised: int | None = None


@dataclass(frozen=True)
class Span:
    """Windows in which one thing is reported.

    Attributes:
        number: Its place in the file, from 1.
        places: Of its windows, (n,) int.
        raised: The windows after which the device reports it, one for each report that is joined here.
    """

    number: int
    what: str
    places: np.ndarray
    raised: tuple[int, ...] = ()

    @property
    def reports(self) -> int:
        """How many reports are joined in it."""
        return max(1, len(self.raised))


def spans_of(reports: Sequence[Report], scored: Sequence[Scored]) -> list[Span]:
    """Reports in the order of their first windows; those of one thing whose windows overlap in time, or are shared, are one.

    Args:
        reports: In the order of their windows.
        scored: All windows of the file.
    """
    found: list[Span] = []
    for each in reports:
        what, places, raised = each.what, each.places, () if each.raised is None else (each.raised,)
        n = next((n for n in range(len(found) - 1, -1, -1) if found[n].what == what), None)
        if n is not None and _overlap(scored[int(found[n].places[-1])], scored[int(places[0])]):
            one = found[n]
            found[n] = Span(one.number, what, np.union1d(one.places, places), one.raised + raised)
        else:
            found.append(Span(len(found) + 1, what, places, raised))
    return found


def _overlap(last: Scored, first: Scored) -> bool:
    """Whether a window begins before another one ends."""
    return last.row >= first.row or (last.end is not None and first.begin is not None and first.begin < last.end - 1e-9)


def chosen(spans: Sequence[Span], scored: Sequence[Scored], file: str, at: float | None) -> list[Span]:
    """The stretches that hold a time; all of them without one.

    Raises:
        DataError: For a time at which nothing is reported; it names the nearest stretch.
    """
    if at is None:
        return list(spans)
    ends = [ends_of_span(one, scored) for one in spans]
    timed = [(one, begin, end) for one, (begin, end) in zip(spans, ends) if begin is not None and end is not None]
    held = [one for one, begin, end in timed if begin <= at <= end and one.what != "no alarm"]
    if held:
        return held
    reported = [(begin, end) for one, begin, end in timed if one.what != "no alarm"]
    if not reported:
        raise DataError(f"nothing is reported at {at:g} s of {file}, and nothing at any other time; leave --at out")
    begin, end = min(reported, key=lambda each: max(each[0] - at, at - each[1]))
    raise DataError(
        f"nothing is reported at {at:g} s of {file}; the nearest stretch is from {begin:.6g} s to {end:.6g} s"
    )


def ends_of_span(one: Span, scored: Sequence[Scored]) -> tuple[float | None, float | None]:
    """Where the first of its windows begins and the last ends, in seconds since the file's first row."""
    return scored[int(one.places[0])].begin, scored[int(one.places[-1])].end


def reported_at(one: Span, scored: Sequence[Scored]) -> tuple[float, ...]:
    """When the device reports it, in seconds since the file's first row: the ends of the windows that raised it."""
    ends = (scored[place].end for place in one.raised)
    return tuple(end for end in ends if end is not None)
