"""A fleet as a page: how many machines are done, how good and how large their students are, and each in a line."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import numpy as np

from micro.config import Task
from micro.fleet.results import AssetResult, metric_names
from micro.runs.assessment.words import METRIC_NAMES
from micro.runs.verdict import GRADES
from micro.support.html import chart, drawing, figure, label_of, page

# Machines that are drawn with their names, and letters of a line below the chart.
MOST_NAMED, LETTERS = 40, 50
METRIC_WORDS = {
    "auc": "area under the ROC curve",
    "accuracy": "accuracy",
    "macro_auc": "area under the ROC curve, mean over labels",
    "macro_f1": "F1, mean over classes or labels",
    "f1": "F1",
    "exact": "fraction of windows of which every label is right",
    "calibration_error": "calibration error",
    "r2": "fraction of the variance explained",
    "rmse": "root mean square error",
    "mae": "mean absolute error",
    "coverage": "fraction of windows within the interval",
    "rmse_last": "root mean square error of last windows",
    "mean_r2": "fraction of the variance explained, mean over numbers",
    "relative_rmse": "root mean square error in standard deviations, mean over numbers",
    "lowest_coverage": "fraction of windows within the interval, of the number with the lowest",
    "detection_rate": "fraction of faulty windows found",
    "false_alarm_rate": "fraction of healthy windows above the threshold",
}


def render_fleet(rows: Sequence[AssetResult], job: str, task: Task, targets: Sequence[str] = ()) -> bytes:
    """The page for a fleet's rows; the same rows give the same bytes."""
    done = [row for row in rows if row.state == "done"]
    metrics = metric_names(done, task, targets)
    with drawing():
        charts = [found for name in metrics if (found := _by_metric(done, name)) is not None]
    return page(
        "micro.fleet",
        "fleet.html.j2",
        rows=rows,
        job=job,
        done=done,
        failed=[row for row in rows if row.state == "failed"],
        waiting=[row for row in rows if row.state == "waiting"],
        **{grade: [row for row in done if row.verdict == grade] for grade in GRADES},
        metrics=metrics,
        words=METRIC_WORDS,
        short_names=METRIC_NAMES,
        charts=charts,
    )


def words_of(metric: str) -> str:
    """A metric in words; of one of several numbers with its name."""
    plain, separator, number = metric.partition(": ")
    return f"{METRIC_WORDS.get(plain, plain)}{separator}{number}"


def _by_metric(done: Sequence[AssetResult], metric: str) -> dict[str, str] | None:
    """Machines by one figure, with the shared teacher's for comparison; None where no machine has it."""
    ordered = sorted(
        (value, row.asset, row.teacher.get(metric, np.nan))
        for row in done
        if (value := row.metrics.get(metric)) is not None and not (row.too_few_windows and metric == "false_alarm_rate")
    )
    if not ordered:
        return None
    values, names, taught = zip(*ordered)
    teacher = np.array(taught, float)
    named = len(values) <= MOST_NAMED
    places = range(len(values))
    drawn, axes = figure(1.2 + 0.26 * len(values) if named else 3.4)
    axes.scatter(teacher, places, s=14, color="#888888", label="teacher")
    axes.scatter(values, places, s=18, color="#3a7d2c", label="student on the chip (int8)")
    drawn.supxlabel(fill(words_of(metric), LETTERS), fontsize="medium")  # in the middle, however long names are
    if named:
        axes.set_yticks(places, [label_of(name) for name in names])
    else:
        axes.set_ylabel("machines, from the lowest")
        axes.locator_params(axis="y", integer=True)
    axes.set_ylim(-0.6, len(values) - 0.4)
    drawn.legend(frameon=False, ncols=2, loc="outside upper center")
    says = (
        f"{len(values)} machines: median {np.median(values):.4f}, from {values[0]:.4f} ({names[0]}) to {values[-1]:.4f} "
        f"({names[-1]})"
    )
    says += f"; their teachers' median {np.nanmedian(teacher):.4f}." if np.isfinite(teacher).any() else "."
    data = {"machine": list(names), "student": list(values), "teacher": list(taught)}
    return chart(f"Machines by {words_of(metric)}", says, drawn, data)
