"""Configs as text: what a page sets in them, line by line, so that comments and everything else stay as they are."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from micro.config import load_config
from micro.datasets.find import matches
from micro.errors import MicroError
from micro.studio.workspace import Workspace, as_name, checked_name, free_name
from micro.support.files import write_bytes

# The largest config that is taken, in bytes.
MOST_BYTES = 256 * 1024
# What a page may limit a program to.
BUDGET = ("board", "flash", "ram", "latency")
# What a stretch that is marked as healthy is called.
HEALTHY = "healthy"
# Settings that say by other means what is healthy or of which class.
OTHER_LABELS = (
    "healthy_files",
    "faulty_files",
    "healthy_rows",
    "normal_labels",
    "label_column",
    "classes",
    "known_faults",
)


def taken_for(text: str, top: Path, paths: Sequence[Path]) -> list[str]:
    """What a config takes each file for, by its patterns or its folder: a class, 'healthy' or 'faulty'; '' where rows say it.

    Args:
        text: The config.
        top: The folder that its patterns start from.
        paths: Of the files.
    """
    try:
        held = tomllib.loads(text)
    except ValueError:
        return [""] * len(paths)
    given = held.get("data")
    data: dict[str, Any] = given if isinstance(given, dict) else {}
    patterns = {HEALTHY: data.get("healthy_files"), "faulty": data.get("faulty_files")}
    patterns |= data["classes"] if isinstance(data.get("classes"), dict) else {}
    by_folder = held.get("task") == "classification" and not any(data.get(key) for key in ("classes", "label_column"))
    said = []
    for path in paths:
        word = next((each for each, given in patterns.items() if _matches_any(path, given, top)), "")
        said.append(path.parent.name if by_folder and path.parent != top else word)
    return said


def _matches_any(path: Path, patterns: object, top: Path) -> bool:
    given = [patterns] if isinstance(patterns, str) else patterns if isinstance(patterns, list) else []
    return any(matches(path, str(each), top) for each in given)


def with_setting(text: str, section: str, key: str, value: object) -> str:
    """The config with a key set in a section, "" for what stands above all sections; None takes it out.

    Examples:
        >>> from micro.studio.configs import with_setting
        >>> print(with_setting("seed = 0\\n[data]\\nrate = 1  # Hz\\n", "data", "rate", 2), end="")
        seed = 0
        [data]
        rate = 2
    """
    lines = text.splitlines()
    first, stop = _section(lines, section)
    if first is None:
        if value is None:
            return text
        return "\n".join([*lines, "", f"[{section}]", f"{key} = {_toml(value)}"]) + "\n"
    place = next((n for n in range(first, stop) if re.match(rf"\s*{re.escape(key)}\s*=", lines[n])), None)
    if place is not None:
        past = _past_value(lines, place)
        lines[place:past] = [] if value is None else [f"{key} = {_toml(value)}"]
    elif value is not None:
        while stop > first and not lines[stop - 1].strip():
            stop -= 1
        lines.insert(stop, f"{key} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _section(lines: Sequence[str], section: str) -> tuple[int | None, int]:
    """The lines of a section, from the one after its head to before the next head; None where it is missing."""
    heads = [n for n, line in enumerate(lines) if re.match(r"\s*\[", line) and not re.match(r"\s*\[[^\]]*,", line)]
    if not section:
        return 0, heads[0] if heads else len(lines)
    for n in heads:
        if re.match(rf"\s*\[{re.escape(section)}\]", lines[n]):
            return n + 1, next((other for other in heads if other > n), len(lines))
    return None, len(lines)


def _past_value(lines: Sequence[str], place: int) -> int:
    """The line after a value, which may stand on several."""
    for past in range(place + 1, len(lines) + 1):
        try:
            tomllib.loads("\n".join(lines[place:past]))
        except tomllib.TOMLDecodeError:
            continue
        return past
    return place + 1


def with_choices(text: str, choices: Mapping[str, Any]) -> str:
    """The config with what a page offers: `seeds`, and board, flash, ram and latency of the budget; "" takes one out.

    Raises:
        ValueError: For a choice that is not known.
    """
    for key, value in choices.items():
        value = value.strip() if isinstance(value, str) else value
        value = None if value == "" else value
        if key == "seeds":
            text = text if value is None else with_setting(text, "", "seeds", int(value))
        elif key in BUDGET:
            text = with_setting(text, "budget", key, value)
        elif key == "false_alarm_rate":
            text = text if value is None else with_setting(text, "detect", "false_alarm_rate", float(value))
        else:
            raise ValueError(f"{key[:40]!r} is no choice; they are seeds, false_alarm_rate, {', '.join(BUDGET)}")
    return text


def with_marks(text: str, marks: Sequence[Mapping[str, Any]], intervals: str, rows: Mapping[str, float]) -> str:
    """The config of a classification by stretches that were marked, with an alarm for all that is not healthy; where healthy
    stretches of the only file are all that is marked, of a detector that learns from those.

    Args:
        text: The config.
        marks: Each with file, start, end and label; times in seconds since the file's first row.
        intervals: The file of intervals, as the config names it from where its patterns begin.
        rows: The rate of each file in Hz.

    Raises:
        ValueError: If the marks do not say enough to learn from.
    """
    labels = sorted({str(mark["label"]) for mark in marks})
    if not labels:
        raise ValueError("nothing is marked yet: drag over a stretch of the signal and give it a label")
    if labels == [HEALTHY]:
        if len(rows) > 1:
            raise ValueError(
                "only healthy stretches are marked: mark another condition too, or, where whole files are healthy, name them "
                "as healthy files"
            )
        rate = next(iter(rows.values()))
        spans = sorted([round(mark["start"] * rate), round(mark["end"] * rate)] for mark in marks)
        text = with_setting(text, "data", "healthy_files", None)
        return with_setting(text, "data", "healthy_rows", spans)
    if len(labels) == 1:
        raise ValueError(f"only {labels[0]!r} is marked: mark stretches of another label too")
    text = with_setting(text, "", "task", "classification")
    for key in OTHER_LABELS:
        text = with_setting(text, "data", key, None)
    text = with_setting(text, "data", "intervals", intervals)
    text = with_setting(text, "data", "healthy_classes", [HEALTHY] if HEALTHY in labels else None)
    text = with_setting(text, "teacher", "sizes", [256, 128])
    text = with_setting(text, "student", "sizes", [24])
    return text if HEALTHY in labels else _without_section(text, "detect")


def _without_section(text: str, section: str) -> str:
    lines = text.splitlines()
    first, stop = _section(lines, section)
    if first is not None:
        del lines[first - 1 : stop]
    return "\n".join(lines) + "\n"


def intervals_csv(marks: Iterable[Mapping[str, Any]]) -> str:
    """A file of intervals, as data.intervals reads it.

    Raises:
        ValueError: For a stretch that ends before it begins, or one without a label.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("file", "start", "end", "label"))
    for mark in marks:
        start, end, label = float(mark["start"]), float(mark["end"]), " ".join(str(mark["label"]).split())
        if not 0 <= start < end < 1e12:
            raise ValueError(f"a stretch from {start:g} to {end:g} s has no length")
        if not label or len(label) > 60:
            raise ValueError("a label has 1 to 60 letters")
        writer.writerow((str(mark["file"]), f"{start:.6f}", f"{end:.6f}", label))
    return out.getvalue()


def folder_of(space: Workspace, text: str) -> Path:
    """The folder in which a config's patterns begin.

    Raises:
        ValueError: If it is not TOML.
    """
    data = tomllib.loads(text).get("data", {})
    return space.configs / str(data.get("folder", ".") if isinstance(data, dict) else ".")


def complaint(space: Workspace, text: str) -> str | None:
    """What is wrong with a config's text in one line, None where nothing is; its patterns begin in configs/."""
    if len(text.encode()) > MOST_BYTES:
        return f"the config has more than {MOST_BYTES // 1024} KiB"
    # A name of its own, as two users may try theirs at a time.
    trial = space.configs / f".trial-{os.urandom(6).hex()}.toml"
    try:
        load_config(write_bytes(trial, text.encode()))
    except (MicroError, ValueError) as error:
        return " ".join(str(error).replace(str(trial), "the config").split())
    finally:
        trial.unlink(missing_ok=True)
    return None


def save(space: Workspace, wanted: str, text: str, beside: Iterable[Path] = ()) -> str:
    """Write a config under a name that neither it nor a run of it has yet; the name.

    Raises:
        ValueError: In one line, for a config that is wrong.
    """
    wrong = complaint(space, text)
    if wrong is not None:
        raise ValueError(wrong)
    base = checked_name(as_name(wanted))
    while True:
        taken = {path.stem for path in (*space.configs.glob("*.toml"), *beside)}
        taken |= {path.name.removesuffix(".partial") for path in space.runs.iterdir()}
        name = free_name(base, taken)
        try:
            with (space.configs / f"{name}.toml").open("xb") as file:
                file.write(text.encode())
        except FileExistsError:
            continue
        return name


def _toml(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)
