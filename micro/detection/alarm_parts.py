"""What features add to the scores of an alarm, the largest first, and which windows an alarm is from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from micro.support.masks import runs_of


@dataclass(frozen=True)
class Share:
    """What a feature, or several, adds to a score.

    Attributes:
        value: In the score's real unit; all of them add up to the score, or to what it is above that of a mean window.
        share: Of the whole, 0 to 1; of values of either sign, of the sum of their magnitudes, with the value's sign.
        usual: What it adds in windows below the threshold, in the mean; None where there are too few, or for Shapley values.
        direction: 'above' or 'below' what the student expects, by most of the difference; '' of Shapley values.
    """

    channel: str
    feature: str
    value: float
    share: float
    usual: float | None = None
    direction: str = ""


def alarm_windows(alarm: np.ndarray, hits: np.ndarray, history: int) -> list[np.ndarray]:
    """For each alarm the windows that raised it and kept it on: those above the threshold from the first that was counted.

    Examples:
        >>> alarm, hits = np.array([0, 0, 1, 1, 0], bool), np.array([0, 1, 1, 0, 0], bool)
        >>> [places.tolist() for places in alarm_windows(alarm, hits, 3)]
        [[1, 2]]
    """
    spans = []
    for begin, past in zip(*runs_of(alarm)):
        first = max(0, begin - history + 1)
        places = first + np.flatnonzero(hits[first:past])
        spans.append(places if len(places) else np.arange(begin, past))
    return spans


def raised_at(alarm: np.ndarray) -> np.ndarray:
    """For each alarm, as `alarm_windows` has them, the window after which the detector goes into it, (n,) bool -> (alarms,).

    A device reports the alarm at that window's end.
    """
    return runs_of(alarm)[0]


def held(alarm: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """Whether a detector is in alarm, where windows that are not judged leave that as it was: two of (n,) bool -> (n,) bool.

    >>> held(np.array([0, 1, 0, 0], bool), np.array([1, 1, 0, 1], bool)).tolist()
    [False, True, True, False]
    """
    last = np.maximum.accumulate(np.where(judged, np.arange(len(judged)), -1))
    return np.asarray((last >= 0) & alarm[last])


def shares_of(
    names: Sequence[tuple[str, str]], values: np.ndarray, usual: np.ndarray | None, signed: np.ndarray | None
) -> tuple[Share, ...]:
    """Features, by channel and name, by what they add, the largest first."""
    total = float(np.abs(values).sum()) or 1.0
    made = []
    for place in np.argsort(-np.abs(values), kind="stable").tolist():
        direction = "" if signed is None else "above" if signed[place] > 0 else "below"
        before = None if usual is None else float(usual[place])
        value = float(values[place])
        channel, feature = names[place]
        made.append(Share(channel, feature, value, value / total, before, direction))
    return tuple(made)


def by_channel(shares: Sequence[Share]) -> tuple[Share, ...]:
    """Channels by what their features add together."""
    found: dict[str, list[Share]] = {}
    for each in shares:
        found.setdefault(each.channel, []).append(each)
    rows = []
    for channel, own in found.items():
        usual = None if own[0].usual is None else sum(each.usual or 0.0 for each in own)
        rows.append(Share(channel, "all", sum(each.value for each in own), sum(each.share for each in own), usual))
    return tuple(sorted(rows, key=lambda row: -abs(row.value)))
