"""A cross-validation as a verdict sees it: what all folds tested, how far they lie apart, and which did worst."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from micro.config import Task
from micro.runs.assessment.words import METRIC_NAMES, percent
from micro.runs.fold_parts import FoldReport
from micro.runs.report_parts import (
    LabelReport,
    Metrics,
    RecognizedReport,
    RecordingReport,
    SeedReport,
)
from micro.runs.run_report import RunReport
from micro.runs.verdict import Reason

# Figures of a task, besides the one that models are compared by, that a verdict says of the folds; whether less is better.
BESIDE: dict[Task, tuple[tuple[str, bool], ...]] = {
    "anomaly": (("detection_rate", False), ("false_alarm_rate", True)),
    "regression": (("rmse", True),),
}
# Those that are fractions of windows, in words.
RATES = {
    "detection_rate": "faulty windows found",
    "false_alarm_rate": "false alarms",
    "accuracy": "accuracy",
}


def over_folds(report: RunReport) -> RunReport:
    """A report as if one test had held what all folds tested, each by models that learned nothing of it; without folds itself.

    Counts are summed, figures of models are means over the folds that have them. A detector's faulty recordings, which every
    fold tests, count once, with the mean of what the folds made of them.
    """
    folds = report.folds
    if not folds:
        return report
    windows = report.data.windows.model_copy(update={"test": sum(fold.windows.test for fold in folds)})
    recordings = sum(fold.recordings for fold in folds)
    rows = [row for fold in folds for row in fold.by_origin]
    return report.model_copy(
        update={
            "data": report.data.model_copy(update={"windows": windows, "recordings": recordings}),
            "seeds": (SeedReport.model_validate({"seed": report.seeds[0].seed, **_means(folds)}),),
            "by_origin": _merged(rows) if report.task == "anomaly" else tuple(rows),
            "by_class": tuple(row for fold in folds for row in fold.by_class),
            "recognized": _recognized(folds),
            "by_label": tuple(_label(folds, place) for place in range(len(report.by_label))),
        }
    )


def fold_reasons(report: RunReport, far_apart: float) -> Iterator[Reason]:
    """Means over the folds, how far they lie apart, and the worst of them; nothing without folds.

    `far_apart` is the standard deviation of the metric from which on that is an objection.
    """
    if not report.folds:
        return
    found = [figure for figure in _figures(report) if figure.values]
    if not found:
        return
    first, count = found[0], len(report.folds)
    seen = f"over {count} folds: {'; '.join(figure.says for figure in found)}"
    if first.metric == report.metric and first.deviation > far_apart:
        yield Reason(
            "doubtful",
            f"folds far apart ({first.shortly})",
            f"{seen}. How well it does depends on which group it has not seen",
            f"record more machines or subjects like those of {first.worst.name}",
        )
    else:
        yield Reason("good", f"over {count} folds {first.shortly}", seen)


@dataclass(frozen=True)
class Figure:
    """A metric of the int8 student over the folds that have it, by fold, and how many have not."""

    metric: str
    lower_is_better: bool
    values: tuple[tuple[FoldReport, float], ...]
    without: int

    @property
    def mean(self) -> float:
        """Over the folds."""
        return float(np.mean([value for _, value in self.values]))

    @property
    def deviation(self) -> float:
        """The standard deviation over the folds (n - 1); 0 of one."""
        return float(np.std([value for _, value in self.values], ddof=1)) if len(self.values) > 1 else 0.0

    @property
    def worst(self) -> FoldReport:
        """The fold that did worst."""
        return self._at_end[0]

    @property
    def shortly(self) -> str:
        """Mean, spread and worst fold in a few words."""
        fold, value = self._at_end
        return f"{self._name} {self._spread}, {self._shown(value)} in fold {fold.fold}"

    @property
    def says(self) -> str:
        """Mean, spread and worst fold with what it tested."""
        fold, value = self._at_end
        unknown = f", not known of {self.without}" if self.without else ""
        return f"{self._name} {self._spread}{unknown}, worst in {fold.name} with {self._shown(value)}"

    @property
    def _at_end(self) -> tuple[FoldReport, float]:
        choose = max if self.lower_is_better else min
        return choose(self.values, key=lambda pair: pair[1])

    @property
    def _name(self) -> str:
        return RATES.get(self.metric) or METRIC_NAMES.get(self.metric, self.metric.replace("_", " "))

    @property
    def _spread(self) -> str:
        if self.metric in RATES:
            return f"{100 * self.mean:.3g} +- {100 * self.deviation:.2g} %"
        return f"{self.mean:.3g} +- {self.deviation:.2g}"

    def _shown(self, value: float) -> str:
        return percent(value) if self.metric in RATES else f"{value:.3g}"


def _figures(report: RunReport) -> Iterator[Figure]:
    """The figures of the int8 student, that which models are compared by first."""
    for metric, lower in ((report.metric, False), *BESIDE.get(report.task, ())):
        pairs = [(fold, fold.models["student_int8"].get(metric)) for fold in report.folds]
        known = tuple((fold, value) for fold, value in pairs if value is not None)
        yield Figure(metric, lower, known, len(pairs) - len(known))


def _means(folds: Sequence[FoldReport]) -> dict[str, Metrics]:
    """The mean of each model's metrics over the folds that have them; None where none has."""
    return {
        model: {metric: _mean(fold.models[model].get(metric) for fold in folds) for metric in metrics}
        for model, metrics in folds[0].models.items()
    }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _merged(rows: Sequence[RecordingReport]) -> tuple[RecordingReport, ...]:
    """Rows of one recording and state as one: as many windows as the largest, fractions over all."""
    parts: dict[tuple[str, str], list[RecordingReport]] = {}
    for row in rows:
        parts.setdefault((row.origin, row.state), []).append(row)
    merged = []
    for same in parts.values():
        largest = max(same, key=lambda row: row.windows)
        fractions = {
            name: _weighted([(getattr(row, name), row.windows) for row in same])
            for name in ("above_threshold", "alarms")
        }
        merged.append(largest.model_copy(update=fractions))
    return tuple(merged)


def _recognized(folds: Sequence[FoldReport]) -> RecognizedReport | None:
    """What recognizers report after all test windows."""
    pairs = [(fold.recognized, fold.windows.test) for fold in folds if fold.recognized is not None]
    if not pairs:
        return None
    parts = {
        name: _weighted([(getattr(found, name), windows) for found, windows in pairs])
        for name in ("right", "wrong", "none")
    }
    return RecognizedReport.model_validate(parts)


def _label(folds: Sequence[FoldReport], place: int) -> LabelReport:
    """What labelers do with one label over all test windows."""
    rows = [(fold.by_label[place], fold.windows.test) for fold in folds]
    shares = {
        name: _weighted([(getattr(row, name), row.windows if with_it else of - row.windows) for row, of in rows])
        for name, with_it in (
            ("given", True),
            ("reported", True),
            ("falsely_given", False),
            ("falsely_reported", False),
        )
    }
    first = rows[0][0]
    return first.model_copy(update={**shares, "windows": sum(row.windows for row, _ in rows)})


def _weighted(pairs: Sequence[tuple[float | None, int]]) -> float | None:
    """The mean of fractions by the windows that each is of; None where no window is."""
    known = [(value, windows) for value, windows in pairs if value is not None and windows]
    total = sum(windows for _, windows in known)
    return sum(value * windows for value, windows in known) / total if total else None
