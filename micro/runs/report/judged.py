"""Charts of the models' outputs on a run's test windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from micro.datasets.prepared import Prepared
from micro.runs.evaluate import Evaluation
from micro.runs.report.confusion import confusion_of
from micro.runs.report_parts import DETECTOR, ESTIMATOR, of_target
from micro.runs.run_report import RunReport
from micro.support.html import chart, figure, logarithmic, panes

COLORS = {"teacher": "#444444", "student_distilled": "#0b6e99", "student_alone": "#c2571a", "student_int8": "#3a7d2c"}
NAMES = {
    "teacher": "Teacher",
    "student_distilled": "Student, distilled",
    "student_alone": "Student, no teacher",
    "student_compressed": "Student, distilled and compressed",
    "student_int8": "Student on the chip (int8)",
    "alone_int8": "Student, no teacher (int8)",
}
# The same where there are many columns.
SHORT_NAMES = {
    "teacher": "teacher",
    "student_distilled": "student",
    "student_alone": "no teacher",
    "student_compressed": "compressed",
    "student_int8": "int8",
    "alone_int8": "no teacher, int8",
}
# What they are called instead where the teacher is made of detectors.
UNDER_DETECTORS = {
    "teacher": "Teacher: detectors, combined",
    "student_alone": "Student, reconstruction alone",
    "alone_int8": "Student, reconstruction (int8)",
}


def names_of(report: RunReport) -> dict[str, str]:
    """What a report's models are called, by key, in the order in which they are shown."""
    members = {key: f"  {key}" for key in report.summary if key.startswith((DETECTOR, ESTIMATOR))}
    if not members:
        return NAMES
    detects = any(key.startswith(DETECTOR) for key in members)
    instead = UNDER_DETECTORS if detects else {"teacher": "Teacher: estimators, mean"}
    return {"teacher": NAMES["teacher"], **members, **NAMES, **instead}


COMPARED = ("teacher", "student_alone", "student_distilled", "student_int8")


def learning_curves(report: RunReport) -> dict[str, str] | None:
    """Validation loss by epoch, of the first seed; None where nothing was trained."""
    drawn, axes = figure()
    ends = []
    curves: dict[str, list[object]] = {"model": [], "epoch": [], "loss": []}
    # A student of scores learns no reconstruction: its curve is the difference to its teacher, which others do not have.
    scores = {name: history for name, history in report.history.items() if "val_score_matching" in history}
    what = "difference to the teacher's score" if scores else "loss"
    for name, history in (scores or report.history).items():
        key = "val_score_matching" if scores else "val_hard_loss" if "hard_loss" in history else "val_loss"
        if history.get(key):
            epochs = range(1, len(history[key]) + 1)
            _add(curves, model=[name] * len(epochs), epoch=list(epochs), loss=history[key])
            axes.plot(epochs, history[key], label=NAMES[name], color=COLORS[name])
            ends.append(f"{NAMES[name]} ends at {history[key][-1]:.4g}")
    if not ends:
        return None
    label = "validation difference to the teacher's score" if scores else "validation loss on the data"
    axes.set(xlabel="epoch", ylabel=label)
    if axes.get_ylim()[0] > 0:
        logarithmic(axes)
    axes.legend(frameon=False)
    says = f"{what.capitalize()} on the validation windows by epoch, first seed. {'; '.join(ends)}."
    return chart("Learning curves", says, drawn, curves)


def roc(evaluations: dict[str, Evaluation], data: Prepared, names: dict[str, str]) -> dict[str, str] | None:
    """Faulty windows found against false alarms, for every threshold; None where the test has no faults."""
    from sklearn.metrics import roc_curve

    known = _known(data)
    if known is None:
        return None
    labels = data.test.labels[known]
    drawn, axes = figure(height=3.8)
    areas = []
    points: dict[str, list[object]] = {"model": [], "healthy above": [], "faulty found": []}
    for name in (name for name in COMPARED if name in evaluations):
        false, true, _ = roc_curve(labels, evaluations[name].scores[known])
        area = evaluations[name].metrics["auc"]
        _add(points, **{"model": [name] * len(true), "healthy above": false.tolist(), "faulty found": true.tolist()})
        axes.plot(false, true, label=f"{names[name]}: {area:.4f}", color=COLORS[name])
        areas.append(f"{names[name]} {area:.4f}")
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.8)
    axes.set(xlabel="fraction of healthy windows above the threshold", ylabel="fraction of faulty windows found")
    axes.legend(frameon=False, title="area under the curve", loc="lower right")
    return chart(
        "ROC",
        f"Faulty windows found against false alarms, for every threshold. Areas: {'; '.join(areas)}.",
        drawn,
        points,
    )


def scores(evaluations: dict[str, Evaluation], data: Prepared) -> dict[str, str]:
    """Histogram of the int8 student's scores by state, with the threshold."""
    evaluation = evaluations["student_int8"]
    assert evaluation.threshold is not None
    threshold = evaluation.threshold.value
    own = [each.value for each in evaluation.by_mode if each is not None] or [threshold]
    drawn, axes = figure()
    positive = np.maximum(evaluation.scores, 1e-9)
    edges = np.geomspace(positive.min(), positive.max(), 60)
    for label, name, color in ((0, "healthy", "#3a7d2c"), (1, "faulty", "#b3261e"), (-1, "unknown", "#888888")):
        chosen = positive[data.test.labels == label]
        if len(chosen):
            axes.hist(chosen, edges.tolist(), alpha=0.55, label=f"{name} ({len(chosen)})", color=color)
    for place, value in enumerate(own):
        name = "threshold" if len(own) == 1 else "thresholds of the modes"
        axes.axvline(max(value, 1e-9), color="black", linewidth=1, label=None if place else name)
    ends = np.array([*own, edges[0], edges[-1]]).clip(min=1e-9)
    axes.set(xlabel="score of the int8 student", ylabel="test windows", xlim=(0.9 * ends.min(), 1.1 * ends.max()))
    logarithmic(axes, "x")
    axes.legend(frameon=False)
    alarms = evaluation.scores > evaluation.limits(data.test.modes)
    which = f"the threshold of {threshold:.4g}" if not evaluation.by_mode else "the threshold of their operating mode"
    says = f"Scores of the test windows; {alarms.sum()} of {len(alarms)} lie above {which}."
    names = {0: "healthy", 1: "faulty", -1: "unknown"}
    states = [names[label] for label in data.test.labels.tolist()]
    kept = {"recording": list(data.test.origins), "state": states, "score": evaluation.scores.tolist()}
    return chart("Scores and threshold", says, drawn, kept)


def confusion(evaluations: dict[str, Evaluation], data: Prepared) -> dict[str, str]:
    """Test windows by recorded class and by the class that the int8 student gives."""
    from sklearn.metrics import confusion_matrix

    predicted = evaluations["student_int8"].scores
    matrix = confusion_matrix(data.test.labels, predicted, labels=range(len(data.class_names)))
    drawn, counts = confusion_of(matrix, data.class_names, "int8 student says", "given")
    wrong = int(matrix.sum() - np.trace(matrix))
    return chart(
        "Confusion matrix", f"Test windows by class; {wrong} of {matrix.sum()} are misclassified.", drawn, counts
    )


def label_curves(evaluations: dict[str, Evaluation], data: Prepared) -> dict[str, str] | None:
    """Windows with each label found against windows without it, for every threshold of the int8 student; None where the test
    has no label that some windows have and others lack."""
    from sklearn.metrics import roc_curve

    found = evaluations["student_int8"]
    each = zip(data.label_names, data.test.labels.T, found.scores.T, strict=True)
    shown = [
        (name, area, labels, logits)
        for name, labels, logits in each
        if (area := found.metrics[of_target("auc", name)]) is not None
    ]
    if not shown:
        return None
    drawn, axes = figure(height=3.8)
    points: dict[str, list[object]] = {"label": [], "without it above": [], "found": []}
    for name, area, labels, logits in shown:
        false, true, _ = roc_curve(labels, logits)
        _add(points, **{"label": [name] * len(true), "without it above": false.tolist(), "found": true.tolist()})
        axes.plot(false, true, label=f"{name}: {area:.4f}")
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.8)
    axes.set(
        xlabel="fraction of windows without the label above the threshold", ylabel="fraction of windows with it found"
    )
    axes.legend(frameon=False, title="area under the curve", loc="lower right")
    says = "Windows with each label found against windows without it, for every threshold of the int8 student. Areas: "
    areas = "; ".join(f"{name} {area:.4f}" for name, area, *_ in shown)
    return chart("ROC by label", f"{says}{areas}.", drawn, points)


def estimates(evaluations: dict[str, Evaluation], data: Prepared, report: RunReport) -> list[dict[str, str]]:
    """The int8 student's number for each test window against the true one, with the interval; a chart a number."""
    assert data.target is not None
    true, found = (
        numbers.reshape(len(numbers), -1).T for numbers in (data.test.labels, evaluations["student_int8"].scores)
    )
    each = data.target.each
    widths = [None] * len(each) if report.estimator is None else [one.half_width for one in report.estimator.each]
    title = "Estimates of {}" if len(each) > 1 else "Estimates"
    rows = zip(each, true, found, widths, strict=True)
    return [_estimates(title.format(one.name), one.name, x, y, width) for one, x, y, width in rows]


def _estimates(title: str, name: str, numbers: np.ndarray, found: np.ndarray, width: float | None) -> dict[str, str]:
    """Estimates against true numbers, (n,) each."""
    drawn, axes = figure(4.4)
    axes.plot(numbers, found, ".", markersize=3, alpha=0.4, color=COLORS["student_int8"])
    ends = np.array([min(numbers.min(), found.min()), max(numbers.max(), found.max())])
    axes.plot(ends, ends, color="black", linewidth=0.8)
    says = f"{name} as the int8 student estimates it, against the true one, for {len(numbers):,} test windows"
    if width is not None:
        axes.fill_between(ends, ends - width, ends + width, color="#bbbbbb", alpha=0.35, linewidth=0)
        says += f"; the gray band is the interval of ±{width:.4g}"
    axes.set(xlabel=f"true {name}", ylabel="estimate")
    return chart(title, f"{says}.", drawn, {"true": numbers.tolist(), "estimate": found.tolist()})


def precision_recall(
    evaluations: dict[str, Evaluation], data: Prepared, names: dict[str, str]
) -> dict[str, str] | None:
    """Precision against recall of faulty windows, for every threshold; None where the test has no faults."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    known = _known(data)
    if known is None:
        return None
    labels = data.test.labels[known]
    drawn, axes = figure(height=3.8)
    averages = []
    points: dict[str, list[object]] = {"model": [], "recall": [], "precision": []}
    for name in (name for name in COMPARED if name in evaluations):
        found = evaluations[name].scores[known]
        precision, recall, _ = precision_recall_curve(labels, found)
        average = float(average_precision_score(labels, found))
        _add(points, model=[name] * len(recall), recall=recall.tolist(), precision=precision.tolist())
        axes.plot(recall, precision, label=f"{names[name]}: {average:.4f}", color=COLORS[name])
        averages.append(f"{names[name]} {average:.4f}")
    axes.axhline(labels.mean(), color="#bbbbbb", linewidth=0.8)
    axes.set(xlabel="fraction of faulty windows found", ylabel="fraction of alarms that are faults", ylim=(0, 1.02))
    axes.legend(frameon=False, title="average precision", loc="lower left")
    says = (
        f"Fraction of alarms that are faults against faulty windows found, for every threshold; {labels.mean():.0%} of the "
        f"windows are faulty, which the gray line shows. Average precision: {'; '.join(averages)}."
    )
    return chart("Precision and recall", says, drawn, points)


def dark_knowledge(report: RunReport) -> dict[str, str] | None:
    """Mean soft targets by recorded class, of the teacher and the int8 student; None where none were kept."""
    soft = report.soft_targets
    if soft is None:
        return None
    names = report.data.class_names
    sides = [np.array(rows) for rows in (soft.teacher, soft.student)]
    # Names stand below the squares, which are as high as they are wide.
    drawn, panels = panes(2, 3.0 + 0.07 * max(map(len, names)))
    for axes, side, title in zip(panels, sides, ("teacher", "student, int8")):
        image = axes.imshow(np.log10(np.maximum(side, 1e-4)), cmap="magma", vmin=-4, vmax=0)
        axes.set_title(title, fontsize=10)
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=9)
        axes.set_xlabel("soft target of")
    panels[0].set_yticks(range(len(names)), names, fontsize=9)
    panels[0].set_ylabel("recorded")
    bar = drawn.colorbar(image, ax=panels, shrink=0.6, orientation="horizontal", aspect=40)
    bar.set_ticks([-4, -3, -2, -1, 0], labels=["≤ 1e-4", "0.001", "0.01", "0.1", "1"])
    off = sides[0] * (1 - np.eye(len(names)))
    row, column = np.unravel_index(off.argmax(), off.shape)
    says = (
        f"Mean probability that each gives each class, by recorded class, at a temperature of {soft.temperature:g}. "
        f"The teacher's largest confusion: {names[row]} for {names[column]}, {off[row, column]:.3f}; "
        f"the student gives {sides[1][row, column]:.3f} there. "
        f"Over all classes the two differ by {np.abs(sides[0] - sides[1]).sum(axis=1).mean() / 2:.3f} in total variation."
    )
    rows, columns = np.indices(sides[0].shape)
    means = {
        "recorded": [names[n] for n in rows.ravel()],
        "soft target of": [names[n] for n in columns.ravel()],
        "teacher": sides[0].ravel().tolist(),
        "student": sides[1].ravel().tolist(),
    }
    return chart("Dark knowledge", says, drawn, means)


def _add(columns: dict[str, list[object]], **more: Sequence[object]) -> None:
    """More rows of a table."""
    for name, values in more.items():
        columns[name] += list(values)


def _known(data: Prepared) -> np.ndarray | None:
    """Which test windows' state is known; None where that is not both healthy and faulty ones."""
    known = data.test.labels >= 0
    return known if len(np.unique(data.test.labels[known])) == 2 else None
