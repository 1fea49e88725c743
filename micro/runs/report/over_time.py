"""Scores of recordings over time, with the threshold, what was faulty, and when the detector is in alarm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from micro.support.html import chart, label_of, logarithmic, stacked
from micro.support.masks import runs_of
from micro.support.wording import DAY, HOUR, are, counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Recordings that are drawn, points of each, and rows of the table that goes with the picture.
MOST_DRAWN, MOST_POINTS, MOST_ROWS = 10, 1500, 50_000
# Windows that lie further apart than this many of the usual steps have a gap between them.
GAP = 2.5
# Of the name above a recording's chart.
LETTERS = 52
UNITS = ((7200.0, 60.0, "min"), (172_800.0, HOUR, "h"), (float("inf"), DAY, "days"))


@dataclass(frozen=True)
class Track:
    """A recording's windows in their order, (n,) each: seconds at which they end, NaN without a time; scores, NaN where there
    is none; and whether the detector is in alarm.

    `spans` are faults: begin and end in seconds, None at the recording's end, and label.
    """

    name: str
    seconds: np.ndarray
    scores: np.ndarray
    alarm: np.ndarray
    spans: tuple[tuple[float, float | None, str], ...] = ()


def scores_over_time(
    tracks: Sequence[Track], threshold: float | None, title: str = "Score over time"
) -> dict[str, str] | None:
    """A panel a recording, of many as many with faults as without, misjudged ones first; None where nothing has a score."""
    tracks = [each for each in tracks if np.isfinite(each.scores).any()]
    if not tracks:
        return None
    shown = [tracks[n] for n in _worth_drawing(tracks)]
    timed = all(np.isfinite(each.seconds).all() for each in shown)
    longest = max(_last(each) for each in shown) if timed else 0.0
    divisor, unit = next(((by, name) for most, by, name in UNITS if longest < most), (1.0, "s"))
    divisor, unit = (1.0, "s") if longest < 300 else (divisor, unit)
    lowest = min(float(np.nanmin(each.scores)) for each in shown)
    positive = lowest > 0 and (threshold is None or threshold > 0)
    drawn, panels = stacked(len(shown), 0.7 + 1.05 * len(shown))
    for track, axes in zip(shown, panels):
        _panel(axes, track, threshold, divisor if timed else None)
        if positive:
            logarithmic(axes)
    panels[-1].set_xlabel(f"time, {unit}" if timed else "windows")
    windows, alarms = sum(len(each.scores) for each in tracks), sum(int(each.alarm.sum()) for each in tracks)
    others = len(tracks) - len(shown)
    says = f"Score of each of {windows:,} windows, a panel a recording. "
    if threshold is not None:
        says += f"Dashed: the threshold, {threshold:.4g}. "
    says += f"Red bars along the top: {alarms:,} of {counted(windows, 'window')} {are(alarms)} in alarm. "
    if any(each.spans for each in shown):
        says += "Shaded: what is recorded as faulty. "
    if others:
        says += f"{others:,} more recordings are in the table alone. "
    return chart(title, says.strip(), drawn, _data(tracks))


def _worth_drawing(tracks: Sequence[Track]) -> list[int]:
    """Places of at most `MOST_DRAWN` recordings: those with faults and those without by turns, and of each first those without
    an alarm and with one."""
    turns = []
    for faulty in (True, False):
        own = [n for n, each in enumerate(tracks) if bool(each.spans) == faulty]
        own.sort(key=lambda n: bool(tracks[n].alarm.any()) == faulty)
        turns += list(enumerate(own))
    return sorted(n for _, n in sorted(turns)[:MOST_DRAWN])


def _last(track: Track) -> float:
    return float(track.seconds[-1]) if len(track.seconds) else 0.0


def _panel(axes: Axes, track: Track, threshold: float | None, divisor: float | None) -> None:
    """One recording; the places of windows where they have no time."""
    x = np.arange(len(track.scores), dtype=float) if divisor is None else track.seconds / divisor
    step = float(np.median(np.diff(x))) if len(x) > 1 else 1.0
    for start, end, _ in track.spans if divisor is not None else ():
        past = float(x[-1]) + step if end is None else end / (divisor or 1.0)
        axes.axvspan(start / (divisor or 1.0), past, color="#b3261e", alpha=0.13, linewidth=0)
    gaps = np.flatnonzero(np.diff(x) > GAP * step)
    at, scores = broken(*thinned(x, track.scores), x[gaps], x[gaps + 1])
    axes.plot(at, scores, color="#0b6e99", linewidth=0.8, marker="." if len(at) < 80 else None, markersize=3)
    if threshold is not None:
        axes.axhline(threshold, color="black", linewidth=0.8, linestyle="--")
    begins, ends = runs_of(track.alarm)
    # An alarm lasts until the next window; the last one and those before a gap have none.
    stops = [x[b + 1] if b + 1 < len(x) and b not in gaps else x[b] + step / 10 for b in ends - 1]
    bars = [(float(x[a]), float(stop - x[a])) for a, stop in zip(begins, stops)]
    if bars:
        axes.broken_barh(bars, (0.96, 0.04), transform=axes.get_xaxis_transform(), color="#b3261e", linewidth=0)
    axes.set_title(label_of(track.name, LETTERS), fontsize=9, loc="left", pad=2)
    axes.tick_params(labelsize=9)


def thinned(x: np.ndarray, y: np.ndarray, most: int = MOST_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """At most `most` points, each the highest of its neighbors: (n,), (n,) -> (k,), (k,)."""
    if len(y) <= most:
        return x, y
    size = -(-len(y) // most)
    padded = np.pad(y, (0, -len(y) % size), constant_values=np.nan).reshape(-1, size)
    places = np.where(np.isnan(padded), -np.inf, padded).argmax(axis=1) + size * np.arange(len(padded))
    places = np.minimum(places, len(y) - 1)
    return x[places], y[places]


def broken(at: np.ndarray, y: np.ndarray, before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A curve that ends before each gap and begins again after it, by a NaN in between: (n,), (n,) -> (k,), (k,)."""
    places = np.searchsorted(at, after)
    return np.insert(at, places, (before + after) / 2), np.insert(y, places, np.nan)


def _data(tracks: Sequence[Track]) -> dict[str, list[object]]:
    """The rows of all recordings, thinned where they are very many."""
    total = sum(len(each.scores) for each in tracks)
    columns: dict[str, list[object]] = {"recording": [], "seconds": [], "score": [], "alarm": []}
    for each in tracks:
        most = max(2, len(each.scores) * MOST_ROWS // max(total, MOST_ROWS))
        places = np.arange(len(each.scores))
        kept = thinned(places, each.scores, most)[0] if total > MOST_ROWS else places
        columns["recording"] += [each.name] * len(kept)
        columns["seconds"] += each.seconds[kept].tolist()
        columns["score"] += each.scores[kept].tolist()
        columns["alarm"] += each.alarm[kept].tolist()
    return columns
