"""The search: candidates drawn by Optuna, trained by workers, kept in a journal; a Pareto front, and one chosen from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from micro.config import Config
from micro.errors import RunError
from micro.explore.holdout import kept_back, search_windows
from micro.explore.result import SearchResult, conclude
from micro.explore.search_lines import TRAINED, SearchTeller, Watch, fraction_of, nobody
from micro.explore.selection import TIE, finals
from micro.explore.space import given, require_searchable, resolutions, smallest, widest
from micro.explore.study import OWN, Budget, Candidate, Study, budget_used, require_optuna
from micro.explore.task import TRIAL, Task, around_in, prepare, value
from micro.runs.budgets import limits_of
from micro.runs.folder import check_claim, claim_folder, starting
from micro.runs.lock import holding, settled
from micro.support.files import json_bytes, write_bytes
from micro.support.progress import Progress
from micro.support.wording import counted
from micro.support.workers import cluster, require_ray, run_all
from micro.tflite.cost import parse_bytes, parse_count

# Candidates drawn together: a batch sees all earlier batches and nothing of itself, so that results do not depend on the number
# of workers or their speed.
BATCH = 4
# Draws allowed for each candidate that is to be trained: the rest do not fit.
DRAWS = 12
JOURNAL = "study.jsonl"


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
    runtime: Literal["tflm", "static"] = "static",
    resume: bool = False,
    progress: Progress = lambda stage, fraction: None,
    watch: Watch = nobody,
) -> SearchResult:
    """The best student within a budget for a config's data and teacher, chosen on windows that are not the test's.

    Sizes and depth, kernel and stride, bands, temperature, the teacher's weight, sparsity and the scales of weights vary. Costs
    are measured before training: what does not fit is never trained, and what others beat at no more cost stops early. The
    same config, budget and `trials` give the same result, whatever the number of workers and interruptions.

    Args:
        config: Data, features, teacher, and the student to begin with; its test data are not used.
        out: Folder for the journal, the page, and the config of the chosen student.
        flash, ram: Bytes or a size such as '64KiB', of the .tflite and its arena as `check` compares it, or of static C.
        macs: Multiply-accumulates per inference, such as '2M'.
        trials: Candidates that fit and are trained.
        workers: Processes; on a cluster, candidates at a time.
        address: Of a Ray cluster; None for this host.
        runtime: What flash and RAM are counted for, 'static' or 'tflm', each with its code.
        resume: Continue the search in `out`, or with more trials.
        progress: Called with the stage and the fraction that is done.
        watch: Called with a `SearchLine` for each candidate as soon as it has a result.

    Raises:
        RunError: If nothing can meet the budget, or `out` is in the way, in use, damaged or another search's.
        DataError: For recordings that cannot be read or are too few.
        ValueError: For budgets that do not parse.

    Examples:
        >>> config = micro.parse_config({"job": "rig", "teacher": {"sizes": [64, 8, 64]}, "student": {"sizes": [8]}})
        >>> result = micro.search(config, "searches/rig", flash="16KiB", ram="8KiB")  # doctest: +SKIP
        >>> micro.search(config, "searches/rig")
        Traceback (most recent call last):
        ValueError: search: give a budget: flash, ram or macs
    """
    task = task_of(config, out, flash, ram, macs, trials, runtime, workers)
    with holding(settled(out, renamed=False)):
        return _search(task, address, _claim(task, resume), progress, SearchTeller(trials, watch))


def task_of(
    config: Config,
    out: str | Path,
    flash: str | int | None,
    ram: str | int | None,
    macs: str | int | None,
    trials: int,
    runtime: str,
    workers: int = 1,
) -> Task:
    """A search as its arguments say it, and that what it needs is installed; the arguments and errors of `search`."""
    require_searchable(config)
    task = Task(config, Path(out), _parsed(flash, ram, macs, trials), runtime, workers)
    require_ray()
    require_optuna()
    return task


def _parsed(flash: str | int | None, ram: str | int | None, macs: str | int | None, trials: int) -> Budget:
    """A budget in bytes and operations; ValueError for one that limits nothing, and for no trials."""
    if trials < 1:
        raise ValueError(f"trials must be at least 1, got {trials}")
    budget: Budget = {
        "flash": None if flash is None else parse_bytes(str(flash), "flash"),
        "ram": None if ram is None else parse_bytes(str(ram), "ram"),
        "macs": None if macs is None else parse_count(str(macs), "macs"),
    }
    if not any(budget.values()):
        raise ValueError("search: give a budget: flash, ram or macs")
    return budget


def _search(task: Task, address: str | None, fresh: bool, progress: Progress, teller: SearchTeller) -> SearchResult:
    """As `search`, in a folder that is held and claimed; one just claimed is given up if the search cannot start."""
    with ExitStack() as stack:
        with starting(task.out, fresh=fresh):
            if not fresh:
                Study(task.out / JOURNAL, task.config)  # a damaged journal is refused before any process is started
            stack.enter_context(cluster(task.workers, address))
            progress("training the teacher", 0.02)
            teacher_score = prepare(task)
            _require_reachable(task)
        study = Study(task.out / JOURNAL, task.config)
        base = _own_student(task, teacher_score, progress)
        teller.begin(base.own, study.candidates())
        _try_candidates(base, study, progress, teller)
        candidates = (base.own, *study.candidates())
        _require_some(candidates)
        scores = finals(base.task, study, candidates, progress)
    result = conclude(base.task, base.teacher_score, study, candidates, scores)
    progress("done", 1.0)
    return result


@dataclass(frozen=True)
class Baseline:
    """What candidates are compared with: the config's own student and teacher, and the task as candidates are judged."""

    task: Task
    own: Candidate
    teacher_score: float | None


def _own_student(task: Task, teacher_score: float | None, progress: Progress) -> Baseline:
    """The config's own student, trained once. If validation windows are too easy to compare classifiers, candidates are judged
    on a load that none of them was trained on."""
    progress("training the config's own student", 0.08)
    own = _own(task)
    if kept_back(task.config) is None or not _is_perfect(own, teacher_score):
        return Baseline(task, own, teacher_score)
    task = replace(task, kept=True)
    progress("training it without its last load", 0.09)
    teacher_score = prepare(task)
    return Baseline(task, _own(task), teacher_score)


def _try_candidates(base: Baseline, study: Study, progress: Progress, teller: SearchTeller) -> None:
    """Draw and try candidates until enough have been trained, or too many drawn."""
    task, trials = base.task, teller.trials
    limit = widest(task.config, _fewest_inputs(task), _flash_left(task), task.budget["macs"])
    while (tried := _tried(study)) < trials and len(study.candidates()) < DRAWS * trials:
        progress(f"{tried} of {trials} candidates trained", fraction_of(tried, trials))
        _try_batch(task, study, base.own, limit, min(BATCH, trials - tried), teller)


def _claim(task: Task, resume: bool) -> bool:
    """Claim the folder for this search once its data have been read, or check that it is this search's; True if it is new.

    Raises:
        RunError: If something of the user's would be lost or another search's results mixed in.
        DataError: Names what is missing, damaged or too little.
    """
    words = check_search(task, resume)
    if not resume:
        search_windows(task.config)
    return claim_folder(*words)


def check_search(task: Task, resume: bool) -> tuple[Path, bytes, bool, str, str]:
    """See that a folder can be claimed for a search, and return what claims it; RunError if it is in the way."""
    config = task.config.model_dump(mode="json")
    content = json_bytes({"config": config, "budget": task.budget, "runtime": task.runtime})
    words = (task.out, content, resume, "search", "another config, budget or runtime")
    check_claim(*words)
    return words


def _fewest_inputs(task: Task) -> int:
    """Values of a window's features at the lowest resolution."""
    path = task.folder(resolutions(task.config)[0]) / "train_x.npy"
    return int(np.prod(np.load(path, mmap_mode="r", allow_pickle=False).shape[1:]))


def _flash_left(task: Task) -> int | None:
    """Bytes of flash that the budget leaves a student."""
    limit, around = task.budget["flash"], around_in(task.folder(resolutions(task.config)[0]))
    if limit is None or around is None:
        return limit
    return max(1, limit - around.flash_on(limits_of(task.config.budget).core))


def _require_reachable(task: Task) -> None:
    """RunError that names the smallest reachable costs, if not even those meet the budget."""
    config, budget = task.config, task.budget
    pieces = [(str(n), task.piece(small, config.seed, learn=False)) for n, small in enumerate(smallest(config))]
    costs = [value(outcome)["costs"] for outcome in run_all(TRIAL, pieces, workers=task.workers)]
    if any(budget_used(cost, budget) <= 1 for cost in costs):
        return
    least = {name: min(cost[name] for cost in costs) for name in budget}
    limits = {name: limit for name, limit in budget.items() if limit is not None}
    beyond = {name: limit for name, limit in limits.items() if least[name] > limit} or limits
    words = {"flash": "bytes of flash", "ram": "bytes of RAM", "macs": "MACs"}
    takes = "; ".join(f"{least[name]:,} {words[name]}, {limit:,} allowed" for name, limit in beyond.items())
    raise RunError(f"search: nothing can meet the budget, the smallest reachable takes {takes}")


def _tried(study: Study) -> int:
    """How many candidates fitted and were trained."""
    return sum(found.state in TRAINED for found in study.candidates())


def _own(task: Task) -> Candidate:
    """The config's own student, trained once and kept."""
    path = task.out / ("own-kept.json" if task.kept else "own.json")
    if not path.is_file():
        pieces = [("own", task.piece(given(task.config), task.config.seed))]
        for outcome in run_all(TRIAL, pieces, workers=task.workers):
            write_bytes(path, json_bytes(value(outcome)))
    result = json.loads(path.read_text())
    epoch_scores = tuple(result.get("epoch_scores", ()))
    return Candidate(
        OWN, result["state"], {}, result["costs"], epoch_scores, result.get("score"), accuracy=result.get("accuracy")
    )


def _is_perfect(own: Candidate, teacher_score: float | None) -> bool:
    """Whether the config's own student, or its teacher if the student does not fit, cannot be improved on these windows."""
    score = own.score if own.score is not None else teacher_score
    return score is not None and score > 1 - TIE


def _try_batch(task: Task, study: Study, own: Candidate, limit: int, size: int, teller: SearchTeller) -> None:
    """Draw a batch, train it, tell of each result as it comes, and record all in the order drawn."""
    number, drawn = study.batch(size, limit)
    finished = [
        {"costs": found.costs, "epoch_scores": found.epoch_scores}
        for found in (own, *study.candidates(before=number))
        if found.state in TRAINED
    ]
    pieces = [
        (str(trial.number), task.piece(candidate, task.config.seed, finished=finished)) for trial, candidate in drawn
    ]
    outcomes = {}
    for outcome in run_all(TRIAL, pieces, workers=task.workers):
        outcomes[outcome.name] = outcome
        teller.tell(study.candidate(int(outcome.name), outcome))
    for trial, _ in drawn:
        study.tell(trial, outcomes[str(trial.number)], task.budget)


def _require_some(candidates: Sequence[Candidate]) -> None:
    """RunError that says what went wrong, if no candidate was trained to the end."""
    if any(found.state == "done" for found in candidates):
        return
    failed = [found.error for found in candidates if found.error]
    why = (
        f"; one failed of: {failed[0]}"
        if failed
        else "; of those drawn none fits: allow more, or narrow the config's student"
    )
    drawn = sum(found.number != OWN for found in candidates)
    raise RunError(
        f"search: neither the config's own student nor any of {counted(drawn, 'candidate')} drawn was trained to the end{why}"
    )
