"""A verdict over a cross-validation: of all that the folds tested, how far they lie apart, and which did worst."""

import pytest
from reports import METRICS, report_with
from test_verdict import row

from micro.runs.assessment import judge
from micro.runs.assessment.folds import over_folds

MODELS = ("teacher", "student_distilled", "student_int8")
NAMES = ("normal", "inner", "outer")


def fold_of(number, tested, models, by_origin, windows=100, **more):
    counts = {"train": 50, "validation": 20, "calibration": 20, "test": windows}
    return {
        "fold": number, "tested": tested, "windows": counts, "models": models, "by_origin": by_origin, "recordings": 2, **more,
    }  # fmt: skip


def classified(*folds, **more):
    """A report of folds, each a mapping of classes to (windows, right ones), with the accuracy of all its windows."""
    made = []
    for number, counts in enumerate(folds, 1):
        rows = [
            {"origin": f"{name}{number}.csv", "state": name, "windows": of, "accuracy": right / of}
            for name, (of, right) in counts.items()
        ]
        of, right = (sum(pair[place] for pair in counts.values()) for place in (0, 1))
        models = {key: {"accuracy": right / of} for key in MODELS}
        made.append(fold_of(number, [f"m{number}"], models, rows, of))
    data = report_with().data.model_copy(update={"class_names": NAMES})
    seeds = [{"seed": 0, "fold": fold["fold"], **fold["models"]} for fold in made]
    return report_with(
        task="classification", data=data, by_origin=made[0]["by_origin"], seeds=seeds, folds=made, detector=None,
        threshold=None, **more,
    )  # fmt: skip


def says(verdict):
    return " | ".join(reason.says for reason in verdict.reasons)


def test_a_class_that_another_fold_tests_is_not_missing():
    first, second = {"normal": (100, 95), "inner": (100, 95)}, {"normal": (100, 97), "outer": (100, 95)}
    verdict = judge(classified(first, second, first))
    assert verdict.grade == "good"
    assert "no test window" not in says(verdict)
    assert "572 of 600 test windows are classified correctly" in says(verdict)
    lacking = judge(classified(first, first, first))
    assert "no test window of 1 of 3 classes" in lacking.headline


def test_mean_spread_and_the_worst_fold_are_in_the_verdict():
    good, poor = dict.fromkeys(NAMES, (100, 96)), dict.fromkeys(NAMES, (100, 70))
    verdict = judge(classified(good, good, poor))
    assert verdict.grade == "doubtful"
    assert "folds far apart (accuracy 87.3 +- 15 %, 70 % in fold 3)" in verdict.headline
    assert "over 3 folds: accuracy 87.3 +- 15 %, worst in fold 3 (tested m3) with 70 %" in says(verdict)
    assert verdict.next_step.endswith("like those of fold 3 (tested m3)")
    even = judge(classified(good, good, good))
    assert "over 3 folds accuracy 96 +- 0 %" in even.headline


def detected(*folds, asked=0.02):
    """A detector's report of folds: healthy windows above the threshold of 200 of a file each, and of 100 faulty ones."""
    made = []
    for number, (above, found) in enumerate(folds, 1):
        figures = {"auc": 0.95, "detection_rate": found / 100, "false_alarm_rate": above / 200}
        models = dict.fromkeys(MODELS, figures)
        rows = [row(f"ok{number}.csv", "healthy", 200, above), row("bad.csv", "faulty", 100, found)]
        made.append(fold_of(number, [f"ok{number}.csv"], models, rows, 300))
    seeds = [{"seed": 0, "fold": fold["fold"], **fold["models"]} for fold in made]
    return report_with(false_alarm_rate=asked, by_origin=made[0]["by_origin"], seeds=seeds, folds=made)


def test_faults_that_every_fold_tests_count_once_and_healthy_ones_of_all():
    report = detected((0, 80), (2, 90), (4, 100))
    whole = over_folds(report)
    assert [(one.origin, one.windows) for one in whole.by_origin] == [
        ("ok1.csv", 200), ("bad.csv", 100), ("ok2.csv", 200), ("ok3.csv", 200),
    ]  # fmt: skip
    assert whole.by_origin[1].above_threshold == pytest.approx(0.9)
    assert report.tested_windows == 700
    said = says(judge(report))
    assert "6 of 600 healthy test windows are above the threshold" in said
    assert "90 of 100 faulty test windows are found" in said
    assert "faulty windows found 90 +- 10 %, worst in fold 1 (tested ok1.csv) with 80 %" in said
    assert "false alarms 1 +- 1 %, worst in fold 3 (tested ok3.csv) with 2 %" in said


def test_false_alarms_of_a_fold_that_is_not_deployed_count():
    assert judge(detected((2, 90), (2, 90), (2, 90))).grade == "good"
    loud = judge(detected((2, 90), (2, 90), (190, 90)))
    assert loud.grade == "unusable"
    assert "ok3.csv (190 of 200 windows" in says(loud)


def test_a_figure_that_some_folds_lack_is_the_mean_of_the_others():
    report = detected((0, 80), (2, 90), (4, 100))
    folds = list(report.folds)
    models = {name: {**figures, "auc": None} for name, figures in folds[1].models.items()}
    folds[1] = folds[1].model_copy(update={"models": models})
    report = report.model_copy(update={"folds": tuple(folds)})
    assert over_folds(report).deployed["auc"] == pytest.approx(METRICS["auc"] - 0.02)
    assert "AUC 0.95 +- 0, not known of 1, worst in fold 1" in says(judge(report))


def test_what_firmware_reports_is_weighed_by_the_windows_of_each_fold():
    by_class = [{"name": "normal", "threshold": 1.0, "windows": 10, "recognized": 0.5, "false_accepts": 0.0}]
    found = {"right": 0.5, "wrong": 0.25, "none": 0.25}
    counts = dict.fromkeys(NAMES, (50, 45))
    report = classified(counts, dict.fromkeys(NAMES, (100, 90)), recognized=found, by_class=by_class)
    more = [{"recognized": found}, {"recognized": {"right": 0.8, "wrong": 0.1, "none": 0.1}}]
    folds = [
        type(fold).model_validate({**fold.model_dump(), **each, "by_class": by_class})
        for fold, each in zip(report.folds, more)
    ]
    whole = over_folds(report.model_copy(update={"folds": tuple(folds)}))
    assert whole.recognized.right == pytest.approx((0.5 * 150 + 0.8 * 300) / 450)
    assert len(whole.by_class) == 2
    label = {"name": "worn", "threshold": 0.5, "windows": 10, "given": 0.5, "falsely_given": 0.1, "reported": 0.4}
    label["falsely_reported"] = None
    pairs = [{"by_label": [label]}, {"by_label": [{**label, "windows": 30, "given": 0.9, "falsely_reported": 0.2}]}]
    folds = [type(fold).model_validate({**fold.model_dump(), **each}) for fold, each in zip(report.folds, pairs)]
    whole = over_folds(report.model_copy(update={"folds": tuple(folds), "by_label": folds[0].by_label}))
    assert (whole.by_label[0].windows, whole.by_label[0].falsely_reported) == (40, 0.2)
    assert whole.by_label[0].given == pytest.approx((0.5 * 10 + 0.9 * 30) / 40)


def test_without_folds_a_report_is_judged_as_it_is():
    report = report_with(by_origin=[row("a", "healthy", 400, 4)])
    assert over_folds(report) is report
