"""Fleets of classifiers and of regressions: one teacher for machines that have other classes, or numbers of other levels."""

import csv
import json

import keras
import numpy as np
import pytest
import tomli_w
from pump import LABELS, recorded
from pump import config as pump_config
from sources import HEALTHY, config_text, record
from support import invoke

from micro.conversion.keras_file import load_keras
from micro.datasets.prepare import prepare
from micro.errors import DataError
from micro.fleet import load_fleet
from micro.fleet import teacher as fleet_teacher
from micro.fleet.machine import train_asset
from micro.fleet.page import render_fleet
from micro.fleet.results import AssetResult, metric_names, table_csv
from micro.fleet.teacher import teach
from micro.runs.run_report import RunReport
from micro.runs.train import train_teacher

LEVELS = {"healthy": (0.0, 0.0), "imbalance": (3.0, 0.0), "loose": (0.0, 3.0)}
# Loose comes first in one machine and is missing in the other; a class's number differs between them.
CLASSES = {"press": ("loose", "imbalance", "healthy"), "saw": ("imbalance", "healthy")}
SHARED = """
job = "table"
task = "{task}"
seed = 5
[data]
files = ["**/*.csv"]
sample_rate = 100.0
{data}
[features]
kind = "raw"
detrend = "none"
window = 8
hop = 8
[teacher]
family = "dense"
sizes = [16]
epochs = 30
members = 2
[student]
family = "dense"
sizes = [8]
epochs = 40
learning_rate = 0.01
"""
FLEET = """
config = "shared.toml"
[[asset]]
name = "press"
data = {folder = "press"}
[[asset]]
name = "saw"
data = {folder = "saw"}
"""


def write(folder, task, data=""):
    (folder / "shared.toml").write_text(SHARED.format(task=task, data=data))
    (folder / "fleet.toml").write_text(FLEET)
    return folder / "fleet.toml"


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """Two machines whose files lie in folders of their classes."""
    folder = tmp_path_factory.mktemp("classes")
    for machine, names in CLASSES.items():
        for number, name in enumerate(names):
            for n in range(4):
                rng = np.random.default_rng([n, number, len(machine)])
                path = folder / machine / name / f"{n}.csv"
                path.parent.mkdir(parents=True, exist_ok=True)
                rows = rng.normal(size=(160, 2)) * 0.5 + LEVELS[name]
                np.savetxt(path, rows, fmt="%.4f", delimiter=",", header="x,y", comments="")
    return write(folder, "classification")


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """Two machines that draw another load, and vibrate by it in the same way."""
    folder = tmp_path_factory.mktemp("numbers")
    for machine, level in (("press", 100.0), ("saw", 400.0)):
        for n in range(6):
            rng = np.random.default_rng([n, int(level)])
            load = level + 50.0 * np.repeat(rng.normal(size=20), 8)
            signal = (load - level) / 50.0
            rows = np.stack([signal, -signal, load], axis=1) + rng.normal(size=(160, 3)) * [0.1, 0.1, 0.0]
            path = folder / machine / f"{n}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savetxt(path, rows, fmt="%.4f", delimiter=",", header="x,y,load", comments="")
    return write(folder, "regression", 'target_column = "load"')


def shared_teacher(fleet, folder):
    """What the fleet's first work leaves: the teacher's path and its classes."""
    places = [[fleet.config(asset).model_dump(mode="json") for asset in place] for place in fleet.teaching()]
    teach(places, str(folder / "teacher.keras"), str(folder / "teacher.json"))
    return str(folder / "teacher.keras"), json.loads((folder / "teacher.json").read_text())["classes"]


def machines(fleet, folder):
    """Each machine's row, by its own run under the shared teacher."""
    folder.mkdir(exist_ok=True)
    path, names = shared_teacher(fleet, folder)
    rows = {}
    for asset in fleet.asset:
        config = fleet.config(asset, path, names).model_dump(mode="json")
        where = [str(folder / place) for place in (asset.name, "log.jsonl")]
        rows[asset.name] = train_asset(asset.name, config, *where, str(folder))
    return rows, names


@pytest.mark.slow
def test_machines_with_other_classes_share_a_teacher_that_knows_all_by_name(classes, tmp_path):
    rows, names = machines(load_fleet(classes), tmp_path)
    assert sorted(names) == sorted(LEVELS)
    for row in rows.values():
        assert list(row["metrics"]) == ["accuracy", "macro_f1", "calibration_error"]
        assert row["teacher"]["accuracy"] > 0.95
        assert row["metrics"]["accuracy"] > 0.9


@pytest.mark.slow
def test_machines_with_other_levels_share_a_teacher_of_numbers(numbers, tmp_path):
    rows, names = machines(load_fleet(numbers), tmp_path)
    assert names == []
    assert all(list(row["metrics"])[:3] == ["r2", "rmse", "mae"] for row in rows.values())
    # Between machines the level differs by six deviations, which the windows do not show: each errs by half of it at most.
    model = load_keras(tmp_path / "teacher.keras")
    assert 50.0 < float(np.mean(model.predict(np.zeros((4, 8, 2)), verbose=0))) < 450.0


@pytest.mark.slow
def test_machines_share_a_teacher_of_several_numbers(numbers, tmp_path):
    text = numbers.with_name("shared.toml").read_text()
    (tmp_path / "shared.toml").write_text(text.replace('target_column = "load"', 'target_columns = ["load", "y"]'))
    (tmp_path / "fleet.toml").write_text(FLEET.replace('folder = "', f'folder = "{numbers.parent}/'))
    fleet = load_fleet(tmp_path / "fleet.toml")
    rows, _ = machines(fleet, tmp_path / "out")
    assert all({"mean_r2", "r2: load", "r2: y"} <= set(row["metrics"]) for row in rows.values())
    # Each machine's windows are scaled by its own training part, so that its level of y is known roughly.
    assert all(row["teacher"]["r2: y"] > 0.5 for row in rows.values())
    names = metric_names([AssetResult("saw", "waiting")], "regression", ("load", "y"))
    done = [AssetResult(name, "done", metrics=row["metrics"]) for name, row in rows.items()]
    assert names == metric_names(done, "regression", ("load", "y"))
    page = render_fleet(
        [AssetResult(name, "done", **row) for name, row in rows.items()], "table", "regression", ("load", "y")
    )
    assert b"fraction of the variance explained: load" in page


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    """Two pumps' files with two labels each, which the second machine names in another order."""
    folder = tmp_path_factory.mktemp("labels")
    for machine in ("press", "saw"):
        (folder / machine).mkdir()
        recorded(folder / machine, machines=5, rows=500)
    raw = pump_config("", teacher={"members": 2}, student={"epochs": 40})
    raw["data"].pop("folder")
    (folder / "shared.toml").write_text(tomli_w.dumps(raw))
    other = 'data = {folder = "saw", label_columns = ["misaligned", "unbalance"]}'
    (folder / "fleet.toml").write_text(FLEET.replace('data = {folder = "saw"}', other))
    return folder / "fleet.toml"


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ("classification", "may be of other classes, which are matched by name"),
        ("multilabel", "label_columns in other orders"),
    ],
)
def test_a_teacher_of_one_s_own_says_what_it_gives_where_it_could_be_taken_for_something_else(tmp_path, task, says):
    several = task == "multilabel"
    data = {
        "files": "*.csv",
        "sample_rate": 10.0,
        **({"label_columns": list(LABELS)} if several else {"label_column": "s"}),
    }
    shared = {"job": "table", "task": task, "data": data, "student": {"sizes": [4]}}
    own = ', label_columns = ["misaligned", "unbalance"]}' if several else "}"
    (tmp_path / "fleet.toml").write_text(FLEET.replace('"saw"}', f'"saw"{own}'))
    for teacher in ({"path": "own.keras"}, {"path": "own.keras", "classes": list(LABELS)}, {"sizes": [8]}):
        (tmp_path / "shared.toml").write_text(tomli_w.dumps({**shared, "teacher": teacher}))
        if teacher.keys() == {"path"}:
            with pytest.raises(
                ValueError, match=rf"{says}, and nothing says what .*own\.keras gives: name its outputs"
            ):
                load_fleet(tmp_path / "fleet.toml")
        else:
            assert len(load_fleet(tmp_path / "fleet.toml").asset) == 2


@pytest.mark.slow
def test_machines_share_a_teacher_of_several_labels_by_name(labels, tmp_path):
    fleet = load_fleet(labels)
    rows, names = machines(fleet, tmp_path)
    assert names == list(LABELS)
    for row in rows.values():
        # A teacher whose labels were taken for one another would be near chance.
        assert all(row["teacher"][f"auc: {label}"] > 0.9 for label in LABELS)
        assert all(row["metrics"][f"auc: {label}"] > 0.8 for label in LABELS), row["metrics"]
    assert RunReport.read(tmp_path / "saw").data.label_names == LABELS[::-1]
    done = [AssetResult(name, "done", **row) for name, row in rows.items()]
    columns = metric_names(done, "multilabel", LABELS)
    assert columns == metric_names([AssetResult("saw", "waiting")], "multilabel", LABELS)
    assert columns[:5] == ("macro_auc", "macro_f1", "exact", "calibration_error", "auc: unbalance")
    table = list(csv.DictReader(table_csv(done, "multilabel", LABELS).decode().splitlines()))
    assert float(table[1]["auc: misaligned"]) == pytest.approx(rows["saw"]["metrics"]["auc: misaligned"])
    page = render_fleet(done, "table", "multilabel", LABELS).decode()
    assert "Machines by area under the ROC curve: misaligned" in page
    assert "fraction of windows of which every label is right" in page


def test_windows_of_every_combination_of_labels_teach(labels, monkeypatch):
    fleet = load_fleet(labels)
    prepared = [prepare(fleet.config(asset)) for asset in fleet.asset]
    monkeypatch.setattr(fleet_teacher, "TAUGHT", 12)
    pooled = fleet_teacher._pooled(prepared)
    assert pooled.label_names == LABELS
    assert {tuple(row) for row in pooled.train.labels} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    # Files say which labels they are of: their names end in unbalance and misaligned, whatever order a machine has.
    for origin, row in zip(pooled.train.origins, pooled.train.labels):
        assert origin.rpartition("_")[2] == f"{row[0]}{row[1]}.csv"


def test_machines_of_other_labels_have_no_common_teacher(labels, tmp_path):
    (tmp_path / "shared.toml").write_text(labels.with_name("shared.toml").read_text())
    other = 'data = {folder = "saw", label_columns = ["unbalance", "worn"]}'
    (tmp_path / "fleet.toml").write_text(FLEET.replace('data = {folder = "saw"}', other))
    with pytest.raises(
        ValueError, match="label_columns unbalance, misaligned and unbalance, worn; one teacher tells the same labels"
    ):
        load_fleet(tmp_path / "fleet.toml")


def test_machines_of_other_numbers_have_no_common_teacher(numbers, tmp_path):
    text = numbers.with_name("shared.toml").read_text()
    (tmp_path / "shared.toml").write_text(text.replace('target_column = "load"', 'target_columns = ["load", "y"]'))
    other = '\ndata = {folder = "saw", target_columns = ["y", "load"]}'
    (tmp_path / "fleet.toml").write_text(FLEET.replace('\ndata = {folder = "saw"}', other))
    with pytest.raises(
        ValueError, match="machines estimate columns load, y and columns y, load; one teacher gives the same"
    ):
        load_fleet(tmp_path / "fleet.toml")


def test_a_fleet_of_text_is_refused_by_name(tmp_path):
    (tmp_path / "shared.toml").write_text('job = "text"\n[data]\nfiles = ["*.txt"]\n[teacher]\n[student]\n')
    (tmp_path / "fleet.toml").write_text(FLEET)
    with pytest.raises(ValueError, match="task 'sequence' has no fleet"):
        load_fleet(tmp_path / "fleet.toml")


@pytest.mark.slow
def test_the_shared_teacher_may_see_more_than_the_students(classes, tmp_path):
    text = classes.with_name("shared.toml").read_text().replace("[data]", '[data]\ncolumns = ["x"]')
    text = text.replace("[teacher]", '[teacher]\ncolumns = ["x", "y"]').replace(
        "[student]", "[teacher.features]\nwindow = 16\n[student]"
    )
    (tmp_path / "shared.toml").write_text(text)
    (tmp_path / "fleet.toml").write_text(FLEET.replace('folder = "', f'folder = "{classes.parent}/'))
    rows, names = machines(load_fleet(tmp_path / "fleet.toml"), tmp_path / "out")
    assert sorted(names) == sorted(LEVELS)
    assert load_keras(tmp_path / "out" / "teacher.keras").input_shape == (None, 16, 2)
    # Looseness is on y alone, which students do not see.
    assert rows["press"]["teacher"]["accuracy"] > 0.95
    assert rows["press"]["metrics"]["accuracy"] < 0.9


@pytest.mark.slow
def test_machines_with_further_sources_share_a_teacher(tmp_path):
    for number, place in enumerate(("press", "saw")):
        (tmp_path / place).mkdir()
        for n in range(4):
            record(tmp_path / place, f"ok{n}", 10 * number + n)
        record(tmp_path / place, "bad", 20 + number, fault=True)
    (tmp_path / "shared.toml").write_text(config_text(data=HEALTHY))
    (tmp_path / "fleet.toml").write_text(FLEET)
    rows, _ = machines(load_fleet(tmp_path / "fleet.toml"), tmp_path / "out")
    assert all(row["metrics"]["auc"] > 0.7 for row in rows.values())
    report = RunReport.read(tmp_path / "out" / "press")
    assert [source.name for source in report.data.sources] == ["temperature"]


@pytest.mark.parametrize("ending", ["linear", "softmax"])
def test_a_users_teacher_gives_its_classes_by_name(classes, tmp_path, ending):
    """Its outputs are in another order than the data's, and one more: by their names they are the same probabilities."""
    fleet = load_fleet(classes)
    order = ("healthy", "loose", "imbalance")
    inputs = keras.Input((8, 2))
    mean = keras.layers.GlobalAveragePooling1D()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3, activation=ending)(mean))
    model.save(tmp_path / "theirs.keras")
    config = fleet.config(fleet.asset[1], str(tmp_path / "theirs.keras"), order)
    data = prepare(config)
    known = train_teacher(config, data, 0, lambda losses: None).model
    x = data.test.x[:50]
    theirs = np.asarray(model.predict(x, verbose=0))[:, [order.index(name) for name in data.class_names]]
    wanted = keras.ops.softmax(theirs) if ending == "linear" else theirs / theirs.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(keras.ops.softmax(known.predict(x, verbose=0)), wanted, atol=1e-5)
    with pytest.raises(DataError, match="does not know class 'imbalance'; by"):
        train_teacher(
            fleet.config(fleet.asset[1], str(tmp_path / "theirs.keras"), order[:2]), data, 0, lambda losses: None
        )


@pytest.mark.slow
@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_the_command_takes_them_to_firmware(request, tmp_path, task):
    fixture = {"classification": "classes", "multilabel": "labels", "regression": "numbers"}[task]
    fleet = request.getfixturevalue(fixture)
    result = invoke("fleet", fleet, "--out", tmp_path / "hall")
    assert result.exit_code == 0, result.output
    with (tmp_path / "hall" / "fleet.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["done", "done"]
    assert {"classification": "macro_f1", "multilabel": "auc: misaligned", "regression": "rmse"}[task] in rows[0]
    assert json.loads((tmp_path / "hall" / "fleet.json").read_text())["task"] == task
    assert list((tmp_path / "hall" / "assets" / "saw" / "firmware").glob("*.h"))
