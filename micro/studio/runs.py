"""Finished runs: a line of each for the list, what two of them differ in, and what another threshold would do."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from micro.runs.assessment.words import METRIC_NAMES
from micro.runs.run_report import RunReport
from micro.studio.workspace import Workspace, checked_name

# The most bytes of a report.json that are read.
MOST_BYTES = 64 * 2**20
# What of a footprint is compared, and what it is called.
SIZES = (
    ("model_bytes", "bytes of .tflite"),
    ("macs", "MACs a window"),
)
# The arena of a footprint with each kind of kernels.
ARENAS = ("arena_bytes_32bit", "arena_bytes_cmsis_nn", "arena_bytes_cmsis_nn_mve")
# The metrics that runs are compared by, the first that a run has.
METRICS = ("auc", "accuracy", "macro_auc", "r2", "rmse")
# Figures from here on are none.
MOST = 1e300


@dataclass(frozen=True)
class RunLine:
    """A run as the list shows it; what a report does not say is None."""

    name: str
    changed: float
    task: str | None = None
    grade: str | None = None
    headline: str | None = None
    metric: str | None = None
    value: float | None = None
    flash: int | None = None
    ram: int | None = None
    parameters: int | None = None


def all_runs(space: Workspace) -> list[RunLine]:
    """Every finished run, the newest first."""
    found = []
    for place in space.runs.iterdir():
        report = place / "report.json"
        if place.name.startswith(".") or place.is_symlink() or not report.is_file():
            continue
        found.append(_line(place.name, report, report.stat().st_mtime_ns))
    return sorted(found, key=lambda run: (-run.changed, run.name))


@functools.lru_cache(maxsize=4096)
def _line(name: str, path: Path, changed: int) -> RunLine:
    """A run's line; `changed` is when its report was written, so that each is read once."""
    report = _read(path)
    seconds = changed / 1e9
    if report is None:
        return RunLine(name, seconds, headline="its report.json cannot be read")
    verdict, footprint = _part(report, "verdict"), _part(report, "footprint")
    metric, value = _figure(report)
    return RunLine(
        name,
        seconds,
        _as_text(report.get("task")),
        _as_text(verdict.get("grade")),
        _as_text(verdict.get("headline")),
        metric,
        value,
        _as_count(footprint.get("model_bytes")),
        _ram(footprint),
        _as_count(_part(report, "parameters").get("student")),
    )


def _part(report: dict[str, Any], key: str) -> dict[str, Any]:
    """A part of a report that may hold anything; empty where it is no object."""
    held = report.get(key)
    return held if isinstance(held, dict) else {}


def _as_text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _as_count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _figure(report: dict[str, Any]) -> tuple[str | None, float | None]:
    """The metric that runs are compared by, and the int8 student's."""
    found = _models(report).get("student_int8") or {}
    figures = {key: value for key, value in found.items() if isinstance(value, int | float) and abs(value) < MOST}
    metric = next((each for each in (*METRICS, *figures) if each in figures), None)
    return (None, None) if metric is None else (metric, float(figures[metric]))


def _ram(footprint: dict[str, Any]) -> int | None:
    """RAM of the arena on a 32-bit chip with whatever kernels take most, as reports say it."""
    sizes = [size for key, each in footprint.items() if key in ARENAS and (size := _as_count(each)) is not None]
    return max(sizes, default=None)


def folder_of(space: Workspace, name: str) -> Path:
    """The folder of a finished run.

    Raises:
        ValueError: If there is none of that name.
    """
    folder = space.inside("runs", checked_name(name))
    if not (folder / "report.json").is_file():
        raise ValueError(f"there is no finished run {name!r}")
    return folder


def report_of(space: Workspace, name: str) -> dict[str, Any]:
    """The report of a finished run as plain data.

    Raises:
        ValueError: If there is none of that name, or its report is damaged.
    """
    report = _read(folder_of(space, name) / "report.json")
    if report is None:
        raise ValueError(f"the report.json of run {name!r} cannot be read")
    try:
        RunReport.from_dict(report)
    except ValueError as error:
        raise ValueError(f"the report.json of run {name!r} cannot be read: {error}") from None
    return report


def _read(path: Path) -> dict[str, Any] | None:
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        held = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return held if isinstance(held, dict) else None


def threshold_of(report: Mapping[str, Any]) -> float | None:
    """The threshold that decides on every window; None where there is none, or one for each operating mode."""
    found = None if report.get("by_mode") else report.get("threshold")
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def compared(space: Workspace, names: list[str]) -> list[tuple[str, list[str]]]:
    """Rows of what runs have: a name, and each run's value as text."""
    reports = [report_of(space, name) for name in names]
    rows: list[tuple[str, list[str]]] = []

    def add(title: str, of: Any) -> None:
        cells = [of(report) for report in reports]
        if any(cell is not None for cell in cells):
            rows.append((title, ["" if cell is None else _text(cell) for cell in cells]))

    add("verdict", lambda report: (report.get("verdict") or {}).get("headline"))
    add("task", lambda report: report.get("task"))
    figures = [_models(report).get("student_int8") or {} for report in reports]
    for metric in dict.fromkeys(key for each in figures for key in each):
        for model, title in (("student_int8", "int8 student"), ("teacher", "teacher")):
            add(
                f"{METRIC_NAMES.get(metric, metric.replace('_', ' '))}, {title}",
                lambda report, m=metric, k=model: (_models(report).get(k) or {}).get(m),
            )
    for key, title in SIZES:
        add(title, lambda report, k=key: (report.get("footprint") or {}).get(k))
    add("bytes of RAM of its arena", lambda report: _ram(report.get("footprint") or {}))
    add("student's parameters", lambda report: (report.get("parameters") or {}).get("student"))
    add("threshold", threshold_of)
    for name in dict.fromkeys(mode for report in reports for mode in _of_modes(report)):
        add(f"threshold in mode {name}", lambda report, n=name: _of_modes(report).get(n))
    for key in ("kind", "window", "hop", "bands"):
        add(f"features.{key}", lambda report, k=key: (report.get("features") or {}).get(k))
    return rows


def _of_modes(report: Mapping[str, Any]) -> dict[str, Any]:
    """The thresholds of operating modes, by their names."""
    rows = report.get("by_mode")
    return (
        {row["name"]: row.get("threshold") for row in rows if isinstance(row, dict) and "name" in row} if rows else {}
    )


def _models(report: dict[str, Any]) -> dict[str, Any]:
    """Metrics by model, of the first seed, which is deployed."""
    seeds = report.get("seeds")
    first = seeds[0] if isinstance(seeds, list) and seeds else {}
    return {name: each for name, each in first.items() if isinstance(each, dict)} if isinstance(first, dict) else {}


def _text(cell: object) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    return (
        f"{cell:.4g}" if isinstance(cell, float) else json.dumps(cell) if isinstance(cell, list | dict) else str(cell)
    )
