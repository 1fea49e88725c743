"""What a run's report keeps of one fold of a cross-validation."""

from __future__ import annotations

from collections.abc import Sequence

from micro.runs.report_parts import (
    ClassReport,
    LabelReport,
    Metrics,
    Part,
    RecognizedReport,
    RecordingReport,
    WindowCounts,
)
from micro.support.wording import listed


class TestedNumber(Part):
    """One number of a regression over the test windows of a fold, as it truly was: its mean, and the mean of its squared
    distances from that."""

    name: str
    windows: int
    mean: float
    variance: float


class FoldReport(Part):
    """One fold, counted from 1: the groups that it tested, windows of each part, classes that the test lacks, metrics by
    model, means over the seeds, and what the int8 student of its first seed made of each test recording.

    `by_class` and `recognized`, or `by_label`, are what a firmware of that student would report. `recordings` are those of its
    test, `numbers` a regression's; older reports have none.
    """

    fold: int
    tested: tuple[str, ...]
    windows: WindowCounts
    lacking: tuple[str, ...] = ()
    models: dict[str, Metrics]
    recordings: int = 0
    by_origin: tuple[RecordingReport, ...] = ()
    by_class: tuple[ClassReport, ...] = ()
    recognized: RecognizedReport | None = None
    by_label: tuple[LabelReport, ...] = ()
    numbers: tuple[TestedNumber, ...] = ()

    @property
    def name(self) -> str:
        """The fold and what it tested, for a sentence."""
        return f"fold {self.fold} (tested {listed(self.tested)})" if self.tested else f"fold {self.fold}"

    @property
    def tests_faults(self) -> bool:
        """Whether windows that are known to be faulty are in its test."""
        return any(row.state == "faulty" for row in self.by_origin)


def merged(folds: Sequence[FoldReport]) -> tuple[RecordingReport, ...]:
    """A detector's rows of all folds, those of one recording and state as one: as many windows as the largest, fractions over
    all."""
    parts: dict[tuple[str, str], list[RecordingReport]] = {}
    for fold in folds:
        for row in fold.by_origin:
            parts.setdefault((row.origin, row.state), []).append(row)
    rows = []
    for same in parts.values():
        largest = max(same, key=lambda row: row.windows)
        fractions = {
            name: weighted([(getattr(row, name), row.windows) for row in same])
            for name in ("above_threshold", "alarms")
        }
        rows.append(largest.model_copy(update=fractions))
    return tuple(rows)


def weighted(pairs: Sequence[tuple[float | None, int]]) -> float | None:
    """The mean of figures by the windows that each is of; None where no window is."""
    known = [(value, windows) for value, windows in pairs if value is not None and windows]
    total = sum(windows for _, windows in known)
    return sum(value * windows for value, windows in known) / total if total else None
