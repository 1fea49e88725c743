"""Which of the recipes that a run tried is taken, and why; as the report keeps it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from micro.config import OF_CLASSES, PLAIN, Config, Task
from micro.errors import RunError

# The figure on validation windows that recipes are compared by.
FIGURES: dict[Task, str] = {
    "anomaly": "reconstruction error",
    "classification": "accuracy",
    "multilabel": "fraction of labels right",
    "regression": "RMSE",
    "sequence": "accuracy",
}
# That of a regression with several numbers, each in standard deviations of the training windows.
OF_SEVERAL = "root of the mean square error over all numbers, in standard deviations"
# Differences up to this many standard errors are noise.
NOISE = 2.0

Standing = Literal["best", "as good", "worse", "better"]


@dataclass(frozen=True)
class Trial:
    """A recipe that was tried, or the student without a teacher ('plain').

    `value` is its figure on the validation windows, None where its training ended in values that are not finite; `standing` how
    it compares with the best recipe, 'as good' within the noise.
    """

    name: str
    value: float | None
    standing: Standing


@dataclass(frozen=True)
class RecipeChoice:
    """What recipe "auto" tried: `epochs` of each candidate, judged by a `metric` on `windows` of validation."""

    metric: str
    epochs: int
    windows: int
    trials: tuple[Trial, ...]
    chosen: str
    because: str


def trials_of(config: Config) -> int:
    """How many students recipe "auto" trains: one for each candidate, and one without a teacher."""
    return len(config.distill.candidates) + 1


def trial_epochs(config: Config) -> int:
    """Epochs of each trial, together a share of the student's own: counted and not timed, so that a seed gives the same."""
    return max(1, int(config.distill.share * config.student.epochs / trials_of(config) + 1e-9))


def choose(
    task: Task, scores: Mapping[str, np.ndarray], epochs: int, overlap: float = 1.0, figure: str | None = None
) -> RecipeChoice:
    """The simplest recipe that is as good as the best.

    Args:
        scores: For each recipe from the simplest on, and for 'plain', what each validation window says for it, (n,): 1 where
            its class is right, of several labels the fraction that is, or its squared or reconstruction error with a minus
            sign.
        overlap: How many windows hold the same samples, by which noise is counted.
        figure: What recipes are compared by, in words; None for what the task has.

    Raises:
        RunError: Where the training of every recipe ended in values that are not finite.

    Two differ if the mean difference between the same windows is above `NOISE` standard errors. 'plain' is compared and never
    chosen.
    """
    means = {name: float(np.mean(values)) for name, values in scores.items()}
    recipes = [name for name in scores if name != PLAIN]
    if not any(math.isfinite(means[name]) for name in recipes):
        raise RunError(
            'recipe = "auto": every trial ended in values that are not finite, which no recipe mends; lower '
            "student.learning_rate, or look for inputs that are far too large"
        )
    best = max(recipes, key=lambda name: means[name] if math.isfinite(means[name]) else -math.inf)
    standings = {name: _standing(scores[name], scores[best], overlap) for name in scores}
    standings[best] = "best"
    chosen = next(name for name in recipes if standings[name] in ("best", "as good"))
    trials = tuple(Trial(name, _figure(task, means[name]), standings[name]) for name in scores)
    windows = len(scores[best])
    figure = figure or FIGURES[task]
    return RecipeChoice(figure, epochs, windows, trials, chosen, _because(figure, trials, chosen, best))


def _standing(mine: np.ndarray, best: np.ndarray, overlap: float) -> Standing:
    if not np.isfinite(mine).all():
        return "worse"
    differences = mine - best
    if not np.isfinite(differences).all():
        return "better"
    error = float(np.std(differences, ddof=1)) * math.sqrt(overlap / len(differences)) if len(differences) > 1 else 0.0
    mean = float(np.mean(differences))
    if abs(mean) <= NOISE * error or mean == 0:
        return "as good"
    return "better" if mean > 0 else "worse"


def _figure(task: Task, mean: float) -> float | None:
    if not math.isfinite(mean):
        return None
    if task in OF_CLASSES or task == "multilabel":
        return mean
    return math.sqrt(-mean) if task == "regression" else -mean


def _because(figure: str, trials: tuple[Trial, ...], chosen: str, best: str) -> str:
    """Why, in sentences."""
    plain = next((trial.standing for trial in trials if trial.name == PLAIN), "worse")
    if chosen == best:
        equal = [trial.name for trial in trials if trial.standing == "as good" and trial.name != PLAIN]
        says = f"Recipe {chosen!r} is taken: its {figure} on validation windows is the best of the recipes"
        says += f", {' and '.join(map(repr, equal))} as good within the noise and not simpler." if equal else "."
    else:
        says = (
            f"Recipe {chosen!r} is taken: {best!r} has the best {figure} on validation windows, by no more than the noise, and "
            f"{chosen!r} is simpler."
        )
    if plain == "better":
        return f"{says} But the plain student, without a teacher, was better: teaching may be worth nothing here."
    return f"{says} The plain student, without a teacher, was as good." if plain == "as good" else says
