"""Several labels at once on the command line: a run, its report, its scores, and what teaches the student."""

import csv
import json
import shutil

import keras
import numpy as np
import pytest
from configs import toml
from pump import LABELS, config, recorded, vibration
from support import invoke

from micro.config import load_config, parse_config
from micro.datasets.labels import load_labels
from micro.datasets.prepare import prepare
from micro.detection.labeler import Labeler, labeled, reported_labels
from micro.detection.metrics import auc
from micro.errors import DataError
from micro.explore.trial import try_candidate
from micro.explore.windows import prepare_windows
from micro.runs.device import simulate
from micro.runs.evaluate import chip_judge, keras_label_logits
from micro.runs.firmware import load_firmware
from micro.runs.label_figures import figures_of_labels
from micro.runs.own_models import load_model, load_teacher
from micro.runs.run_report import RunReport
from micro.runs.teaching import recipe_of
from micro.runs.unlabeled import of_labeled

SHORT = {"epochs": 1, "batch_size": 64}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return recorded(tmp_path_factory.mktemp("pump"))


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    """The folder of a run on the command line, and what it printed."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "pump.toml").write_text(toml(config(str(files))))
    done = invoke("run", str(folder / "pump.toml"), "--out", str(folder / "out"))
    assert done.exit_code == 0, done.output
    return folder / "out", done.output


def net(outputs=2, inputs=48, activation=None, width=8):
    layers = [keras.Input((inputs,)), keras.layers.Dense(width, "relu", name="body")]
    return keras.Sequential([*layers, keras.layers.Dense(outputs, activation, name="logits")])


def test_the_report_has_each_label_and_its_verdict(run):
    folder, printed = run
    report = RunReport.read(folder)
    assert (report.task, report.data.label_names, report.metric) == ("multilabel", LABELS, "macro_auc")
    assert report.verdict.grade == "good"
    assert report.deployed["macro_auc"] > 0.95
    assert report.deployed["exact"] > 0.85
    assert isinstance(report.labeler, Labeler)
    assert (report.labeler.min_hits, report.labeler.history) == (2, 3)
    assert report.detector is report.recognizer is report.estimator is None
    for row in report.by_label:
        assert row.windows == 100
        assert row.reported > 0.8
        assert row.falsely_reported < 0.1
    assert {row.state for row in report.by_origin} == {"none", "unbalance", "misaligned", "unbalance+misaligned"}
    for said in ("label by label", "misaligned", "the firmware reports a label"):
        assert said in printed
    page = (folder / "report.html").read_text()
    for said in (
        "Label by label",
        "Reported labels",
        "ROC by label",
        "each combination of labels in a recording has a row",
    ):
        assert said in page


def test_figures_and_thresholds_are_those_of_the_tflite_in_tflite_micro(run, files):
    folder, _ = run
    report, data = RunReport.read(folder), prepare(parse_config(config(str(files))))
    logits = chip_judge((folder / "student_int8.tflite").read_bytes(), "multilabel")(data.test.x)
    assert logits.shape == (len(data.test), 2)
    figures = figures_of_labels(LABELS, data.test.labels, logits)
    assert figures == pytest.approx(report.deployed)
    areas = [auc(data.test.labels[:, n], logits[:, n]) for n in range(2)]
    assert report.deployed["macro_auc"] == pytest.approx(np.mean(areas))
    labeler = report.labeler
    given = labeler.unit * np.array(labeler.thresholds) < logits - 1e-9
    for place, row in enumerate(report.by_label):
        own = data.test.labels[:, place] == 1
        assert row.given == pytest.approx(given[own, place].mean())
        assert row.falsely_given == pytest.approx(given[~own, place].mean())
        assert row.threshold == pytest.approx(1 / (1 + np.exp(-labeler.unit * labeler.thresholds[place])))


def test_what_is_reported_is_counted_recording_by_recording(run, files):
    folder, _ = run
    report, data = RunReport.read(folder), prepare(parse_config(config(str(files))))
    logits = chip_judge((folder / "student_int8.tflite").read_bytes(), "multilabel")(data.test.x)
    holds = labeler_holds = report.labeler.holds(np.rint(logits / report.labeler.unit))
    origins, reported = np.array(data.test.origins), np.zeros_like(labeler_holds)
    for origin in set(data.test.origins):
        masks = labeled(report.labeler, holds[origins == origin])[1]
        reported[origins == origin] = [[name in reported_labels(LABELS, mask) for name in LABELS] for mask in masks]
    for place, row in enumerate(report.by_label):
        assert row.reported == pytest.approx(reported[data.test.labels[:, place] == 1, place].mean())
        assert row.falsely_reported == pytest.approx(reported[data.test.labels[:, place] == 0, place].mean())


def test_scores_have_a_probability_for_each_label_and_what_the_firmware_reports(run, files, tmp_path):
    folder, _ = run
    made = vibration(1, 0, 900, 77)
    path = tmp_path / "new.csv"
    path.write_text("\n".join(["radial,axial", *(f"{a:.5f},{b:.5f}" for a, b in made)]) + "\n")
    out = tmp_path / "scores.csv"
    done = invoke("score", str(folder), str(path), "--out", str(out))
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader(out.open()))
    columns = ["probability of unbalance", "probability of misaligned", "reported"]
    assert list(rows[0])[-3:] == columns
    assert rows[0]["reported"] == ""  # two of three windows are needed
    assert np.mean([row["reported"] == "unbalance" for row in rows[1:]]) > 0.8
    assert np.mean([row["result"] == "unbalance" for row in rows]) > 0.8
    assert f"unbalance reported after {sum('unbalance' in row['reported'] for row in rows)}" in done.output
    decisions = simulate(folder, made.astype(np.float32))
    assert ["+".join(each.labels) for each in decisions] == [row["reported"] for row in rows]
    assert load_firmware(folder).decider.label_names == LABELS
    # Files with the columns of labels are scored too.
    labeled_file = invoke("score", str(folder), str(files / "m0_11.csv"), "--json")
    assert all(len(window["labels"]) == 2 for window in json.loads(labeled_file.output))


def test_two_labels_of_one_window_are_reported_together(run, tmp_path):
    folder, _ = run
    np.savetxt(tmp_path / "both.csv", vibration(1, 1, 900, 5), "%.5f", ",", header="radial,axial", comments="")
    done = invoke("score", str(folder), str(tmp_path / "both.csv"))
    rows = list(csv.DictReader(done.output.splitlines()))
    assert np.mean([row["reported"] == "unbalance+misaligned" for row in rows[2:]]) > 0.7


@pytest.mark.slow
def test_folds_name_the_label_that_a_fold_lacks(tmp_path):
    recorded(tmp_path, 4)
    for path in tmp_path.glob("m3_1*.csv"):
        path.unlink()
    short = {"epochs": 2, "batch_size": 64}
    raw = config(str(tmp_path), data={"folds": 4}, teacher=short, student=short, distill={"compare": False})
    (tmp_path / "f.toml").write_text(toml(raw))
    done = invoke("run", str(tmp_path / "f.toml"), "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    report = RunReport.read(tmp_path / "out")
    lacking = {fold.tested: fold.lacking for fold in report.folds}
    assert lacking.pop(("m3",)) == ("with unbalance",)
    assert set(lacking.values()) == {()}
    assert (
        next(fold for fold in report.folds if fold.tested == ("m3",)).models["student_int8"]["auc: unbalance"] is None
    )
    assert "auc: unbalance" not in report.summary["student_int8"]
    assert report.summary["student_int8"]["macro_auc"].mean > 0.3


def test_everything_around_a_student_takes_several_labels(files, tmp_path):
    """A teacher with features of its own and two members, mixtures, files without labels, pruning and int8 training."""
    short = {"epochs": 2, "batch_size": 64}
    for n in range(2):
        np.savetxt(
            tmp_path / f"u{n}_.csv", vibration(n, 1, 500, 30 + n), "%.5f", ",", header="radial,axial", comments=""
        )
    raw = config(
        str(files.parent),
        data={"files": f"{files.name}/*.csv", "unlabeled_files": str(tmp_path / "u*.csv"), "group": ["{group}_*.csv"]},
        teacher={**short, "members": 2, "features": {"kind": ["spectrum", "statistics"]}},
        student=short,
        distill={"mixup": 0.5, "compare": False},
    )
    raw["compress"] = [
        {"stage": "prune", "target_sparsity": 0.5, "epochs": 1},
        {"stage": "quantize_aware", "epochs": 1},
    ]
    (tmp_path / "all.toml").write_text(toml({key: value for key, value in raw.items() if key != "teacher"}))
    lines = [
        "[teacher]",
        "sizes = [16]",
        "epochs = 2",
        "members = 2",
        "[teacher.features]",
        'kind = ["spectrum", "statistics"]',
    ]
    with (tmp_path / "all.toml").open("a") as file:
        file.write("\n".join(lines))
    done = invoke("run", str(tmp_path / "all.toml"), "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    report = RunReport.read(tmp_path / "out")
    assert [row.stage for row in report.stages] == ["distilled", "prune", "quantize_aware"]
    assert any("of two training windows" in note for note in report.data.notes)


@pytest.mark.slow
def test_a_run_chooses_its_recipe_by_the_labels_that_are_right(files, tmp_path):
    raw = config(str(files), teacher=SHORT, student={"epochs": 3, "batch_size": 64}, distill={"recipe": "auto"})
    (tmp_path / "auto.toml").write_text(toml(raw))
    done = invoke("run", str(tmp_path / "auto.toml"), "--out", str(tmp_path / "auto"))
    assert done.exit_code == 0, done.output
    recipe = RunReport.read(tmp_path / "auto").recipe
    assert recipe.metric == "fraction of labels right"
    assert [trial.name for trial in recipe.trials] == ["kd", "logit_matching", "plain"]
    layers = invoke("sensitivity", str(tmp_path / "auto"), "--out", str(tmp_path / "layers.html"))
    assert layers.exit_code == 0, layers.output
    assert "labels right, points" in (tmp_path / "layers.html").read_text()


@pytest.mark.slow
def test_a_search_compares_students_by_the_likelihood_of_the_labels(files, tmp_path):
    raw = config(str(files), teacher=SHORT, student=SHORT, distill={"mixup": 0.5})
    plain = parse_config(raw).model_dump(mode="json")
    found = prepare_windows(plain, str(tmp_path / "windows"))
    assert 0 < found["teacher_score"] <= 1
    budget = {"flash": 16384, "ram": None, "macs": None}
    tried = try_candidate(plain, str(tmp_path / "windows"), budget, "static", 0)
    assert tried["state"] == "done"
    assert 0.3 < tried["score"] <= 1
    assert tried["accuracy"] is None


def distilled(**distill):
    made = parse_config({**config(".", distill=distill)})
    return recipe_of(made, net(), net(), 5)


def test_soft_targets_compare_each_label_by_itself():
    assert all(
        term.arguments["form"] == "bernoulli" for word in ("soft_target",) for term in distilled(objective=word).terms
    )
    assert distilled(recipe="kd").terms[0].arguments["form"] == "bernoulli"
    assert distilled(objective="logit_matching").terms[0].objective == "LogitMatching"
    assert distilled(recipe="fitnets", layers=[["body", "body"]]).terms[0].objective == "Hint"


@pytest.mark.parametrize(
    ("distill", "says"),
    [
        ({"recipe": "dkd"}, "DecoupledKD is of classes, of which an example has one"),
        ({"recipe": "dist"}, "Dist is of classes, of which an example has one"),
        ({"recipe": "kd_standardized"}, "recipe 'kd_standardized': two standardized logits are always the same pair"),
        ({"objectives": [{"class": "TeacherBounded"}]}, "TeacherBounded is of classes"),
    ],
)
def test_objectives_of_one_class_at_a_time_are_refused_by_name(distill, says):
    with pytest.raises(ValueError) as refused:
        distilled(**distill)
    assert says in str(refused.value)


def test_a_teacher_of_sigmoids_in_another_order_gives_the_datas_labels(files, tmp_path):
    data = prepare(parse_config(config(str(files))))
    model = net(3, activation="sigmoid")
    model.save(tmp_path / "teacher.keras")
    names = ["misaligned", "loose", "unbalance"]
    made = parse_config(config(str(files), teacher={"path": str(tmp_path / "teacher.keras"), "classes": names}))
    outputs = load_teacher(made.teacher, data).predict(data.test.x, verbose=0)
    wanted = keras_label_logits(model, data.test.x)[:, [2, 0]]
    assert np.allclose(outputs, wanted, atol=1e-3)
    made = parse_config(
        config(str(files), teacher={"path": str(tmp_path / "teacher.keras"), "classes": names[:2] + ["worn"]})
    )
    with pytest.raises(
        DataError, match=r"does not know label 'unbalance'; by teacher\.classes it knows misaligned, loose, worn"
    ):
        load_teacher(made.teacher, data)


@pytest.mark.parametrize(
    ("side", "activation"), [("student", "sigmoid"), ("student", "softmax"), ("teacher", "softmax")]
)
def test_models_whose_outputs_are_no_logits_of_labels_are_refused(files, tmp_path, side, activation):
    net(activation=activation).save(tmp_path / "own.keras")
    with pytest.raises(
        DataError, match=f"{side}: .* ends in a {activation}; task 'multilabel' needs a model that ends in"
    ):
        load_model(str(tmp_path / "own.keras"), prepare(parse_config(config(str(files)))), side)


def test_the_loss_is_that_of_each_label_and_leaves_out_what_has_none():
    labels, logits = np.array([[1, 0], [-1, -1], [0, 0]], "float32"), np.array([[2, -1], [5, 5], [1, 0.5]], "float32")
    loss = of_labeled(keras.losses.BinaryCrossentropy(from_logits=True), "multilabel")
    p = 1 / (1 + np.exp(-logits))
    each = -(labels * np.log(p) + (1 - labels) * np.log(1 - p)).mean(axis=1)
    assert np.allclose(np.array(loss.call(labels, logits)), [each[0], 0, each[2]], rtol=1e-5)


def test_look_takes_columns_of_yes_and_no_for_labels(files, tmp_path):
    for path in files.glob("m*.csv"):
        shutil.copy(path, tmp_path)
    done = invoke("look", str(tmp_path / "*.csv"), "--sample-rate", "1000", "--out", tmp_path / "c.toml")
    assert done.exit_code == 0, done.output
    data = load_config(tmp_path / "c.toml").data
    assert (data.label_columns, load_labels(data, 16).channels) == (LABELS, ("radial", "axial"))


def test_labels_are_tested_by_their_columns(run, files, tmp_path):
    out, _ = run
    tested = sorted(files.glob("*.csv"))[:2]
    done = invoke("test", out, *tested, "--page", tmp_path / "test.html", "--json")
    assert done.exit_code == 0, done.output
    test = json.loads(done.stdout)["labeler"]
    assert [row["name"] for row in test["by_label"]] == list(LABELS)
    scored = list(csv.DictReader(invoke("score", out, *tested).stdout.splitlines()))
    assert test["windows"] == len(scored)
    assert 0 < test["exact"] <= 1
    assert "By label" in (tmp_path / "test.html").read_text()


def test_what_made_a_label_be_reported_is_said_by_label(run, files):
    out, _ = run
    tested = sorted(files.glob("*.csv"))[0]
    found = json.loads(invoke("explain", out, tested, "--json").stdout)
    scored = list(csv.DictReader(invoke("score", out, tested).stdout.splitlines()))
    reported = {name for row in scored for name in row["reported"].split("+")} - {""}
    assert {one["what"] for one in found["explained"]} == reported
