"""The search: candidates drawn by Optuna, tried by workers, kept in a journal; a Pareto front, and one chosen from it."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from micro.config import Config
from micro.errors import RunError
from micro.explore.holdout import kept_back, rehearse
from micro.explore.selection import TIE, Scores, choose, finals, pareto
from micro.explore.space import given, require_searchable, resolutions, smallest, widest
from micro.explore.study import OWN, Budget, Candidate, Study, require_optuna, share_of_budget
from micro.explore.task import TRIAL, Task, prepare, value
from micro.runs.folder import check_claim, claim_folder, starting
from micro.runs.lock import holding, settled
from micro.support.files import json_bytes, sha256, write_bytes
from micro.support.progress import Progress
from micro.support.workers import cluster, require_ray, run_all
from micro.tflite.cost import parse_bytes, parse_count

# Candidates drawn together: a batch sees all earlier batches and nothing of itself, so that results do not hang on how many
# workers there are or which is quicker.
BATCH = 4
# Draws allowed for each candidate that is to be trained: the rest do not fit.
DRAWS = 12
JOURNAL = "study.jsonl"


@dataclass(frozen=True)
class SearchResult:
    """What a search found: all candidates, those that none beats in score at no more of the budget, and the one chosen.

    `finals` are the finalists' scores from several seeds, by number; `kept` tells that a training load was kept from candidates
    and judged them; `command` trains the chosen one, proves it and emits its firmware.
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


def search(
    config: Config,
    out: str | Path,
    *,
    flash: str | int | None = None,
    ram: str | int | None = None,
    macs: str | int | None = None,
    trials: int = 40,
    workers: int = 2,
    address: str | None = None,
    runtime: Literal["tflm", "static"] = "tflm",
    resume: bool = False,
    progress: Progress = lambda stage, share: None,
) -> SearchResult:
    """The best student within a budget for a config's data and teacher, chosen on windows that are not the test's.

    Widths, depth, bottleneck, kernel and stride, the front end's bands, temperature and the teacher's share, zeros and the
    scales of weights vary. Costs are measured on the untrained candidate; what does not fit is never trained, and what others
    beat at no more cost stops early. The teacher's outputs are computed once. The same config, budget and `trials` give the
    same result, however many workers there are and however often the search was interrupted.

    Args:
        config: Data, features, teacher, and the student to begin with; its test data are not looked at.
        out: Folder for the journal, the page, and the config of the chosen student.
        flash, ram: Bytes or a size such as '64KiB'; of the .tflite and its arena on a 32-bit chip, as `check` compares it, or
            of static C's constants and arena.
        macs: Multiply-accumulates an inference, such as '2M'.
        trials: Candidates that fit and are tried.
        workers: Processes; on a cluster, pieces at a time.
        address: Of a Ray cluster; None for this machine.
        runtime: What flash and RAM are counted for, 'tflm' or 'static'.
        resume: Go on with the search in `out`, with more trials if task.

    Raises:
        RunError: Where nothing can meet the budget (the smallest reachable is told), `out` is in the way, another search is
            at work in it, its journal is damaged or belongs to another search.
        DataError: For recordings that cannot be read or are too few.
        ValueError: For budgets that do not parse.
    """
    budget: Budget = {
        "flash": None if flash is None else parse_bytes(str(flash), "flash"),
        "ram": None if ram is None else parse_bytes(str(ram), "ram"),
        "macs": None if macs is None else parse_count(str(macs), "macs"),
    }
    if not any(budget.values()):
        raise ValueError("search: give a budget: flash, ram or macs")
    if trials < 1:
        raise ValueError(f"trials must be at least 1, got {trials}")
    require_searchable(config)
    require_ray()
    require_optuna()
    task = Task(config, Path(out), budget, runtime, workers)
    with holding(settled(out, renamed=False)):
        fresh = _claim(task, resume)
        return _search(task, trials, address, fresh, progress)


def _search(task: Task, trials: int, address: str | None, fresh: bool, progress: Progress) -> SearchResult:
    """As `search`, in a folder that is held and claimed; one just claimed is given up where the search cannot start."""
    config, budget = task.config, task.budget
    with ExitStack() as stack:
        with starting(task.out, fresh=fresh):
            stack.enter_context(cluster(task.workers, address))
            progress("teaching the teacher", 0.02)
            teacher_score = prepare(task)
            _require_reachable(task)
        study = Study(task.out / JOURNAL, config)
        progress("trying the config's own student", 0.08)
        own = _own(task)
        if kept_back(config) is not None and _is_perfect(own, teacher_score):
            # Windows that all get right tell students apart no longer; a load that none has learnt from does.
            task = replace(task, kept=True)
            progress("trying it without its last load", 0.09)
            teacher_score = prepare(task)
            own = _own(task)
        limit = widest(config, _fewest_inputs(task), budget["flash"], budget["macs"])
        while (tried := _tried(study)) < trials and len(study.candidates()) < DRAWS * trials:
            progress(f"{tried} of {trials} candidates tried", 0.1 + 0.75 * tried / trials)
            _try_batch(task, study, own, limit, min(BATCH, trials - tried))
        candidates = (own, *study.candidates())
        _require_some(candidates)
        progress("training the finalists again", 0.88)
        scores = finals(task, study, candidates)
    return _conclude(task, study, candidates, scores, teacher_score)


def _claim(task: Task, resume: bool) -> bool:
    """Make the folder this search's once its data have been read, or see that it is already; True if it is new.

    Raises:
        RunError: If something of the user's would be lost or another search's results mixed in.
        DataError: Names what is missing, damaged or too little.
    """
    config = task.config.model_dump(mode="json")
    told = json_bytes({"config": config, "budget": task.budget, "runtime": task.runtime})
    words = (task.out, told, resume, "search", "another config, budget or runtime")
    check_claim(*words)
    if not resume:
        rehearse(task.config)
    return claim_folder(*words)


def _fewest_inputs(task: Task) -> int:
    """Values of a window's features at the lowest resolution."""
    path = task.folder(resolutions(task.config)[0]) / "train_x.npy"
    return int(np.prod(np.load(path, mmap_mode="r", allow_pickle=False).shape[1:]))


def _require_reachable(task: Task) -> None:
    """RunError telling the smallest reachable, where not even that meets the budget."""
    config, budget = task.config, task.budget
    pieces = [(str(n), task.piece(small, config.seed, learn=False)) for n, small in enumerate(smallest(config))]
    costs = [value(outcome)["costs"] for outcome in run_all(TRIAL, pieces, workers=task.workers)]
    if any(share_of_budget(cost, budget) <= 1 for cost in costs):
        return
    least = {name: min(cost[name] for cost in costs) for name in budget}
    limits = {name: limit for name, limit in budget.items() if limit is not None}
    beyond = {name: limit for name, limit in limits.items() if least[name] > limit} or limits
    words = {"flash": "bytes of flash", "ram": "bytes of RAM", "macs": "MACs"}
    told = "; ".join(f"{least[name]:,} {words[name]}, {limit:,} allowed" for name, limit in beyond.items())
    raise RunError(f"search: nothing can meet the budget, the smallest reachable takes {told}")


def _tried(study: Study) -> int:
    """How many candidates fitted and were tried."""
    return sum(found.state in ("done", "stopped") for found in study.candidates())


def _own(task: Task) -> Candidate:
    """The config's own student, tried once and kept."""
    path = task.out / ("own-kept.json" if task.kept else "own.json")
    if not path.is_file():
        pieces = [("own", task.piece(given(task.config), task.config.seed))]
        for outcome in run_all(TRIAL, pieces, workers=task.workers):
            write_bytes(path, json_bytes(value(outcome)))
    told = json.loads(path.read_text())
    marks = tuple(told.get("marks", ()))
    return Candidate(OWN, told["state"], {}, told["costs"], marks, told.get("score"), accuracy=told.get("accuracy"))


def _is_perfect(own: Candidate, teacher_score: float | None) -> bool:
    """Whether the config's own student, or its teacher where the student does not fit, leaves nothing to be better at."""
    score = own.score if own.score is not None else teacher_score
    return score is not None and score > 1 - TIE


def _try_batch(task: Task, study: Study, own: Candidate, limit: int, size: int) -> None:
    """Draw a batch, try it, and tell what became of each in the order drawn."""
    number, drawn = study.batch(size, limit)
    finished = [
        {"costs": found.costs, "marks": found.marks}
        for found in (own, *study.candidates(before=number))
        if found.state in ("done", "stopped")
    ]
    pieces = [
        (str(trial.number), task.piece(candidate, task.config.seed, finished=finished)) for trial, candidate in drawn
    ]
    outcomes = {outcome.name: outcome for outcome in run_all(TRIAL, pieces, workers=task.workers)}
    for trial, _ in drawn:
        study.tell(trial, outcomes[str(trial.number)], task.budget)


def _require_some(candidates: Sequence[Candidate]) -> None:
    """RunError saying what went wrong, where no candidate was tried to the end."""
    if any(found.state == "done" for found in candidates):
        return
    failed = [found.error for found in candidates if found.error]
    why = (
        f"; one failed of: {failed[0]}"
        if failed
        else "; of those drawn none fits: allow more, or narrow the config's student"
    )
    raise RunError(f"search: none of {len(candidates)} candidates was tried to the end{why}")


def _conclude(
    task: Task,
    study: Study,
    candidates: tuple[Candidate, ...],
    scores: Scores,
    teacher_score: float | None,
) -> SearchResult:
    """Write the chosen config, the result and its page."""
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
    """The config as a file in the search's folder: what is not set is left out, and paths lead from there."""
    import tomli_w

    told = config.model_dump(mode="json", exclude_none=True)
    for section, key in (("data", "folder"), ("teacher", "path")):
        if key in told[section]:
            told[section][key] = os.path.relpath(told[section][key], task.out)
    if task.runtime == "tflm":
        budget = {name: task.budget[name] for name in ("flash", "ram")}
        told["budget"] = {name: str(limit) for name, limit in budget.items() if limit is not None}
    return tomli_w.dumps(told).encode()
