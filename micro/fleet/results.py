"""The results of a fleet: a line per machine."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from micro.config import Task
from micro.runs.report_parts import METRICS, OF_LABEL, OF_SEVERAL, of_target
from micro.runs.verdict import REFUSED

# A machine's numbers in the table, besides its name and state.
FIGURES = ("flash", "ram", "macs", "threshold")


@dataclass(frozen=True)
class AssetResult:
    """What became of one machine: figures of its int8 student where it is 'done', why it 'failed', or 'waiting' for its turn.

    `metrics` and `teacher` are those of its test, of the student on the chip and of the shared teacher; `flash` and `ram` are
    bytes of model, front end and last stage, as `check` compares them; `too_few_windows` says whether too few
    healthy windows were tested to tell its rate of false alarms, `budget` whether both sizes fit the config's,
    None without one. `verdict` is 'good', 'doubtful', 'inconclusive' or 'unusable', and `reasons` say why.
    """

    asset: str
    state: Literal["done", "failed", "waiting"]
    metrics: dict[str, float | None] = field(default_factory=dict)
    teacher: dict[str, float | None] = field(default_factory=dict)
    flash: int | None = None
    ram: int | None = None
    macs: int | None = None
    threshold: float | None = None
    too_few_windows: bool = False
    budget: bool | None = None
    verdict: str | None = None
    reasons: str | None = None
    error: str | None = None
    attempts: int = 1


@dataclass(frozen=True)
class FleetResult:
    """The result of each machine, in the fleet's order; `removed` names those done earlier that are no longer in it.
    `task` is what all of them do, `targets` the several numbers that they estimate or the labels that they tell, else empty.

    Examples:
        >>> from micro.fleet import AssetResult
        >>> rows = (AssetResult("pump-1", "done", verdict="good"), AssetResult("pump-2", "failed", error="no recordings"))
        >>> micro.FleetResult(rows).failed
        ('pump-2',)
    """

    rows: tuple[AssetResult, ...]
    removed: tuple[str, ...] = ()
    task: Task = "anomaly"
    targets: tuple[str, ...] = ()

    @property
    def unusable(self) -> tuple[str, ...]:
        """Names of the machines with a firmware of no use."""
        return tuple(row.asset for row in self.rows if row.verdict == "unusable")

    @property
    def refused(self) -> tuple[str, ...]:
        """Names of the machines with a firmware of no use, and of those whose test is too small to tell."""
        return tuple(row.asset for row in self.rows if row.verdict in REFUSED)

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the machines without a firmware."""
        return tuple(row.asset for row in self.rows if row.state == "failed")


def metric_names(rows: Sequence[AssetResult], task: Task, targets: Sequence[str] = ()) -> tuple[str, ...]:
    """Metrics of a task, whether a machine is done or not, and what else machines have, in one order whoever was done first;
    of several numbers or labels, `targets`, those of all together and then those of each."""
    known = METRICS[task]
    if task == "multilabel":
        known = (*known, *(of_target(metric, name) for name in targets for metric in OF_LABEL))
    elif targets:
        known = (*OF_SEVERAL, *(of_target(metric, name) for name in targets for metric in known))
    present = {name for row in rows for name in row.metrics}
    return (*known, *sorted(present - set(known)))


def table_csv(rows: Sequence[AssetResult], task: Task, targets: Sequence[str] = ()) -> bytes:
    """The fleet's table, a line a machine; columns are the same however far the fleet has come."""
    metrics = metric_names(rows, task, targets)
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("asset", "state", "verdict", *metrics, *FIGURES, "reasons", "error"))
    for row in rows:
        measured = (row.metrics.get(name) for name in metrics)
        figures = (getattr(row, name) for name in FIGURES)
        writer.writerow((row.asset, row.state, row.verdict, *measured, *figures, row.reasons, row.error))
    return out.getvalue().encode()
