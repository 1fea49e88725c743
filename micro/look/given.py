"""What a user says about unknown files, in place of what would be found out: settings by the names of their config keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from micro.config import FilesData, LabelsData, Task
from micro.config.complaints import did_you_mean, first_complaint
from micro.errors import DataError
from micro.support.patterns import matches_name
from micro.support.wording import listed

# Settings that say how text is written, and those that name columns and say what is in them.
WRITTEN = ("separator", "decimal", "encoding", "header", "skip_rows", "units_row", "comment")
OF_COLUMNS = ("columns", "time_column", "time_unit", "time_format", "label_column", "label_columns")
# What unknown files may be for.
TASKS: tuple[Task, ...] = ("anomaly", "classification", "multilabel", "regression")
# Settings that only a config of one task has.
OF_TASK: dict[str, tuple[Task, ...]] = {
    "target_column": ("regression",),
    "remaining_life": ("regression",),
    "run_column": ("regression",),
    "label_column": ("anomaly", "classification"),
    "label_columns": ("multilabel",),
    "normal_labels": ("anomaly",),
    "healthy_files": ("anomaly",),
    "group": ("classification", "multilabel", "regression"),
}
# What stands in place of a column's name where there is to be none.
NONE = "none"
# Separators by names that people type, as shells do not take a tabulator or a blank without quotes.
SEPARATORS = {
    "tab": "\t", r"\t": "\t", "semicolon": ";", "comma": ",", "pipe": "|", "space": " ", "blank": " ",
}  # fmt: skip
# Columns that an error lists.
NAMED = 12


class ContradictionError(DataError):
    """What a user says of a file and what the file holds do not agree."""


@dataclass(frozen=True)
class Given:
    """Settings of section [data] that are not to be found out, and the task; None where that is to be found out too."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    task: Task | None = None

    def __bool__(self) -> bool:
        return bool(self.settings) or self.task is not None

    @property
    def written(self) -> dict[str, Any]:
        """Those that say how text is written."""
        return {key: value for key, value in self.settings.items() if key in WRITTEN}

    @property
    def reading(self) -> dict[str, Any]:
        """Those that say how text is written, which columns there are, and what is in them."""
        return {key: value for key, value in self.settings.items() if key in (*WRITTEN, *OF_COLUMNS) and value != NONE}

    @property
    def special(self) -> tuple[str, ...]:
        """Columns that are no channels."""
        keys = ("time_column", "label_column", "target_column", "run_column")
        alone = (self.settings[key] for key in keys if key in self.settings and not self.none(key))
        return (*alone, *self.settings.get("label_columns", ()))

    def none(self, key: str) -> bool:
        """Whether there is to be no such column."""
        return self.settings.get(key) == NONE


NOTHING = Given()


def given_of(typed: Mapping[str, Any], task: Task | None) -> Given:
    """What was typed, checked as far as that needs no file; without what was left out.

    Raises:
        ValueError: Names the options that do not go together, one that has no such value, or one that is missing.
    """
    settings = {key: value for key, value in typed.items() if value is not None and value != ()}
    if "separator" in settings:
        settings["separator"] = SEPARATORS.get(settings["separator"].lower(), settings["separator"])
    for key, value in settings.items():
        settings[key] = list(value) if isinstance(value, tuple) else value
    for key in ("target_column", "run_column", "label_columns"):
        if settings.get(key) in (NONE, [NONE]):
            raise ValueError(
                f"{option(key)} names a column, and {NONE!r} is for --time-column and --label-column alone; leave "
                f"{option(key)} out where there is no such column"
            )
    task = _task(settings, task)
    given = Given(settings, task)
    try:
        rate = {} if "time_column" in given.reading else {"sample_rate": 1.0}
        comma = {"separator": ";"} if given.reading.get("decimal") == "," else {}
        section = LabelsData if "label_columns" in settings else FilesData
        section.model_validate({"files": "*", **comma, **given.reading, **rate})
    except ValidationError as error:
        raise ValueError(first_complaint(error, "", FilesData)) from None
    if task == "regression" and "target_column" not in settings and "remaining_life" not in settings:
        raise ValueError(
            "--task regression needs --target-column, the column to predict, or --remaining-life with a unit, to count back "
            "from the end of each run"
        )
    if "target_column" in settings and "remaining_life" in settings:
        raise ValueError("--target-column and --remaining-life both say what is predicted; give one of them")
    if len(set(given.special)) < len(given.special):
        twice = next(name for name in given.special if given.special.count(name) > 1)
        raise ValueError(f"column {twice!r} is given for two purposes; {typed_as(_of(settings, twice))}")
    return given


def _of(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    one = {key: value for key, value in settings.items() if key.endswith("_column") and value == name}
    return one | ({"label_columns": [name]} if name in settings.get("label_columns", ()) else {})


def _task(settings: Mapping[str, Any], task: Task | None) -> Task | None:
    """The task that was typed, or the only one that has the settings that were; ValueError where none has all."""
    possible: tuple[Task, ...] = TASKS if task is None else (task,)
    first: str | None = None
    for key in settings:
        if key not in OF_TASK or settings[key] == NONE:
            continue
        fits = tuple(each for each in possible if each in OF_TASK[key])
        if not fits:
            mine = f"task {' or '.join(OF_TASK[key])}"
            other = option(first) if first is not None else f"--task {task}"
            several = key == "label_column" and possible == ("multilabel",)
            more = f", or name two labels or more by {option('label_columns')}" if several else ""
            raise ValueError(f"{option(key)} is for {mine}, and {other} is not; leave out one of them{more}")
        possible, first = fits, key
    return possible[0] if len(possible) == 1 else None


def option(key: str) -> str:
    """A config key as the option that gives it."""
    return f"--{key.replace('_', '-')}"


def typed_as(settings: Mapping[str, Any]) -> str:
    """Settings as they are typed."""
    words = []
    for key, value in settings.items():
        if isinstance(value, bool):
            words.append(option(key) if value else f"--no-{option(key)[2:]}")
        else:
            each = value if isinstance(value, list) else [value]
            words += [f"{option(key)} {_quoted(one)}" for one in each]
    return " ".join(words)


def _quoted(value: object) -> str:
    names = {sign: name for name, sign in reversed(SEPARATORS.items())}
    text = names["\t"] if value == "\t" else str(value)
    return text if text and all(sign.isalnum() or sign in "_-./:" for sign in text) else f"'{text}'"


def require_column(key: str, name: str, path: Path, names: Sequence[str]) -> None:
    """ContradictionError for a column that a file does not have, naming those that it has."""
    if name not in names:
        raise ContradictionError(
            f"{path} has no column {name!r} for {option(key)}; it has {listed(list(names), NAMED)}"
            f"{did_you_mean(name, names)}"
        )


def matched(patterns: Sequence[str], path: Path, names: Sequence[str], special: Sequence[str | None]) -> list[str]:
    """The columns of a file that names or patterns choose, in the order of those.

    Args:
        special: Columns that are no channels: a pattern does not take them, a name does.

    Raises:
        ContradictionError: For one that chooses none.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        matching = [name for name in names if matches_name(name, pattern)]
        chosen = [name for name in names if name == pattern] or [name for name in matching if name not in special]
        if not chosen and "," in pattern:
            each = " ".join(f"{option('columns')} {part.strip()}" for part in pattern.split(","))
            raise ContradictionError(f"{path} has no column {pattern!r}; several are given as {each}")
        if not chosen and matching:
            raise ContradictionError(
                f"{path}: {pattern!r} for {option('columns')} matches {listed(matching, NAMED)} alone, which is not taken "
                "for a channel but for times, labels, runs or what is predicted; what is named without a pattern is a channel"
            )
        if not chosen:
            require_column("columns", pattern, path, names)
        found.update(dict.fromkeys(chosen))
    return list(found)
