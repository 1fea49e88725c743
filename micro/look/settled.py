"""How files are read and which of their columns are what: by what their user says, else by their first rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from micro.datasets import cells as cell
from micro.datasets import time_formats
from micro.look.dialect import Dialect
from micro.look.given import ContradictionError, Given, matched, option, require_column, typed_as
from micro.look.table_columns import Clock, channels_of, clock_among, clock_of, finite, flagged, label_of

Found = Mapping[Path, Dialect]


@dataclass(frozen=True)
class Columns:
    """Settings of section [data] that read files, and what their columns are.

    Attributes:
        settings: With `columns` where not all are channels.
        time, label, target, run: Names of these columns, None where there are none.
        remarks: Sentences on what may be otherwise.
        left: Columns that are no channels, and why.
        flags: Columns of yes or no that are no channels, to be read as text.
    """

    settings: dict[str, Any]
    time: str | None = None
    label: str | None = None
    target: str | None = None
    run: str | None = None
    remarks: tuple[str, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()

    @property
    def special(self) -> tuple[str | None, ...]:
        """Columns that are no channels."""
        return self.time, self.label, self.target, self.run


def columns_of(found: Found, given: Given, *, with_time: bool) -> Columns:
    """What the columns of files are; nothing is known of files without names of columns, such as sound.

    Raises:
        ContradictionError: For a column that a file lacks, or that holds something else than its user says.
    """
    if not found:
        if "label_columns" in given.settings:
            raise ContradictionError(f"the files have no columns with names, for {option('label_columns')}")
        return Columns(dict(given.reading))
    dialects = list(found.values())
    settings, remarks = dict(dialects[0].settings), list(dialects[0].remarks)
    target, run = (_of_every_file(key, given, found) for key in ("target_column", "run_column"))
    clock = _clock(found, given, (target, run)) if with_time else None
    if clock is not None:
        settings |= {"time_column": clock.name, **clock.settings}
        remarks += clock.remarks
    time = None if clock is None else clock.name
    label = _label(found, given, time)
    if label is not None:
        settings["label_column"] = label
    if target is not None:
        _require_numbers("target_column", [target], found, settings)
    labels = tuple(given.settings.get("label_columns", ()))
    for path, dialect in found.items():
        for name in labels:
            require_column("label_columns", name, path, dialect.names)
    special = (time, label, target, run)
    aside = (*special, *labels)
    if "columns" in given.settings:
        names = [matched(given.settings["columns"], path, each.names, aside) for path, each in found.items()]
        _require_numbers("columns", names[0], found, settings)
        settings["columns"] = given.settings["columns"]
        flags = labels or flagged(dialects, (*names[0], time, target, run))
        return Columns(settings, *special, tuple(remarks), {}, flags)
    channels, left = channels_of(dialects[0], time, label)
    channels = [name for name in channels if name not in aside]
    left = {name: why for name, why in left.items() if name not in aside}
    everywhere = [name for name in channels if all(name in each.names for each in dialects)]
    left |= {name: "is in some files only" for name in channels if name not in everywhere}
    others = sum(name not in aside for name in dialects[0].names)
    if len(everywhere) < others and everywhere:
        settings["columns"] = everywhere
    flags = labels or flagged(dialects, (*channels, time, target, run))
    return Columns(settings, *special, tuple(remarks), left, flags)


def _of_every_file(key: str, given: Given, found: Found) -> str | None:
    """A column that is given and that every file has."""
    name = given.settings.get(key)
    if name is not None:
        for path, dialect in found.items():
            require_column(key, name, path, dialect.names)
    return name


def _clock(found: Found, given: Given, others: Sequence[str | None]) -> Clock | None:
    """The column of times: the one that is given or that its given format reads, else the first that is one."""
    own = {key: given.settings[key] for key in ("time_unit", "time_format") if key in given.settings}
    first_path, first = next(iter(found.items()))
    name = given.settings.get("time_column")
    if given.none("time_column") and name not in first.names:
        return None
    # Columns that are named as channels are no clock; what a pattern matches may be one.
    others = [*others, *given.settings.get("columns", ())]
    if name is None and "time_format" in own:
        free = [each for each in first.names if each not in others]
        name = next((each for each in free if _formatted(first, each, own["time_format"])), None)
    if name is None:
        guessed = clock_of(list(found.values()), others)
        if guessed is None and own:
            raise ContradictionError(
                f"{first_path} has no column of times that could be found out for {typed_as(own)}; name it by --time-column"
            )
        name, clock = (None, None) if guessed is None else (guessed.name, guessed)
    else:
        for path, dialect in found.items():
            require_column("time_column", name, path, dialect.names)
        clock = clock_among(list(found.values()), name)
    if name is None:
        return None
    for path, dialect in found.items():
        if name in dialect.names:
            _require_times(path, dialect, name, own)
    guess = {} if clock is None or own else dict(clock.settings)
    return Clock(name, {**guess, **own}, () if clock is None or own else clock.remarks)


def _formatted(dialect: Dialect, name: str, form: str) -> bool:
    texts = _texts(dialect, name)
    return bool(texts) and all(_reads(text, form) for text in texts)


def _texts(dialect: Dialect, name: str) -> list[str]:
    return [text for text in dialect.column(dialect.names.index(name)) if text]


def _reads(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def _require_times(path: Path, dialect: Dialect, name: str, own: Mapping[str, str]) -> None:
    """ContradictionError where a given unit or format does not read the cells of the column of times."""
    texts = _texts(dialect, name)
    if "time_format" in own and (odd := next((text for text in texts if not _reads(text, own["time_format"])), None)):
        known = time_formats.reading(list(dict.fromkeys(texts)))
        right = f"--time-format {known}" if known else "no --time-format, as dates of ISO 8601 and numbers need none"
        raise ContradictionError(
            f"{path}: {odd[:40]!r} in column {name!r} is not read by --time-format {own['time_format']!r}; right would be "
            f"{right}"
        )
    decimal = dialect.settings.get("decimal", ".")
    dates = [text for text in texts if cell.number(text, decimal) is None]
    if "time_unit" in own and dates:
        raise ContradictionError(
            f"{path}: {dates[0][:40]!r} in column {name!r} is no number, and --time-unit {own['time_unit']} is of numbers; "
            "leave it out"
        )


def _label(found: Found, given: Given, time: str | None) -> str | None:
    """The column of labels: the one that is given, of which a file may have none, else one that looks like it."""
    name = given.settings.get("label_column")
    if name is None:
        # Columns that are named as channels hold no labels; what a pattern matches may.
        channels = given.settings.get("columns", ())
        return None if given.task in ("regression", "multilabel") else label_of(list(found.values()), (time, *channels))
    if not any(name in each.names for each in found.values()):
        if given.none("label_column"):
            return None
        path, dialect = next(iter(found.items()))
        require_column("label_column", name, path, dialect.names)
    return str(name)


def _require_numbers(key: str, names: Sequence[str], found: Found, settings: Mapping[str, Any]) -> None:
    """ContradictionError for a column that holds text where numbers are needed."""
    decimal = settings.get("decimal", ".")
    for path, dialect in found.items():
        for name in names:
            texts = _texts(dialect, name) if name in dialect.names else []
            values = [cell.number(text, decimal) for text in texts]
            odd = [text for text, value in zip(texts, values) if value is None]
            if len(odd) > len(texts) / 2:
                good, _ = channels_of(dialect, settings.get("time_column"), None)
                raise ContradictionError(
                    f"{path}: column {name!r} holds text such as {odd[0][:20]!r}, and {option(key)} is of numbers; "
                    f"columns of numbers are {', '.join(good[:12])}"
                )
            if key == "target_column" and texts and not len(finite(values)):
                raise ContradictionError(f"{path}: column {name!r} holds no number to predict")
