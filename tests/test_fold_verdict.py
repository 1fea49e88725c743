"""A verdict over a cross-validation: of all that the folds tested, how far they lie apart, and which did worst."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reports import METRICS, report_with
from test_verdict import row

from micro.cli.report_tables import folds_table, models_table
from micro.datasets.targets import Target, Targets
from micro.datasets.window_parts import Windows
from micro.runs.assessment import judge
from micro.runs.assessment.detector import false_alarms_of
from micro.runs.assessment.folds import over_folds, unsure_of_false_alarms
from micro.runs.assessment.words import METRIC_NAMES, meanings_of
from micro.runs.fold_reports import mean_of, numbers_of
from micro.runs.number_figures import number_figures, number_row
from micro.runs.report import SHORT_NAMES, names_of
from micro.runs.run_report import RunReport
from micro.support.html import page

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
    assert "folds far apart (accuracy 87.3 ± 15 %, 70 % in fold 3)" in verdict.headline
    assert "over 3 folds: accuracy 87.3 ± 15 %, worst in fold 3 (tested m3) with 70 %" in says(verdict)
    assert verdict.next_step.endswith("like those of fold 3 (tested m3)")
    even = judge(classified(good, good, good))
    assert "over 3 folds accuracy 96 ± 0 %" in even.headline


def detected(*folds, asked=0.02):
    """A detector's report of folds: healthy windows above the threshold of 200 of a file each, and of 100 faulty ones."""
    made = []
    for number, (above, found) in enumerate(folds, 1):
        figures = {"auc": 0.95, "detection_rate": found / 100, "false_alarm_rate": above / 200}
        models = dict.fromkeys(MODELS, figures)
        rows = [row(f"ok{number}.csv", "healthy", 200, above), row("bad.csv", "faulty", 100, found)]
        made.append(fold_of(number, [f"ok{number}.csv"], models, rows, 300))
    seeds = [{"seed": 0, "fold": fold["fold"], **fold["models"]} for fold in made]
    report = report_with(false_alarm_rate=asked, by_origin=made[0]["by_origin"], seeds=seeds, folds=made)
    return report.model_copy(update={"data": report.data.model_copy(update={"sample_rate": None})})


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
    assert "faulty windows found 90 ± 10 %, worst in fold 1 (tested ok1.csv) with 80 %" in said
    assert "false alarms 1 ± 1 %, worst in fold 3 (tested ok3.csv) with 2 %" in said


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
    seeds = list(report.seeds)
    seeds[1] = type(seeds[1]).model_validate({"seed": 0, "fold": 2, **models})
    report = report.model_copy(update={"folds": tuple(folds), "seeds": tuple(seeds)})
    assert over_folds(report).deployed["auc"] == pytest.approx(METRICS["auc"] - 0.02)
    assert "AUC 0.95 ± 0, not known of 1, worst in fold 1" in says(judge(report))


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


LOADS = Target("load", 25.0, 11.0), Target("speed", 1.0, 0.5)


def estimated(*folds, target=LOADS[0], several_seeds=False):
    """A report of folds of a regression, each true numbers and estimates, (n,) or (n, targets), as a run makes it, and the
    figures of one test of all of them; a second seed is twice as wrong."""
    widths = ((1.5, ""),) * len(target.each)
    made, seeds, whole = [], [], []
    for number, (true, found) in enumerate(folds, 1):
        windows = Windows(np.zeros((len(true), 1), np.float32), true, (f"run{number}",) * len(true))
        of_seeds = [
            dict.fromkeys(MODELS, number_figures(target, windows, true + by * (found - true), widths))
            for by in ((1, 2) if several_seeds else (1,))
        ]
        row_of = {
            "origin": f"run{number}", "state": "", "windows": len(true), **number_row(target, true, found),
        }  # fmt: skip
        numbers = numbers_of(target, true)
        made.append(fold_of(number, [f"run{number}"], mean_of(of_seeds), [row_of], len(true), numbers=numbers))
        made[-1]["recordings"] = 1
        seeds += [{"seed": n, "fold": number, **models} for n, models in enumerate(of_seeds)]
        whole.append(windows)
    every = Windows(*(np.concatenate([getattr(one, key) for one in whole]) for key in ("x", "labels")),
                    tuple(origin for one in whole for origin in one.origins))  # fmt: skip
    data = report_with().data.model_copy(update={"target": target})
    report = report_with(
        task="regression", data=data, by_origin=made[0]["by_origin"], seeds=seeds, folds=made, detector=None,
        threshold=None, coverage=0.9,
    )  # fmt: skip
    return report, number_figures(target, every, np.concatenate([found for _, found in folds]), widths)


def near(centre, error, windows=50):
    """Numbers within a half of a centre, and estimates that are wrong by as much as `error`."""
    true = centre + np.linspace(-0.5, 0.5, windows)
    return true, true + error * np.where(np.arange(windows) % 2, 1.0, -1.0)


@given(
    sizes=st.lists(st.integers(2, 40), min_size=3, max_size=6), seed=st.integers(0, 999), several=st.booleans(),
    several_seeds=st.booleans(),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_a_regression_over_folds_has_the_figures_of_one_test_of_all_windows(sizes, seed, several, several_seeds):
    random = np.random.default_rng(seed)
    shape = (2,) if several else ()
    centres = [random.normal(20, 10, shape) for _ in sizes]
    true = [centre + random.normal(0, 0.5, (size, *shape)) for centre, size in zip(centres, sizes)]
    folds = [(numbers, numbers + random.normal(0, random.uniform(0.1, 9), numbers.shape)) for numbers in true]
    report, one_test = estimated(*folds, target=Targets(LOADS) if several else LOADS[0], several_seeds=several_seeds)
    whole = over_folds(report)
    assert set(whole.deployed) == set(one_test)
    assert whole.deployed == pytest.approx(one_test, rel=1e-6, abs=1e-6)
    assert whole.seeds[0].models["teacher"] == whole.deployed
    first = "relative_rmse" if several else "rmse"
    assert (
        f"over {len(sizes)} folds {'RMSE in standard deviations' if several else 'RMSE'} {one_test[first]:.3g} ± "
        in " ".join(reason.what for reason in judge(report).reasons).replace(
            "folds far apart (", f"over {len(sizes)} folds "
        )
    )


def test_a_regression_whose_folds_test_a_number_each_is_judged_by_all_of_them():
    report, figures = estimated(*(near(centre, 1.0) for centre in (10, 20, 30, 40)))
    assert figures["r2"] == pytest.approx(0.992, abs=0.001)
    assert report.deployed["r2"] < -5  # of the first fold alone
    verdict = judge(report)
    assert verdict.grade == "good", verdict
    assert "99.2 % of its variance is explained" in says(verdict)
    apart, figures = estimated(*(near(centre, error) for centre, error in ((10, 1), (20, 1), (30, 1), (40, 10))))
    assert figures["rmse"] == pytest.approx(5.07, abs=0.01)
    verdict = judge(apart)
    assert "folds far apart (RMSE 5.07 ± 4.5, 10 in fold 4)" in " ".join(reason.what for reason in verdict.reasons)
    assert "an error of 5.074 (root mean square)" in says(verdict)


def test_a_report_of_a_regression_from_before_its_folds_kept_their_numbers_loads_and_says_what_is_not_known():
    plain = estimated(*(near(centre, 1.0) for centre in (10, 20, 30)))[0].to_dict()
    for fold in plain["folds"]:
        del fold["numbers"]
    report = RunReport.from_dict(plain)
    assert report.to_dict() == plain
    verdict = judge(report)
    assert verdict.grade == "doubtful"
    assert "which an older version wrote" in says(verdict)
    assert "an error of 1 (root mean square)" in says(verdict)


def with_second_seed(report, metric, values):
    """The report of a run of two seeds, whose second one has other values of a metric in each fold."""
    folds, seeds = [], []
    for fold, value in zip(report.folds, values, strict=True):
        second = {model: {**figures, metric: value} for model, figures in fold.models.items()}
        seeds += [{"seed": 0, "fold": fold.fold, **fold.models}, {"seed": 1, "fold": fold.fold, **second}]
        folds.append({**fold.model_dump(), "models": mean_of([fold.models, second])})
    return RunReport.from_dict({**report.to_dict(), "seeds": seeds, "folds": folds})


def test_of_several_seeds_rates_and_counts_are_the_first_ones_and_one_figure_each():
    quiet = detected((2, 80), (4, 90), (9, 100))
    loud = with_second_seed(quiet, "false_alarm_rate", (0.3, 0.4, 0.5))
    assert loud.folds[0].models["student_int8"]["false_alarm_rate"] == pytest.approx(0.155)
    assert judge(loud) == judge(quiet)
    assert "15 of 600 healthy test windows are above the threshold: 2.5 % false alarms" in says(judge(loud))
    assert "false alarms 2.5 ± 1.8 %, worst in fold 3 (tested ok3.csv) with 4.5 %" in says(judge(loud))
    uneven = classified({"normal": (300, 297), "inner": (9, 9), "outer": (9, 9)}, dict.fromkeys(NAMES, (10, 9)),
                        dict.fromkeys(NAMES, (10, 9)))  # fmt: skip
    verdict = judge(with_second_seed(uneven, "accuracy", (0.2, 0.2, 0.2)))
    assert verdict == judge(uneven)
    assert "over 3 folds: accuracy 97.6 ± 5.2 %" in says(verdict)
    assert "369 of 378 test windows are classified correctly: 97.6 %" in says(verdict)


def healthy_alone(*above):
    """A detector's report of folds without a faulty window."""
    report = detected(*((count, 50) for count in above))
    folds = []
    for fold in report.folds:
        figures = {**fold.models["student_int8"], "auc": None, "detection_rate": None}
        rows = [row for row in fold.by_origin if row.state == "healthy"]
        folds.append(fold.model_copy(update={"models": dict.fromkeys(MODELS, figures), "by_origin": tuple(rows)}))
    seeds = [{"seed": 0, "fold": fold.fold, **fold.models} for fold in folds]
    return RunReport.from_dict({**report.to_dict(), "seeds": seeds, "folds": [fold.model_dump() for fold in folds]})


def test_without_faults_folds_are_compared_by_their_false_alarms():
    assert "folds far apart" not in str(judge(healthy_alone(2, 3, 4)))
    whats = [reason.what for reason in judge(healthy_alone(0, 0, 60)).reasons]
    assert "folds far apart (false alarms 10 ± 17 %, 30 % in fold 3)" in whats
    assert not any(fold.tests_faults for fold in healthy_alone(2, 3, 4).folds)
    table = folds_table(healthy_alone(2, 3, 4))
    assert table.title.startswith("false alarm rate by fold")
    cells = [list(column.cells) for column in table.columns]
    assert cells[3:] == [["1 %", "1.5 %", "2 %"]] * 3
    with_faults = folds_table(detected((0, 80), (2, 90), (4, 100)))
    assert with_faults.title.startswith("AUC by fold")
    assert [list(column.cells)[2] for column in with_faults.columns][3:] == ["0.9500"] * 3 + ["100 %", "2 %"]


def test_a_detectors_windows_and_recordings_are_counted_alike_everywhere():
    report = detected((0, 80), (2, 90), (4, 100))
    whole = over_folds(report)
    assert whole.data.windows.test == report.tested_windows == sum(row.windows for row in whole.by_origin) == 700
    assert whole.data.recordings == 4


def page_of(report):
    """The page of a report whose teacher has one detector, without its charts."""
    member, spread = "detector: pca", {"mean": 0.5, "deviation": 0.1, "min": 0.1, "max": 0.9}
    folds = [{**fold.model_dump(), "models": {**fold.models, member: fold.models["teacher"]}} for fold in report.folds]
    summary = {model: {"false_alarm_rate": spread} for model in (*MODELS, member)}
    report = RunReport.from_dict({**report.to_dict(), "folds": folds, "summary": summary})
    html = page(
        "micro.runs.report", "report.html.j2", report=report, charts=[], names=names_of(report), metric=report.metric,
        metrics=report.metrics, sentence="", verdict=judge(report), stages={}, emulated=(), moved_by=1.0, recordings=[],
        meanings=meanings_of(report.metrics),
        metric_names=METRIC_NAMES, kind="detector", short_names=SHORT_NAMES, whole=over_folds(report), words=[],
        false_alarms=false_alarms_of(over_folds(report)),
        choices=[], learning=None, in_alarm={}, lines=(),
        duration=str, boards=[], other_boards=[], programs=[], runtime=None, fitting=0, every=None,
        counted_cores=[], timed_cores=[], config_text="", versions={},
    )  # fmt: skip
    return html.decode()


def by_fold_on_the_page(report):
    """The table of folds, and what is said below it."""
    return page_of(report).partition("<h2>By fold</h2>")[2].partition("<details>")[0]


def test_the_tiles_are_of_all_folds_and_say_what_the_deployed_student_does():
    facts = page_of(detected((0, 80), (2, 90), (10, 100))).partition('<ul class="facts">')[2].partition("</ul>")[0]
    assert "<li>false alarms of all folds<b>2 %</b>of healthy windows" in facts
    assert "<li>faulty windows found<b>90 %</b>" in facts
    assert "AUC of all folds<b>" in facts
    assert "the deployed student, of the first fold, " in facts


def test_where_false_alarms_are_inconclusive_no_table_shows_a_rate_of_them():
    report = detected((0, 80), (0, 90), (0, 100), asked=0.001)
    verdict, html = judge(report), page_of(report)
    assert verdict.grade == "inconclusive"
    assert unsure_of_false_alarms(report)
    (over,) = (reason.says for reason in verdict.reasons if reason.says.startswith("over 3 folds"))
    assert "AUC" in over
    assert "false alarms" not in over
    models = html.partition("<h2>Models compared</h2>")[2].partition("</table>")[0]
    assert models.count("<td>too few windows</td>") == 4  # as many models
    assert "0.5000" not in models
    assert by_fold_on_the_page(report).count("<td>too few windows</td>") == 3
    told = [
        column._cells[0]
        for table in (models_table(with_rates(report)), folds_table(report))
        for column in table.columns
    ]
    assert told.count("too few windows") == 2
    sure = detected((0, 80), (2, 90), (10, 100))
    assert "<td>too few windows</td>" not in page_of(sure)


def with_rates(report):
    """A report whose models have a rate of false alarms in the summary."""
    spread = {"mean": 0.5, "deviation": 0.1, "min": 0.1, "max": 0.9}
    return RunReport.from_dict({**report.to_dict(), "summary": {"student_int8": {"false_alarm_rate": spread}}})


def test_names_of_metrics_that_are_no_words_are_explained_on_the_page():
    assert "<b>AUC</b> is the chance that a faulty window has a higher score than a healthy one" in page_of(
        detected((0, 80), (2, 90), (10, 100))
    )


def test_the_page_shows_members_of_the_teacher_and_of_folds_without_faults_what_is_known():
    known, alone = (
        by_fold_on_the_page(detected((0, 80), (2, 90), (4, 100))),
        by_fold_on_the_page(healthy_alone(2, 3, 4)),
    )
    assert "detector: pca</th>" in known
    assert "detector: pca</th>" in alone
    assert "Figures of models are AUC" in known
    assert "Every fold tests all faulty recordings" in known
    assert "Figures of models are false alarm rate" in alone
    assert "faulty" not in alone
    assert "faults found" not in alone
    assert "–" not in alone
