"""Self-contained HTML pages: charts as inline SVG, templates, no network."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any, Literal

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


# Of a chart in inches: on a phone its letters are then as high in pixels as they are here in points, or a little higher.
WIDTH = 4.8
# Of a name beside a chart.
MOST_LETTERS = 34


@contextmanager
def drawing() -> Iterator[None]:
    """Within it, figures look alike and the same figure gives the same bytes."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        yield


def figure(height: float = 3.4) -> tuple[Figure, Axes]:
    """A figure of that many inches in height, and its axes."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(WIDTH, height), layout="constrained")
    return made, made.add_subplot()


def panes(columns: int, height: float = 3.4) -> tuple[Figure, list[Axes]]:
    """A figure of that many inches in height with axes side by side that share their vertical scale."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(WIDTH, height), layout="constrained")
    return made, list(made.subplots(1, columns, sharey=True))


def stacked(rows: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of that many inches in height with axes below each other that share their horizontal scale."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(WIDTH, height), layout="constrained")
    return made, list(made.subplots(rows, 1, sharex=True, squeeze=False)[:, 0])


def logarithmic(axes: Axes, which: Literal["x", "y"] = "y") -> None:
    """A logarithmic axis, after all is drawn, with numbers as they are written: 0.2, 5, 1,000."""
    from matplotlib.ticker import FuncFormatter, Locator, LogLocator, MaxNLocator, NullLocator

    axes.set(**{f"{which}scale": "log"})
    axis, (low, high) = (axes.xaxis, axes.get_xlim()) if which == "x" else (axes.yaxis, axes.get_ylim())
    decades = math.log10(high / low)
    # Numbers beside each other take more room than below each other.
    steps = (1.0,) if decades > (2 if which == "x" else 3) else (1.0, 3.0) if decades > 1.5 else (1.0, 2.0, 5.0)
    locator: Locator = LogLocator(subs=steps) if decades > 0.8 else MaxNLocator(4)
    axis.set_major_locator(locator)
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"))


def plain(text: str) -> str:
    """A text for a figure that is shown as it is, where matplotlib would take dollar signs for formulas."""
    return text.replace("$", r"\$")


def label_of(name: str, most: int = MOST_LETTERS) -> str:
    """A name as it stands beside a chart; of one longer than `most` letters the end, which tells it from others."""
    return plain(name if len(name) <= most else f"…{name[1 - most :]}")


def chart(title: str, says: str, drawn: Figure, data: Mapping[str, Sequence[object]]) -> dict[str, str]:
    """A figure as inline SVG, with a sentence that says what it shows, and what it is drawn from as a CSV to download.

    `data` are columns of one length.
    """
    out = io.StringIO()
    drawn.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    svg = _with_own_ids(out.getvalue(), title)
    named = f'<svg role="img" aria-label="{escape(title)}"{svg[svg.index("<svg") + 4 :]}'
    name = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in title.lower()).strip("_")
    file = f"{name[:60] or 'chart'}.csv"
    return {"title": title, "says": says, "svg": named, "csv": csv_link(data), "file": file}


def _with_own_ids(svg: str, title: str) -> str:
    """A drawing without ids of groups, which nothing refers to, and with others that no other chart of a page has."""
    own = hashlib.sha256(f"{title}\n{svg}".encode()).hexdigest()[:8]

    def in_tag(tag: re.Match[str]) -> str:
        without = re.sub(r'^(<g\b[^>]*?) id="[^"]*"', r"\1", tag[0])
        return re.sub(r'(\sid="|href="#|url\(#)', rf"\g<1>c{own}-", without)

    return re.sub(r"<[^<>]*>", in_tag, svg)


def csv_link(data: Mapping[str, Sequence[object]]) -> str:
    """Columns of one length as a CSV within a link, numbers to nine digits."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(data)
    writer.writerows(zip(*(map(_cell, column) for column in data.values()), strict=True))
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(out.getvalue().encode()).decode()


def _cell(value: object) -> object:
    """A cell: nothing for NaN and None, flags as 0 and 1."""
    if value is None or value != value:
        return ""
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return int(bool(value))
    return f"{value:.9g}" if isinstance(value, float) else value


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
    environment.filters["css_text"] = css_text
    return environment.get_template(template).render(**values).encode()


def css_text(text: str, most: int = 90) -> str:
    """A text within the quotes of a style sheet, whatever it holds; of one longer than `most` letters the beginning.

    Examples:
        >>> from micro.support.html import css_text
        >>> css_text('rig "2"</style>')
        'rig \\22 2\\22 \\3c \\2f style\\3e '
    """
    shown = text if len(text) <= most else f"{text[: most - 1]}…"
    return "".join(each if each.isalnum() or each in " -_.,:" else f"\\{ord(each):x} " for each in shown)
