"""Teachers made of scikit-learn's estimators: what they give, for windows that they do not know, in runs, searches, fleets."""

import json
import re

import numpy as np
import pytest
import tomli_w
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesClassifier, RandomForestRegressor
from sklearn.svm import SVR
from support import invoke, made_once
from tables import columns
from test_teacher_inputs import hall, raw_of

from micro.config import load_config, parse_config
from micro.datasets.prepare import prepare
from micro.errors import DataError
from micro.explore.trial import try_candidate
from micro.explore.windows import prepare_windows
from micro.runs.estimator_teacher import check_estimators, fit_estimator_teacher
from micro.runs.estimators import LEAST_PROBABILITY, fit_estimator
from micro.runs.run_report import RunReport

TREES = {"class": "sklearn.ensemble.ExtraTreesClassifier", "n_estimators": 40}
NEIGHBOR = {"class": "sklearn.neighbors.KNeighborsClassifier", "n_neighbors": 1}
FOREST = {"class": "sklearn.ensemble.RandomForestRegressor", "n_estimators": 20}


def numbers(folder, **changes):
    data = {"target_column": "temperature", "columns": ["hum", "count"], "split": "time"}
    raw = raw_of(folder, task="regression", data=data, **changes)
    raw["teacher"].pop("features")
    return raw


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    def make(folder):
        hall(folder / "data", rows=600)
        more = {"columns": ["hum", "temperature"], "features": {"kind": "statistics", "window": 80}}
        raw = raw_of("data", teacher={"estimators": [TREES, "network"], "epochs": 60, **more})
        raw["compress"] = [{"stage": "prune", "target_sparsity": 0.3, "epochs": 2}]
        (folder / "config.toml").write_text(tomli_w.dumps(raw))
        result = invoke("run", folder / "config.toml", "--out", folder / "run")
        assert result.exit_code == 0, result.output
        assert "estimator: ExtraTreesClassifier" in result.output

    return made_once(tmp_path_factory, "estimators", make)


def test_a_run_under_a_forest_and_a_network_reports_each_and_keeps_no_teacher(run):
    report = RunReport.read(run / "run")
    models = report.seeds[0].models
    members = {"estimator: ExtraTreesClassifier", "estimator: network"}
    assert members < set(models)
    # Both see the temperature, which tells the machines apart.
    assert min(models[name]["accuracy"] for name in (*members, "teacher")) > 0.9
    assert report.parameters.teacher is None
    assert not (run / "run" / "teacher.keras").exists()
    assert (run / "run" / "firmware").is_dir()
    assert "Teacher: estimators, mean" in (run / "run" / "report.html").read_text()
    again = invoke("run", run / "config.toml", "--out", run / "run", "--resume")
    assert again.exit_code == 0, again.output


def test_the_mean_of_probabilities_becomes_logits_of_the_data_s_classes(run):
    config = load_config(run / "config.toml")
    data = prepare(config)
    config = config.model_copy(update={"teacher": config.teacher.model_copy(update={"estimators": (TREES, NEIGHBOR)})})
    teacher = fit_estimator_teacher(config, data, 3, None, lambda name: None)
    x = data.of_teacher.test.x
    seen = [data.of_teacher.train.x.reshape(len(data.train), -1).astype(np.float64), data.train.labels]
    each = [fit_estimator(one, "classification", *seen, 2, 3)(x.reshape(len(x), -1)) for one in (TREES, NEIGHBOR)]
    wanted = np.log(np.maximum((each[0] + each[1]) / 2, LEAST_PROBABILITY))
    np.testing.assert_allclose(teacher.combined(x), wanted)
    np.testing.assert_allclose(teacher.members["KNeighborsClassifier"](x), np.log(np.maximum(each[1], 1e-4)))
    assert teacher.recorded.outputs.shape == (len(data.train), 2)


@pytest.mark.parametrize("alike", ["files", "copies", "twins", "groups"])
def test_what_is_taught_of_a_window_comes_from_an_estimator_that_does_not_know_it(tmp_path, alike):
    """Labels are drawn at random, a file or machine each: what knows a window, its copy, one that overlaps it, a file of the
    same bytes or the machine is always right."""
    rng = np.random.default_rng(4)
    for n in range(30):
        place = tmp_path / "ab"[n % 2]
        place.mkdir(exist_ok=True)
        level = 3 * rng.normal()
        for more in range(2 if alike in ("twins", "groups") else 1):
            if alike != "twins" or not more:
                rows = rng.normal(size=(120, 1)) + level
            np.savetxt(place / f"m{n:02d}_{more}.csv", rows, header="hum", comments="")
    data = {"split": "files", **({"group": "*/{group}_*.csv"} if alike == "groups" else {})}
    raw = raw_of(tmp_path, data=data, teacher={"estimators": [NEIGHBOR]})
    raw["teacher"].pop("features")
    if alike == "copies":
        raw["augment"] = {"copies": 2, "layers": [{"class": "RandomNoise", "snr": [30.0, 40.0]}]}
    config = parse_config(raw)
    data = prepare(config)
    teacher = fit_estimator_teacher(config, data, 3, None, lambda name: None)
    right = teacher.recorded.outputs.argmax(axis=1) == data.train.labels
    assert np.mean(right) < 0.7
    knows = teacher.combined(data.train.x).argmax(axis=1) == data.train.labels
    assert np.mean(knows) == 1.0


def test_the_numbers_taught_are_of_estimators_that_do_not_know_the_window(tmp_path):
    rng = np.random.default_rng(5)
    for n in range(12):
        cells = {
            "hum": (rng.normal(size=160) + 4 * rng.normal()).round(3),
            "wear": np.full(160, round(rng.normal(), 3)),
        }
        (tmp_path / f"{n}.csv").write_text(columns(**cells))
    raw = numbers(
        tmp_path, teacher={"estimators": [{"class": "sklearn.neighbors.KNeighborsRegressor", "n_neighbors": 1}]}
    )
    raw["data"] = {"folder": str(tmp_path), "files": "*.csv", "sample_rate": 100.0, "target_column": "wear"}
    config = parse_config(raw)
    data = prepare(config)
    teacher = fit_estimator_teacher(config, data, 3, None, lambda name: None)
    wanted = data.target.standardized(data.train.labels)
    assert np.mean((teacher.recorded.outputs - wanted) ** 2) > 0.5
    assert np.mean((teacher.combined(data.train.x) - wanted) ** 2) < 1e-9


def test_rows_of_several_classes_in_a_file_are_taught_of_both(tmp_path):
    rng = np.random.default_rng(6)
    for n in range(4):
        state = np.repeat(["idle", "load"], 300)
        hum = rng.normal(size=600) + 4 * (state == "load")
        (tmp_path / f"{n}.csv").write_text(columns(hum=hum.round(3), state=state))
    raw = raw_of(tmp_path, data={"files": "*.csv", "label_column": "state"}, teacher={"estimators": [TREES]})
    raw["teacher"].pop("features")
    config = parse_config(raw)
    data = prepare(config)
    teacher = fit_estimator_teacher(config, data, 3, None, lambda name: None)
    right = teacher.recorded.outputs.argmax(axis=1) == data.train.labels
    assert np.mean(right) > 0.97


def test_weights_of_classes_reach_estimators_that_take_them(tmp_path):
    hall(tmp_path, files=6, rows=300)
    for path in sorted((tmp_path / "slow").glob("*.csv"))[2:]:
        path.unlink()
    raw = raw_of(tmp_path, data={"class_weights": "balanced"}, teacher={"estimators": [TREES]})
    raw["teacher"].pop("features")
    config = parse_config(raw)
    data = prepare(config)
    x = data.train.x.reshape(len(data.train), -1).astype(np.float64)
    kind = ExtraTreesClassifier(40, random_state=3).fit(
        x, data.train.labels, np.array(data.class_weights)[data.train.labels]
    )
    wanted = np.log(np.maximum(kind.predict_proba(data.test.x.reshape(len(data.test), -1)), LEAST_PROBABILITY))
    teacher = fit_estimator_teacher(config, data, 3, None, lambda name: None)
    np.testing.assert_allclose(teacher.combined(data.test.x), wanted)
    raw["teacher"]["estimators"] = [NEIGHBOR]
    with pytest.raises(DataError, match="takes no weights of windows, and class_weights is 'balanced'"):
        check_estimators(parse_config(raw), data)


def test_a_class_of_one_file_is_in_all_folds(tmp_path):
    hall(tmp_path, files=6, rows=400)
    for path in sorted((tmp_path / "slow").glob("*.csv"))[1:]:
        path.unlink()
    config = parse_config(raw_of(tmp_path, teacher={"estimators": [TREES], "features": {"window": 40}}))
    data = prepare(config)
    teacher = fit_estimator_teacher(config, data, 3, None, lambda name: None)
    mine = data.train.labels == list(data.class_names).index("slow")
    assert (teacher.recorded.outputs[mine, data.class_names.index("slow")] > np.log(LEAST_PROBABILITY)).mean() > 0.9


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("estimator", [FOREST, "sklearn.svm.SVR"])
def test_numbers_are_standardized_as_networks_give_them(tmp_path, estimator, several):
    hall(tmp_path, rows=500)
    raw = numbers(tmp_path, teacher={"estimators": [estimator]})
    if several:
        raw["data"].pop("target_column")
        raw["data"] |= {"target_columns": ["temperature", "count"], "columns": ["hum"]}
    config = parse_config(raw)
    data = prepare(config)
    teacher = fit_estimator_teacher(config, data, 3, None, lambda name: None)
    assert teacher.recorded.outputs.shape == (len(data.train), 1 + several)
    kind = RandomForestRegressor(20, random_state=3) if estimator is FOREST else SVR()
    x, y = data.train.x.reshape(len(data.train), -1), data.target.standardized(data.train.labels)
    rows = data.test.x.reshape(len(data.test), -1).astype(np.float64)
    if several and estimator is FOREST:
        wanted = kind.fit(x.astype(np.float64), y).predict(rows)
    else:
        wanted = np.stack([clone(kind).fit(x.astype(np.float64), column).predict(rows) for column in y.T], axis=1)
    np.testing.assert_allclose(teacher.combined(data.test.x), wanted, atol=1e-6)
    assert data.target.real(teacher.combined(data.test.x)).shape == data.test.labels.shape


@pytest.mark.parametrize(
    ("teacher", "says"),
    [
        ({"estimators": ["forest"]}, 'estimators.0 must be "network" or a class such as sklearn.ensemble'),
        ({"estimators": [{"n_estimators": 3}]}, "estimators.0.class must be"),
        ({"estimators": ["os.system"]}, "estimators.0 must be"),
        ({"estimators": [TREES, TREES]}, "twice; each counts once"),
        ({"estimators": [TREES], "members": 3}, 'members is of a network, and estimators have none; name "network"'),
        ({"estimators": [TREES], "path": "a.keras"}, "path is of a network, and estimators have none"),
        ({"estimators": [TREES], "detectors": ["pca_q"]}, "estimators and detectors are two teachers"),
        ({"estimators": [TREES], "augment": {"copies": 1}}, "give [augment] for both"),
    ],
)
def test_what_is_no_estimator_is_refused_in_the_config(tmp_path, teacher, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_config(raw_of(tmp_path, teacher=teacher))


def test_mixtures_of_windows_that_estimators_know_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"distill\.mixup is not for teacher\.estimators, which know the windows"):
        parse_config(raw_of(tmp_path, teacher={"estimators": [TREES]}, distill={"mixup": 0.5}))


def test_tasks_without_estimators_say_what_to_take(tmp_path):
    raw = raw_of(tmp_path, task="anomaly", teacher={"estimators": [TREES]})
    raw["data"] = {**raw["data"], "healthy_files": "quick/*"}
    raw["data"].pop("split")
    raw["teacher"] = {"estimators": [TREES]}
    raw["student"] = {"sizes": [4]}
    with pytest.raises(ValueError, match=r"task is 'anomaly'; take teacher\.detectors"):
        parse_config(raw)


@pytest.mark.parametrize(
    ("estimator", "says"),
    [
        (
            "sklearn.ensemble.ExtraTreeClassifier",
            "has no class 'ExtraTreeClassifier'; did you mean 'ExtraTreesClassifier'?",
        ),
        ("sklearn.forest.Trees", "cannot be imported"),
        ("sklearn.ensemble.ExtraTreesRegressor", "is no classifier, and task is 'classification'"),
        ("sklearn.svm.LinearSVC", "gives no probabilities (predict_proba); take another class"),
        ("sklearn.svm.SVC", "gives no probabilities (predict_proba); with probability = true it has"),
        ({**TREES, "trees": 3}, "takes no 'trees'"),
        ({"class": TREES["class"], "n_estimator": 3}, "takes no 'n_estimator'; did you mean 'n_estimators'?"),
        ({**TREES, "n_estimators": -3}, "n_estimators"),
        ("sklearn.preprocessing.StandardScaler", "is no classifier"),
    ],
)
def test_an_estimator_that_cannot_teach_ends_before_anything_is_trained(tmp_path, estimator, says):
    hall(tmp_path)
    config = parse_config(raw_of(tmp_path, teacher={"estimators": [estimator]}))
    with pytest.raises(DataError, match=re.escape(says)):
        check_estimators(config, prepare(config))


def test_a_recipe_on_inner_layers_is_refused(tmp_path):
    hall(tmp_path / "data")
    raw = raw_of("data", teacher={"estimators": [TREES]}, distill={"recipe": "rkd"})
    raw["teacher"].pop("features")
    (tmp_path / "c.toml").write_text(tomli_w.dumps(raw))
    result = invoke("run", tmp_path / "c.toml", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "is made of estimators or is trained in folds, teaches by its outputs" in result.output
    assert not list(tmp_path.glob("run*"))


@pytest.mark.slow
def test_a_search_is_taught_by_estimators_at_each_of_its_resolutions(tmp_path):
    hall(tmp_path / "data", rows=600)
    raw = raw_of(str(tmp_path / "data"), teacher={"estimators": [TREES, "network"]})
    raw["teacher"].pop("features")
    raw["features"] = {"kind": "spectrum", "window": 64, "hop": 16, "bands": 16}
    own, other = (str(tmp_path / "windows" / name) for name in ("own", "other"))
    assert prepare_windows(raw, own)["teacher_score"] > 0.3
    assert prepare_windows({**raw, "features": {**raw["features"], "bands": 8}}, other, own) == {"teacher_score": None}
    taught, labels = (np.load(f"{other}/{name}.npy") for name in ("targets", "train_y"))
    assert np.mean(taught.argmax(axis=1) == labels) > 0.6
    budget = {"flash": 24576, "ram": None, "macs": None}
    result = try_candidate({**raw, "features": {**raw["features"], "bands": 8}}, other, budget, "static", 3)
    assert result["state"] == "done"


@pytest.mark.slow
def test_recipe_auto_tries_its_candidates_under_estimators(tmp_path):
    hall(tmp_path / "data", rows=400)
    raw = raw_of("data", teacher={"estimators": [TREES]}, distill={"recipe": "auto", "candidates": ["kd", "dist"]})
    raw["teacher"].pop("features")
    (tmp_path / "c.toml").write_text(tomli_w.dumps(raw))
    result = invoke("run", tmp_path / "c.toml", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert [trial["name"] for trial in report["recipe"]["trials"]] == ["kd", "dist", "plain"]
