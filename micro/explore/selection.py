"""The Pareto front of candidates, and the one chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from micro.explore.study import OWN, Budget, Candidate, Study, budget_used
from micro.explore.task import TRIAL, Task
from micro.support.progress import Progress
from micro.support.workers import run_all

# The best candidates, each with layers of its own, and the config's student are trained again from other seeds: luck must not
# choose.
FINALISTS, OTHER_SEEDS = 4, 2
# Scores that differ by less are taken for the same.
TIE = 5e-4

# By number of the candidate, one of each seed.
Scores = dict[int, tuple[float, ...]]


def pareto(candidates: Sequence[Candidate], budget: Budget) -> tuple[int, ...]:
    """Numbers of the candidates that no other beats in score without taking more of the budget, from the cheapest on."""
    done = [candidate for candidate in candidates if candidate.state == "done" and candidate.score is not None]
    cheapest_first = sorted(
        done,
        key=lambda candidate: (budget_used(candidate.costs, budget), -(candidate.score or 0.0), candidate.number),
    )
    front: list[Candidate] = []
    for candidate in cheapest_first:
        if not front or (candidate.score or 0.0) > (front[-1].score or 0.0):
            front.append(candidate)
    return tuple(candidate.number for candidate in front)


def finals(task: Task, study: Study, candidates: Sequence[Candidate], progress: Progress) -> Scores:
    """Scores of the best candidates, from the search's seed and others.

    Of those with the same layers on the same windows only the best is trained again, so that there is something to choose from;
    and the config's own student, so that what is chosen is compared with it seed by seed.
    """
    done = [candidate for candidate in candidates if candidate.state == "done"]
    configs = {candidate.number: study.config_of(candidate) for candidate in done}
    best: dict[Any, Candidate] = {}
    for candidate in sorted(done, key=lambda candidate: (-(candidate.score or 0.0), candidate.number)):
        made = configs[candidate.number]
        best.setdefault((made.features.bands, made.student), candidate)
    others = [candidate for candidate in list(best.values())[:FINALISTS] if candidate.number != OWN]
    finalists = [*others, *(candidate for candidate in done if candidate.number == OWN)]
    pieces = [
        (f"{candidate.number}/{n}", task.piece(configs[candidate.number], task.config.seed + n))
        for candidate in finalists
        for n in range(1, OTHER_SEEDS + 1)
    ]
    scores: dict[int, list[float]] = {candidate.number: [candidate.score or 0.0] for candidate in finalists}
    outcomes: dict[str, dict[str, Any]] = {}
    progress("training the finalists again", 0.86)
    for outcome in run_all(TRIAL, pieces, workers=task.workers):
        outcomes[outcome.name] = outcome.value or {}
        tried, all_of_them = len(outcomes), len(pieces)
        progress(f"training the finalists again, {tried} of {all_of_them} done", 0.86 + 0.12 * tried / all_of_them)
    for name, _ in pieces:
        if outcomes[name].get("score") is not None:
            scores[int(name.split("/")[0])].append(outcomes[name]["score"])
    return {number: tuple(candidate) for number, candidate in scores.items()}


def choose(candidates: Sequence[Candidate], finals: Scores, budget: Budget) -> int:
    """The finalist with the best mean score; of those that tie, the one that takes least of the budget."""
    means = {number: sum(scores) / len(scores) for number, scores in finals.items()}
    by_number = {candidate.number: candidate for candidate in candidates}
    level = [number for number, mean in means.items() if mean >= max(means.values()) - TIE]
    return min(level, key=lambda number: (budget_used(by_number[number].costs, budget), number))
