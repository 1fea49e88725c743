"""The search: candidates drawn by Optuna, tried by workers, kept in a journal; a Pareto front, and one chosen from it."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from micro.config import Config
from micro.cost import parse_bytes, parse_count
from micro.engine import Outcome, cluster, run_all
from micro.errors import RunError
from micro.explore.space import given, require_searchable, resolutions, smallest, widest
from micro.explore.study import OWN, Budget, Candidate, Study, share_of_budget
from micro.files import claim_folder, json_bytes, sha256, write_bytes

Progress = Callable[[str, float], None]

# Candidates drawn together: a batch sees all earlier batches and nothing of itself, so that results do not hang on how many
# workers there are or which is quicker.
BATCH = 4
# Draws allowed for each candidate that is to be trained: the rest do not fit.
DRAWS = 12
# The best so many and the config's own are trained again from other seeds, so that luck does not choose.
FINALISTS, OTHER_SEEDS = 3, 2
# Mean scores that differ by less are taken for the same, and the cheaper candidate is chosen.
TIE = 5e-4
JOURNAL = "study.jsonl"
TRIAL, LESSONS = "micro.explore.trial:try_candidate", "micro.explore.trial:prepare_lessons"


@dataclass(frozen=True)
class SearchResult:
    """What a search found: all candidates, those that none beats in score at no more of the budget, and the one chosen.

    `finals` are the finalists' scores from several seeds, by number; `command` trains the chosen one, proves it and emits its
    firmware.
    """

    candidates: tuple[Candidate, ...]
    front: tuple[int, ...]
    chosen: int
    finals: dict[int, tuple[float, ...]]
    budget: Budget
    runtime: str
    teacher_score: float | None
    command: str


@dataclass(frozen=True)
class _Asked:
    """What is searched, where it is kept, and with how many workers."""

    config: Config
    out: Path
    budget: Budget
    runtime: str
    workers: int

    def folder(self, bands: int) -> Path:
        """Where the windows of a resolution lie."""
        return (self.out / "lessons" / f"bands-{bands}").resolve()

    def piece(self, config: Config, seed: int, **more: Any) -> dict[str, Any]:
        """A candidate as workers take it."""
        told = {"config": _plain(config), "folder": str(self.folder(config.features.bands)), "seed": seed}
        return {**told, "budget": self.budget, "runtime": self.runtime, **more}


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
        flash, ram: Bytes or a size such as '64KiB'; of the .tflite and its arena on a 32-bit chip, or of static C's constants
            and arena.
        macs: Multiply-accumulates an inference, such as '2M'.
        trials: Candidates that fit and are tried.
        workers: Processes; on a cluster, pieces at a time.
        address: Of a Ray cluster; None for this machine.
        runtime: What flash and RAM are counted for, 'tflm' or 'static'.
        resume: Go on with the search in `out`, with more trials if asked.

    Raises: RunError where nothing can meet the budget (the smallest reachable is told), `out` is in the way, its journal is
        damaged or belongs to another search; ValueError for budgets that do not parse.
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
    asked = _Asked(config, Path(out), budget, runtime, workers)
    _claim(asked, resume)
    study = Study(asked.out / JOURNAL, config)
    with cluster(workers, address):
        progress("teaching the teacher", 0.02)
        teacher_score = _prepare(asked)
        _require_reachable(asked)
        progress("trying the config's own student", 0.08)
        own = _own(asked)
        limit = widest(config, _fewest_inputs(asked), budget["flash"], budget["macs"])
        while (tried := _tried(study)) < trials and len(study.candidates()) < DRAWS * trials:
            progress(f"{tried} of {trials} candidates tried", 0.1 + 0.75 * tried / trials)
            _try_batch(asked, study, own, limit, min(BATCH, trials - tried))
        candidates = (own, *study.candidates())
        _require_some(candidates)
        progress("training the finalists again", 0.88)
        finals = _finals(asked, study, candidates)
    return _conclude(asked, study, candidates, finals, teacher_score)


def pareto(candidates: Sequence[Candidate], budget: Budget) -> tuple[int, ...]:
    """Numbers of the candidates that no other beats in score without taking more of the budget, from the cheapest on."""
    done = [found for found in candidates if found.state == "done" and found.score is not None]
    cheapest_first = sorted(
        done, key=lambda found: (share_of_budget(found.costs, budget), -(found.score or 0.0), found.number)
    )
    front: list[Candidate] = []
    for found in cheapest_first:
        if not front or (found.score or 0.0) > (front[-1].score or 0.0):
            front.append(found)
    return tuple(found.number for found in front)


def _claim(asked: _Asked, resume: bool) -> None:
    """Make the folder this search's, or see that it is already.

    Raises: RunError if something of the user's would be lost or another search's results mixed in.
    """
    config = asked.config.model_dump(mode="json")
    told = json_bytes({"config": config, "budget": asked.budget, "runtime": asked.runtime})
    claim_folder(asked.out, told, resume, "search", "another config, budget or runtime")


def _plain(config: Config) -> dict[str, Any]:
    """A config as workers take it: relative paths made whole, since they may have another working directory."""
    told = config.model_dump(mode="json")
    for section, key in (("data", "folder"), ("teacher", "path"), ("student", "path")):
        if told[section].get(key):
            told[section][key] = os.path.abspath(told[section][key])
    if "files" in told["data"]:
        told["data"]["files"] = [os.path.abspath(pattern) for pattern in told["data"]["files"]]
    return told


def _prepare(asked: _Asked) -> float | None:
    """Windows and teacher's outputs of every resolution, on disk; what is there already is left. The own teacher's score."""
    config = asked.config
    own = config.features.bands
    others = [bands for bands in resolutions(config) if bands != own]
    # A classifier's logits serve whatever the student hears; an autoencoder's teacher speaks in its own features.
    shared = str(asked.folder(own)) if config.task == "classification" else None
    rounds = [[own], others] if shared else [[own, *others]]
    for wanted in rounds:
        pieces = [
            (f"{bands} bands", _lesson(asked, bands, None if bands == own else shared))
            for bands in wanted
            if not asked.folder(bands).exists()
        ]
        for outcome in run_all(LESSONS, pieces, workers=asked.workers):
            _value(outcome)
    about = json.loads((asked.folder(own) / "about.json").read_text())
    return None if about["teacher_score"] is None else float(about["teacher_score"])


def _lesson(asked: _Asked, bands: int, teacher_from: str | None) -> dict[str, Any]:
    features = asked.config.features.model_copy(update={"bands": bands})
    config = _plain(asked.config.model_copy(update={"features": features}))
    return {"config": config, "folder": str(asked.folder(bands)), "teacher_from": teacher_from}


def _fewest_inputs(asked: _Asked) -> int:
    """Values of a window's features at the lowest resolution."""
    path = asked.folder(resolutions(asked.config)[0]) / "train_x.npy"
    return int(np.prod(np.load(path, mmap_mode="r", allow_pickle=False).shape[1:]))


def _require_reachable(asked: _Asked) -> None:
    """RunError telling the smallest reachable, where not even that meets the budget."""
    config, budget = asked.config, asked.budget
    pieces = [(str(n), asked.piece(small, config.seed, learn=False)) for n, small in enumerate(smallest(config))]
    costs = [_value(outcome)["costs"] for outcome in run_all(TRIAL, pieces, workers=asked.workers)]
    if any(share_of_budget(cost, budget) <= 1 for cost in costs):
        return
    least = {name: min(cost[name] for cost in costs) for name in budget}
    limits = {name: limit for name, limit in budget.items() if limit is not None}
    beyond = {name: limit for name, limit in limits.items() if least[name] > limit} or limits
    words = {"flash": "bytes of flash", "ram": "bytes of RAM", "macs": "MACs"}
    told = "; ".join(f"{least[name]:,} {words[name]}, {limit:,} allowed" for name, limit in beyond.items())
    raise RunError(f"search: nothing can meet the budget, the smallest reachable takes {told}")


def _value(outcome: Outcome) -> dict[str, Any]:
    if outcome.value is None:
        raise RunError(f"search: {outcome.error}")
    return outcome.value


def _tried(study: Study) -> int:
    """How many candidates fitted and were tried."""
    return sum(found.state in ("done", "stopped") for found in study.candidates())


def _own(asked: _Asked) -> Candidate:
    """The config's own student, tried once and kept."""
    path = asked.out / "own.json"
    if not path.is_file():
        pieces = [("own", asked.piece(given(asked.config), asked.config.seed))]
        for outcome in run_all(TRIAL, pieces, workers=asked.workers):
            write_bytes(path, json_bytes(_value(outcome)))
    value = json.loads(path.read_text())
    marks = tuple(value.get("marks", ()))
    return Candidate(OWN, value["state"], {}, value["costs"], marks, value.get("score"), accuracy=value.get("accuracy"))


def _try_batch(asked: _Asked, study: Study, own: Candidate, limit: int, size: int) -> None:
    """Draw a batch, try it, and tell what became of each in the order drawn."""
    number, drawn = study.batch(size, limit)
    finished = [
        {"costs": found.costs, "marks": found.marks}
        for found in (own, *study.candidates(before=number))
        if found.state in ("done", "stopped")
    ]
    pieces = [
        (str(trial.number), asked.piece(candidate, asked.config.seed, finished=finished)) for trial, candidate in drawn
    ]
    outcomes = {outcome.name: outcome for outcome in run_all(TRIAL, pieces, workers=asked.workers)}
    for trial, _ in drawn:
        study.tell(trial, outcomes[str(trial.number)], asked.budget)


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


def _finals(asked: _Asked, study: Study, candidates: Sequence[Candidate]) -> dict[int, tuple[float, ...]]:
    """Scores of the best candidates, from the search's seed and others."""
    done = [found for found in candidates if found.state == "done"]
    ordered = sorted(done, key=lambda found: (-(found.score or 0.0), found.number))
    # The config's own student is always heard again, so that what is chosen is compared with it seed by seed.
    best = ordered[:FINALISTS] + [found for found in ordered[FINALISTS:] if found.number == OWN]
    pieces = [
        (f"{found.number}/{n}", asked.piece(study.config_of(found), asked.config.seed + n))
        for found in best
        for n in range(1, OTHER_SEEDS + 1)
    ]
    scores: dict[int, list[float]] = {found.number: [found.score or 0.0] for found in best}
    outcomes = {outcome.name: outcome for outcome in run_all(TRIAL, pieces, workers=asked.workers)}
    for name, _ in pieces:
        value = outcomes[name].value
        if value is not None and value.get("score") is not None:
            scores[int(name.split("/")[0])].append(value["score"])
    return {number: tuple(found) for number, found in scores.items()}


def _choose(candidates: Sequence[Candidate], finals: Mapping[int, Sequence[float]], budget: Budget) -> int:
    """The finalist with the best mean score; of those that tie, the one that takes least of the budget."""
    means = {number: sum(scores) / len(scores) for number, scores in finals.items()}
    by_number = {found.number: found for found in candidates}
    level = [number for number, mean in means.items() if mean >= max(means.values()) - TIE]
    return min(level, key=lambda number: (share_of_budget(by_number[number].costs, budget), number))


def _conclude(
    asked: _Asked,
    study: Study,
    candidates: tuple[Candidate, ...],
    finals: dict[int, tuple[float, ...]],
    teacher_score: float | None,
) -> SearchResult:
    """Write the chosen config, the result and its page."""
    from micro.explore.page import render_search

    out, budget = asked.out, asked.budget
    chosen = _choose(candidates, finals, budget)
    made = study.config_of(next(found for found in candidates if found.number == chosen))
    content = _toml(made, asked)
    write_bytes(out / "chosen.toml", content)
    command = shlex.join(["keras-kd", "run", str(out / "chosen.toml"), "--out", str(out / "chosen")])
    front = pareto(candidates, budget)
    result = SearchResult(candidates, front, chosen, finals, budget, asked.runtime, teacher_score, command)
    plain = asdict(result) | {
        "finals": {str(number): list(scores) for number, scores in finals.items()},
        "task": asked.config.task,
        "job": asked.config.job,
        "seed": asked.config.seed,
        "chosen_sizes": list(made.student.sizes),
        "chosen_config": sha256(content),
    }
    write_bytes(out / "search.json", json_bytes(plain))
    write_bytes(out / "report.html", render_search(plain))
    return result


def _toml(config: Config, asked: _Asked) -> bytes:
    """The config as a file in the search's folder: what is not set is left out, and paths lead from there."""
    import tomli_w

    told = config.model_dump(mode="json", exclude_none=True)
    for section, key in (("data", "folder"), ("teacher", "path")):
        if key in told[section]:
            told[section][key] = os.path.relpath(told[section][key], asked.out)
    if "files" in told["data"]:
        told["data"]["files"] = [os.path.relpath(pattern, asked.out) for pattern in told["data"]["files"]]
    if asked.runtime == "tflm":
        budget = {name: asked.budget[name] for name in ("flash", "ram")}
        told["budget"] = {name: str(limit) for name, limit in budget.items() if limit is not None}
    return tomli_w.dumps(told).encode()
