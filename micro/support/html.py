"""Self-contained HTML pages: charts as inline SVG, templates, no network."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE: Any = {
    "svg.hashsalt": "keras-kd",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@contextmanager
def drawing() -> Iterator[None]:
    """Within it, figures look alike and the same figure gives the same bytes."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        yield


def figure(width: float = 6.4, height: float = 3.4) -> tuple[Figure, Axes]:
    """A figure of that many inches, and its axes."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    return made, made.add_subplot()


def panes(columns: int, width: float = 6.4, height: float = 3.4) -> tuple[Figure, list[Axes]]:
    """A figure of that many inches with axes side by side that share their vertical scale."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    return made, list(made.subplots(1, columns, sharey=True))


def stacked(rows: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of that many inches with axes below each other that share their horizontal scale."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    return made, list(made.subplots(rows, 1, sharex=True, squeeze=False)[:, 0])


def chart(title: str, says: str, drawn: Figure) -> dict[str, str]:
    """A figure as inline SVG, with a sentence that says what it shows."""
    out = io.StringIO()
    drawn.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    return {"title": title, "says": says, "svg": svg[svg.index("<svg") :]}


def page(package: str, template: str, **values: Any) -> bytes:
    """A page template of a package, such as micro.fleet, filled in; it may include what lies in this package's templates."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package), jinja2.PackageLoader("micro.support")]),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values).encode()
