"""The studio's pages, rendered here so that they say the most important without any script."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import jinja2
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from micro.errors import MicroError
from micro.firmware.boards import BOARDS
from micro.runs.assessment.words import ARENA, MEANINGS, METRIC_NAMES
from micro.studio import configs, jobs, live, outcome, record, recordings, runs
from micro.studio.comparing import MOST_COMPARED
from micro.studio.requests import Handler
from micro.studio.sound import LEAST_RATE, MOST_RATE, sound_rate
from micro.studio.threshold import why_fixed
from micro.studio.workspace import Workspace, checked_name
from micro.targets.boards import all_boards

# Runs and jobs that a page lists, the newest.
MOST_LISTED = 500
# Classes whose files are counted in words.
MOST_CLASSES = 8


def page_routes(space: Workspace) -> list[Route]:
    """Routes of all pages, of a folder."""
    return [
        Route("/", _page(space, _home)),
        Route("/recordings/{name}", _page(space, _recordings)),
        Route("/jobs/{id}", _page(space, _job)),
        Route("/runs/{name}", _page(space, _run)),
        Route("/compare", _page(space, _compare)),
        Route("/live", _page(space, _live)),
        Route("/live/{id}", _page(space, _recording)),
    ]


def _page(space: Workspace, values: Callable[[Workspace, Request], tuple[str, dict[str, Any]]]) -> Handler:
    """A page from the name of its template and its values; what cannot be shown is a page that says why."""

    def made(request: Request) -> HTMLResponse:
        try:
            template, given = values(space, request)
            status = 200
        except (MicroError, ValueError, OSError) as error:
            template, given, status = "missing.html.j2", {"why": str(error)}, 404
        shown = {"folder": str(space.folder), **given}
        return HTMLResponse(_environment().get_template(template).render(**shown), status)

    async def handle(request: Request) -> Response:
        return await run_in_threadpool(made, request)

    return handle


@functools.cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("micro.studio"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["size"] = size_text
    made.filters["when"] = lambda seconds: time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
    made.filters["number"] = lambda value: "" if value is None else f"{value:,}"
    made.filters["metric"] = lambda name: METRIC_NAMES.get(name, (name or "").replace("_", " "))
    made.globals["meanings"] = MEANINGS
    made.globals["arena"] = ARENA
    made.filters["short"] = lambda value: "" if value is None else f"{value:.4g}"
    return made


def size_text(count: int) -> str:
    """Bytes with a unit.

    Examples:
        >>> from micro.studio.pages import size_text
        >>> size_text(900), size_text(1536), size_text(5 * 2**20)
        ('900 bytes', '1.5 KiB', '5.0 MiB')
    """
    if count < 1024:
        return f"{count} bytes"
    value, unit = count / 1024, "KiB"
    for larger in ("MiB", "GiB"):
        if value >= 1024:
            value, unit = value / 1024, larger
    return f"{value:.1f} {unit}"


def _home(space: Workspace, request: Request) -> tuple[str, dict[str, Any]]:
    found = jobs.all_jobs(space)
    return "home.html.j2", {
        "sets": recordings.all_sets(space),
        "runs": runs.all_runs(space)[:MOST_LISTED],
        "active": [(job, live.standing(space, job)) for job in found if job.active],
        "jobs": found[:50],
        "fleets": _fleets(space),
    }


def _fleets(space: Workspace) -> list[str]:
    """Configs that are fleets."""
    found = (path for path in space.configs.glob("*.toml") if not path.name.startswith("."))
    return sorted(path.name for path in found if b"[[asset]]" in path.read_bytes())


def _recordings(space: Workspace, request: Request) -> tuple[str, dict[str, Any]]:
    name = checked_name(request.path_params["name"])
    folder = space.inside("uploads", name)
    if not folder.is_dir():
        raise ValueError(f"there are no recordings {name!r}")
    look = jobs.newest(space, "look", name)
    survey = recordings.survey_of(space, look)
    out = live.out_of(look) if look is not None else None
    config = space.folder / out if out is not None else None
    text = config.read_text(encoding="utf-8") if config is not None and config.is_file() else ""
    return "recordings.html.j2", {
        "name": name,
        "files": len(recordings.files_of(folder)),
        "look": look,
        "why": _last_line(jobs.printed(space, look)) if look is not None and look.state == "failed" else None,
        "survey": survey,
        "channels": channel_rows(survey) if survey else [],
        **_by_class(space, name, survey or {"files": []}, text),
        "why_task": _first_comments(text),
        "config": out,
        "text": text,
        "complaint": configs.complaint(space, text) if text else None,
        "boards": all_boards(),
    }


def _by_class(space: Workspace, name: str, survey: dict[str, Any], text: str) -> dict[str, dict[str, Any]]:
    """What each file is taken for, by its name: the labels of its rows, else what the config says of it; and how many files are
    of each class that it names, if these are few."""
    files = survey["files"]
    said = configs.taken_for(text, space.uploads / name, [space.folder / each["path"] for each in files])
    labels = [", ".join(f"{word} {count:,}" for word, count in each["labels"].items()) for each in files]
    classes = Counter(word for word, of_rows in zip(said, labels, strict=True) if word and not of_rows)
    return {
        "taken_for": {each["name"]: rows or word for each, rows, word in zip(files, labels, said, strict=True)},
        "classes": dict(classes) if len(classes) <= MOST_CLASSES else {},
    }


def _first_comments(text: str) -> list[str]:
    """What a config that was written by looking at files says above its first setting, without what all of them say."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return lines[1:]


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("Error: ") if lines else "it has said nothing"


def channel_rows(survey: dict[str, Any]) -> list[dict[str, Any]]:
    """Each channel over all files: least, most, missing values, and what is odd about it."""
    odd = {"constant": "never changes", "at_limit": "is held at a limit", "text": "holds words", "counts": "counts up"}
    found: dict[str, dict[str, Any]] = {}
    for file in survey["files"]:
        for channel in file["channels"]:
            row = found.setdefault(
                channel["name"],
                {"name": channel["name"], "low": None, "high": None, "missing": 0, "files": 0, "odd": {}},
            )
            row["files"] += 1
            row["missing"] += channel["missing"]
            for key, pick in (("low", min), ("high", max)):
                if channel[key] is not None:
                    row[key] = channel[key] if row[key] is None else pick(row[key], channel[key])
            for key, says in odd.items():
                if channel.get(key):
                    row["odd"][says] = row["odd"].get(says, 0) + 1
    for row in found.values():
        row["odd"] = "; ".join(f"{says} in {count} of {row['files']}" for says, count in row["odd"].items())
    return list(found.values())


def _job(space: Workspace, request: Request) -> tuple[str, dict[str, Any]]:
    job = jobs.job_of(space, request.path_params["id"])
    out = live.out_of(job)
    report = live.report_of(job)
    done = job.kind == "run" and out is not None and (space.folder / out / "report.json").is_file()
    return "job.html.j2", {
        "job": job,
        "now": live.snapshot(space, job),
        "printed": jobs.printed(space, job, "out"),
        "run": job.about if done else None,
        "report": report is not None and space.inside(*report.split("/")).is_file(),
        "chosen": job.kind == "search" and out is not None and (space.folder / out / "chosen.toml").is_file(),
        "resumable": job.state in ("stopped", "failed", "lost") and job.kind != "record",
    }


def _run(space: Workspace, request: Request) -> tuple[str, dict[str, Any]]:
    name = checked_name(request.path_params["name"])
    report = runs.report_of(space, name)
    text = outcome.config_text(space, name)
    found = jobs.all_jobs(space)
    made = next((job for job in found if job.kind == "run" and job.about == name), None)
    projects = [job for job in found if job.kind == "new-firmware" and job.about == name]
    line = next((run for run in runs.all_runs(space) if run.name == name), None)
    return "run.html.j2", {
        "name": name,
        "report": report,
        "line": line,
        "text": text,
        "recordings": outcome.recordings_of(space, name),
        "made": made,
        "projects": projects,
        "sets": recordings.all_sets(space),
        "score": outcome.scores_of(space, name, "new"),
        "boards": BOARDS,
        "sound_rate": sound_rate(space, name, report),
        "has_threshold": why_fixed(report) is None and (space.runs / name / "calibration.csv").is_file(),
    }


def _live(space: Workspace, request: Request) -> tuple[str, dict[str, Any]]:
    given = request.query_params.get("name", "")
    return "live.html.j2", {
        "active": record.recording_jobs(space),
        "sets": recordings.all_sets(space),
        "runs": runs.all_runs(space)[:MOST_LISTED],
        "name": checked_name(given) if given else "",
        "sound_rates": (LEAST_RATE, MOST_RATE),
    }


def _recording(space: Workspace, request: Request) -> tuple[str, dict[str, Any]]:
    job = jobs.job_of(space, request.path_params["id"])
    return "recording.html.j2", {"job": job, "now": record.snapshot(space, job)}


def _compare(space: Workspace, request: Request) -> tuple[str, dict[str, Any]]:
    names = _unlike(request.query_params.getlist("run"))[:MOST_COMPARED]
    if len(names) < 2:
        raise ValueError("choose two runs or more in the list to see them side by side")
    return "compare.html.j2", {"names": names, "rows": runs.compared(space, names)}


def _unlike(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))
