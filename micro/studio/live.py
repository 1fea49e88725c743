"""What an active job is at: stage, fraction, losses, what is left of it, and memory."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from micro.studio.jobs import Job, all_jobs, memory_kib, printed
from micro.studio.workspace import Workspace
from micro.support.wording import counted

# A line of progress as commands print it without a terminal.
LINE = re.compile(r"^ *(\d+)%  (\S.*)$", re.MULTILINE)
# What a run trains, as progress.jsonl names it, where that is no word for it.
MODELS = {
    "alone": "the student without a teacher",
    "student": "the student",
    "teacher": "the teacher",
    "recipe": "recipes",
}
# Lines of progress.jsonl that are read at most, from its end, and points of a curve that are drawn.
MOST_LINES, MOST_POINTS = 20_000, 300
# Below this fraction what is left is not estimated.
FEWEST = 0.03
# The losses that are drawn, and letters of a log that are shown.
LOSSES, MOST_SHOWN = ("loss", "val_loss"), 16_000


def snapshot(space: Workspace, job: Job) -> dict[str, Any]:
    """What a page shows of a job: its state, where it stands, `memory_kib`, `curves`, `log`, and the jobs that are `next`."""
    log, rows = printed(space, job), _progress(space, job)
    return {
        **job.to_plain(),
        **_standing(job, log, rows),
        "memory_kib": memory_kib(job.pid) if job.state == "running" and job.pid is not None else None,
        "curves": curves(rows),
        "log": log[-MOST_SHOWN:],
        "next": _next(space, job) if job.active else [],
    }


def standing(space: Workspace, job: Job) -> dict[str, Any]:
    """Where a job stands: its `stage`, `fraction` 0 to 1, `remaining` seconds, and what is `left` of it in words."""
    return _standing(job, printed(space, job), _progress(space, job))


def _standing(job: Job, log: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    found = LINE.findall(log)
    stage, fraction = (found[-1][1], int(found[-1][0]) / 100) if found else (None, None)
    if rows and job.active:
        stage, fraction = str(rows[-1].get("stage", stage)), _number(rows[-1].get("fraction"))
    return {
        "stage": stage if job.active else None,
        "fraction": 1.0 if job.state == "done" else fraction,
        "remaining": _remaining(job, fraction, rows) if job.state == "running" else None,
        "left": _left(rows[-1]) if rows and job.active else "",
    }


def _left(row: Mapping[str, Any]) -> str:
    """What a run still trains, in words; '' where it does not say."""
    held = row.get("left")
    known = held.items() if isinstance(held, dict) else ()
    epochs = {str(name): count for name, count in known if isinstance(count, int)}
    said = [f"{counted(count, 'epoch')} of {MODELS.get(name, name)}" for name, count in epochs.items()]
    return ", ".join([*said, "int8 conversion, report and firmware"]) if said else ""


def _next(space: Workspace, job: Job) -> list[dict[str, str]]:
    """The jobs that wait for this one, in their order."""
    waiting = [each for each in reversed(all_jobs(space)) if each.state == "waiting" and each.id != job.id]
    return [{"id": each.id, "kind": each.kind, "about": each.about} for each in waiting]


def out_of(job: Job) -> str | None:
    """The folder or file that a job writes, as it was typed."""
    return _behind(job, "--out")


def report_of(job: Job) -> str | None:
    """The page that a search, a fleet or a comparison writes; None of other jobs."""
    if job.kind == "compare":
        return _behind(job, "--page")
    out = out_of(job)
    return f"{out}/report.html" if job.kind in ("search", "fleet") and out else None


def _behind(job: Job, option: str) -> str | None:
    """What stands behind an option of a job's command; None where it has none."""
    return job.words[job.words.index(option) + 1] if option in job.words[:-1] else None


def curves(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Losses by stage: `stage`, `name`, `epochs` and `values` of each, thinned where there are many."""
    found: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
    for row in rows:
        losses, epoch = row.get("losses"), _number(row.get("epoch"))
        if not isinstance(losses, dict) or epoch is None:
            continue
        for name in LOSSES:
            value = _number(losses.get(name))
            if value is not None:
                at, values = found.setdefault((str(row.get("stage")), name), ([], []))
                at.append(epoch)
                values.append(value)
    made = []
    for (stage, name), (at, values) in found.items():
        step = max(1, len(at) // MOST_POINTS)
        made.append({"stage": stage, "name": name, "epochs": at[::step], "values": values[::step]})
    return made


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _progress(space: Workspace, job: Job) -> list[dict[str, Any]]:
    """The lines of the run's progress.jsonl, which is there while it works."""
    out = out_of(job)
    if job.kind != "run" or out is None:
        return []
    path = space.folder / f"{out}.partial" / "progress.jsonl"
    return _rows(path) if path.is_file() else []


def _rows(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = file.readlines()[-MOST_LINES:]
    except FileNotFoundError:
        return rows  # the run has just been finished
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue  # the last one may be half written
        if isinstance(row, dict):
            rows.append(row)
    return rows


def _remaining(job: Job, fraction: float | None, rows: list[dict[str, Any]]) -> float | None:
    """Seconds that are left, as the run says, else by how long the part that is done took."""
    if rows:
        return _number(rows[-1].get("remaining"))
    if job.started is None or fraction is None or fraction < FEWEST:
        return None
    return (time.time() - job.started) * (1 - fraction) / fraction
