"""Optuna's study in its journal: candidates drawn batch by batch, recorded in order, the same after an interruption."""

from __future__ import annotations

import json
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micro.config import Config
from micro.errors import RunError
from micro.explore.space import given, propose
from micro.support.extras import required
from micro.support.workers import Outcome

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, TrialState

Budget = dict[str, int | None]

# A budget is there to be used: taking less than this fraction of it is no merit when candidates are drawn.
SPARING = 0.5
# Number of the config's own student, which is tried before any is drawn.
OWN = -1


@dataclass(frozen=True)
class Candidate:
    """A candidate and its result; number -1 is the config's own student.

    `state` is 'done', 'stopped' (others were better at no more cost), 'infeasible' (exceeds the budget, never trained) or
    'failed'. `costs` are bytes of flash and RAM and multiply-accumulates. `score` is of the int8 student on windows of the
    search, none of them of the test: a detector's area under the ROC curve; a classifier's likelihood, the geometric mean of
    the probability given to the right class, with its `accuracy`. `epoch_scores` are those during training.
    """

    number: int
    state: str
    choice: dict[str, Any]
    costs: dict[str, int]
    epoch_scores: tuple[float, ...] = ()
    score: float | None = None
    error: str | None = None
    accuracy: float | None = None


class Study:
    """Optuna's study in its journal, one batch after another.

    Raises:
        RunError: If the journal is damaged, which is left as it is, or Optuna is missing.
    """

    def __init__(self, path: Path, config: Config) -> None:
        optuna = require_optuna()
        _require_whole(path)
        self._optuna, self._config = optuna, config
        backend = optuna.storages.journal.JournalFileBackend(str(path), _Held())
        try:
            self._study = optuna.create_study(
                study_name="search",
                storage=optuna.storages.JournalStorage(backend),
                directions=("maximize", "minimize"),
                load_if_exists=True,
            )
            self._study.get_trials(deepcopy=False)
        except Exception as error:
            raise RunError(f"{path} is damaged and left as it is: {str(error).splitlines()[0]}") from None

    def batch(self, size: int, widest: int) -> tuple[int, list[tuple[FrozenTrial, Config]]]:
        """Number and candidates of a batch to try: what an interruption left of one, or a new one of that size."""
        states = self._optuna.trial.TrialState
        running = self._trials(states.RUNNING)
        named = [trial.user_attrs["batch"] for trial in running if "batch" in trial.user_attrs]
        number = max(named) if named else len(self._trials(states.COMPLETE, states.PRUNED, states.FAIL))
        for trial in running:
            # Killed after it was drawn and before its batch was noted.
            if "batch" not in trial.user_attrs:
                self._optuna.trial.Trial(self._study, trial._trial_id).set_user_attr("batch", number)
        begun = [trial for trial in self._trials() if trial.user_attrs.get("batch") == number]
        for _ in range(size - len(begun)):
            self._study.ask().set_user_attr("batch", number)
            self._drawn(self._trials(states.RUNNING)[-1], widest)
        # One that was interrupted while it was drawn is drawn to the end.
        return number, [(trial, self._drawn(trial, widest)) for trial in self._trials(states.RUNNING)]

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return list(self._study.get_trials(deepcopy=False, states=states or None))

    def _drawn(self, trial: FrozenTrial, widest: int) -> Config:
        """The candidate of a trial; what is drawn of it already stays."""
        live = self._optuna.trial.Trial(self._study, trial._trial_id)

        def seeded(name: str) -> Any:
            seed = zlib.crc32(f"{self._config.seed}/{trial.number}/{name}".encode())
            self._study.sampler = self._optuna.samplers.TPESampler(seed=seed, n_startup_trials=10, constant_liar=True)
            return live

        return propose(_Seeded(seeded), self._config, widest)

    def tell(self, trial: FrozenTrial, outcome: Outcome, budget: Budget) -> None:
        """Record the result of a candidate."""
        states = self._optuna.trial.TrialState
        result = _result(outcome)
        live = self._optuna.trial.Trial(self._study, trial._trial_id)
        live.set_user_attr("result", result)
        if outcome.value is None:
            self._study.tell(trial.number, state=states.FAIL)
            return
        fraction = budget_used(result["costs"], budget)
        with warnings.catch_warnings():
            # Set already where an interruption came between this and the next step.
            warnings.simplefilter("ignore", UserWarning)
            live.set_constraint("budget", fraction - 1)
        if result["state"] == "done":
            self._study.tell(trial.number, (result["score"], max(fraction, SPARING)))
        else:
            self._study.tell(trial.number, state=states.PRUNED)

    def candidates(self, before: int | None = None) -> tuple[Candidate, ...]:
        """All with a result, in the order in which they were drawn; or those of batches before a number."""
        found = []
        for trial in self._study.get_trials(deepcopy=False):
            result = trial.user_attrs.get("result")
            if result is None or not trial.state.is_finished():
                continue
            if before is not None and trial.user_attrs["batch"] >= before:
                continue
            found.append(_candidate(trial, result))
        return tuple(found)

    def candidate(self, number: int, outcome: Outcome) -> Candidate:
        """A candidate with its result, recorded or not."""
        return _candidate(self._trials()[number], _result(outcome))

    def config_of(self, candidate: Candidate) -> Config:
        """The config that a candidate stands for."""
        if candidate.number == OWN:
            return given(self._config)
        return propose(self._optuna.trial.FixedTrial(candidate.choice), self._config)


def _result(outcome: Outcome) -> dict[str, Any]:
    """What is recorded of a candidate."""
    return outcome.value or {"state": "failed", "error": outcome.error}


def _candidate(trial: FrozenTrial, result: Mapping[str, Any]) -> Candidate:
    return Candidate(
        trial.number,
        result["state"],
        dict(trial.params),
        result.get("costs", {}),
        tuple(result.get("epoch_scores", ())),
        result.get("score"),
        result.get("error") if result["state"] == "failed" else None,
        result.get("accuracy"),
    )


class _Held:
    """A journal's lock that is held already, by the search's own: Optuna's outlasts a kill by half a minute."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return None


class _Seeded:
    """Asks a trial with a sampler seeded by the name of what is drawn: an interruption between two draws changes neither."""

    def __init__(self, seeded: Callable[[str], Any]) -> None:
        self._seeded = seeded

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._seeded(name).suggest_categorical(name, choices)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return int(self._seeded(name).suggest_int(name, low, high, log=log))

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return float(self._seeded(name).suggest_float(name, low, high, log=log))


def budget_used(costs: Mapping[str, int], budget: Budget) -> float:
    """The tightest part of a budget that a candidate takes: 1 where it just fits."""
    return max(costs[name] / limit for name, limit in budget.items() if limit is not None)


def _require_whole(path: Path) -> None:
    """RunError where a journal's lines are not what Optuna wrote; it is left as it is."""
    if not path.exists():
        return
    for number, line in _lines(path):
        try:
            if not isinstance(json.loads(line), dict):
                raise ValueError("not an object")
        except ValueError as error:
            raise RunError(
                f"{path} is damaged at line {number} ({error}) and left as it is; mend or move it, or search into another --out"
            ) from None


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8", errors="replace") as file:
        yield from enumerate(file, start=1)


def require_optuna() -> Any:
    """Optuna, and what writes the chosen config at the end; RunError with the command that installs what is missing."""
    required("tomli_w", "scale")
    optuna = required("optuna", "scale")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
