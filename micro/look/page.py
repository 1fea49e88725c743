"""What files hold, as a page: each file's signals over time, and a table of all channels."""

from __future__ import annotations

import numpy as np

from micro.look.suggest import Suggestion
from micro.look.survey import Survey
from micro.look.surveyed import Surveyed
from micro.support.html import chart, drawing, page, stacked
from micro.support.wording import are, counted


def render_look(survey: Survey, suggestion: Suggestion, title: str) -> bytes:
    """The page of a survey with curves; the same files give the same bytes."""
    with drawing():
        charts = [_signals(file) for file in survey.files if file.curves]
    return page("micro.look", "look.html.j2", survey=survey, suggestion=suggestion, title=title, charts=charts)


def _signals(file: Surveyed) -> dict[str, str]:
    """One file's first channels below each other."""
    shown = len(file.curves)
    data: dict[str, list[object]] = {"channel": [], "seconds" if file.rate else "row": [], "least": [], "most": []}
    drawn, panels = stacked(shown, 0.6 + 1.1 * shown)
    for channel, curve, axes in zip(file.channels, file.curves, panels):
        at, low, high = curve
        at = at / (file.rate or 1.0)
        axes.fill_between(at, low, high, linewidth=0.6, color="#2b5f9e")
        columns = [[channel.name] * len(at), *(np.asarray(each, float).tolist() for each in (at, low, high))]
        for name, values in zip(data, columns, strict=True):
            data[name] += values
        axes.set_ylabel(channel.name, rotation=0, ha="right")
    left_out = ", without its gaps" if file.gaps else ""
    panels[-1].set_xlabel(f"seconds{left_out}" if file.rate else "rows")
    rest = len(file.channels) - shown
    more = f"; {counted(rest, 'more channel')} {are(rest)} not drawn" if rest > 0 else ""
    rate = f" at {file.rate:.6g} Hz" if file.rate else ""
    gaps = f", with {counted(file.gaps, 'gap')} in time, which the picture leaves out" if file.gaps else ""
    return chart(file.name, f"{file.rows:,} rows{rate}{gaps}{more}.", drawn, data)
