"""What an active job is at: stage, fraction, losses, what is left of it, and memory."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from micro.studio.jobs import Job, memory_kib, printed
from micro.studio.workspace import Workspace

# A line of progress as commands print it without a terminal.
LINE = re.compile(r"^ *(\d+)%  (\S.*)$", re.MULTILINE)
# Lines of progress.jsonl that are read at most, from its end, and points of a curve that are drawn.
MOST_LINES, MOST_POINTS = 20_000, 300
# Below this fraction what is left is not estimated.
FEWEST = 0.03
# Whose loss a line is, the epoch that a line counts, and what a curve is called.
LOSSES = ("loss", "val_loss")


def snapshot(space: Workspace, job: Job) -> dict[str, Any]:
    """What a page shows of a job: its state, `stage`, `fraction` 0 to 1, `remaining` seconds, `memory_kib`, `curves`, `log`."""
    log = printed(space, job)
    found = LINE.findall(log)
    stages = list(dict.fromkeys(stage for _, stage in found))
    fraction = int(found[-1][0]) / 100 if found else None
    rows = _progress(space, job)
    remaining = _remaining(job, fraction, rows)
    return {
        **job.to_plain(),
        "stage": found[-1][1] if found else None,
        "stages": stages,
        "fraction": 1.0 if job.state == "done" else fraction,
        "remaining": remaining if job.state == "running" else None,
        "memory_kib": memory_kib(job.pid) if job.state == "running" and job.pid is not None else None,
        "curves": curves(rows),
        "log": log[-16_000:],
    }


def out_of(job: Job) -> str | None:
    """The folder or file that a job writes, as it was typed."""
    words = job.words
    return words[words.index("--out") + 1] if "--out" in words[:-1] else None


def curves(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Losses by stage: `name`, `epochs` and `values` of each, thinned where there are many."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        epoch, stage = row.get("epoch"), row.get("stage")
        losses = row["losses"] if isinstance(row.get("losses"), dict) else row
        for name in LOSSES:
            value = losses.get(name)
            if isinstance(epoch, int | float) and isinstance(value, int | float) and isinstance(stage, str):
                at, values = found.setdefault(f"{stage}: {name}", ([], []))
                at.append(float(epoch))
                values.append(float(value))
    made = []
    for name, (at, values) in found.items():
        step = max(1, len(at) // MOST_POINTS)
        made.append({"name": name, "epochs": at[::step], "values": values[::step]})
    return made


def _progress(space: Workspace, job: Job) -> list[dict[str, Any]]:
    """The lines of the run's progress.jsonl, which is there from when training begins; none of what writes no such file."""
    out = out_of(job)
    if job.kind != "run" or out is None:
        return []
    for folder in (f"{out}.partial", out):
        path = space.folder / folder / "progress.jsonl"
        if path.is_file():
            return _rows(path)
    return []


def _rows(path: Path) -> list[dict[str, Any]]:
    rows = []
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = file.readlines()[-MOST_LINES:]
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
    for row in reversed(rows[-5:]):
        said = row.get("remaining_seconds", row.get("remaining"))
        if isinstance(said, int | float) and said >= 0:
            return float(said)
    if job.started is None or fraction is None or fraction < FEWEST:
        return None
    return (time.time() - job.started) * (1 - fraction) / fraction
