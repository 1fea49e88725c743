"""How far a search is while it works: each candidate as soon as it has a result, the best so far, and the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from micro.explore.selection import FINALISTS, OTHER_SEEDS
from micro.explore.study import Candidate

# States of candidates that fitted and were trained.
TRAINED = ("done", "stopped")


@dataclass(frozen=True)
class SearchLine:
    """A candidate and its result, and how far the search is.

    Within a batch candidates come as they are done, in another order than they were drawn. `best` has the best score so far,
    None while none was trained to the end. `trained` of `trials` have been; `remaining` seconds, with those for the
    finalists, are an estimate, None until one has been trained in this call.
    """

    candidate: Candidate
    best: Candidate | None
    trained: int
    trials: int
    elapsed: float
    remaining: float | None

    @property
    def fraction(self) -> float:
        """How much of the search is done, 0 to 1."""
        return fraction_of(self.trained, self.trials)


def fraction_of(trained: int, trials: int) -> float:
    """How much of a search is done, 0 to 1, once candidates are tried; the rest of it is for the finalists."""
    return 0.1 + 0.75 * min(1.0, trained / trials)  # more have been where a search goes on with fewer trials


# Called with each line.
Watch = Callable[[SearchLine], None]


def nobody(line: SearchLine) -> None:
    """Nobody watches."""


@dataclass
class SearchTeller:
    """Tells whoever watches of each candidate of a search."""

    trials: int
    watch: Watch
    clock: Callable[[], float] = time.monotonic
    _start: float = field(init=False)
    _best: Candidate | None = field(init=False, default=None)
    _trained: int = field(init=False, default=0)
    # When candidates began to be tried in this call, and how many had been trained by earlier ones.
    _first: float = field(init=False)
    _before: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._start = self._first = self.clock()

    def begin(self, own: Candidate, earlier: Iterable[Candidate]) -> None:
        """Tell of the config's own student, which is none of those that are drawn; those of an earlier call only count."""
        for candidate in earlier:
            self._count(candidate)
        self._better(own)
        self._before, self._first = self._trained, self.clock()
        self._tell(own)

    def tell(self, candidate: Candidate) -> None:
        """Tell of a candidate that was drawn."""
        self._count(candidate)
        self._tell(candidate)

    def _count(self, candidate: Candidate) -> None:
        self._trained += candidate.state in TRAINED
        self._better(candidate)

    def _better(self, candidate: Candidate) -> None:
        if candidate.state != "done" or candidate.score is None:
            return
        if self._best is None or candidate.score > (self._best.score or 0.0):
            self._best = candidate

    def _tell(self, candidate: Candidate) -> None:
        elapsed = self.clock() - self._start
        self.watch(SearchLine(candidate, self._best, self._trained, self.trials, elapsed, self._remaining()))

    def _remaining(self) -> float | None:
        """Seconds that are left, by how long those took that were trained in this call, whatever did not fit among them."""
        trained = self._trained - self._before
        if not trained:
            return None
        each = (self.clock() - self._first) / trained
        return each * (max(0, self.trials - self._trained) + FINALISTS * OTHER_SEEDS)
