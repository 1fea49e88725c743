"""What a search would do, without training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from micro.config import Config
from micro.explore.holdout import search_windows
from micro.explore.search import check_search, task_of
from micro.explore.study import Budget
from micro.runs.lock import settled
from micro.runs.plan import RunPlan, planned


@dataclass(frozen=True)
class SearchPlan:
    """A search's data and models, as of a run with its config, and its budget."""

    run: RunPlan
    budget: Budget
    trials: int
    runtime: str


def plan_search(
    config: Config,
    out: str | Path,
    *,
    flash: str | int | None = None,
    ram: str | int | None = None,
    macs: str | int | None = None,
    trials: int = 40,
    runtime: Literal["tflm", "static"] = "static",
    resume: bool = False,
) -> SearchPlan:
    """Read a config's data and say what a search would do; arguments and errors are those of `micro.search`."""
    task = task_of(config, out, flash, ram, macs, trials, runtime)
    folder = settled(out, renamed=False)
    check_search(task, resume)
    data, _ = search_windows(config)
    where = f"{folder} goes on" if resume else f"{folder} would be new"
    return SearchPlan(planned(config, data, 1, where), task.budget, trials, runtime)
