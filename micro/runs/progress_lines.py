"""How far a run is, line by line: what is trained, its losses, and the time that is left, kept in a file for other programs."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from micro.support.progress import Progress

State = Literal["running", "done", "interrupted", "failed"]


@dataclass(frozen=True)
class Epoch:
    """The end of an epoch of a model, or of a stage of its compression.

    `epoch` of `epochs` counts over all networks of the model; `losses` are what Keras logs, none where the model was kept by an
    earlier call or is no network. `fold` counts from 1.
    """

    model: str
    seed: int
    epoch: int
    epochs: int
    losses: Mapping[str, float]
    fold: int | None = None


@dataclass(frozen=True)
class ProgressLine:
    """A line of progress: the stage, the fraction of the whole that is done, seconds since the call began and until it ends.

    `remaining` is an estimate, None until an epoch has been timed. `left` are the epochs that models have
    yet to be trained for, of those that have some.
    """

    stage: str
    fraction: float
    elapsed: float
    remaining: float | None
    epoch: Epoch | None = None
    state: State = "running"
    error: str | None = None
    left: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> str:
        """One JSON object on one line, with the same keys whatever the line says; what is not finite is null."""
        epoch = self.epoch
        losses = {} if epoch is None else {name: _finite(value) for name, value in sorted(epoch.losses.items())}
        return json.dumps(
            {
                "state": self.state,
                "stage": self.stage,
                "fraction": round(self.fraction, 4),
                "elapsed": round(self.elapsed, 2),
                "remaining": None if self.remaining is None else round(self.remaining, 1),
                **{key: getattr(epoch, key, None) for key in ("model", "fold", "seed", "epoch", "epochs")},
                "losses": losses,
                "left": dict(self.left),
                "error": self.error,
            },
            allow_nan=False,
        )


# Called with each line.
Watch = Callable[[ProgressLine], None]


def nobody(line: ProgressLine) -> None:
    """Nobody watches."""


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


@dataclass
class Pace:
    """What a run still has to train, and how long an epoch of each model has taken so far.

    The first epoch of a training, which prepares TensorFlow's graph, and all that is done between trainings are counted for
    each training, and further epochs for each epoch.
    """

    planned: Mapping[str, int]
    trainings: int
    clock: Callable[[], float] = time.monotonic
    _left: dict[str, int] = field(init=False)
    _seconds: dict[str, float] = field(init=False, default_factory=dict)
    _epochs: dict[str, int] = field(init=False, default_factory=dict)
    _around: float = field(init=False, default=0.0)
    _begun: int = field(init=False, default=0)
    _ended: int = field(init=False, default=0)
    _last: float = field(init=False)

    def __post_init__(self) -> None:
        self._left, self._last = dict(self.planned), self.clock()

    def count(self, epochs: int, epoch: Epoch | None) -> None:
        """Take in what was done since the last call."""
        now = self.clock()
        seconds, self._last = now - self._last, now
        if epoch is None:
            self._around += seconds
            return
        model = epoch.model
        self._left[model] = max(0, self._left.get(model, 0) - epochs)
        if not epochs or not epoch.losses:
            self._around += seconds
        elif epoch.epoch == 1:
            self._around += seconds
            self._begun += 1
        else:
            self._seconds[model] = self._seconds.get(model, 0.0) + seconds
            self._epochs[model] = self._epochs.get(model, 0) + 1
        self._ended += epoch.epoch == epoch.epochs and epochs > 0

    @property
    def left(self) -> dict[str, int]:
        """Epochs that are not done yet, by model, of those that have some."""
        return {model: epochs for model, epochs in self._left.items() if epochs}

    @property
    def done(self) -> float:
        """The fraction of the epochs that are done, 0 to 1."""
        return 1 - sum(self._left.values()) / max(1, sum(self.planned.values()))

    @property
    def remaining(self) -> float | None:
        """Seconds until everything is trained, None while no epoch has been timed."""
        if not self._epochs:
            return None
        mean = sum(self._seconds.values()) / sum(self._epochs.values())
        rates = {model: self._seconds[model] / count for model, count in self._epochs.items()}
        ahead = max(0, self.trainings - max(self._begun, self._ended))
        return sum(left * rates.get(model, mean) for model, left in self._left.items()) + (
            ahead * self._around / max(1, self._begun)
        )


@dataclass
class Teller:
    """Tells of a run's progress: to the caller, to whoever watches, and in a file once the run has a folder."""

    progress: Progress = lambda stage, fraction: None
    watch: Watch = nobody
    file: Path | None = None
    pace: Pace | None = None
    _begun: float = field(init=False, default_factory=time.monotonic)
    _fraction: float = field(init=False, default=0.0)

    def opened(self, file: Path) -> None:
        """Write into this file from now on, behind what an earlier call wrote; the line that a kill cut off is ended."""
        self.file = file
        if file.is_file() and file.read_bytes()[-1:] not in (b"", b"\n"):
            with file.open("a", encoding="utf-8") as opened:
                opened.write("\n")

    def planned(self, planned: Mapping[str, int], trainings: int) -> None:
        """Begin to count epochs."""
        self.pace = Pace(planned, trainings)

    def tick(self, label: str, epochs: int = 1, epoch: Epoch | None = None, /) -> None:
        """Tell of work on models, and how many epochs were done since the last call."""
        assert self.pace is not None
        self.pace.count(epochs, epoch)
        self.say(label, 0.02 + 0.9 * self.pace.done, epoch)

    def say(self, stage: str, fraction: float, epoch: Epoch | None = None) -> None:
        """Tell of a stage."""
        self._fraction = fraction
        self._line(stage, epoch, "running")
        self.progress(stage, fraction)

    def ended(self, state: State, error: str | None = None) -> None:
        """The last line of a call; one that tells of an error gives way to it where it cannot be written."""
        if state == "done":
            self._fraction = 1.0
        with contextlib.suppress(*(() if state == "done" else (OSError,))):
            self._line(state, None, state, error)

    def _line(self, stage: str, epoch: Epoch | None, state: State, error: str | None = None) -> None:
        elapsed = time.monotonic() - self._begun
        remaining = 0.0 if state == "done" else None if self.pace is None else self.pace.remaining
        left = {} if self.pace is None or state == "done" else self.pace.left
        line = ProgressLine(stage, self._fraction, elapsed, remaining, epoch, state, error, left)
        self.watch(line)
        if self.file is not None:
            # Opened for each line, so that it is there to be read at once, whatever becomes of this process.
            with self.file.open("a", encoding="utf-8") as opened:
                opened.write(line.to_json() + "\n")
