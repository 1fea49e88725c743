"""What a run's report keeps of one fold of a cross-validation."""

from __future__ import annotations

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


class FoldReport(Part):
    """One fold, counted from 1: the groups that it tested, windows of each part, classes that the test lacks, metrics by
    model, means over the seeds, and what the int8 student of its first seed made of each test recording.

    `by_class` and `recognized`, or `by_label`, are what a firmware of that student would report. `recordings` are those of its
    test.
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

    @property
    def name(self) -> str:
        """The fold and what it tested, for a sentence."""
        return f"fold {self.fold} (tested {listed(self.tested)})" if self.tested else f"fold {self.fold}"
