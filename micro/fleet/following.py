"""A fleet followed while its workers train: what machines' runs write of their progress, their ends, and the time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from micro.fleet.results import AssetResult
from micro.runs.folder import RunFolder
from micro.runs.progress_lines import ProgressLine
from micro.runs.progress_reading import Place, end_of, read_on


@dataclass(frozen=True)
class FleetLine:
    """What a machine of a fleet has come to, and with it the fleet.

    `asset` is the machine's name, None for the shared teacher. `line` is the latest that its run has written in this call, None
    before the first and of a machine that was done already; `result` is its row once it is 'done' or 'failed'. `done` of
    `machines` have ended; `remaining` seconds are an estimate, None until a run has timed an epoch.
    """

    asset: str | None
    state: Literal["working", "done", "failed"]
    line: ProgressLine | None
    result: AssetResult | None
    done: int
    machines: int
    elapsed: float
    remaining: float | None


# Called with each line.
Watch = Callable[[FleetLine], None]


def progress_file(out: Path, asset: str | None) -> Path:
    """Where a worker writes how far a machine's run is, or the shared teacher."""
    return out / "teacher.progress.jsonl" if asset is None else RunFolder(out / "assets" / asset).progress_file


@dataclass
class Followed:
    """Reads what workers write, and tells whoever watches of each new line; lines of earlier calls are passed over."""

    assets: Sequence[str]
    out: Path
    workers: int
    watch: Watch | None
    clock: Callable[[], float] = time.monotonic
    _start: float = field(init=False)
    _places: dict[str | None, Place] = field(init=False, default_factory=dict)
    # Of those at work: when they began, and what their runs wrote last.
    _begun: dict[str | None, float] = field(init=False, default_factory=dict)
    _latest: dict[str | None, ProgressLine] = field(init=False, default_factory=dict)
    # Machines with a run folder of an earlier call, which will hardly take time, and of those trained in this one how long each
    # took.
    _kept: set[str] = field(init=False, default_factory=set)
    _took: list[float] = field(init=False, default_factory=list)
    _ended: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self._start = self.clock()
        if self.watch is not None:
            self._places = {name: end_of(progress_file(self.out, name)) for name in (None, *self.assets)}
            self._kept = {name for name in self.assets if (self.out / "assets" / name / "manifest.json").is_file()}

    @property
    def looking(self) -> Callable[[], None] | None:
        """What is to be called a few times a second; None where nobody watches."""
        return None if self.watch is None else self.look

    def begun(self, asset: str | None) -> None:
        """Note that a machine, or the shared teacher, is handed to a worker."""
        if self.watch is not None:
            self._begun[asset] = self.clock()
            self._tell(asset, "working")

    def look(self) -> None:
        """Tell of what those at work have written since the last time."""
        if self.watch is None:
            return
        for asset in self._begun:
            lines, self._places[asset] = read_on(progress_file(self.out, asset), self._places[asset])
            # The end of a run comes with its result, which comes when its folder is there.
            for line in (each for each in lines if each.state == "running"):
                self._latest[asset] = line
                self._tell(asset, "working")

    def taught(self) -> None:
        """Note that the shared teacher is trained."""
        self.look()
        self._begun.pop(None, None)

    def ended(self, result: AssetResult) -> None:
        """Note and tell what has become of a machine."""
        if self.watch is None:
            return
        self.look()
        began = self._begun.pop(result.asset)
        self._ended.add(result.asset)
        if result.state == "done" and result.asset in self._latest:
            self._took.append(self.clock() - began)
        self._tell(result.asset, "done" if result.state == "done" else "failed", result)
        self._latest.pop(result.asset, None)

    def _tell(
        self, asset: str | None, state: Literal["working", "done", "failed"], result: AssetResult | None = None
    ) -> None:
        assert self.watch is not None
        elapsed = self.clock() - self._start
        line = self._latest.get(asset)
        self.watch(
            FleetLine(asset, state, line, result, len(self._ended), len(self.assets), elapsed, self._remaining())
        )

    def _remaining(self) -> float | None:
        """Seconds until the last machine is done, by what machines took so far and what runs say they will take."""
        now = self.clock()
        ages = {asset: now - began for asset, began in self._begun.items() if asset is not None}
        said = {asset: left for asset in ages if (left := self._left_of(asset))}
        whole = [*self._took, *(ages[asset] + left for asset, left in said.items())]
        waiting = len(set(self.assets) - self._ended - self._kept - set(ages))
        if not whole:
            return 0.0 if not ages and not waiting else None
        mean = sum(whole) / len(whole)
        guessed = {asset: 0.0 if asset in self._kept else max(0.0, mean - age) for asset, age in ages.items()}
        ahead = list((guessed | said).values())
        lanes = max(1, min(self.workers, len(ahead) + waiting))
        return max([(sum(ahead) + waiting * mean) / lanes, *ahead, mean if waiting else 0.0])

    def _left_of(self, asset: str) -> float | None:
        """Seconds that a machine's run says it still trains; None before it can tell, and once only its report is left."""
        line = self._latest.get(asset)
        return None if line is None else line.remaining or None
