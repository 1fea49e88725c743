"""What a test on labeled files found, as tables of the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from micro.examination.examine import Examined
    from micro.runs.assessment.alarms import Alarm

# Alarms with a row each.
MOST_LISTED = 20


def tables(found: Examined) -> list[Table]:
    """Tables of figures: by window, file, event, class."""
    from micro.examination.examine import recorded_as

    made = []
    if found.detector is not None:
        test = found.detector
        rows = (
            ("alarms, by window", test.alarms),
            ("above the threshold", test.above),
            ("faults, as events", test.events),
        )
        heads = ("", "found", "missed", "false", "precision", "recall", "F1")
        made.append(
            table(
                "What the detector found",
                heads,
                [(name, f.found, f.missed, f.false, *map(percent, (f.precision, f.recall, f.f1))) for name, f in rows],
            )
        )
        files = [
            (
                r.file,
                recorded_as(found, r),
                r.healthy,
                r.faulty,
                r.false_alarms,
                f"{r.found} of {r.events}",
                _seconds(r.worst_delay),
                figure(r.highest_score),
            )
            for r in test.by_file
        ]
        counts = ("healthy windows", "faulty", "false alarms", "faults found", "longest delay", "highest score")
        made.append(table("By file", ("file", "recorded", *counts), files))
        if test.by_event:
            events = [
                (
                    e.file,
                    e.label,
                    f"{e.start:.6g}",
                    "end" if e.end is None else f"{e.end:.6g}",
                    _found(e.found, e.before),
                    _seconds(e.delay),
                )
                for e in test.by_event
            ]
            made.append(table("By fault", ("file", "label", "from s", "to s", "found", "after"), events))
        made += _alarm_tables(test.by_alarm)
    if found.classifier is not None:
        made += _class_tables(found.classifier)
    if found.labeler is not None:
        labels = [
            (
                r.name,
                r.windows,
                r.without,
                *map(percent, (r.precision, r.recall, r.f1, r.reported_precision, r.reported_recall)),
            )
            for r in found.labeler.by_label
        ]
        of_labels = (
            "label",
            "windows with it",
            "without",
            "precision",
            "recall",
            "F1",
            "reported: precision",
            "recall",
        )
        made += [table("By label", of_labels, labels), _filestable(found.labeler.by_file, "all labels right")]
    return made


def _alarm_tables(alarms: Sequence[Alarm]) -> list[Table]:
    """When alarms are reported and what they come from, the first few; none of files without a time."""
    rows = [
        (
            each.file,
            each.kind,
            f"{each.reported:.6g}",
            "end" if each.cleared is None else f"{each.cleared:.6g}",
            f"{each.begin:.6g}",
            f"{each.end:.6g}",
        )
        for each in alarms
        if each.reported is not None
    ]
    title = "By alarm" if len(rows) <= MOST_LISTED else f"The first {MOST_LISTED} of {len(rows):,} alarms"
    heads = ("file", "alarm", "reported at s", "until s", "from s", "to s")
    return [table(title, heads, rows[:MOST_LISTED])] if rows else []


def _class_tables(test: Any) -> list[Table]:
    """Figures by class, the confusion, and by file."""
    classes = [(r.name, r.windows, *map(percent, (r.precision, r.recall, r.f1))) for r in test.by_class]
    rows = [(name, *row) for name, row in zip(test.class_names, test.confusion)]
    return [
        table("By class", ("class", "windows", "precision", "recall", "F1"), classes),
        table("Recorded class, and the likeliest one", ("recorded", *test.class_names), rows),
        _filestable(test.by_file, "right"),
    ]


def _filestable(rows: Any, what: str) -> Table:
    files = [(r.file, r.windows, percent(r.accuracy), r.taken_for or "–") for r in rows]
    return table("By file", ("file", "windows", what, "wrong ones are taken for"), files)


def _found(found: bool, before: bool) -> str:
    return "in alarm before" if before else "yes" if found else "NO"


def table(title: str, heads: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Table:
    """A table whose texts are shown as they are, numbers to the right."""
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title)
    for place, head in enumerate(heads):
        made.add_column(Text(head), justify="left" if place == 0 else "right", overflow="fold")
    for row in rows:
        made.add_row(*(Text(f"{cell:,}" if isinstance(cell, int) else str(cell)) for cell in row))
    return made


def percent(value: float | None) -> str:
    """A fraction in percent; a dash for None."""
    from micro.examination.words import percent as in_percent

    return "–" if value is None else in_percent(value)


def _seconds(value: float | None) -> str:
    from micro.support.wording import duration

    return "–" if value is None else duration(value)


def figure(value: float | None) -> str:
    """A number to four digits; a dash for None."""
    return "–" if value is None else f"{value:.4g}"
