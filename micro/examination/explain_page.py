"""The page of an explanation: what raised each alarm in words, the parts of the score over time, and tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from micro.examination.explain import Explained, Explanation
from micro.examination.explain_words import sentence_of, summary, worst
from micro.runs.report.over_time import GAP, Track, scores_over_time
from micro.support.html import chart, drawing, figure, label_of, page

# Features drawn over time, columns of the picture, rows of a table; stretches in words, with a chart, and with a table.
MOST_FEATURES, MOST_COLUMNS, MOST_ROWS, MOST_SAID, MOST_CHARTS, MOST_TABLES = 12, 400, 12, 3, 6, 20


def render_explanation(found: Explanation) -> bytes:
    """The page, whole in itself; the same explanation gives the same bytes."""
    with drawing():
        charts = []
        if found.method == "summands":
            track = Track(found.file, found.seconds, found.scores, found.alarm)
            charts = [scores_over_time([track], found.threshold), parts_over_time(found)]
        charts += [shares_chart(one) for one in worst(found.explained, MOST_CHARTS)]
    return page(
        "micro.examination",
        "explain.html.j2",
        found=found,
        says=[sentence_of(one) for one in worst(found.explained, MOST_SAID)],
        summary=summary(found.explained),
        detailed=worst(found.explained, MOST_TABLES),
        charts=[each for each in charts if each],
        rows=MOST_ROWS,
    )


def parts_over_time(found: Explanation) -> dict[str, str] | None:
    """The largest features' parts of the score, window by window; None where no window has a score."""
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import FuncFormatter

    parts = found.over_time
    if not np.isfinite(parts).any():
        return None
    order = np.argsort(-np.nansum(parts, axis=0), kind="stable")[:MOST_FEATURES]
    size = -(-len(parts) // MOST_COLUMNS)
    padded = np.pad(parts, ((0, -len(parts) % size), (0, 0)), constant_values=np.nan)
    blocks = padded.reshape(-1, size, parts.shape[1])[:, :, order]
    shown = np.where(np.isnan(blocks), -np.inf, blocks).max(axis=1).T
    shown = np.where(np.isfinite(shown), shown, np.nan)
    drawn, axes = figure(1.1 + 0.26 * len(order))
    timed = bool(np.isfinite(found.seconds).all())
    highest = max(float(np.nanmax(shown)), 1e-9)
    edges, columns = with_gaps(found.seconds if timed else np.arange(len(parts), dtype=float), size, shown)
    image = axes.pcolormesh(
        edges,
        np.arange(len(order) + 1) - 0.5,
        np.maximum(columns, highest * 1e-3),
        norm=LogNorm(highest * 1e-3, highest),
        cmap="magma",
        rasterized=True,
    )
    axes.invert_yaxis()
    labels = _labels([(found.features[place].channel, found.features[place].name) for place in order])
    axes.set_yticks(range(len(order)), labels, fontsize=9)
    axes.set_xlabel("time, s" if timed else "windows")
    decimal = FuncFormatter(lambda value, _: f"{value:.3g}")
    drawn.colorbar(image, ax=axes, label="part of the score", shrink=0.9, format=decimal)
    data: dict[str, list[object]] = {"seconds": found.seconds.tolist(), "score": found.scores.tolist()}
    data |= {str(feature): parts[:, place].tolist() for place, feature in enumerate(found.features)}
    says = (
        f"What the {len(order)} largest of {len(found.features)} features add to the score of each window; all of them add up "
        "to the score."
    )
    return chart("Parts of the score over time", says, drawn, data)


def with_gaps(at: np.ndarray, size: int, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each column of a picture begins and ends, with an empty column in each gap of the time.

    Args:
        at: Of each window, (n,).
        size: Windows of a column.
        columns: (features, k).

    Returns: edges (m + 1,) and columns (features, m).
    """
    steps = np.diff(at)
    step = float(np.median(steps)) if len(steps) else 1.0
    begins, ends = at[::size], np.append(at[size - 1 :: size], at[-1:])[: columns.shape[1]] + step
    gaps = np.flatnonzero(begins[1:] - ends[:-1] > (GAP - 1) * step)
    return np.append(np.insert(begins, gaps + 1, ends[gaps]), ends[-1]), np.insert(columns, gaps + 1, np.nan, axis=1)


def shares_chart(one: Explained) -> dict[str, str]:
    """The largest features of one alarm, class or label, with what they usually add."""
    shown = one.shares[:MOST_ROWS]
    drawn, axes = figure(0.9 + 0.26 * len(shown))
    places = np.arange(len(shown))
    axes.barh(places, [share.value for share in shown], color="#0b6e99", label="here")
    if shown and shown[0].usual is not None:
        axes.barh(places, [share.usual or 0.0 for share in shown], height=0.35, color="#c2881a", label="usually")
        axes.legend(frameon=False, loc="lower right", fontsize=9)
    axes.set_yticks(places, _labels([(share.channel, share.feature) for share in shown]), fontsize=9)
    axes.invert_yaxis()
    axes.set_xlabel("part of the score")
    data: dict[str, list[object]] = {
        "channel": [share.channel for share in one.shares],
        "feature": [share.feature for share in one.shares],
        "part": [share.value for share in one.shares],
        "share": [share.share for share in one.shares],
        "usual": [share.usual for share in one.shares],
    }
    name = one.what if one.what in ("alarm", "no alarm") else f"report of {one.what!r}"
    return chart(f"{one.number}. {name}", f"{sentence_of(one)}", drawn, data)


def _labels(features: Sequence[tuple[str, str]]) -> list[str]:
    """What features are called beside a chart, from channel and name: without a channel that all have; of long ones the end."""
    several = len({channel for channel, _ in features}) > 1
    names = [f"{channel}: {name}" if several else name for channel, name in features]
    return [label_of(name) for name in names]
