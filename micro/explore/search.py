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
from micro.files import json_bytes, sha256, write_bytes

Progress = Callable[[str, float], None]

# Candidates drawn together: a batch sees all earlier batches and nothing of itself, so that results do not hang on how many
# workers there are or which is quicker.
BATCH = 4
# Draws allowed for each candidate that is to be trained: the rest do not fit.
DRAWS = 12
# The best so many are trained again from other seeds, so that luck does not choose.
FINALISTS, OTHER_SEEDS = 3, 2
# Scores that differ by less are taken for the same, and the cheaper candidate is chosen.
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
    out = Path(out)
    _claim(out, config, budget, runtime, resume)
    with cluster(workers, address):
        progress("teaching the teacher", 0.02)
        teacher_score = _prepare(config, out, workers)
        _require_reachable(config, out, budget, runtime, workers)
        progress("trying the config's own student", 0.08)
        own = _own(config, out, budget, runtime, workers)
        study = Study(
            out / JOURNAL, config, widest(config, _fewest_inputs(config, out), budget["flash"], budget["macs"])
        )
        while (tried := _tried(study)) < trials and len(study.candidates()) < DRAWS * trials:
            progress(f"{tried} of {trials} candidates tried", 0.1 + 0.75 * tried / trials)
            _try_batch(study, own, config, out, budget, runtime, workers, trials - tried)
        candidates = (own, *study.candidates())
        _require_some(candidates)
        progress("training the finalists again", 0.88)
        finals = _finals(candidates, study, config, out, budget, runtime, workers)
    return _conclude(config, out, candidates, finals, budget, runtime, teacher_score, study)


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


def _claim(out: Path, config: Config, budget: Budget, runtime: str, resume: bool) -> None:
    """Make `out` this search's, or see that it is already.

    Raises: RunError if something of the user's would be lost or another search's results mixed in.
    """
    told = json_bytes({"config": config.model_dump(mode="json"), "budget": budget, "runtime": runtime})
    if (out / "told.json").is_file():
        if not resume:
            raise RunError(f"{out} holds a search already; go on with --resume, or choose another --out")
        if (out / "told.json").read_bytes() != told:
            raise RunError(f"{out} holds a search with another config, budget or runtime; choose another --out")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out} exists and is not a search's folder; choose another --out")
    elif resume:
        raise RunError(f"nothing to resume: {out} holds no search")
    else:
        write_bytes(out / "told.json", told)


def _folder(out: Path, bands: int) -> Path:
    return (out / "lessons" / f"bands-{bands}").resolve()


def _plain(config: Config) -> dict[str, Any]:
    """A config as workers take it: relative paths made whole, since they may have another working directory."""
    told = config.model_dump(mode="json")
    for section, key in (("data", "folder"), ("teacher", "path"), ("student", "path")):
        if told[section].get(key):
            told[section][key] = os.path.abspath(told[section][key])
    if "files" in told["data"]:
        told["data"]["files"] = [os.path.abspath(pattern) for pattern in told["data"]["files"]]
    return told


def _prepare(config: Config, out: Path, workers: int) -> float | None:
    """Windows and teacher's outputs of every resolution, on disk; what is there already is left. The own teacher's score."""
    own = config.features.bands
    others = [bands for bands in resolutions(config) if bands != own]
    # A classifier's logits serve whatever the student hears; an autoencoder's teacher speaks in its own features.
    shared = str(_folder(out, own)) if config.task == "classification" else None
    rounds: list[list[tuple[int, str | None]]] = [[(own, None)], [(bands, shared) for bands in others]]
    for wanted in rounds if shared else [rounds[0] + rounds[1]]:
        pieces = [
            (
                f"{bands} bands",
                {
                    "config": _plain(
                        config.model_copy(update={"features": config.features.model_copy(update={"bands": bands})})
                    ),
                    "folder": str(_folder(out, bands)),
                    "teacher_from": teacher_from,
                },
            )
            for bands, teacher_from in wanted
            if not _folder(out, bands).exists()
        ]
        for outcome in run_all(LESSONS, pieces, workers=workers):
            if outcome.error is not None:
                raise RunError(f"search: {outcome.error}")
    about = json.loads((_folder(out, own) / "about.json").read_text())
    return None if about["teacher_score"] is None else float(about["teacher_score"])


def _fewest_inputs(config: Config, out: Path) -> int:
    """Values of a window's features at the lowest resolution."""
    x = np.load(_folder(out, resolutions(config)[0]) / "train_x.npy", mmap_mode="r", allow_pickle=False)
    return int(np.prod(x.shape[1:]))


def _piece(config: Config, out: Path, budget: Budget, runtime: str, seed: int, **more: Any) -> dict[str, Any]:
    folder = str(_folder(out, config.features.bands))
    return {"config": _plain(config), "folder": folder, "budget": budget, "runtime": runtime, "seed": seed, **more}


def _require_reachable(config: Config, out: Path, budget: Budget, runtime: str, workers: int) -> None:
    """RunError telling the smallest reachable, where not even that meets the budget."""
    pieces = [
        (str(n), _piece(small, out, budget, runtime, config.seed, learn=False))
        for n, small in enumerate(smallest(config))
    ]
    costs = [_value(outcome)["costs"] for outcome in run_all(TRIAL, pieces, workers=workers)]
    if any(share_of_budget(cost, budget) <= 1 for cost in costs):
        return
    least = {name: min(cost[name] for cost in costs) for name in budget}
    beyond = [name for name, limit in budget.items() if limit is not None and least[name] > limit]
    words = {"flash": "bytes of flash", "ram": "bytes of RAM", "macs": "MACs"}
    told = "; ".join(
        f"{least[name]:,} {words[name]}, {budget[name]:,} allowed" for name in beyond or budget if budget[name]
    )
    raise RunError(f"search: nothing can meet the budget, the smallest reachable takes {told}")


def _value(outcome: Outcome) -> dict[str, Any]:
    if outcome.value is None:
        raise RunError(f"search: {outcome.error}")
    return outcome.value


def _tried(study: Study) -> int:
    """How many candidates fitted and were tried."""
    return sum(found.state in ("done", "stopped") for found in study.candidates())


def _own(config: Config, out: Path, budget: Budget, runtime: str, workers: int) -> Candidate:
    """The config's own student, tried once and kept."""
    path = out / "own.json"
    if not path.is_file():
        pieces = [("own", _piece(given(config), out, budget, runtime, config.seed))]
        value = next(_value(outcome) for outcome in list(run_all(TRIAL, pieces, workers=workers)))
        write_bytes(path, json_bytes(value))
    value = json.loads(path.read_text())
    return Candidate(OWN, value["state"], {}, value["costs"], tuple(value.get("marks", ())), value.get("score"))


def _try_batch(
    study: Study, own: Candidate, config: Config, out: Path, budget: Budget, runtime: str, workers: int, wanted: int
) -> None:
    """Draw a batch, try it, and tell what became of each in the order drawn."""
    number, drawn = study.batch(min(BATCH, wanted))
    finished = [
        {"costs": found.costs, "marks": found.marks}
        for found in (own, *study.candidates(before=number))
        if found.state in ("done", "stopped")
    ]
    pieces = [
        (str(trial.number), _piece(candidate, out, budget, runtime, config.seed, finished=finished))
        for trial, candidate in drawn
    ]
    outcomes = {outcome.name: outcome for outcome in run_all(TRIAL, pieces, workers=workers)}
    for trial, _ in drawn:
        study.tell(trial, outcomes[str(trial.number)], budget)


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


def _finals(
    candidates: Sequence[Candidate],
    study: Study,
    config: Config,
    out: Path,
    budget: Budget,
    runtime: str,
    workers: int,
) -> dict[int, tuple[float, ...]]:
    """Scores of the best candidates, from the search's seed and others."""
    done = [found for found in candidates if found.state == "done"]
    best = sorted(done, key=lambda found: (-(found.score or 0.0), found.number))[:FINALISTS]
    pieces = [
        (f"{found.number}/{n}", _piece(study.config_of(found), out, budget, runtime, config.seed + n))
        for found in best
        for n in range(1, OTHER_SEEDS + 1)
    ]
    scores: dict[int, list[float]] = {found.number: [found.score or 0.0] for found in best}
    outcomes = {outcome.name: outcome for outcome in run_all(TRIAL, pieces, workers=workers)}
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
    config: Config,
    out: Path,
    candidates: tuple[Candidate, ...],
    finals: dict[int, tuple[float, ...]],
    budget: Budget,
    runtime: str,
    teacher_score: float | None,
    study: Study,
) -> SearchResult:
    """Write the chosen config, the result and its page."""
    from micro.explore.page import render_search

    chosen = _choose(candidates, finals, budget)
    made = study.config_of(next(found for found in candidates if found.number == chosen))
    content = _toml(made, out, budget, runtime)
    write_bytes(out / "chosen.toml", content)
    command = shlex.join(["keras-kd", "run", str(out / "chosen.toml"), "--out", str(out / "chosen")])
    result = SearchResult(
        candidates, pareto(candidates, budget), chosen, finals, budget, runtime, teacher_score, command
    )
    plain = asdict(result) | {
        "finals": {str(number): list(scores) for number, scores in finals.items()},
        "task": config.task,
        "job": config.job,
        "seed": config.seed,
        "chosen_sizes": list(made.student.sizes),
        "chosen_config": sha256(content),
    }
    write_bytes(out / "search.json", json_bytes(plain))
    write_bytes(out / "report.html", render_search(plain))
    return result


def _toml(config: Config, out: Path, budget: Budget, runtime: str) -> bytes:
    """The config as a file in `out`: what is not set is left out, and paths lead from there."""
    try:
        import tomli_w
    except ImportError:
        raise RunError("tomli-w is not installed; install it with: pip install 'keras-kd[scale]'") from None
    told = config.model_dump(mode="json", exclude_none=True)
    for section, key in (("data", "folder"), ("teacher", "path")):
        if key in told[section]:
            told[section][key] = os.path.relpath(told[section][key], out)
    if "files" in told["data"]:
        told["data"]["files"] = [os.path.relpath(pattern, out) for pattern in told["data"]["files"]]
    if runtime == "tflm":
        told["budget"] = {name: str(budget[name]) for name in ("flash", "ram") if budget[name] is not None}
    return tomli_w.dumps(told).encode()
