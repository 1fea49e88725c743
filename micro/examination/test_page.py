"""The page of a test on labeled files: the verdict first, then figures, scores over time, and tables."""

from __future__ import annotations

import numpy as np

from micro.examination.classes import ClassifierTest
from micro.examination.examine import Examined, recorded_as
from micro.examination.words import grade_of, verdict_of
from micro.runs.assessment.words import MEANINGS
from micro.runs.report.confusion import confusion_of
from micro.runs.report.over_time import Track, scores_over_time
from micro.support.html import chart, drawing, page
from micro.support.wording import duration

# Alarms with a row each.
MOST_ALARMS = 200


def render_test(found: Examined) -> bytes:
    """The page, whole in itself; the same test gives the same bytes."""
    with drawing():
        charts = []
        if found.watched and found.classifier is None:
            charts.append(scores_over_time(tracks_of(found), found.threshold))
        if found.classifier is not None:
            charts.append(confusion_chart(found.classifier))
    grade = grade_of(found)
    return page(
        "micro.examination",
        "test.html.j2",
        found=found,
        says=verdict_of(found),
        grade=grade,
        charts=[each for each in charts if each],
        alarms=[each for each in found.detector.by_alarm if each.reported is not None] if found.detector else [],
        most=MOST_ALARMS,
        recorded_as=recorded_as,
        duration=duration,
        meaning_of_auc=MEANINGS["auc"],
    )


def tracks_of(found: Examined) -> list[Track]:
    """A detector's windows as they are drawn, from the end of each."""
    return [Track(one.name, one.ends, one.scores, one.alarm, found.events.get(one.name, ())) for one in found.watched]


def confusion_chart(test: ClassifierTest) -> dict[str, str]:
    """Windows by recorded class and by the likeliest one."""
    matrix = np.array(test.confusion)
    drawn, data = confusion_of(matrix, test.class_names, "likeliest class", "likeliest")
    wrong = int(matrix.sum() - np.trace(matrix))
    return chart("Confusion", f"Windows by class; {wrong:,} of {matrix.sum():,} are misclassified.", drawn, data)
