"""Jobs: commands of this program, each in a process group of its own, known by files alone.

Of job 0007 the folder jobs/ holds `0007.json` (what was asked for), `0007.pid` (its process, once it runs), `0007.out` and
`0007.log` (what it printed), and `0007.end` (how it ended). Whoever reads them knows all there is to know, so that a studio
which is started again goes on where another was closed.
"""

from __future__ import annotations

import functools
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from micro.errors import RunError
from micro.studio import attend
from micro.studio.workspace import Workspace
from micro.support.files import json_bytes, write_bytes

State = Literal["waiting", "running", "done", "failed", "stopped", "lost"]
# Work that takes the whole computer: one at a time, the others wait.
HEAVY = ("run", "search", "fleet", "emulate")
# Exit codes after SIGINT and SIGTERM, and of SIGKILL.
STOPPED = (130, 143, 137)
# Exit codes with which a command has done its work and says no.
ANSWERED = (0, 1, 3)
# What a page shows of what a job printed, in bytes.
MOST_PRINTED = 64 * 1024
# Held while jobs are started.
STARTING = ".starting.lock"
# The exit code of a command that a shell cannot run.
CANNOT_START = 126


@dataclass(frozen=True)
class Job:
    """A command and what became of it.

    Attributes:
        id: Four digits or more, in the order in which jobs were made.
        kind: The command's name.
        about: The recordings or the run that it is about.
        words: What is typed after `keras-kd`.
        created, started, ended: Seconds since 1970; None where that has not been.
        pid: Of its process group; None until it runs.
        code: Its exit code; None until it has one.
        peak_kib: The most memory that one of its processes held; None until it has ended.
    """

    id: str
    kind: str
    about: str
    words: tuple[str, ...]
    created: float
    state: State = "waiting"
    started: float | None = None
    pid: int | None = None
    ended: float | None = None
    code: int | None = None
    peak_kib: int | None = None

    @property
    def command(self) -> str:
        """As it is typed in the studio's folder."""
        return shlex.join(["keras-kd", *self.words])

    @property
    def active(self) -> bool:
        return self.state in ("waiting", "running")

    def to_plain(self) -> dict[str, Any]:
        return {**asdict(self), "command": self.command, "active": self.active}


def all_jobs(space: Workspace) -> list[Job]:
    """Every job, the newest first."""
    names = sorted((path.stem for path in space.jobs.glob("*.json") if path.stem.isdigit()), key=int, reverse=True)
    found = (_read(space, name) for name in names)
    return [job for job in found if job is not None]


def job_of(space: Workspace, name: str) -> Job:
    """One job.

    Raises:
        RunError: If there is none of that number.
    """
    job = _read(space, name) if name.isascii() and name.isdigit() else None
    if job is None:
        raise RunError(f"there is no job {name[:20]!r}")
    return job


def add(space: Workspace, words: Sequence[str], about: str) -> Job:
    """Write down a job and start it, unless it has to wait for another one."""
    number = 1 + max((int(path.stem) for path in space.jobs.glob("*.json") if path.stem.isdigit()), default=0)
    while True:
        job = Job(f"{number:04}", words[0], about, tuple(words), time.time())
        try:
            # The number is taken by whoever makes the file: two users cannot get the same one.
            with _file(space, job.id, "json").open("xb") as file:
                file.write(json_bytes({key: getattr(job, key) for key in ("kind", "about", "words", "created")}))
            break
        except FileExistsError:
            number += 1
    start_waiting(space)
    return job_of(space, job.id)


def start_waiting(space: Workspace) -> None:
    """Start what waits: light work at once, of heavy work the oldest when no other runs."""
    with FileLock(space.jobs / STARTING):
        jobs = all_jobs(space)
        busy = any(job.state == "running" and job.kind in HEAVY for job in jobs)
        for job in reversed(jobs):
            if job.state == "waiting" and not (busy and job.kind in HEAVY):
                try:
                    _start(space, job)
                except (OSError, ValueError) as error:
                    write_bytes(_file(space, job.id, "log"), f"Error: it cannot be started: {error}\n".encode())
                    _note_end(space, job, CANNOT_START)
                    continue
                busy = busy or job.kind in HEAVY


def stop(space: Workspace, name: str, *, kill: bool = False) -> None:
    """Interrupt a job as Ctrl-C does, or end it at once; one that waits does not begin."""
    with FileLock(space.jobs / STARTING):  # so that it does not begin meanwhile
        job = job_of(space, name)
        if job.state == "waiting":
            _note_end(space, job, 130)
            return
    if job.state == "running" and job.pid is not None:
        os.killpg(job.pid, signal.SIGKILL if kill else signal.SIGINT)
        if kill:
            _note_end(space, job, 137)


def resumed(space: Workspace, name: str) -> Job:
    """A new job that goes on with one that was stopped or has failed: the same command, with --resume where it takes that up.

    Raises:
        RunError: If it is still active, or has done its work.
    """
    job = job_of(space, name)
    if job.active or job.state == "done":
        raise RunError(f"job {job.id} is {job.state}: there is nothing to go on with")
    if job.kind == "record":
        raise RunError(f"job {job.id} recorded what came then, and keeps it; record again for what comes now")
    words = [word for word in job.words if word != "--resume"]
    if "--out" in words and job.kind in ("run", "search", "fleet"):
        from micro.runs.folder import can_resume

        if can_resume(space.folder / words[words.index("--out") + 1]):
            words.append("--resume")
    return add(space, words, job.about)


def printed(space: Workspace, job: Job, what: Literal["out", "log"] = "log", *, whole: bool = False) -> str:
    """What a job wrote to standard output or to standard error; of much the end, unless `whole`."""
    try:
        with _file(space, job.id, what).open("rb") as file:
            if not whole:
                file.seek(max(0, os.fstat(file.fileno()).st_size - MOST_PRINTED))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def newest(space: Workspace, kind: str, about: str) -> Job | None:
    """The newest job of a kind about something."""
    return next((job for job in all_jobs(space) if (job.kind, job.about) == (kind, about)), None)


def _file(space: Workspace, name: str, ending: str) -> Path:
    return space.jobs / f"{name}.{ending}"


def _plain(path: Path) -> dict[str, Any] | None:
    """A JSON object, or None where there is none or it is being written."""
    try:
        held = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return held if isinstance(held, dict) else None


def _read(space: Workspace, name: str) -> Job | None:
    """A job by its files; None where they are missing, or hold what no studio has written."""
    try:
        return _known(space, name)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _known(space: Workspace, name: str) -> Job | None:
    end = _file(space, name, "end")
    try:
        return _ended(space, name, end.stat().st_mtime_ns)
    except FileNotFoundError:
        pass
    job = _asked(space, name)
    process = _plain(_file(space, name, "pid"))
    if job is None or process is None:
        return job
    job = replace(job, pid=int(process["pid"]), started=float(process["started"]), state="running")
    if process["born"] is not None and _born(int(process["pid"])) == process["born"]:
        return job
    # It may have ended after the first look.
    return _known(space, name) if end.exists() else replace(job, state="lost")


def _asked(space: Workspace, name: str) -> Job | None:
    """A job as it was asked for, None where the file is missing or damaged."""
    asked = _plain(_file(space, name, "json"))
    if asked is None or not {"kind", "about", "words", "created"} <= asked.keys():
        return None
    return Job(name, str(asked["kind"]), str(asked["about"]), tuple(map(str, asked["words"])), float(asked["created"]))


@functools.lru_cache(maxsize=4096)
def _ended(space: Workspace, name: str, changed: int) -> Job | None:
    """A job that has ended, which changes no more; `changed` is when its end was noted."""
    job, process, end = _asked(space, name), _plain(_file(space, name, "pid")), _plain(_file(space, name, "end"))
    if job is None or end is None:
        return job
    code = int(end["code"])
    state: State = "done" if code in ANSWERED else "stopped" if code in STOPPED else "failed"
    job = replace(job, state=state, code=code, ended=float(end["ended"]), peak_kib=end.get("peak_kib"))
    return job if process is None else replace(job, pid=int(process["pid"]), started=float(process["started"]))


def _start(space: Workspace, job: Job) -> None:
    root = str(Path(__file__).resolve().parents[2])
    paths = [path for path in (os.environ.get("PYTHONPATH"), root) if path]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(paths)}
    with _file(space, job.id, "out").open("wb") as out, _file(space, job.id, "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", attend.__file__, _file(space, job.id, "end").resolve()),
                *(sys.executable, "-P", "-m", "micro.cli", *job.words),
            ],
            cwd=space.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=log,
            start_new_session=True,
        )
    held = {"pid": process.pid, "started": time.time(), "born": _born(process.pid)}
    write_bytes(_file(space, job.id, "pid"), json_bytes(held))


def _note_end(space: Workspace, job: Job, code: int) -> None:
    write_bytes(_file(space, job.id, "end"), json_bytes({"code": code, "ended": time.time()}))


def _born(pid: int) -> str | None:
    """When a process began, in ticks since the computer did, by which a number that was given again is recognized; None
    where there is no such process, or only what is left of one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def memory_kib(pid: int) -> int:
    """What the processes of a job hold in memory now, in KiB; what they share counts for each."""
    pages = 0
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                fields = (place / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == pid:
                pages += int(fields[21])
    return pages * (os.sysconf("SC_PAGE_SIZE") // 1024)
