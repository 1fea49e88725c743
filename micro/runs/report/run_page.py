"""One self-contained HTML page a run: charts in SVG, no network, readable on a phone and in print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from micro.config import Task
from micro.datasets.prepared import Prepared
from micro.runs.assessment.detector import false_alarms_of
from micro.runs.assessment.folds import over_folds
from micro.runs.assessment.learning import learning_context
from micro.runs.assessment.words import ARENA, METRIC_NAMES, MOVED, meanings_of
from micro.runs.emulated import Emulated
from micro.runs.evaluate import Evaluation
from micro.runs.report.about import About, about_context
from micro.runs.report.costs import layers, op_graph, sizes
from micro.runs.report.in_words import choices, sentences, tracks
from micro.runs.report.judged import (
    SHORT_NAMES,
    confusion,
    dark_knowledge,
    estimates,
    label_curves,
    learning_curves,
    names_of,
    precision_recall,
    roc,
    scores,
)
from micro.runs.report.over_time import scores_over_time
from micro.runs.report_parts import WindowCounts
from micro.runs.run_report import RunReport
from micro.support.html import drawing, page

KINDS: dict[Task, str] = {
    "anomaly": "anomaly detector",
    "classification": "classifier",
    "multilabel": "labeler",
    "regression": "estimator",
    "sequence": "predictor",
}
# What windows are for, in the order of columns.
PARTS = {
    "train": "training",
    "faults": "known faults",
    "unlabeled": "unlabeled",
    "validation": "validation",
    "calibration": "calibration",
    "test": "test",
}
STAGES = {
    "distilled": "as distilled",
    "shrink": "channels removed",
    "prune": "weights pruned",
    "cluster": "weights clustered",
    "quantize_aware": "quantization-aware training",
}


def render_report(report: RunReport, evaluations: dict[str, Evaluation], data: Prepared, about: About) -> bytes:
    """The page for a run's report; the same report gives the same bytes."""
    with drawing():
        charts = [learning_curves(report)]
        if data.task == "sequence":
            pass  # classes by the hundred, and no order among them
        elif data.task == "regression":
            charts += estimates(evaluations, data, report)
        elif data.label_names:
            charts += [label_curves(evaluations, data)]
        elif data.class_names:
            charts += [confusion(evaluations, data), dark_knowledge(report)]
        else:
            names = names_of(report)
            charts += [roc(evaluations, data, names), precision_recall(evaluations, data, names)]
            charts += [scores(evaluations, data), over_time(report, evaluations, data)]
        charts += [sizes(report), layers(report), op_graph(report)]
    on_chip = evaluations["student_int8"]
    whole = over_folds(report)
    return page(
        "micro.runs.report",
        "report.html.j2",
        report=report,
        false_alarms=false_alarms_of(whole),
        words=sentences(report, on_chip, data),
        choices=choices(report, on_chip, data),
        whole=whole,
        charts=[chart for chart in charts if chart],
        names=names_of(report),
        metric=report.metric,
        metrics=report.metrics,
        meanings=meanings_of(report.metrics) | {"The arena": ARENA},
        sentence=distilling_sentence(report),
        verdict=report.verdict,
        stages=STAGES,
        emulated=(),
        lines=(),
        moved_by=MOVED,
        metric_names=METRIC_NAMES,
        kind=KINDS[report.task],
        short_names=SHORT_NAMES,
        recordings=_recordings(report),
        parts=_parts(report),
        in_alarm=_in_alarm(report),
        **learning_context(report),
        **about_context(about),
    )


def over_time(report: RunReport, evaluations: dict[str, Evaluation], data: Prepared) -> dict[str, str] | None:
    """The int8 student's scores of the test's recordings over time."""
    found = tracks(report, evaluations["student_int8"], data)
    return scores_over_time(found, report.common_threshold, "Scores over time")


def _parts(report: RunReport) -> dict[str, str]:
    """The parts that windows of recordings are in: known faults and unlabeled windows only where there are some."""
    rows = report.data.divided
    return {
        name: word
        for name, word in PARTS.items()
        if name in WindowCounts.model_fields or any(getattr(row, name) for row in rows)
    }


def _in_alarm(report: RunReport) -> dict[tuple[str, str], float]:
    """Of test recordings and their states the fraction of windows in alarm; of classes those of a state that is none."""
    rows = (row for row in report.by_origin if report.task == "anomaly")
    return {(row.origin, row.state): row.alarms for row in rows}


def _recordings(report: RunReport) -> list[dict[str, Any]]:
    """The rows of test recordings, of folds those of each with its number."""
    if any(fold.by_origin for fold in report.folds):
        return [{"fold": fold.fold, "row": row} for fold in report.folds for row in fold.by_origin]
    return [{"fold": 1, "row": row} for row in report.by_origin]


def with_emulated(html: bytes, emulated: Sequence[Emulated], lines: Sequence[str], about: About) -> bytes:
    """A run's page with a table of emulated chips and lines below it, and with boards by what was counted, which replace
    earlier ones."""
    html = _replaced(html, "emulated", page("micro.runs.report", "emulated.html.j2", emulated=emulated, lines=lines))
    boards = page("micro.runs.report", "boards.html.j2", **about_context(about))
    return _replaced(html, "boards", b"<!-- boards -->\n" + boards + b"\n<!-- end of boards -->")


def _replaced(html: bytes, name: str, section: bytes) -> bytes:
    """A page with another section from one mark to the other; as it is without them."""
    begin, end = f"<!-- {name} -->".encode(), f"<!-- end of {name} -->".encode()
    if begin not in html or end not in html:
        return html
    before, rest = html.split(begin, 1)
    return before + section + rest.split(end, 1)[1]


def distilling_sentence(report: RunReport) -> str:
    """What distilling did to the student, in words that the figures support."""
    comparison = report.distilling
    if comparison is None and "student_alone" not in report.history:
        return "No student was trained without the teacher to compare with."
    if comparison is None:
        return "The test windows' state is not known, so the students could not be compared."
    name = METRIC_NAMES.get(comparison.metric, comparison.metric)
    low, high = min(comparison.differences), max(comparison.differences)
    if len(comparison.differences) == 1:
        return f"Distilling changed the student's test {name} by {low:+.4f} with the one seed that was run."
    what = report.repeats[1]
    return (
        f"Distilling changed the student's test {name} by {comparison.mean_difference:+.4f} on average over "
        f"{len(comparison.differences)} {what}s (from {low:+.4f} to {high:+.4f}): {comparison.verdict}."
    )
