"""Which candidates stand out, and which is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from micro.explore.study import OWN, Budget, Candidate, Study, share_of_budget
from micro.explore.task import TRIAL, Task
from micro.support.workers import run_all

# The best so many with layers of their own, and the config's student, are trained again from other seeds: luck must not choose.
FINALISTS, OTHER_SEEDS = 4, 2
# Scores that differ by less are taken for the same.
TIE = 5e-4

# By number of the candidate, one of each seed.
Scores = dict[int, tuple[float, ...]]


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


def finals(task: Task, study: Study, candidates: Sequence[Candidate]) -> Scores:
    """Scores of the best candidates, from the search's seed and others.

    Of those with the same layers on the same windows only the best is heard again, so that there is something to choose from;
    and the config's own student, so that what is chosen is compared with it seed by seed.
    """
    done = [found for found in candidates if found.state == "done"]
    configs = {found.number: study.config_of(found) for found in done}
    best: dict[Any, Candidate] = {}
    for found in sorted(done, key=lambda found: (-(found.score or 0.0), found.number)):
        made = configs[found.number]
        best.setdefault((made.features.bands, made.student), found)
    others = [found for found in list(best.values())[:FINALISTS] if found.number != OWN]
    finalists = [*others, *(found for found in done if found.number == OWN)]
    pieces = [
        (f"{found.number}/{n}", task.piece(configs[found.number], task.config.seed + n))
        for found in finalists
        for n in range(1, OTHER_SEEDS + 1)
    ]
    scores: dict[int, list[float]] = {found.number: [found.score or 0.0] for found in finalists}
    outcomes = {outcome.name: outcome.value or {} for outcome in run_all(TRIAL, pieces, workers=task.workers)}
    for name, _ in pieces:
        if outcomes[name].get("score") is not None:
            scores[int(name.split("/")[0])].append(outcomes[name]["score"])
    return {number: tuple(found) for number, found in scores.items()}


def choose(candidates: Sequence[Candidate], finals: Scores, budget: Budget) -> int:
    """The finalist with the best mean score; of those that tie, the one that takes least of the budget."""
    means = {number: sum(scores) / len(scores) for number, scores in finals.items()}
    by_number = {found.number: found for found in candidates}
    level = [number for number, mean in means.items() if mean >= max(means.values()) - TIE]
    return min(level, key=lambda number: (share_of_budget(by_number[number].costs, budget), number))
