"""What is done with a finished run: its report, another threshold, new recordings, and the firmware project."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from micro.firmware.boards import BOARDS
from micro.runs.scored import NOT_JUDGED
from micro.studio import access, jobs, live, recordings, runs, threshold
from micro.studio.configs import with_setting
from micro.studio.requests import Handler, answered, body_of
from micro.studio.score_notes import alarms_of, notes_of
from micro.studio.workspace import Workspace, checked_name, free_name

# Bytes of a project that are sent at a time, and kept in memory while it is packed.
BLOCK, IN_MEMORY = 64 * 1024, 16 * 2**20
# The rates of false alarms that a config is made to ask for.
LEAST_RATE, MOST_RATE = 0.001, 0.5
# Windows that are listed at most.
MOST_MISJUDGED, MOST_SCORED = 100, 20_000


def outcome_routes(space: Workspace) -> list[Route]:
    """Routes of finished runs, of a folder."""
    return [
        Route("/runs/{name}/report", answered(_report(space))),
        Route("/jobs/{id}/report", answered(_report_of_job(space))),
        Route("/api/jobs/{id}/chosen", answered(_train_chosen(space)), methods=["POST"]),
        Route("/files/{folder}/{file}", answered(_file(space))),
        Route("/api/runs/{name}/threshold", answered(_threshold(space))),
        Route("/api/runs/{name}/threshold", answered(_with_threshold(space)), methods=["POST"]),
        Route("/api/runs/{name}/misjudged", answered(_misjudged(space))),
        Route("/api/runs/{name}/score", answered(_score(space)), methods=["POST"]),
        Route("/api/runs/{name}/firmware", answered(_firmware(space)), methods=["POST"]),
        Route("/api/jobs/{id}/scores", answered(_scores(space))),
        Route("/api/jobs/{id}/firmware.zip", answered(_zip(space))),
    ]


def _report(space: Workspace) -> Handler:
    async def handle(request: Request) -> Response:
        folder = await run_in_threadpool(runs.folder_of, space, request.path_params["name"])
        return _framed(space, f"runs/{folder.name}/report.html")

    return handle


def _report_of_job(space: Workspace) -> Handler:
    """The page of a search, a fleet or a comparison."""

    async def handle(request: Request) -> Response:
        job = await run_in_threadpool(jobs.job_of, space, request.path_params["id"])
        return _framed(space, live.report_of(job) or "report.html")

    return handle


def _framed(space: Workspace, path: str) -> Response:
    """A page of a command, which may run no script and reach nothing."""
    page = space.inside(*path.split("/"))
    if not page.is_file():
        raise ValueError(f"there is no page {path}")
    return FileResponse(page, media_type="text/html", headers={"content-security-policy": access.REPORT_POLICY})


def _train_chosen(space: Workspace) -> Handler:
    """Train what a search has chosen."""

    def started(name: str) -> jobs.Job:
        job = jobs.job_of(space, name)
        config = f"{live.out_of(job)}/chosen.toml"
        if job.kind != "search" or not space.inside(*config.split("/")).is_file():
            raise ValueError(f"job {job.id} has chosen nothing")
        run = free_name(f"{job.about}-chosen", {path.name.removesuffix(".partial") for path in space.runs.iterdir()})
        return jobs.add(space, ["run", config, "--out", f"runs/{run}"], run)

    async def handle(request: Request) -> Response:
        return JSONResponse((await run_in_threadpool(started, request.path_params["id"])).to_plain())

    return handle


def _file(space: Workspace) -> Handler:
    """A config or a file of intervals, as text."""

    async def handle(request: Request) -> Response:
        folder, file = request.path_params["folder"], request.path_params["file"]
        path = space.inside(folder, file)
        if folder != "configs" or not path.is_file() or path.suffix not in (".toml", ".csv"):
            raise ValueError("there is no such file to see")
        return PlainTextResponse(path.read_text(encoding="utf-8", errors="replace"))

    return handle


def scores_of(space: Workspace, run: str, purpose: str) -> jobs.Job | None:
    """The newest job that scored recordings with a run, for a purpose: the 'tested' ones of its report, or 'new' ones."""
    return jobs.newest(space, "score", f"{run}/{purpose}")


def _threshold(space: Workspace) -> Handler:
    def found(name: str) -> dict[str, Any]:
        folder, report = runs.folder_of(space, name), runs.report_of(space, name)
        windows = _tested_windows(space, name)
        states = states_of(report)
        faulty = [window for window in windows if states.get(_origin(str(window.get("file")), states)) == "faulty"]
        return {**threshold.moved(folder, report, faulty), "can_score": bool(_tested_files(space, name))}

    async def handle(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(found, checked_name(request.path_params["name"])))

    return handle


def _tested_windows(space: Workspace, run: str) -> list[dict[str, Any]]:
    """Windows of the tested recordings, empty until they have been scored."""
    job = scores_of(space, run, "tested")
    return threshold.scored_windows(jobs.printed(space, job, "out", whole=True)) if job and job.state == "done" else []


def _misjudged(space: Workspace) -> Handler:
    """Windows that the student takes for something else than they are, the furthest first."""

    def found(name: str) -> dict[str, Any]:
        report, job = runs.report_of(space, name), scores_of(space, name, "tested")
        states, limit = states_of(report), runs.threshold_of(report)
        judged = report.get("threshold") is not None
        windows, wrong = _tested_windows(space, name), []
        for window in windows:
            origin = _origin(str(window.get("file")), states)
            state, said = states.get(origin), said_of(window, judged=judged)
            if None not in (state, said) and said != state:
                far = abs(window["score"] - limit) if limit is not None and window.get("score") is not None else 0.0
                wrong.append({**window, "file": origin, "is": state, "said": said, "far": far})
        wrong.sort(key=lambda each: -each["far"])
        return {
            "windows": len(windows),
            "wrong": wrong[:MOST_MISJUDGED],
            "count": len(wrong),
            "job": None if job is None else job.to_plain(),
            "can_score": bool(_tested_files(space, name)),
            "recordings": recordings_of(space, name),
            "channels": (report.get("data") or {}).get("channels") or [],
        }

    async def handle(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(found, checked_name(request.path_params["name"])))

    return handle


def said_of(window: Mapping[str, Any], *, judged: bool) -> object:
    """What a scored window is taken for: a state where it is `judged` by a threshold, else a class; None where the machine is
    off or its operating mode unknown.

    Examples:
        >>> from micro.studio.outcome import said_of
        >>> said_of({"result": "ok", "score": 3.0, "above_threshold": True}, judged=True)
        'faulty'
    """
    result = window.get("result")
    if result in NOT_JUDGED.values():
        return None
    if judged and isinstance(window.get("score"), int | float):
        return "faulty" if window.get("above_threshold") else "healthy"
    return {"alarm": "faulty", "ok": "healthy"}.get(str(result), result)


def _with_threshold(space: Workspace) -> Handler:
    """The config that asks for the rate of false alarms of a threshold: training sets a threshold of its own by it."""

    def made(name: str, rate: float) -> dict[str, Any]:
        text = config_text(space, name)
        if text is None:
            raise ValueError(f"the config of run {name!r} is not in this folder")
        asked = round(min(MOST_RATE, max(LEAST_RATE, rate)), 4)
        return {"text": with_setting(text, "detect", "false_alarm_rate", asked), "rate": asked}

    async def handle(request: Request) -> Response:
        body = await body_of(request)
        return JSONResponse(
            await run_in_threadpool(made, checked_name(request.path_params["name"]), float(body["rate"]))
        )

    return handle


def config_text(space: Workspace, run: str) -> str | None:
    """The config that a run was made by, None where it is not in this folder."""
    path = space.inside("configs", f"{run}.toml")
    return path.read_text(encoding="utf-8") if path.is_file() else None


def recordings_of(space: Workspace, run: str) -> str | None:
    """The set of recordings that a run was made of, None where they are not in this folder."""
    try:
        manifest = json.loads((space.runs / run / "manifest.json").read_bytes())
        place = Path(manifest["config"]["data"]["folder"]).resolve()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    top = space.uploads.resolve()
    return place.relative_to(top).parts[0] if place.is_relative_to(top) and place != top else None


def states_of(report: dict[str, Any]) -> dict[str, str]:
    """The state or the class of each recording of a test that is of one alone."""
    found: dict[str, set[str]] = {}
    for row in report.get("by_origin") or []:
        if isinstance(row, dict):
            found.setdefault(str(row.get("origin")), set()).add(str(row.get("state")))
    return {origin: next(iter(states)) for origin, states in found.items() if len(states) == 1}


def _origin(path: str, states: dict[str, str]) -> str:
    """The recording that a path is, by the names that a report has; the path itself where it is none."""
    if path in states:
        return path
    return next((each for each in states if path.endswith(f"/{each}") or each.endswith(f"/{path}")), path)


def _tested_files(space: Workspace, run: str) -> list[str]:
    """Files of the run's test, as commands name them."""
    name = recordings_of(space, run)
    if name is None:
        return []
    states, top = states_of(runs.report_of(space, run)), space.uploads / name
    paths = {path.relative_to(top).as_posix(): path for path in recordings.files_of(top)}
    return [space.relative(path) for called, path in paths.items() if _origin(called, states) in states]


def _score(space: Workspace) -> Handler:
    def started(name: str, body: dict[str, Any]) -> jobs.Job:
        runs.folder_of(space, name)
        if body.get("recordings") is None:
            files, purpose = _tested_files(space, name), "tested"
            if not files:
                raise ValueError("the report names no recordings that are in this folder")
        else:
            files, purpose = recordings.readable_files(space, checked_name(str(body["recordings"]))), "new"
            if not files:
                raise ValueError("there are no files to score")
        return jobs.add(space, ["score", f"runs/{name}", *files, "--json"], f"{name}/{purpose}")

    async def handle(request: Request) -> Response:
        body = await body_of(request)
        job = await run_in_threadpool(started, checked_name(request.path_params["name"]), body)
        return JSONResponse(job.to_plain())

    return handle


def _scores(space: Workspace) -> Handler:
    def found(name: str) -> dict[str, Any]:
        job = jobs.job_of(space, name)
        windows = threshold.scored_windows(jobs.printed(space, job, "out", whole=True)) if job.kind == "score" else []
        # Of many windows the first: all of them are in the job's output.
        name = job.about.split("/")[0]
        if job.kind != "score":
            return {"scores": [], "windows": 0, "threshold": None, "notes": []}
        report = runs.report_of(space, name)
        limit = runs.threshold_of(report)
        notes = [*notes_of(jobs.printed(space, job, "log", whole=True)), *alarms_of(report, windows)]
        return {"scores": windows[:MOST_SCORED], "windows": len(windows), "threshold": limit, "notes": notes}

    async def handle(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(found, request.path_params["id"]))

    return handle


def _firmware(space: Workspace) -> Handler:
    def started(name: str, body: dict[str, Any]) -> jobs.Job:
        runs.folder_of(space, name)
        board = str(body.get("board"))
        if board not in BOARDS:
            raise ValueError(f"there is no project for {board[:40]!r}; there is one for {', '.join(BOARDS)}")
        words = ["new-firmware", f"runs/{name}", "--board", board]
        number, out = 1, f"firmware/{name}-{board}"
        taken = {live.out_of(job) for job in jobs.all_jobs(space)}
        while out in taken or (space.folder / out).exists():
            number += 1
            out = f"firmware/{name}-{board}-{number}"
        chip = str(body.get("chip") or "")
        return jobs.add(space, [*words, "--out", out, *(["--chip", chip] if chip else [])], name)

    async def handle(request: Request) -> Response:
        body = await body_of(request)
        job = await run_in_threadpool(started, checked_name(request.path_params["name"]), body)
        return JSONResponse(job.to_plain())

    return handle


def _zip(space: Workspace) -> Handler:
    async def handle(request: Request) -> Response:
        job = await run_in_threadpool(jobs.job_of, space, request.path_params["id"])
        out = live.out_of(job)
        if job.kind != "new-firmware" or job.state != "done" or out is None:
            raise ValueError(f"job {job.id} has no firmware project to download")
        folder = space.inside(*out.split("/"))
        if not folder.is_dir():
            raise ValueError(f"{out} is no longer there")
        headers = {"content-disposition": f'attachment; filename="{folder.name}.zip"'}
        blocks = await run_in_threadpool(lambda: _packed(folder))
        return StreamingResponse(blocks, media_type="application/zip", headers=headers)

    return handle


def _packed(folder: Path) -> Iterator[bytes]:
    """A folder as a ZIP archive, block by block, below a folder of its name."""
    held = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115, closed when all of it is sent
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                archive.write(path, Path(folder.name, path.relative_to(folder)))
    held.seek(0)

    def blocks() -> Iterator[bytes]:
        with held:
            while block := held.read(BLOCK):
                yield block

    return blocks()
