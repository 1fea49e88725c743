"""The page of a log compared with its run: the advice first, what moved in words, then charts by session and all checks."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from micro.detection.score_bins import above
from micro.monitoring.advice import Advice
from micro.monitoring.in_words import (
    FAR,
    compared_in,
    headline,
    is_latest,
    legend_of,
    moved_far,
    noun_of,
    reference_of,
    sentences,
)
from micro.monitoring.result import Monitoring
from micro.monitoring.seen import Seen, Side
from micro.support.html import chart, drawing, figure, label_of, logarithmic, page, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Features in the picture.
MOST_FEATURES = 12
BEFORE, NOW, FAULTY = "#777777", "#0b6e99", "#b3261e"
GRADES: dict[Advice, str] = {
    "steady": "good",
    "recalibrate": "doubtful",
    "doubtful": "doubtful",
    "retrain": "unusable",
}
NEXT: dict[Advice, str] = {
    "steady": "Check again when more of the log has come.",
    "recalibrate": "If the machine was healthy while this was logged, take the new threshold.",
    "doubtful": "Do what the reason above names first, and check again.",
    "retrain": "If both are healthy, record and train a new student; else it would learn the fault as healthy.",
}


@dataclass(frozen=True)
class Section:
    """One device on the page, or one of its operating modes: what was found, in sentences, with its charts and notes; or why
    nothing could be."""

    title: str
    found: Monitoring | None
    grade: str
    headline: str
    says: tuple[str, ...]
    charts: tuple[dict[str, str], ...]
    moved: tuple[tuple[str, float], ...]
    command: str
    notes: tuple[str, ...]
    noun: str = "session"


def render_monitoring(run: str, log: str, devices: Mapping[str, Monitoring | str]) -> bytes:
    """The page, whole in itself; the same log gives the same bytes.

    Args:
        run, log: What was compared.
        devices: What was found of each by its name, '' of a log that names none; an error's words where it could not be read.
    """
    with drawing():
        sections = [
            each for name, found in devices.items() for each in _sections(name, found, _command(run, log, name))
        ]
    nouns = {each.noun for each in sections}
    noun = nouns.pop() if len(nouns) == 1 else "session"
    more = {"devices": len(devices), "next_steps": NEXT, "noun": noun}
    return page("micro.monitoring", "monitor.html.j2", run=run, log=log, sections=sections, **more)


def _sections(device: str, found: Monitoring | str, command: str) -> list[Section]:
    """That of a device; of a run with operating modes one for each, of which the first has the notes of all."""
    name = f"Device {device}" if device else ""
    if isinstance(found, str) or not found.by_mode:
        return [_section(name, found, command, () if isinstance(found, str) else found.notes)]
    before = f"{name}, mode" if name else "Mode"
    whole = found.advice == "recalibrate" and not any(isinstance(each, str) for each in found.by_mode.values())
    command = command if whole else ""
    return [
        _section(f"{before} {mode}", each, command, () if place else found.notes)
        for place, (mode, each) in enumerate(found.by_mode.items())
    ]


def _command(run: str, log: str, device: str) -> str:
    """What recalibrates the run for a device, to be typed as it is."""
    chosen = ["--device", device] if device else []
    return shlex.join(["keras-kd", "monitor", run, log, *chosen, "--recalibrate", "NEW"])


def _section(title: str, found: Monitoring | str, command: str, notes: tuple[str, ...]) -> Section:
    if isinstance(found, str):
        return Section(title, None, "doubtful", "Not compared", (found,), (), (), command, notes)
    seen = found.seen
    drawn: list[dict[str, str] | None] = []
    if seen is not None:
        drawn = [scores_chart(found, seen), rates_chart(found, seen), histogram_chart(found, seen), moved_chart(seen)]
    charts = []
    for each in drawn:
        if each is not None:
            file = f"{_file_name(title.removeprefix('Device '))}_{each['file']}" if title else each["file"]
            charts.append({**each, "file": file})
    says, moved = tuple(sentences(found)), tuple(moved_far(seen))
    return Section(
        title, found, GRADES[found.advice], headline(found), says, tuple(charts), moved, command, notes, noun_of(seen)
    )


def scores_chart(found: Monitoring, seen: Seen) -> dict[str, str]:
    """Quartiles of the scores, session by session, calibration first."""
    drawn, axes = figure(3.2)
    quartiles = np.concatenate([seen.reference.quartiles, seen.log.quartiles])
    _both(axes, seen, lambda x, side, color: _band(axes, x, side, color))
    axes.axhline(found.threshold, color="black", linewidth=0.8, linestyle="--")
    if quartiles.min() > 0 and found.threshold > 0:
        logarithmic(axes)
    axes.set(ylabel="score")
    says = (
        f"Line: the median score of each {seen.noun}; shaded: its middle half. Gray: {reference_of(seen)}; blue: the log"
        f"{_last_check(seen)}. Dashed: the threshold, {found.threshold:.4g}."
    )
    return chart(f"Scores by {seen.noun}", says, drawn, _rows(seen))


def _band(axes: Axes, x: np.ndarray, side: Side, color: str) -> None:
    axes.fill_between(x, side.quartiles[:, 0], side.quartiles[:, 2], color=color, alpha=0.25, linewidth=0)
    axes.plot(x, side.quartiles[:, 1], color=color, linewidth=1, marker=".", markersize=4)


def rates_chart(found: Monitoring, seen: Seen) -> dict[str, str]:
    """Windows above the threshold, session by session, beside those of the run's test."""
    drawn, axes = figure(2.8)
    _both(axes, seen, lambda x, side, color: axes.bar(x, 100 * side.rates, color=color, width=0.8))
    says = f"Windows of each {seen.noun} above the threshold. Gray: {reference_of(seen)}; blue: the log."
    if found.rate is not None:
        axes.axhline(100 * found.rate, color="black", linewidth=0.8, linestyle="--")
        says += f" Dashed: the rate that was asked for, {100 * found.rate:.3g} %."
    if seen.test is not None:
        rates = [_above(counts) for counts in seen.test]
        known = [
            f"{100 * rate:.3g} % of the {name} ones"
            for rate, name in zip(rates, ("healthy", "faulty"))
            if rate is not None
        ]
        says += f" Of the run's test windows: {' and '.join(known)}." if known else ""
    axes.set(ylabel="above the threshold, %")
    axes.set_ylim(bottom=0)
    return chart("Above the threshold", says, drawn, _rows(seen))


def histogram_chart(found: Monitoring, seen: Seen) -> dict[str, str]:
    """How scores are distributed: calibration, what of the log was compared last, and the run's faulty test windows."""
    drawn, axes = figure(3.2)
    recent = seen.recent_counts if seen.recent_counts.sum() else seen.log.counts
    lines = [(reference_of(seen), seen.reference.counts, BEFORE), (legend_of(seen), recent, NOW)]
    if seen.test is not None and seen.test[1].sum():
        lines.append(("the run's test, faulty", seen.test[1], FAULTY))
    data: dict[str, list[object]] = {"score up to": [*seen.bounds.tolist(), None]}
    edges = np.array([seen.bounds[0] / 2, *seen.bounds, 2 * seen.bounds[-1]])
    for name, counts, color in lines:
        share = counts / max(counts.sum(), 1)
        axes.stairs(100 * share, edges, color=color, linewidth=1.4, label=plain(name), fill=color == BEFORE, alpha=0.7)
        data[name] = counts.tolist()
    axes.axvline(found.threshold, color="black", linewidth=0.8, linestyle="--")
    logarithmic(axes, "x")
    axes.set(xlabel="score", ylabel="windows, %")
    axes.legend(frameon=False, fontsize=9)
    says = (
        f"Windows by score, in bins that are parts of the threshold (dashed, {found.threshold:.4g}); the first and the last "
        "bin hold all that is beyond them."
    )
    return chart("Distribution of scores", says, drawn, data)


def moved_chart(seen: Seen) -> dict[str, str] | None:
    """The features that moved furthest; None where none are compared."""
    if not seen.features or seen.recent[0] == seen.recent[1]:
        return None
    by = seen.moved
    order = np.argsort(-np.abs(by), kind="stable")[:MOST_FEATURES]
    drawn, axes = figure(0.9 + 0.26 * len(order))
    places = np.arange(len(order))
    axes.barh(places, by[order], color=[FAULTY if abs(by[n]) >= FAR else NOW for n in order])
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(places, [label_of(seen.features[n]) for n in order], fontsize=9)
    axes.invert_yaxis()
    axes.set_xlabel(f"moved, in standard deviations of {seen.noun}s")
    recent = compared_in(seen) if is_latest(seen) else f"{compared_in(seen)},"
    says = (
        f"The {len(order)} of {len(seen.features)} features of the input whose means over {recent} lie furthest from those of "
        f"{reference_of(seen)}. A shift of one feature alone is found by chance where there are many: the checks below take "
        "that into account."
    )
    return chart("Input that moved", says, drawn, {"feature": list(seen.features), "moved": by.tolist()})


def _both(axes: Axes, seen: Seen, draw: Callable[[np.ndarray, Side, str], object]) -> None:
    """Reference and log one behind the other, with a line between them and the sessions of the last check shaded."""
    first, count = len(seen.reference.names), len(seen.log.names)
    draw(np.arange(-first, 0), seen.reference, BEFORE)
    draw(np.arange(1, count + 1), seen.log, NOW)
    axes.axvline(0, color="#777777", linewidth=0.8, linestyle=":")
    start, end = seen.recent
    if end > start:
        axes.axvspan(start + 0.5, end + 0.5, color="#c2881a", alpha=0.12, linewidth=0)
    ticks = sorted({-first, -max(1, first // 2), 1, max(1, count // 2), count})
    axes.set_xticks(ticks, [str(abs(tick)) for tick in ticks])
    axes.set_xlabel(f"{'first' if seen.own else 'calibration'} | {seen.noun} of the log")


def _last_check(seen: Seen) -> str:
    return (
        f"; on yellow: what the last check compared, {seen.recent[0] + 1} to {seen.recent[1]}" if seen.recent[1] else ""
    )


def _above(counts: np.ndarray) -> float | None:
    total = counts.sum()
    return float(above(counts) / total) if total else None


def _rows(seen: Seen) -> dict[str, Sequence[object]]:
    """Both sides as columns."""
    sides = ((seen.reference, "reference"), (seen.log, "log"))
    columns: dict[str, list[object]] = {
        name: [] for name in ("side", seen.noun, "windows", "above", "lower quartile", "median", "upper quartile")
    }
    for side, what in sides:
        columns["side"] += [what] * len(side.names)
        columns[seen.noun] += list(side.names)
        columns["windows"] += side.windows.tolist()
        columns["above"] += side.rates.tolist()
        for place, name in enumerate(("lower quartile", "median", "upper quartile")):
            columns[name] += side.quartiles[:, place].tolist()
    return dict(columns)


def _file_name(text: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in text)[:40]
