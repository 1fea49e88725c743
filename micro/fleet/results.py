"""What became of a fleet: a line a machine."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

# A machine's numbers in the table, beside its name and state.
FIGURES = ("flash", "ram", "macs", "threshold")


@dataclass(frozen=True)
class AssetResult:
    """What became of one machine: figures of its int8 student where it is 'done', or why it 'failed'.

    `metrics` and `teacher` are those of its test, of the student on the chip and of the shared teacher; `flash` and `ram` are
    bytes of the .tflite and of its arena on a 32-bit chip; `budget` tells whether it fits the config's, None without one.
    """

    asset: str
    state: Literal["done", "failed"]
    metrics: dict[str, float | None] = field(default_factory=dict)
    teacher: dict[str, float | None] = field(default_factory=dict)
    flash: int | None = None
    ram: int | None = None
    macs: int | None = None
    threshold: float | None = None
    budget: bool | None = None
    error: str | None = None
    attempts: int = 1


@dataclass(frozen=True)
class FleetResult:
    """What became of each machine, in the fleet's order."""

    rows: tuple[AssetResult, ...]

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the machines without a firmware."""
        return tuple(row.asset for row in self.rows if row.state == "failed")


def metric_names(rows: Sequence[AssetResult]) -> tuple[str, ...]:
    """Metrics that machines which are done have."""
    return tuple(dict.fromkeys(name for row in rows for name in row.metrics))


def table_csv(rows: Sequence[AssetResult]) -> bytes:
    """The fleet's table, a line a machine."""
    metrics = metric_names(rows)
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("asset", "state", *metrics, *FIGURES, "error"))
    for row in rows:
        measured = (row.metrics.get(name) for name in metrics)
        writer.writerow((row.asset, row.state, *measured, *(getattr(row, name) for name in FIGURES), row.error))
    return out.getvalue().encode()
