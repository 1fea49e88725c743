"""The verdict over a run's report."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from micro.config import Task
from micro.runs.assessment.classifier import classifier_reasons
from micro.runs.assessment.detector import detector_reasons
from micro.runs.assessment.labels import label_reasons
from micro.runs.assessment.regression import regression_reasons
from micro.runs.assessment.text import text_reasons
from micro.runs.assessment.words import METRIC_NAMES
from micro.runs.run_report import RunReport
from micro.runs.verdict import GRADES, Reason, Verdict

OF_TASK: dict[Task, Callable[[RunReport], Iterator[Reason]]] = {
    "anomaly": detector_reasons,
    "classification": classifier_reasons,
    "multilabel": label_reasons,
    "regression": regression_reasons,
    "sequence": text_reasons,
}
# What int8 may lose, in AUC, accuracy or R2, and how far seeds may lie apart (standard deviation).
INT8_LOSS, SEEDS_APART = 0.02, 0.05


def judge(report: RunReport) -> Verdict:
    """The verdict over a run's report: by its test windows, the rate of false alarms asked for, the budget and the seeds.

    Counts are judged by exact binomial intervals (Clopper and Pearson 1934) at 95 %, so that a few windows decide nothing.
    Windows of one recording are alike, so the true value may lie outside more often than one time in twenty.
    """
    reasons = [*_budget(report), *OF_TASK[report.task](report), *_int8(report), *_seeds(report)]
    # Reasons of one grade stay in this order.
    ordered = sorted(reasons, key=lambda reason: -GRADES.index(reason.grade))
    return Verdict(ordered[0].grade if ordered else "good", tuple(ordered))


def _budget(report: RunReport) -> Iterator[Reason]:
    if report.budget is not None and not report.budget.fits:
        yield Reason(
            "unusable",
            "over the budget",
            f"the student does not fit: {'; '.join(report.budget.broken)}",
            "use fewer or narrower layers in student.sizes, add a stage 'shrink', or let keras-kd search find what fits",
        )


def _int8(report: RunReport) -> Iterator[Reason]:
    """Whether the int8 student is far from the float student that it was made of."""
    models, metric = report.seeds[0].models, report.metric
    in_float = models.get("student_compressed", models["student_distilled"])[metric]
    in_int8 = models["student_int8"][metric]
    if in_float is not None and in_int8 is not None and in_float - in_int8 > INT8_LOSS:
        yield Reason(
            "doubtful",
            "int8 far from float",
            f"as int8 the student's {_metric_name(report)} is {in_int8:.3f}, in float it was {in_float:.3f}",
            "add a stage 'quantize_aware', last in [[compress]]: it trains the student as the target computes",
        )


def _seeds(report: RunReport) -> Iterator[Reason]:
    """Whether repeats of the whole, by seeds or by folds, differ by much."""
    spread = report.summary.get("student_int8", {}).get(report.metric)
    if spread is not None and spread.deviation > SEEDS_APART and report.folds:
        yield Reason(
            "doubtful",
            "folds far apart",
            f"over {len(report.folds)} folds the {_metric_name(report)} ranges from {spread.min:.3f} to {spread.max:.3f}: how "
            "well it does depends on which group it has not seen",
            "record more machines or subjects like those of the poorest fold, which the report names",
        )
    elif spread is not None and spread.deviation > SEEDS_APART:
        yield Reason(
            "doubtful",
            "seeds far apart",
            f"over {len(report.seeds)} seeds the {_metric_name(report)} ranges from {spread.min:.3f} to {spread.max:.3f}: "
            "what is deployed depends on luck",
            "train for more epochs or on more recordings; the deployed student is the first seed's, whatever the others reach",
        )


def _metric_name(report: RunReport) -> str:
    return METRIC_NAMES.get(report.metric, report.metric)
