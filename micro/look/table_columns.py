"""Which column of unknown tables is the time, which holds labels, and which are channels."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from micro.datasets import cells as cell
from micro.datasets import time_formats
from micro.datasets.clock import EPOCH
from micro.datasets.contents import counts_rows
from micro.datasets.time_words import ELAPSED, TIME_WORDS, unit_in
from micro.look.dialect import Dialect, setting
from micro.support.wording import counted

LABEL_WORDS = re.compile(
    r"(?i)^(label|labels|class|state|status|condition|activity|fault|anomaly|failure|zustand)$|[_ ](label|class)$"
)
INDEX_WORDS = re.compile(r"(?i)^(|index|idx|row|rows|nr|no|n|id|sample|samples|count|counter|unnamed.*|#)$")
# Columns that number what was recorded, and say nothing of its state.
MACHINE_WORDS = re.compile(
    r"(?i)(^|[_ .-])(machine|maschine|unit|subject|proband|person|patient|participant|user|device|asset|engine|serial|run|group"
    r"|id|nr)([_ .-]?(id|no|nr|num|number|nummer|name))?$"
)
# Days since 1900 as Excel counts them, in the years 1990 to 2100.
EXCEL = (32_874, 73_051)
# More words than this in a column are no labels; of numbers, no more than this fraction of rows may begin another label.
MOST_LABELS, MOST_CHANGES = 30, 0.1


@dataclass(frozen=True)
class Clock:
    """A column of times: the settings that read it, and what is to be said of it."""

    name: str
    settings: Mapping[str, str]
    remarks: tuple[str, ...] = ()


def clock_of(dialects: Sequence[Dialect], without: Sequence[str | None] = ()) -> Clock | None:
    """The column of times: the first that moves forward, dates before numbers; None where there is none.

    Columns `without` are something else.
    """
    names = [name for name in dialects[0].names if name not in without]
    dated = (found for name in names if (found := _dated(dialects, name)) is not None)
    timed = (name for name in names if TIME_WORDS.search(name) or ELAPSED.search(name))
    numbered = (found for name in timed if (found := _numbered(dialects[0], name)) is not None)
    return next(dated, None) or next(numbered, None)


def clock_among(dialects: Sequence[Dialect], name: str) -> Clock | None:
    """A column as one of times, whatever it is called; None where its first cells do not move forward."""
    return _dated(dialects, name) or _numbered(dialects[0], name)


def _dated(dialects: Sequence[Dialect], name: str) -> Clock | None:
    columns = [each.column(each.names.index(name)) for each in dialects if name in each.names]
    return _dates(
        name, dialects[0], dialects[0].names.index(name), [text for column in columns for text in column if text]
    )


def _dates(name: str, dialect: Dialect, place: int, texts: Sequence[str]) -> Clock | None:
    column = [text for text in dialect.column(place) if text]
    if not column or sum(map(time_formats.is_time, column)) <= len(column) / 2:
        return None
    known = time_formats.reading(list(dict.fromkeys(texts)))
    forms = known.replace('"', "").split(" or ") if known else []
    if not known and not time_formats.is_iso(column[0]):
        return None
    moving = [form for form in (forms or (None,)) if _forward(column, form)]
    if not moving:
        return None
    remarks = (
        (f"dates of column {name!r} are read by {known}: check which of them is right",) if len(moving) > 1 else ()
    )
    return Clock(name, {} if moving[0] is None else {"time_format": moving[0]}, remarks)


def _forward(column: Sequence[str], form: str | None) -> bool:
    """Whether dates never go back, and do not all stay the same."""
    moments = []
    for text in column:
        try:
            moment = datetime.fromisoformat(text) if form is None else datetime.strptime(text, form)
        except ValueError:
            continue
        moments.append(moment.replace(tzinfo=None) - (moment.utcoffset() or moment - moment))
    return len(moments) > 1 and moments == sorted(moments) and moments[0] != moments[-1]


def _numbered(dialect: Dialect, name: str) -> Clock | None:
    place = dialect.names.index(name)
    decimal = dialect.settings.get("decimal", ".")
    column = [text for text in dialect.column(place) if text]
    if column and all(re.fullmatch(r"(19|20)[0-9]{12}", text) for text in column):
        return Clock(name, {"time_format": "%Y%m%d%H%M%S"}) if _forward(column, "%Y%m%d%H%M%S") else None
    if column and all(re.fullmatch(r"(19|20)[0-9]{6}", text) for text in column) and _forward(column, "%Y%m%d"):
        return Clock(name, {"time_format": "%Y%m%d"})
    numbers = finite([cell.number(text, decimal) for text in column])
    if len(numbers) < 2 or not (np.diff(numbers) >= 0).all() or numbers[-1] <= numbers[0]:
        return None
    unit = unit_in(name) or (unit_in(f"[{dialect.units[place]}]") if place < len(dialect.units) else None)
    if numbers[0] >= EPOCH[0]:
        return Clock(name, {})  # since 1970: the size of the numbers says the unit
    if unit is None and EXCEL[0] <= numbers[0] <= numbers[-1] <= EXCEL[1] and re.search(r"(?i)dat", name):
        return Clock(name, {"time_unit": "d"}, (f"column {name!r} is taken for days since 1900, as Excel counts them",))
    return Clock(name, {} if unit is None else {"time_unit": unit})


def label_of(dialects: Sequence[Dialect], without: Sequence[str | None] = ()) -> str | None:
    """The column of labels of any file: one with a telling name before one of a few words again and again.

    Columns `without` are something else, and so is one that names the machine or subject of each file.
    """
    columns: dict[str, list[str]] = {}
    for each in dialects:
        for place, name in enumerate(each.names):
            columns.setdefault(name, []).extend(text for text in each.column(place) if text)
    decimal = dialects[0].settings.get("decimal", ".")
    found = [
        name
        for name, column in columns.items()
        if name and name not in without and not _names_machines(dialects, name) and _are_labels(name, column, decimal)
    ]
    return next((name for name in found if LABEL_WORDS.search(name)), found[0] if found else None)


def _names_machines(dialects: Sequence[Dialect], name: str) -> bool:
    """Whether a column is called as one of machines or subjects is, and has one word in each of several files."""
    if len(dialects) < 2 or not MACHINE_WORDS.search(name):
        return False
    own = [set(filter(None, each.column(each.names.index(name)))) for each in dialects if name in each.names]
    return all(len(words) <= 1 for words in own)


def _are_labels(name: str, column: Sequence[str], decimal: str) -> bool:
    words = [cell.label(text) for text in column]
    # A column of a telling name may change only later on.
    telling = bool(LABEL_WORDS.search(name))
    if not (1 if telling else 2) <= len(set(words)) <= MOST_LABELS:
        return False
    numbers = [cell.number(text, decimal) for text in column]
    if sum(number is None for number in numbers) > len(column) / 2:
        return len(set(words)) <= max(2, len(column) // 4)
    changes = sum(a != b for a, b in pairwise(words)) / len(words)
    whole = all(number == round(number) for number in finite(numbers))
    return telling and whole and changes <= MOST_CHANGES


def channels_of(dialect: Dialect, time: str | None, label: str | None) -> tuple[list[str], dict[str, str]]:
    """Columns of numbers that are neither times nor labels; and why others are left out, by name."""
    decimal = dialect.settings.get("decimal", ".")
    kept: list[str] = []
    left: dict[str, str] = {}
    for place, name in enumerate(dialect.names):
        values = [cell.number(text, decimal) for text in dialect.column(place)]
        if name in (time, label) or not name:
            continue
        if sum(value is None for value in values) > len(values) / 2:
            example = next(text for text, value in zip(dialect.column(place), values) if value is None)
            left[name] = (
                f"holds text such as {example[:20]!r}; where it is a label, say --label-column {shlex.quote(name)}"
            )
        elif not len(finite(values)):
            # Of a longer file no more is known yet: a sensor may have been switched on later.
            left[name] = (
                f"is empty in the first {counted(len(values), 'row')}; where it has values later on, name it in columns"
            )
        elif INDEX_WORDS.search(name) and len(values) > 2 and counts_rows(finite(values)):
            left[name] = "counts the rows"
        elif TIME_WORDS.search(name) and _restarts(finite(values)):
            left[name] = "rises as a clock does and goes back"
        else:
            kept.append(name)
    return kept, left


def flagged(dialects: Sequence[Dialect], without: Sequence[str | None]) -> tuple[str, ...]:
    """Columns that hold nothing but yes, no or nothing in the first rows of every file, but for those `without`."""
    names = [name for name in dialects[0].names if name and name not in without]
    return tuple(name for name in names if all(name in each.names and _says_yes_or_no(each, name) for each in dialects))


def _says_yes_or_no(dialect: Dialect, name: str) -> bool:
    texts = [text for text in dialect.column(dialect.names.index(name)) if text]
    return bool(texts) and all(cell.yes_or_no(text) is not None for text in texts)


def finite(values: Sequence[float | None]) -> np.ndarray:
    """The numbers among values, without those that are missing or infinite."""
    numbers = np.array([value for value in values if value is not None], np.float64)
    return numbers[np.isfinite(numbers)]


def _restarts(numbers: np.ndarray) -> bool:
    """Whether a column mostly rises by the same step and seldom falls."""
    steps = np.diff(numbers)
    return len(steps) > 8 and bool(
        (np.abs(steps - np.median(steps)) <= 1e-6 + 0.01 * abs(np.median(steps))).mean() > 0.9
    )


def usual(found: Mapping[Path, Dialect]) -> tuple[list[Path], dict[Path, str]]:
    """Files of the most frequent dialect, and why others cannot be read along with them."""
    kinds = dict.fromkeys(_settings_key(each) for each in found.values())
    most = max(kinds, key=lambda key: (sum(_is_read_as(each, key) for each in found.values()), len(key)))
    example = next(path for path, each in found.items() if _settings_key(each) == most)
    kept, others = [], {}
    for path, each in found.items():
        if _is_read_as(each, most):
            kept.append(path)
        else:
            differs = sorted(dict(set(_settings_key(each)) ^ set(most)))
            said = [f"{key} = {setting(each, key)!r}, not {setting(found[example], key)!r}" for key in differs]
            others[path] = (
                f"{path} is written otherwise than {example} ({', '.join(said)}): write all files alike, or look at it by "
                "itself, for a run of its own"
            )
    kept.sort(key=lambda path: (path != example, list(found).index(path)))
    return kept, others


def _is_read_as(dialect: Dialect, key: tuple[tuple[str, Any], ...]) -> bool:
    """Whether a file can be read with settings: a file of integers alone does not show its decimal sign, and one of ASCII
    alone reads alike in every encoding whose letters begin with it."""
    own = set(_settings_key(dialect))
    open_to = {"decimal"} | (
        {"encoding"} if dialect.ascii and not dict(key).get("encoding", "").startswith("utf-16") else set()
    )
    return own <= set(key) and {name for name, _ in set(key) - own} <= open_to


def _settings_key(dialect: Dialect) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(dialect.settings.items()))
