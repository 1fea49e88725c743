"""A cross-validation as a verdict sees it: what all folds tested, how far they lie apart, and which did worst."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from micro.config import Task
from micro.runs.assessment.detector import false_alarms_of
from micro.runs.assessment.pooled import lost, pooled
from micro.runs.assessment.words import METRIC_NAMES, percent
from micro.runs.fold_parts import FoldReport, merged, weighted
from micro.runs.report_parts import LabelReport, RecognizedReport, SeedReport
from micro.runs.run_report import RunReport
from micro.runs.verdict import Reason

# Figures of a task that a verdict says of the folds, the first by which they are compared; whether less is better. Of the
# others it is that which models are compared by. R2 is not among them: that of a fold is of the few numbers that it tests.
OF_FOLDS: dict[Task, tuple[tuple[str, bool], ...]] = {
    "anomaly": (("auc", False), ("detection_rate", False), ("false_alarm_rate", True)),
    "regression": (("rmse", True), ("relative_rmse", True)),
}
# Those that are fractions of windows, in words.
RATES = {
    "detection_rate": "faulty windows found",
    "false_alarm_rate": "false alarms",
    "accuracy": "accuracy",
}


def unsure_of_false_alarms(report: RunReport) -> bool:
    """Whether too few healthy windows were tested, in all folds, to tell how often a detector raises false alarms."""
    found = false_alarms_of(over_folds(report))
    return found is not None and not found.decides


def over_folds(report: RunReport) -> RunReport:
    """A report as if one test had held what all folds tested, each by models that learned nothing of it; without folds itself.

    All of it is of the first seed of each fold, as what the folds say of recordings, classes and labels is. Counts are summed,
    figures of models are over all windows, as `pooled` says. A detector's faulty recordings, which every fold tests, count
    once, with the mean of what the folds made of them.
    """
    if not report.folds:
        return report
    folds = _first_seeds(report)
    rows = merged(folds) if report.task == "anomaly" else tuple(row for fold in folds for row in fold.by_origin)
    recordings = (
        len({row.origin for row in rows}) if report.task == "anomaly" else sum(fold.recordings for fold in folds)
    )
    windows = report.data.windows.model_copy(update={"test": report.tested_windows})
    return report.model_copy(
        update={
            "data": report.data.model_copy(update={"windows": windows, "recordings": recordings}),
            "seeds": (SeedReport.model_validate({"seed": report.seeds[0].seed, **pooled(report, folds)}),),
            "by_origin": rows,
            "by_class": tuple(row for fold in folds for row in fold.by_class),
            "recognized": _recognized(folds),
            "by_label": tuple(_label(folds, place) for place in range(len(report.by_label))),
        }
    )


def fold_reasons(report: RunReport, whole: RunReport, far_apart: float) -> Iterator[Reason]:
    """What all folds tested, how far they lie apart, and the worst of them; nothing without folds.

    `whole` is the report over all folds; `far_apart` the standard deviation over the folds from which on that is an objection:
    of the AUC, the accuracy and the like, of rates where no AUC is known, and of what a regression's errors take from R2.
    """
    if not report.folds:
        return
    folds = _first_seeds(report)
    found = [figure for figure in _figures(folds, whole) if figure.values]
    if not found:
        return
    first, count, target = found[0], len(folds), report.data.target
    seen = f"over {count} folds: {'; '.join(figure.says for figure in found)}"
    compared = [value for _, value in first.values] if target is None else lost(folds, target)
    if _deviation(compared or ()) > far_apart:
        yield Reason(
            "doubtful",
            f"folds far apart ({first.shortly})",
            f"{seen}. How well it does depends on which group it has not seen",
            f"record more machines or subjects like those of {first.worst.name}",
        )
    else:
        yield Reason("good", f"over {count} folds {first.shortly}", seen)


def _first_seeds(report: RunReport) -> tuple[FoldReport, ...]:
    """The folds with the figures of their first seed in place of means over the seeds."""
    first = {seed.fold: seed.models for seed in reversed(report.seeds)}
    return tuple(fold.model_copy(update={"models": first.get(fold.fold, fold.models)}) for fold in report.folds)


@dataclass(frozen=True)
class Figure:
    """A metric of the int8 student: over all windows, by fold of those that have it, and how many have not."""

    metric: str
    lower_is_better: bool
    whole: float
    values: tuple[tuple[FoldReport, float], ...]
    without: int

    @property
    def worst(self) -> FoldReport:
        """The fold that did worst."""
        return self._at_end[0]

    @property
    def shortly(self) -> str:
        """Figure, spread and worst fold in a few words."""
        fold, value = self._at_end
        return f"{self._name} {self._spread}, {self._shown(value)} in fold {fold.fold}"

    @property
    def says(self) -> str:
        """Figure, spread and worst fold with what it tested."""
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
        deviation = _deviation([value for _, value in self.values])
        if self.metric in RATES:
            return f"{100 * self.whole:.3g} ± {100 * deviation:.2g} %"
        return f"{self.whole:.3g} ± {deviation:.2g}"

    def _shown(self, value: float) -> str:
        return percent(value) if self.metric in RATES else f"{value:.3g}"


def _figures(folds: Sequence[FoldReport], whole: RunReport) -> Iterator[Figure]:
    """The figures of the int8 student that are known, that by which folds are compared first.

    A rate of false alarms is none where too few healthy windows were tested to tell it.
    """
    alarms = false_alarms_of(whole)
    for metric, lower in OF_FOLDS.get(whole.task, ((whole.metric, False),)):
        if metric == "false_alarm_rate" and alarms is not None and not alarms.decides:
            continue
        pairs = [(fold, fold.models["student_int8"].get(metric)) for fold in folds]
        known = tuple((fold, value) for fold, value in pairs if value is not None)
        over_all = whole.deployed.get(metric)
        if over_all is not None:
            yield Figure(metric, lower, over_all, known, len(pairs) - len(known))


def _deviation(values: Sequence[float]) -> float:
    """The standard deviation over the folds (n - 1); 0 of one, and exactly 0 where all are the same."""
    return float(np.std(values, ddof=1)) if len(set(values)) > 1 else 0.0


def _recognized(folds: Sequence[FoldReport]) -> RecognizedReport | None:
    """What recognizers report after all test windows."""
    pairs = [(fold.recognized, fold.windows.test) for fold in folds if fold.recognized is not None]
    if not pairs:
        return None
    parts = {
        name: weighted([(getattr(found, name), windows) for found, windows in pairs])
        for name in ("right", "wrong", "none")
    }
    return RecognizedReport.model_validate(parts)


def _label(folds: Sequence[FoldReport], place: int) -> LabelReport:
    """What labelers do with one label over all test windows."""
    rows = [(fold.by_label[place], fold.windows.test) for fold in folds]
    shares = {
        name: weighted([(getattr(row, name), row.windows if with_it else of - row.windows) for row, of in rows])
        for name, with_it in (
            ("given", True),
            ("reported", True),
            ("falsely_given", False),
            ("falsely_reported", False),
        )
    }
    first = rows[0][0]
    return first.model_copy(update={**shares, "windows": sum(row.windows for row, _ in rows)})
