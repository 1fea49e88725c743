"""Runs side by side: whether one is better by more than chance, which a command says on a page of its own."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from micro.studio import jobs, live, runs
from micro.studio.requests import Handler, answered, body_of
from micro.studio.workspace import Workspace, as_name, checked_name, free_name

# Runs that are compared at a time.
MOST_COMPARED = 6


def compare_routes(space: Workspace) -> list[Route]:
    """The route that starts a comparison."""
    return [Route("/api/compare", answered(_compare(space)), methods=["POST"])]


def _compare(space: Workspace) -> Handler:
    def started(given: object) -> jobs.Job:
        names = list(dict.fromkeys(checked_name(str(each)) for each in given)) if isinstance(given, list) else []
        if not 2 <= len(names) <= MOST_COMPARED:
            raise ValueError(f"choose two to {MOST_COMPARED} runs to compare")
        folders = [space.relative(runs.folder_of(space, name)) for name in names]
        space.inside("compared").mkdir(exist_ok=True)
        taken = {
            str(live.report_of(job)).removeprefix("compared/").removesuffix(".html") for job in jobs.all_jobs(space)
        }
        name = free_name(as_name(" ".join(names)), taken)
        return jobs.add(space, ["compare", *folders, "--page", f"compared/{name}.html"], name)

    async def handle(request: Request) -> Response:
        body = await body_of(request)
        return JSONResponse((await run_in_threadpool(started, body.get("runs"))).to_plain())

    return handle
