"""The verdict over a run's report."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from micro.config import Task
from micro.datasets.reported import Doubt
from micro.runs.assessment.classifier import classifier_reasons
from micro.runs.assessment.detector import detector_reasons
from micro.runs.assessment.folds import fold_reasons, over_folds
from micro.runs.assessment.labels import label_reasons
from micro.runs.assessment.learning import learning_of
from micro.runs.assessment.regression import regression_reasons
from micro.runs.assessment.text import text_reasons
from micro.runs.assessment.unlike import unlike_others
from micro.runs.assessment.words import METRIC_NAMES
from micro.runs.run_report import RunReport
from micro.runs.verdict import GRADES, Grade, Reason, Verdict
from micro.support.wording import counted

OF_TASK: dict[Task, Callable[[RunReport], Iterator[Reason]]] = {
    "anomaly": detector_reasons,
    "classification": classifier_reasons,
    "multilabel": label_reasons,
    "regression": regression_reasons,
    "sequence": text_reasons,
}
# What int8 may lose, in AUC, accuracy or R2, and how far seeds or folds may lie apart in these (standard deviation).
INT8_LOSS, APART = 0.02, 0.05
# How far a teacher may lie below a student, in the same.
TEACHER_BELOW = 0.02
# The last fraction of epochs, in which the best validation loss may fall by at most this fraction of itself, and of all that
# training gained.
LAST, STILL_FALLING = 0.1, 0.02


def judge(report: RunReport) -> Verdict:
    """The verdict over a run's report: by its test windows, the rate of false alarms asked for, the budget and the seeds.

    Counts are judged by exact binomial intervals (Clopper and Pearson 1934) at 95 %, so that a few windows decide nothing.
    Windows of one recording are alike, so the true value may lie outside more often than one time in twenty. Of a
    cross-validation the windows of all folds are judged, each by the student that learned nothing of it.
    """
    whole = over_folds(report)
    of_task = [*fold_reasons(report, whole, APART), *OF_TASK[report.task](whole)]
    unfinished = _unfinished(report, of_task)
    doubts = _doubts([*report.data.doubts, *unlike_others(whole)], of_task)
    reasons = [*_budget(report), *doubts, *unfinished, *of_task, *_int8(whole), *_seeds(report), *_poor_teacher(whole)]
    # Reasons of one grade stay in this order.
    ordered = sorted(reasons, key=lambda reason: -GRADES.index(reason.grade))
    learns = learning_of(report)
    return Verdict(ordered[0].grade if ordered else "good", tuple(ordered), "" if learns is None else learns.says)


def _budget(report: RunReport) -> Iterator[Reason]:
    if report.budget is not None and not report.budget.fits:
        yield Reason(
            "unusable",
            "over the budget",
            f"the student does not fit: {'; '.join(report.budget.broken)}",
            "use fewer or narrower layers in student.sizes, add a stage 'shrink', or let keras-kd search find what fits",
        )


def _doubts(doubts: Sequence[Doubt], of_task: Sequence[Reason]) -> Iterator[Reason]:
    """What is probably wrong with the files, before all that it may have led to: as grave as the worst of its task."""
    grades: list[Grade] = ["doubtful", *(reason.grade for reason in of_task)]
    grade = max(grades, key=GRADES.index)
    for doubt in doubts:
        yield Reason(grade, doubt.what, doubt.says, doubt.then)


def _unfinished(report: RunReport, of_task: Sequence[Reason]) -> Iterator[Reason]:
    """Whether the student's validation loss was still falling when its training ended; as grave as the worst of its task."""
    losses = report.history.get("student_distilled", {}).get("val_loss", [])
    last = max(1, round(LAST * len(losses)))
    if len(losses) < 2 or not all(map(math.isfinite, losses)):
        return
    before, at_end = min(losses[:-last]), min(losses[-last:])
    fell = before - at_end
    if fell <= STILL_FALLING * abs(before) or fell <= STILL_FALLING * (losses[0] - at_end):
        return
    # What a test is too small for says nothing of the training.
    grades = [reason.grade for reason in of_task if reason.grade != "inconclusive"]
    grade: Grade = max(grades, key=GRADES.index, default="good")
    yield Reason(
        grade,
        "training was not finished",
        f"the student's loss on validation windows was still falling when training ended: from {before:.4g} to {at_end:.4g} in "
        f"the last {counted(last, 'epoch')} of {len(losses)}",
        f"train for longer: student.epochs = {2 * len(losses)} or more, and the teacher as well if its loss still fell",
    )


def _poor_teacher(report: RunReport) -> Iterator[Reason]:
    """A remark where the teacher is worse than its student, or than the student without it."""
    models, metric = report.seeds[0].models, report.metric
    teacher = models.get("teacher", {}).get(metric)
    names = {"student_distilled": "its student", "student_alone": "the student without it"}
    better = {
        says: value
        for name, says in names.items()
        if (value := models.get(name, {}).get(metric)) is not None
        and teacher is not None
        and value - teacher > TEACHER_BELOW
    }
    if better:
        said = " and ".join(f"{says} {value:.3f}" for says, value in better.items())
        yield Reason(
            "good",
            f"the teacher is worse than {next(iter(better))}",
            f"the teacher's {_metric_name(report)} is {teacher:.3f}, that of {said}: it has little to teach",
            _better_teacher(report),
        )


def _better_teacher(report: RunReport) -> str:
    """What would make a teacher better, by its kind."""
    if report.parameters.teacher is None:
        return "name other detectors or estimators, give them other features, or do without a teacher"
    if not report.history.get("teacher"):
        return "take another model in teacher.path, train one here (teacher.family, teacher.sizes), or do without a teacher"
    return "train the teacher for longer (teacher.epochs), give it more layers or other features, or do without it"


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
    """Whether the seeds of a run without folds differ by much."""
    spread = report.summary.get("student_int8", {}).get(report.metric)
    if spread is not None and spread.deviation > APART and not report.folds:
        yield Reason(
            "doubtful",
            "seeds far apart",
            f"over {len(report.seeds)} seeds the {_metric_name(report)} ranges from {spread.min:.3f} to {spread.max:.3f}: "
            "what is deployed depends on luck",
            "train for more epochs or on more recordings; the deployed student is the first seed's, whatever the others reach",
        )


def _metric_name(report: RunReport) -> str:
    return METRIC_NAMES.get(report.metric, report.metric)
