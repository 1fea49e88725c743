"""What an active job is at: stage, fraction, losses, what is left of it, and memory."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any

from micro.runs.progress_lines import ProgressLine
from micro.runs.progress_reading import read_on
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
# Lines of progress.jsonl that are taken at most, from its end, and points of a curve that are drawn.
MOST_LINES, MOST_POINTS = 20_000, 300
# Below this fraction what is left is not estimated.
FEWEST = 0.03
# The losses that are drawn, and letters of a log that are shown.
LOSSES, MOST_SHOWN = ("loss", "val_loss"), 16_000


def snapshot(space: Workspace, job: Job) -> dict[str, Any]:
    """What a page shows of a job: its state, where it stands, `memory_kib`, `curves`, `log`, and the jobs that are `next`."""
    log, lines = printed(space, job), _progress(space, job)
    return {
        **job.to_plain(),
        **_standing(job, log, lines),
        "memory_kib": memory_kib(job.pid) if job.state == "running" and job.pid is not None else None,
        "curves": curves(lines),
        "log": log[-MOST_SHOWN:],
        "next": _next(space, job) if job.active else [],
    }


def standing(space: Workspace, job: Job) -> dict[str, Any]:
    """Where a job stands: its `stage`, `fraction` 0 to 1, `remaining` seconds, and what is `left` of it in words."""
    return _standing(job, printed(space, job), _progress(space, job))


def _standing(job: Job, log: str, lines: Sequence[ProgressLine]) -> dict[str, Any]:
    found = LINE.findall(log)
    stage, fraction = (found[-1][1], int(found[-1][0]) / 100) if found else (None, None)
    if lines and job.active:
        stage, fraction = lines[-1].stage, lines[-1].fraction
    return {
        "stage": stage if job.active else None,
        "fraction": 1.0 if job.state == "done" else fraction,
        "remaining": _remaining(job, fraction, lines) if job.state == "running" else None,
        "left": _left(lines[-1]) if lines and job.active else "",
    }


def _left(line: ProgressLine) -> str:
    """What a run still trains, in words; '' where it does not say."""
    said = [f"{counted(count, 'epoch')} of {MODELS.get(name, name)}" for name, count in line.left.items()]
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


def curves(lines: Sequence[ProgressLine]) -> list[dict[str, Any]]:
    """Losses by stage: `stage`, `name`, `epochs` and `values` of each, thinned where there are many."""
    found: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
    for line in lines:
        if line.epoch is None:
            continue
        for name in LOSSES:
            if name in line.epoch.losses:
                at, values = found.setdefault((line.stage, name), ([], []))
                at.append(line.epoch.epoch)
                values.append(line.epoch.losses[name])
    made = []
    for (stage, name), (at, values) in found.items():
        step = max(1, len(at) // MOST_POINTS)
        made.append({"stage": stage, "name": name, "epochs": at[::step], "values": values[::step]})
    return made


def _progress(space: Workspace, job: Job) -> list[ProgressLine]:
    """The lines of the run's progress.jsonl, which is there while it works."""
    out = out_of(job)
    if job.kind != "run" or out is None:
        return []
    return read_on(space.folder / f"{out}.partial" / "progress.jsonl", most=MOST_LINES)[0]


def _remaining(job: Job, fraction: float | None, lines: Sequence[ProgressLine]) -> float | None:
    """Seconds that are left, as the run says, else by how long the part that is done took."""
    if lines:
        return lines[-1].remaining
    if job.started is None or fraction is None or fraction < FEWEST:
        return None
    return (time.time() - job.started) * (1 - fraction) / fraction
