"""What files hold, as a page: each file's signals over time, and a table of all channels."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from micro.datasets.formats import read_contents
from micro.datasets.pieces import evenly_spaced
from micro.look.suggest import Suggestion
from micro.look.survey import Survey, Surveyed, reading
from micro.support.html import chart, drawing, page, stacked

# Files and channels that are drawn, and points of a curve: the least and the most of as many stretches.
MOST_FILES, MOST_CHANNELS, POINTS = 12, 6, 600


def render_look(survey: Survey, suggestion: Suggestion, title: str) -> bytes:
    """The page; the same files give the same bytes. Of very many files those that are drawn are spread evenly over all."""
    with drawing():
        charts = [_signals(survey.files[place], survey) for place in evenly_spaced(len(survey.files), MOST_FILES)]
    return page("micro.look", "look.html.j2", survey=survey, suggestion=suggestion, title=title, charts=charts)


def _signals(file: Surveyed, survey: Survey) -> dict[str, str]:
    """One file's channels below each other."""
    samples = read_contents(file.path, reading(survey.settings)).samples
    shown = min(samples.shape[1], MOST_CHANNELS)
    drawn, panels = stacked(shown, 7.2, 0.6 + 1.1 * shown)
    for place, axes in enumerate(panels):
        at, low, high = envelope(samples[:, place])
        axes.fill_between(at / (file.rate or 1.0), low, high, linewidth=0.6, color="#2b5f9e")
        axes.set_ylabel(file.channels[place].name, rotation=0, ha="right")
    panels[-1].set_xlabel("seconds" if file.rate else "rows")
    more = f"; {samples.shape[1] - shown} channels more are not drawn" if samples.shape[1] > shown else ""
    rate = f" at {file.rate:.6g} Hz" if file.rate else ""
    return chart(file.name, f"{file.rows:,} rows{rate}{more}.", drawn)


def envelope(column: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, least and most of each stretch of a signal, so that no peak is lost; NaN where a stretch has no value."""
    edges = np.unique(np.linspace(0, len(column), min(len(column), POINTS) + 1).astype(int))
    low, high = np.full(len(edges) - 1, np.nan), np.full(len(edges) - 1, np.nan)
    for place, (first, end) in enumerate(pairwise(edges)):
        part = column[first:end]
        part = part[np.isfinite(part)]
        if len(part):
            low[place], high[place] = part.min(), part.max()
    return edges[:-1].astype(float), low, high
