"""A job's snapshots as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from micro.studio import jobs
from micro.studio.workspace import Workspace


def job_events(
    space: Workspace, snapshot: Callable[[Workspace, jobs.Job], dict[str, Any]], between: float
) -> Callable[[Request], Awaitable[Response]]:
    """Answers a request on a job with its snapshots, one whenever it has changed, until it has ended.

    Args:
        space: The studio's folder.
        snapshot: What is sent of a job.
        between: Seconds between looks.
    """

    async def handle(request: Request) -> Response:
        first = await run_in_threadpool(jobs.job_of, space, request.path_params["id"])

        async def events() -> AsyncIterator[str]:
            job, before = first, ""
            while not await request.is_disconnected():
                job = await run_in_threadpool(jobs.job_of, space, job.id)
                content = json.dumps(await run_in_threadpool(snapshot, space, job), allow_nan=False)
                yield f"data: {content}\n\n" if content != before else ": unchanged\n\n"
                before = content
                if not job.active:
                    return
                await asyncio.sleep(between)

        return StreamingResponse(events(), media_type="text/event-stream")

    return handle
