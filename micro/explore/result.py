"""The result of a search, and what is written of it: the chosen config, search.json, the page."""

from __future__ import annotations

import os
import shlex
from dataclasses import asdict, dataclass

from micro.config import Config
from micro.explore.selection import Scores, choose, pareto
from micro.explore.study import Budget, Candidate, Study
from micro.explore.task import Task
from micro.support.files import json_bytes, sha256, write_bytes


@dataclass(frozen=True)
class SearchResult:
    """The result of a search: all candidates, the numbers of those on the Pareto front of score and budget, and of the one
    chosen.

    `finals` are the finalists' scores from several seeds, by number; `kept` says that a training load was held out from
    candidates and judged them; `command` trains the chosen one, verifies it and emits its firmware.

    Examples:
        >>> from micro.explore.study import Candidate
        >>> own = Candidate(-1, "done", {}, {"flash": 2000, "ram": 900, "macs": 500}, score=0.91)
        >>> budget = {"flash": 4096, "ram": None, "macs": None}
        >>> command = "keras-kd run chosen.toml --out chosen"
        >>> result = micro.SearchResult((own,), (-1,), -1, {}, False, budget, "tflm", 0.93, command)
        >>> result.candidates[0].score
        0.91
    """

    candidates: tuple[Candidate, ...]
    front: tuple[int, ...]
    chosen: int
    finals: Scores
    kept: bool
    budget: Budget
    runtime: str
    teacher_score: float | None
    command: str


def conclude(
    task: Task, teacher_score: float | None, study: Study, candidates: tuple[Candidate, ...], scores: Scores
) -> SearchResult:
    """Choose one of the finalists, and write its config, the search's result and its page."""
    from micro.explore.page import render_search

    out, budget = task.out, task.budget
    chosen = choose(candidates, scores, budget)
    made = study.config_of(next(found for found in candidates if found.number == chosen))
    content = _toml(made, task)
    write_bytes(out / "chosen.toml", content)
    command = shlex.join(["keras-kd", "run", str(out / "chosen.toml"), "--out", str(out / "chosen")])
    front = pareto(candidates, budget)
    result = SearchResult(candidates, front, chosen, scores, task.kept, budget, task.runtime, teacher_score, command)
    plain = asdict(result) | {
        "finals": {str(number): list(found) for number, found in scores.items()},
        "task": task.config.task,
        "job": task.config.job,
        "seed": task.config.seed,
        "chosen_sizes": list(made.student.sizes),
        "chosen_config": sha256(content),
    }
    write_bytes(out / "search.json", json_bytes(plain))
    write_bytes(out / "report.html", render_search(plain))
    return result


def _toml(config: Config, task: Task) -> bytes:
    """The config as a file in the search's folder: unset values are left out, and paths are relative to it."""
    import tomli_w

    plain = config.model_dump(mode="json", exclude_none=True, exclude={"overrides"})
    for section, key in (("data", "folder"), ("teacher", "path")):
        if key in plain[section]:
            plain[section][key] = os.path.relpath(plain[section][key], task.out)
    for source in plain["sources"]:
        if "folder" in source:
            source["folder"] = os.path.relpath(source["folder"], task.out)
    sizes = {name: str(limit) for name in ("flash", "ram") if (limit := task.budget[name]) is not None}
    plain["budget"] = {**plain["budget"], **sizes, "runtime": task.runtime}
    return tomli_w.dumps(plain).encode()
