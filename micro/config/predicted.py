"""Key `predict` of [data]: channels that a student predicts from the others, in place of giving all of them back."""

from __future__ import annotations

from collections.abc import Sequence

from micro.config.models import TeacherConfig


def require_predicted(predict: Sequence[str], columns: Sequence[str]) -> None:
    """ValueError for columns to predict that come twice, are no channels, or leave nothing to predict them from."""
    twice = next((name for name in predict if list(predict).count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"predict names {twice!r} twice")
    if not columns:
        return
    if any(set("*?") & set(name) for name in (*columns, *predict)):
        return  # which channels patterns stand for, the files say
    unknown = next((name for name in predict if name not in columns), None)
    if unknown is not None:
        raise ValueError(f"predict names {unknown!r}, which columns does not: {', '.join(columns)}")
    if len(predict) == len(columns):
        raise ValueError(
            "predict names every one of columns, which leaves nothing to predict them from; name the channels that follow from "
            "the others"
        )


def require_no_predicted(predict: Sequence[str], teacher: TeacherConfig, sources: Sequence[object]) -> None:
    """ValueError for what a student that predicts some channels has not: a teacher of scores, or further sources."""
    if not predict:
        return
    if teacher.detectors:
        raise ValueError(
            "teacher.detectors score windows of all channels, and a student with data.predict learns to predict some from the "
            "others: leave detectors out, so that a larger network that predicts teaches it, or leave out predict"
        )
    if sources:
        raise ValueError("data.predict is for channels of one source: leave out [[sources]] or predict")
