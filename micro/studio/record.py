"""Recording from a board or a sensor: the command that does it, and what has come so far."""

from __future__ import annotations

import csv
import json
import math
import re
import time
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from micro.errors import RunError
from micro.live.record import Wanted
from micro.live.recording import beside, label_folder
from micro.live.source import parse_source
from micro.studio import jobs, runs
from micro.studio.events import job_events
from micro.studio.requests import Handler, answered, body_of
from micro.studio.workspace import Workspace, checked_name

# Seconds between looks at what has come, and of samples that are shown.
BETWEEN, SHOWN = 0.5, 10.0
# Bytes of a file's end that are read, points of a curve, channels and windows that are drawn at most.
TAIL, MOST_POINTS, MOST_CHANNELS, MOST_WINDOWS = 1 << 18, 500, 6, 300
FILE = re.compile(r"^recording to (uploads/.+\.csv)$", re.MULTILINE)


def record_routes(space: Workspace) -> list[Route]:
    """Routes of recordings that are being made, of a folder."""
    return [
        Route("/api/live", answered(_start(space)), methods=["POST"]),
        Route("/api/live/{id}/events", answered(job_events(space, snapshot, BETWEEN))),
    ]


def recording_jobs(space: Workspace) -> list[jobs.Job]:
    """Those that record now, the newest first."""
    return [job for job in jobs.all_jobs(space) if job.kind == "record" and job.active]


def started(space: Workspace, body: dict[str, Any]) -> jobs.Job:
    """Start to record.

    Args:
        space: The studio's folder.
        body: `source`, `name` of the recordings, and `label`, `unit`, `duration`, `rate`, `channels` and `run` if
            given.

    Raises:
        ValueError: For a source that is not live or is in use, and values that the command would refuse.
    """
    text = str(body.get("source", "")).strip()
    source = parse_source(text)
    if not source.has_clock:
        raise ValueError("a source here is serial:..., udp://... or mqtt://...; files are dropped on the first page")
    used = next((job for job in recording_jobs(space) if job.words[1] == text), None)
    if used is not None:
        raise ValueError(f"job {used.id} records from {text} already; stop it first")
    name = checked_name(str(body.get("name", "")))
    words = ["record", text, f"uploads/{name}"]
    for key in ("label", "unit", "duration", "rate", "channels"):
        given = str(body.get(key) or "").strip()
        if given:
            # With '=' a value that begins with a dash stays a value.
            words.append(f"--{key}={given}")
    folder = label_folder(space.uploads / name, str(body.get("label") or "").strip() or None)
    space.inside(*folder.relative_to(space.folder).parts)
    duration, rate = (float(body[key]) if body.get(key) else None for key in ("duration", "rate"))
    Wanted(duration=duration, rate=rate)  # refuses what the command would
    if body.get("run"):
        run = runs.folder_of(space, checked_name(str(body["run"]))).name
        scores = space.inside("scores", f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.csv")
        words += ["--run", f"runs/{run}", "--scores", space.relative(scores)]
    space.inside("uploads", name).mkdir(exist_ok=True)
    return jobs.add(space, words, name)


def _start(space: Workspace) -> Handler:
    async def handle(request: Request) -> Response:
        body = await body_of(request)
        return JSONResponse((await run_in_threadpool(started, space, body)).to_plain())

    return handle


def snapshot(space: Workspace, job: jobs.Job) -> dict[str, Any]:
    """What a page shows: the job, `file`, its newest samples by channel, `known` of it, newest `scores`, and `log`."""
    if job.kind != "record":
        raise ValueError(f"job {job.id} does not record")
    out = jobs.printed(space, job, "out")
    # Alarms may have pushed the name out of the end that is shown.
    named = FILE.findall(out) or FILE.findall(jobs.printed(space, job, "out", whole=True))
    path = space.inside(*named[-1].split("/")) if named else None
    known: dict[str, Any] = {}
    if path is not None and beside(path).is_file():
        known = json.loads(beside(path).read_bytes())
    return {
        **job.to_plain(),
        "file": named[-1] if named else None,
        "known": known,
        "samples": _samples(path) if path is not None and path.is_file() else None,
        "scores": _scores(space, job),
        "log": (out + jobs.printed(space, job))[-8000:],
    }


def _samples(path: Path) -> dict[str, Any]:
    """The newest seconds of a recording: `channels`, times `at`, and `values` of each channel, thinned where there are many."""
    header, rows = _end_of(path)
    times = [_number(row[0]) for row in rows]
    at = [float(n) if each is None else each for n, each in enumerate(times)]
    first = next((n for n, each in enumerate(at) if each >= at[-1] - SHOWN), 0) if at else 0
    step = max(1, -(-(len(at) - first) // MOST_POINTS))
    kept = range(first, len(at), step)
    return {
        "channels": header[1 : 1 + MOST_CHANNELS],
        "others": max(0, len(header) - 1 - MOST_CHANNELS),
        "time": header[0],
        "at": [at[n] for n in kept],
        "values": [[_number(rows[n][place]) for n in kept] for place in range(1, min(len(header), 1 + MOST_CHANNELS))],
    }


def _scores(space: Workspace, job: jobs.Job) -> dict[str, Any] | None:
    """The newest windows: `at`, `score`, `status`, how many the board had otherwise, and the run's threshold."""
    if "--scores" not in job.words:
        return None
    path = space.inside(*job.words[job.words.index("--scores") + 1].split("/"))
    run = job.words[job.words.index("--run") + 1].partition("/")[2]
    if not path.is_file():
        return None
    _, rows = _end_of(path)
    rows = [row for row in rows if len(row) == 5][-MOST_WINDOWS:]
    return {
        "run": run,
        "threshold": _threshold(space, run),
        "at": [_number(row[1]) if row[1] else _number(row[0]) for row in rows],
        "score": [_number(row[3]) for row in rows],
        "status": rows[-1][2] if rows else "",
        "differs": sum(bool(row[4]) for row in rows),
    }


def _threshold(space: Workspace, run: str) -> float | None:
    """Of a run; None where it has none for all windows, or has been deleted since."""
    try:
        return runs.threshold_of(runs.report_of(space, run))
    except (RunError, ValueError):
        return None


def _end_of(path: Path) -> tuple[list[str], list[list[str]]]:
    """The header of a CSV file and its last rows, as many as its last bytes hold."""
    with path.open("rb") as file:
        # The file may have been made just now, and its header not yet be there.
        header = next(csv.reader([file.readline().decode(errors="replace")]), []) or [""]
        begin = file.tell()
        size = file.seek(0, 2)
        file.seek(max(begin, size - TAIL))
        cut = file.tell() > begin
        lines = file.read().decode(errors="replace").split("\n")[int(cut) : -1]
    rows = list(csv.reader(lines))
    return header, [row for row in rows if len(row) == len(header)]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
