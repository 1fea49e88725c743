"""The studio as a web application: its pages, and what pages ask for in JSON."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from micro.errors import MicroError
from micro.studio import access, configs, jobs, live, pages, recordings, signals
from micro.studio.comparing import compare_routes
from micro.studio.events import job_events
from micro.studio.outcome import outcome_routes
from micro.studio.record import record_routes
from micro.studio.requests import Handler, answered, body_of, number_of
from micro.studio.workspace import Workspace, checked_name, free_name
from micro.support.files import write_bytes

# Seconds between looks at what waits, and at an active job.
BETWEEN = 1.0
# Jobs that are listed at a time, the newest.
MOST_JOBS = 200
VIEWS = {
    "time": signals.over_time,
    "spectrum": signals.by_frequency,
    "spectrogram": signals.time_and_frequency,
}  # fmt: skip


def application(space: Workspace, token: str, port: int) -> access.Access:
    """The studio of a folder, for browsers that address that port of this machine with that token."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(_start_what_waits(space))
        yield
        task.cancel()

    routes = [
        *pages.page_routes(space),
        Route("/api/recordings", answered(_new_set(space)), methods=["POST"]),
        Route("/api/recordings/{name}/file", answered(_receive(space)), methods=["PUT"]),
        Route("/api/recordings/{name}/look", answered(_look(space)), methods=["POST"]),
        Route("/api/recordings/{name}/signal", answered(_signal(space))),
        Route("/api/recordings/{name}/sound", answered(_sound(space))),
        Route("/api/recordings/{name}/marks", answered(_marks(space)), methods=["POST"]),
        Route("/api/config", answered(_config(space)), methods=["POST"]),
        Route("/api/train", answered(_train(space)), methods=["POST"]),
        Route("/api/fleet", answered(_fleet(space)), methods=["POST"]),
        *compare_routes(space),
        Route("/api/jobs", answered(_jobs(space))),
        Route("/api/jobs/{id}", answered(_job(space))),
        Route("/api/jobs/{id}/events", answered(job_events(space, live.snapshot, BETWEEN))),
        Route("/api/jobs/{id}/stop", answered(_stop(space)), methods=["POST"]),
        Route("/api/jobs/{id}/resume", answered(_resume(space)), methods=["POST"]),
        *outcome_routes(space),
        *record_routes(space),
        Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
    ]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={404: _missing})
    return access.Access(app, token, port)


async def _start_what_waits(space: Workspace) -> None:
    while True:
        with contextlib.suppress(OSError, MicroError, ValueError):
            await run_in_threadpool(jobs.start_waiting, space)
        await asyncio.sleep(BETWEEN)


async def _missing(request: Request, error: Exception) -> Response:
    return PlainTextResponse("There is no such page in the studio.", 404)


def _new_set(space: Workspace) -> Handler:
    async def handle(request: Request) -> Response:
        body = await body_of(request)
        name = await run_in_threadpool(recordings.new_set, space, str(body.get("name", "")))
        return JSONResponse({"name": name})

    return handle


def _receive(space: Workspace) -> Handler:
    async def handle(request: Request) -> Response:
        path = request.query_params.get("path", "")
        written = await recordings.receive(space, request.path_params["name"], path, request.stream())
        return JSONResponse({"path": written})

    return handle


def _look(space: Workspace) -> Handler:
    async def handle(request: Request) -> Response:
        body = await body_of(request)
        job = await run_in_threadpool(recordings.look, space, request.path_params["name"], body)
        return JSONResponse(job.to_plain())

    return handle


def _signals_of(space: Workspace, request: Request) -> tuple[signals.Signals, str, float, float | None]:
    """The signals, the channel and the times that a request names."""
    name, query = checked_name(request.path_params["name"]), request.query_params
    survey = recordings.survey_of(space, jobs.newest(space, "look", name))
    if survey is None:
        raise ValueError(f"the files of {name!r} have not been looked at yet")
    path = recordings.file_of(space, name, survey, query.get("file", ""))
    found = signals.read_signals(path, survey)
    start, end = number_of(query.get("start"), "start"), number_of(query.get("end"), "end")
    return found, query.get("channel", ""), start or 0.0, end


def _signal(space: Workspace) -> Handler:
    def drawn(request: Request) -> Response:
        view = VIEWS.get(request.query_params.get("view", "time"))
        if view is None:
            raise ValueError(f"a view is {', '.join(VIEWS)}")
        made = view(*_signals_of(space, request))
        if request.query_params.get("format") == "csv":
            return PlainTextResponse(signals.as_csv(made), media_type="text/csv")
        return JSONResponse(made)

    async def handle(request: Request) -> Response:
        return await run_in_threadpool(drawn, request)

    return handle


def _sound(space: Workspace) -> Handler:
    def made(request: Request) -> Response:
        return Response(signals.as_sound(*_signals_of(space, request)), media_type="audio/wav")

    async def handle(request: Request) -> Response:
        return await run_in_threadpool(made, request)

    return handle


def _marks(space: Workspace) -> Handler:
    def marked(name: str, body: dict[str, Any]) -> dict[str, Any]:
        survey = recordings.survey_of(space, jobs.newest(space, "look", name))
        if survey is None:
            raise ValueError(f"the files of {name!r} have not been looked at yet")
        marks, text = body.get("marks"), str(body.get("text", ""))
        if not isinstance(marks, list) or not all(isinstance(mark, dict) for mark in marks):
            raise ValueError("marks are a list of file, start, end and label")
        content = configs.intervals_csv(marks)
        rates = {each["name"]: each.get("rate") or 1.0 for each in survey["files"]}
        unknown = next((mark["file"] for mark in marks if mark["file"] not in rates), None)
        if unknown is not None:
            raise ValueError(f"there is no file {str(unknown)[:80]!r} in {name!r}")
        taken = {path.stem for path in space.configs.glob("*.csv")}
        path = space.configs / f"{free_name(f'{name}-intervals', taken)}.csv"
        # The config names files from the folder of the recordings.
        made = configs.with_marks(text, marks, os.path.relpath(path, configs.folder_of(space, text)), rates)
        write_bytes(path, content.encode())
        return {"text": made, "complaint": configs.complaint(space, made), "intervals": space.relative(path)}

    async def handle(request: Request) -> Response:
        body = await body_of(request)
        return JSONResponse(await run_in_threadpool(marked, checked_name(request.path_params["name"]), body))

    return handle


def _config(space: Workspace) -> Handler:
    def chosen(body: dict[str, Any]) -> dict[str, Any]:
        text = configs.with_choices(str(body.get("text", "")), body.get("choices") or {})
        return {"text": text, "complaint": configs.complaint(space, text)}

    async def handle(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(chosen, await body_of(request)))

    return handle


def _train(space: Workspace) -> Handler:
    def started(body: dict[str, Any]) -> jobs.Job:
        kind = body.get("kind", "run")
        if kind not in ("run", "search"):
            raise ValueError("what can be started is a run or a search")
        choices = body.get("choices") or {}
        # What is refused leaves no config behind.
        limits = [f"--{key}={choices[key]}" for key in ("flash", "ram") if choices.get(key)]
        if kind == "search" and not limits:
            raise ValueError("a search needs a budget: say how much flash or RAM the program may take")
        trials = ["--trials", str(int(body["trials"]))] if body.get("trials") else []
        text = configs.with_choices(str(body.get("text", "")), choices)
        name = configs.save(space, f"{checked_name(str(body.get('name', '')))}-1", text)
        config = f"configs/{name}.toml"
        if kind == "run":
            return jobs.add(space, ["run", config, "--out", f"runs/{name}"], name)
        return jobs.add(space, ["search", config, "--out", f"searches/{name}", *limits, *trials], name)

    async def handle(request: Request) -> Response:
        return JSONResponse((await run_in_threadpool(started, await body_of(request))).to_plain())

    return handle


def _fleet(space: Workspace) -> Handler:
    def started(config: str) -> jobs.Job:
        path = space.inside("configs", config)
        if path.parent != space.configs or path.suffix != ".toml" or not path.is_file():
            raise ValueError(f"there is no {config[:80]!r} in configs")
        name = checked_name(path.stem)
        return jobs.add(space, ["fleet", space.relative(path), "--out", f"fleets/{name}"], name)

    async def handle(request: Request) -> Response:
        body = await body_of(request)
        return JSONResponse((await run_in_threadpool(started, str(body.get("config", "")))).to_plain())

    return handle


def _jobs(space: Workspace) -> Handler:
    def listed(only_active: bool) -> list[dict[str, Any]]:
        found = jobs.all_jobs(space)
        if not only_active:
            return [job.to_plain() for job in found[:MOST_JOBS]]
        return [{**job.to_plain(), **live.standing(space, job)} for job in found if job.active]

    async def handle(request: Request) -> Response:
        only_active = "active" in request.query_params
        return JSONResponse(await run_in_threadpool(listed, only_active))

    return handle


def _job(space: Workspace) -> Handler:
    def found(name: str) -> dict[str, Any]:
        job = jobs.job_of(space, name)
        return {**live.snapshot(space, job), "printed": jobs.printed(space, job, "out")}

    async def handle(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(found, request.path_params["id"]))

    return handle


def _stop(space: Workspace) -> Handler:
    async def handle(request: Request) -> Response:
        body = await body_of(request)
        name = request.path_params["id"]
        await run_in_threadpool(lambda: jobs.stop(space, name, kill=bool(body.get("kill"))))
        return JSONResponse((await run_in_threadpool(jobs.job_of, space, name)).to_plain())

    return handle


def _resume(space: Workspace) -> Handler:
    async def handle(request: Request) -> Response:
        job = await run_in_threadpool(jobs.resumed, space, request.path_params["id"])
        return JSONResponse(job.to_plain())

    return handle
