"""One self-contained HTML page a run: charts in SVG, no network, readable on a phone and in print."""

from __future__ import annotations

from typing import Any

import numpy as np

from micro.evaluate import Evaluation
from micro.pages import chart, drawing, figure, page
from micro.prepare import Prepared

COLOURS = {"teacher": "#444444", "student_distilled": "#0b6e99", "student_alone": "#c2571a", "student_int8": "#3a7d2c"}
NAMES = {
    "teacher": "Teacher",
    "student_distilled": "Student, distilled",
    "student_alone": "Student, no teacher",
    "student_compressed": "Student, distilled and compressed",
    "student_int8": "Student on the chip (int8)",
    "alone_int8": "Student, no teacher (int8)",
}

STAGES = {
    "distilled": "as distilled",
    "shrink": "channels removed",
    "prune": "weights zeroed",
    "cluster": "values shared",
    "quantize_aware": "trained on int8 grids",
}


def render_report(report: dict[str, Any], evaluations: dict[str, Evaluation], data: Prepared) -> bytes:
    """The page for a run's report; the same report gives the same bytes."""
    with drawing():
        charts = [_learning_curves(report)]
        charts += (
            [_confusion(evaluations, data)]
            if data.class_names
            else [_roc(evaluations, data), _scores(evaluations, data)]
        )
        charts += [_sizes(report), _arena(report)]
    return page(
        "report.html.j2",
        report=report,
        charts=[chart for chart in charts if chart],
        names=NAMES,
        metric="accuracy" if data.class_names else "auc",
        metrics=["accuracy"] if data.class_names else ["auc", "detection_rate", "false_alarm_rate"],
        sentence=distilling_sentence(report),
        stages=STAGES,
    )


def distilling_sentence(report: dict[str, Any]) -> str:
    """What distilling did to the student, in words that the figures bear out."""
    found = report["distilling"]
    if found is None and "student_alone" not in report["history"]:
        return "No student was trained without the teacher to compare with."
    if found is None:
        return "The test windows' state is not known, so the students could not be compared."
    name = "accuracy" if found["metric"] == "accuracy" else "AUC"
    low, high = min(found["differences"]), max(found["differences"])
    if len(found["differences"]) == 1:
        return f"Distilling changed the student's test {name} by {low:+.4f} with the one seed that was run."
    return (
        f"Distilling changed the student's test {name} by {found['mean_difference']:+.4f} on average over "
        f"{len(found['differences'])} seeds (from {low:+.4f} to {high:+.4f}): {found['verdict']}."
    )


def _learning_curves(report: dict[str, Any]) -> dict[str, str] | None:
    drawn, axes = figure()
    ends = []
    hard = "hard_loss"
    for name, history in report["history"].items():
        key = "val_hard_loss" if hard in history else "val_loss"
        if history.get(key):
            epochs = range(1, len(history[key]) + 1)
            axes.plot(epochs, history[key], label=NAMES[name], color=COLOURS[name])
            ends.append(f"{NAMES[name]} ends at {history[key][-1]:.4g}")
    if not ends:
        return None
    axes.set(xlabel="epoch", ylabel="validation loss on the data", yscale="log")
    axes.legend(frameon=False)
    return chart("Learning curves", f"Loss on the validation windows by epoch, first seed. {'; '.join(ends)}.", drawn)


def _roc(evaluations: dict[str, Evaluation], data: Prepared) -> dict[str, str] | None:
    from sklearn.metrics import roc_curve

    known = data.test.labels >= 0
    labels = data.test.labels[known]
    if len(np.unique(labels)) < 2:
        return None
    drawn, axes = figure(height=3.8)
    areas = []
    for name in ("teacher", "student_alone", "student_distilled", "student_int8"):
        if name not in evaluations:
            continue
        evaluation = evaluations[name]
        false, true, _ = roc_curve(labels, evaluation.scores[known])
        area = evaluation.metrics["auc"]
        axes.plot(false, true, label=f"{NAMES[name]}: {area:.4f}", color=COLOURS[name])
        areas.append(f"{NAMES[name]} {area:.4f}")
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.8)
    axes.set(xlabel="share of healthy windows that alarm", ylabel="share of faulty windows found")
    axes.legend(frameon=False, title="area under the curve", loc="lower right")
    return chart(
        "ROC", f"Faulty windows found against false alarms, for every threshold. Areas: {'; '.join(areas)}.", drawn
    )


def _scores(evaluations: dict[str, Evaluation], data: Prepared) -> dict[str, str]:
    evaluation = evaluations["student_int8"]
    assert evaluation.threshold is not None
    threshold = evaluation.threshold.value
    drawn, axes = figure()
    scores = np.log10(np.maximum(evaluation.scores, 1e-9))
    edges = np.linspace(scores.min(), scores.max(), 60)
    for label, name, colour in ((0, "healthy", "#3a7d2c"), (1, "faulty", "#b3261e"), (-1, "unknown", "#888888")):
        chosen = scores[data.test.labels == label]
        if len(chosen):
            axes.hist(chosen, edges.tolist(), alpha=0.55, label=f"{name} ({len(chosen)})", color=colour)
    axes.axvline(np.log10(threshold), color="black", linewidth=1, label="threshold")
    axes.set(xlabel="log10 of the int8 student's score", ylabel="test windows")
    axes.legend(frameon=False)
    alarms = evaluation.scores > threshold
    says = f"Scores of the test windows; {alarms.sum()} of {len(alarms)} lie above the threshold of {threshold:.4g}."
    return chart("Scores and threshold", says, drawn)


def _confusion(evaluations: dict[str, Evaluation], data: Prepared) -> dict[str, str]:
    from sklearn.metrics import confusion_matrix

    predicted = evaluations["student_int8"].scores
    matrix = confusion_matrix(data.test.labels, predicted, labels=range(len(data.class_names)))
    drawn, axes = figure(6.4, 5.4)
    axes.imshow(matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(matrix):
        share = matrix[row, column] / matrix[row].sum()
        axes.text(
            column, row, str(matrix[row, column]), ha="center", va="center", color="white" if share > 0.5 else "black"
        )
    ticks = range(len(data.class_names))
    axes.set_xticks(ticks, data.class_names, rotation=45, ha="right")
    axes.set_yticks(ticks, data.class_names)
    axes.set(xlabel="int8 student says", ylabel="recorded")
    wrong = int(matrix.sum() - np.trace(matrix))
    return chart("Confusion matrix", f"Test windows by class; {wrong} of {matrix.sum()} are classified wrongly.", drawn)


def _sizes(report: dict[str, Any]) -> dict[str, str]:
    drawn, axes = figure(height=2.4)
    teacher, student = (4 * report["parameters"][side] for side in ("teacher", "student"))
    int8 = report["footprint"]["model_bytes"]
    names = ["teacher, float32 weights", "student, float32 weights", "student, whole .tflite"]
    bars = axes.barh(names, [teacher, student, int8], color=["#444444", "#0b6e99", "#3a7d2c"])
    axes.bar_label(bars, [f"{v:,} B" for v in (teacher, student, int8)], padding=3)
    axes.invert_yaxis()
    axes.set(xlabel="bytes", xscale="log", xlim=(min(student, int8) / 4, teacher * 8))
    return chart(
        "Sizes", f"Teacher {teacher:,} bytes of weights, student {student:,}, its .tflite {int8:,} with graph.", drawn
    )


def _arena(report: dict[str, Any]) -> dict[str, str]:
    footprint = report["footprint"]
    drawn, axes = figure(height=1.6)
    active, persistent = footprint["activation_bytes"], footprint["persistent_bytes"]
    axes.barh([""], [active], color="#0b6e99", label=f"activations, {active:,} B")
    axes.barh([""], [persistent], left=[active], color="#9ac3d6", label=f"persistent, {persistent:,} B (64-bit host)")
    axes.set(xlabel="bytes of tensor arena", yticks=[])
    axes.legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    says = (
        f"Tensor arena of {footprint['arena_bytes']:,} bytes: {active:,} for activations, "
        f"{persistent:,} held for the model's life."
    )
    return chart("Tensor arena", says, drawn)
