"""What a teacher that is no single network, made of detectors or estimators, asks of the rest of a config."""

from __future__ import annotations

from collections.abc import Sequence

from micro.config.complaints import shown
from micro.config.compression import Stage
from micro.config.distillation import DistillConfig
from micro.config.models import StudentConfig, TeacherConfig


def require_teacher(
    task: str, teacher: TeacherConfig, student: StudentConfig, distill: DistillConfig, stages: Sequence[Stage]
) -> None:
    """ValueError where a teacher's kind does not fit the task, the student's windows or what is learned of it."""
    if student.augment is not None and (teacher.detectors or teacher.estimators):
        kind = "detectors" if teacher.detectors else "estimators"
        raise ValueError(
            f"student.augment: teacher.{kind} are fitted on the windows that the student learns from; give [augment]"
        )
    if teacher.folds is not None:
        _require_folds(task, student, distill)
    if teacher.estimators and task not in ("classification", "regression"):
        hint = "; take teacher.detectors" if task == "anomaly" else ""
        raise ValueError(
            f"teacher.estimators are for tasks 'classification' and 'regression', and task is {task!r}{hint}"
        )
    if teacher.estimators and distill.mixup is not None:
        raise ValueError(
            "distill.mixup is not for teacher.estimators, which know the windows that are mixed and would teach their labels; "
            "leave it out"
        )
    if teacher.detectors:
        _require_scores(task, distill, stages)
    elif distill.objective == "score_matching" or "score_matching" in distill.candidates:
        raise ValueError("distill: 'score_matching' is for a teacher of scores; name teacher.detectors")


def _require_folds(task: str, student: StudentConfig, distill: DistillConfig) -> None:
    """ValueError where networks cannot be trained without folds of the training windows."""
    if student.augment is not None:
        raise ValueError(
            "student.augment: teacher.folds divide the windows that the student learns from; give [augment]"
        )
    if distill.mixup is not None:
        raise ValueError(
            "distill.mixup is not for teacher.folds: many a mixture is nearly one of its two training windows, which all "
            "networks but one were trained on; leave one of them out"
        )
    if task == "anomaly":
        raise ValueError(
            "teacher.folds are for tasks with labels or numbers, which a teacher may know by heart, and task is 'anomaly', "
            'where it has none; take teacher.detectors = ["autoencoder"], which scores training windows in folds'
        )
    if task == "sequence":
        raise ValueError(
            "teacher.folds are for recordings, whose groups are apart, and task is 'sequence', whose windows are places of "
            "one text; leave them out"
        )


def _require_scores(task: str, distill: DistillConfig, stages: Sequence[Stage]) -> None:
    """ValueError for what a student of detectors cannot learn."""
    objective = distill.objective
    if task != "anomaly":
        raise ValueError(f"teacher.detectors are for task 'anomaly', and task is {task!r}")
    if objective not in (None, "score_matching") or distill.recipe is not None:
        raise ValueError(
            f"distill.{'recipe' if objective is None else 'objective'} {objective or distill.recipe!r} compares "
            "outputs of networks; a student of teacher.detectors takes objective 'score_matching', which it has where "
            "[distill] names none"
        )
    if distill.hard_weight != 0:
        raise ValueError(
            f"distill.hard_weight must be 0 under teacher.detectors, got {shown(distill.hard_weight)}: synthetic "
            "windows are there to be scored, not to be reconstructed"
        )
    stage = next((stage.stage for stage in stages if not stage.teacher), None)
    if stage is not None:
        raise ValueError(
            f"compress: stage {stage!r} with teacher = false would have the student forget the scores of teacher.detectors"
        )
