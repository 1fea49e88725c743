"""Small tables for notebooks, as HTML that suits dark and light pages and holds no script and no style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

# Colors come from the page; lines and bars are a gray that shows on any.
CELL = (
    "padding:0.15em 0.8em;border:0;border-bottom:1px solid rgba(128,128,128,0.35);background:transparent;color:inherit"
)
BAR_WIDTH, BAR_HEIGHT = 120, 10


def table(
    title: str, rows: Sequence[Sequence[object]], header: Sequence[str] = (), bars: Sequence[float] = (), note: str = ""
) -> str:
    """A table as HTML: numbers to the right with thousands separated, all text escaped.

    Args:
        title: Above the table.
        rows: Cells by row; a row's first is its name.
        header: Of the columns; empty for none.
        bars: A number for each row that is drawn as a bar behind it, relative to the largest; empty for none.
        note: Below the table.
    """
    most = max(bars, default=0.0)
    lines = [
        f"<tr>{''.join(_cell(cell, place == 0) for place, cell in enumerate(row))}"
        + (f'<td style="{CELL}">{_bar(bars[number] / most if most else 0.0)}</td>' if bars else "")
        + "</tr>"
        for number, row in enumerate(rows)
    ]
    head = "".join(f'<th style="{CELL};text-align:left">{escape(name)}</th>' for name in header)
    parts = [
        '<div style="color:inherit;font-size:90%">',
        f'<div style="font-weight:bold">{escape(title)}</div>',
        '<table style="border-collapse:collapse;margin:0.3em 0;color:inherit;background:transparent">',
        f"<thead><tr>{head}{f'<th style={chr(34)}{CELL}{chr(34)}></th>' if bars else ''}</tr></thead>"
        if header
        else "",
        f"<tbody>{''.join(lines)}</tbody></table>",
        f"<div>{escape(note)}</div>" if note else "",
        "</div>",
    ]
    return "".join(parts)


def _cell(value: object, names: bool) -> str:
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    text = f"{value:,}" if isinstance(value, int) and numeric else f"{value:.4g}" if numeric else str(value)
    if names:
        return f'<th style="{CELL};text-align:left;font-weight:normal">{escape(text)}</th>'
    return f'<td style="{CELL};text-align:{"right" if numeric else "left"}">{escape(text)}</td>'


def _bar(fraction: float) -> str:
    """A bar as inline SVG."""
    return (
        f'<svg width="{BAR_WIDTH}" height="{BAR_HEIGHT}" role="img" aria-label="{fraction:.0%}">'
        f'<rect width="{fraction * BAR_WIDTH:.1f}" height="{BAR_HEIGHT}" fill="currentColor" opacity="0.55"></rect></svg>'
    )
