"""Teachers that see other inputs than the student: windows that end together, no row in two parts, the run and its report."""

import json
import re
import tomllib

import keras
import numpy as np
import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from support import invoke, made_once
from tables import columns

import keras_kd
from micro.config import (
    AugmentConfig,
    ClassesData,
    FeaturesConfig,
    RegressionData,
    TableData,
    load_config,
    parse_config,
)
from micro.datasets.class_windows import class_parts
from micro.datasets.prepare import prepare
from micro.datasets.regression_windows import regression_parts
from micro.datasets.table_windows import table_parts
from micro.datasets.views import TeacherInputs
from micro.errors import DataError
from micro.explore.trial import try_candidate
from micro.explore.windows import prepare_windows
from micro.runs.finished import read_run
from micro.runs.recorded_teacher import recorded
from micro.runs.score_teacher import fit_score_teacher
from micro.runs.train import check_models

MORE = ("hum", "temperature")


def hall(folder, files=6, rows=360, seed=0):
    """Recordings of two machines, told apart by how long their slow beat is, and by their temperature."""
    rng = np.random.default_rng(seed)
    time = np.arange(rows)
    for place, name in enumerate(("quick", "slow")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(files):
            beat = np.sin(2 * np.pi * time / (40 + 24 * place) + rng.uniform(0, 6)) + 0.3 * rng.normal(size=rows)
            warm = 20 + 4 * place + rng.normal(size=rows)
            cells = {"hum": beat.round(4), "temperature": warm.round(4), "count": time + 1000 * number + 10_000 * place}
            (folder / name / f"{number}.csv").write_text(columns(**cells))


def raw_of(folder, **changes):
    raw = {
        "job": "table",
        "task": "classification",
        "seed": 3,
        "seeds": 1,
        "data": {
            "folder": str(folder),
            "files": "*/*.csv",
            "sample_rate": 100.0,
            "columns": ["hum"],
            "split": "time",
        },
        "features": {"kind": "raw", "window": 16, "hop": 8, "detrend": "none"},
        "teacher": {"family": "dense", "sizes": [24], "epochs": 6, "features": {"window": 80}},
        "student": {"family": "dense", "sizes": [6], "epochs": 6},
    }
    for name, more in changes.items():
        raw[name] = {**raw[name], **more} if isinstance(more, dict) and name in raw else more
    return raw


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    def make(folder):
        hall(folder / "data", rows=600)
        raw = raw_of("data", teacher={"columns": list(MORE), "features": {"kind": "statistics", "window": 80}})
        raw["student"]["augment"] = {"layers": [{"class": "RandomNoise", "snr": [10.0, 20.0]}]}
        raw["compress"] = [{"stage": "prune", "target_sparsity": 0.3, "epochs": 2}]
        (folder / "config.toml").write_text(tomli_w.dumps(raw))
        result = invoke("run", folder / "config.toml", "--out", folder / "run")
        assert result.exit_code == 0, result.output

    return made_once(tmp_path_factory, "teacher-inputs", make)


RAW = {"kind": "raw", "detrend": "none"}
DIVIDED = {
    "classification": (class_parts, ClassesData, {}),
    "regression": (regression_parts, RegressionData, {"target_column": "temperature"}),
    "anomaly": (table_parts, TableData, {"healthy_rows": [[0, 500]]}),
}


@pytest.mark.parametrize("task", DIVIDED)
@settings(max_examples=12, deadline=None)
@given(
    window=st.integers(8, 24),
    more=st.integers(0, 30),
    hop=st.integers(1, 20),
    split=st.sampled_from(["time", "auto"]),
    seed=st.integers(0, 2**20),
)
def test_windows_end_together_and_no_part_holds_a_row_of_another(
    task, window, more, hop, split, seed, tmp_path_factory
):
    """Channel `count` numbers every row of all files, so that a window says which rows it holds."""
    folder = tmp_path_factory.mktemp("hall")
    hall(folder, files=3, rows=600, seed=seed)
    parts_of, section, given_keys = DIVIDED[task]
    keys = {"folder": str(folder), "files": "*/*.csv", "sample_rate": 100.0, "columns": ["count"], **given_keys}
    data = section(**keys, **({} if task == "anomaly" else {"split": split}))
    inputs = TeacherInputs(FeaturesConfig(window=window + more, **RAW), ("hum", "count"))
    parts = parts_of(data, FeaturesConfig(window=window, hop=hop, **RAW), AugmentConfig(), seed, inputs)
    held = []
    for part in (parts.train, parts.validation, parts.calibration, parts.test):
        mine = np.concatenate([each.values for each in part])
        theirs = np.concatenate([each.of_teacher for each in part])
        assert mine.shape[1:] == (window, 1)
        assert theirs.shape[1:] == (window + more, 2)
        assert np.array_equal(mine[..., 0], theirs[:, more:, 1])
        assert all(each.samples.shape[1:] == (window, 1) for each in part)
        held.append(set(np.unique(theirs[..., 1]).astype(int)))
    if task != "anomaly":  # validation calibrates
        held.pop(2)
    assert sum(map(len, held)) == len(set.union(*held))
    assert parts.channels == ("count",)
    assert parts.teacher_channels == ("hum", "count")


def test_windows_of_the_rig_without_history_are_counted():
    raw = {"job": "rig", "data": {"seconds": 1.0, "train_recordings": 2}, "student": {"sizes": [4]}}
    raw["features"] = {"kind": "statistics", "window": 256, "hop": 256}
    raw["teacher"] = {"detectors": ["neighbors"], "features": {"kind": "statistics", "window": 1024, "hop": 256}}
    (note,) = prepare(parse_config(raw)).notes
    assert "windows of the student were left out, as the teacher's window of 1,024 samples" in note


def test_windows_without_history_are_counted(tmp_path):
    hall(tmp_path, files=3)
    notes = prepare(parse_config(raw_of(tmp_path))).notes
    lost = 6 * ((360 - 16) // 8 + 1 - ((360 - 80) // 8 + 1))
    assert any(note.startswith(f"{lost} of {6 * 44} windows of the student were left out") for note in notes)


def test_a_test_window_that_only_the_teacher_sees_as_faulty_is_left_out(tmp_path):
    hall(tmp_path, files=1, rows=1200)
    path = tmp_path / "quick" / "0.csv"
    state = ["state", *("1" if 900 <= row < 950 else "0" for row in range(1200))]
    path.write_text("".join(f"{line},{word}\n" for line, word in zip(path.read_text().splitlines(), state)))
    data = TableData(
        folder=str(tmp_path),
        files="quick/*.csv",
        sample_rate=100.0,
        columns=["hum"],
        label_column="state",
        healthy_rows=[[0, 800]],
    )
    inputs = TeacherInputs(FeaturesConfig(window=80, **RAW))
    parts = table_parts(data, FeaturesConfig(window=16, hop=8, **RAW), AugmentConfig(), 0, inputs)
    ends = 79 + 8 * np.arange(141)
    apart = ends - 79 >= 800
    faulty = apart & (ends >= 900) & (ends - 15 < 950)
    before = apart & ~faulty & (ends >= 900) & (ends - 79 < 950)
    assert sum(len(each.values) for each in parts.test if each.label == 1) == faulty.sum()
    assert any(note.startswith(f"{before.sum()} test windows whose state") for note in parts.notes)


def test_a_run_teaches_by_what_the_teacher_gives_on_its_own_inputs(run):
    report = json.loads((run / "run" / "report.json").read_text())
    config = load_config(run / "config.toml")
    data = prepare(config)
    teacher = keras.saving.load_model(run / "run" / "teacher.keras")
    student = keras.saving.load_model(run / "run" / "student.keras")
    assert teacher.input_shape[1:] == data.of_teacher.train.x.shape[1:]
    assert student.input_shape[1:] == data.train.x.shape[1:] == (16, 1)
    assert report["data"]["channels"] == ["hum"]
    assert report["data"]["teacher"]["channels"] == list(MORE)
    assert report["data"]["teacher"]["features"]["window"] == 80
    found = teacher.predict(data.of_teacher.test.x, verbose=0).argmax(axis=1)
    assert report["seeds"][0]["teacher"]["accuracy"] == pytest.approx(np.mean(found == data.test.labels))
    taught = recorded(teacher, data)
    assert np.allclose(taught.outputs, teacher.predict(data.train.of_teacher, verbose=0), atol=1e-5)
    page = (run / "run" / "report.html").read_text()
    assert "Features of the teacher" in page
    # The teacher knows the temperature, and the student cannot know it.
    models = report["seeds"][0]
    assert models["teacher"]["accuracy"] > models["student_alone"]["accuracy"]


def test_the_run_folder_keeps_the_teachers_inputs_and_its_model_serves_as_a_path(run, tmp_path):
    config = read_run(run / "run")[1]
    assert config.teacher.features.window == 80
    raw = tomllib.loads((run / "config.toml").read_text())
    raw["data"]["folder"] = str(run / "data")
    raw["teacher"] = {"path": str(run / "run" / "teacher.keras")}
    with pytest.raises(DataError, match=r"teacher\.keras takes \(.*\), the data need \(16, 1\)"):
        check_models(parse_config(raw), prepare(parse_config(raw)), np.zeros((4, 16, 1), np.float32))
    raw["teacher"] |= {"columns": list(MORE), "features": {"kind": "statistics", "window": 80}}
    check_models(parse_config(raw), prepare(parse_config(raw)), np.zeros((4, 16, 1), np.float32))


def test_a_recipe_on_inner_layers_is_refused_before_training(run, tmp_path):
    text = (run / "config.toml").read_text().replace('folder = "data"', f'folder = "{run / "data"}"')
    (tmp_path / "config.toml").write_text(text + '\n[distill]\nrecipe = "rkd"\n')
    result = invoke("run", tmp_path / "config.toml", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "RelationalDistance compares inner layers, and a teacher that sees other inputs" in result.output
    assert not list(tmp_path.glob("run*"))


def test_detectors_may_see_more_than_the_student(tmp_path):
    hall(tmp_path, files=2, rows=600)
    raw = raw_of(tmp_path, task="anomaly")
    raw["data"] = {**raw["data"], "healthy_files": "quick/*"}
    raw["data"].pop("split")
    raw["teacher"] = {
        "detectors": ["pca_q"],
        "synthetic_windows": 400,
        "columns": list(MORE),
        "features": {"window": 40},
    }
    raw["student"] = {"sizes": [4], "epochs": 1}
    config = parse_config(raw)
    data = prepare(config)
    teacher = fit_score_teacher(config, data, 3, lambda name: None)
    assert teacher.x.shape[1:] == (16, 1)
    assert len(teacher.outputs) == len(data.train) + 400
    scores = teacher.errors(data.of_teacher.test.x)
    assert np.mean(scores[data.test.labels == -1]) > np.mean(scores[data.test.labels == 0])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"teacher": {"features": {"window": 8}}}, "teacher.features.window must be at least the student's, 16, got 8"),
        ({"teacher": {"features": {"hop": 3}}}, "teacher.features.hop is the student's"),
        ({"teacher": {"features": {"widow": 3}}}, "teacher.features.widow"),
        ({"teacher": {"features": {"kind": "mel", "window": 60}}}, "teacher.features: "),
        ({"teacher": {"columns": ["hum", "hum"]}}, "teacher.columns names a channel twice"),
        ({"teacher": {"columns": ["x"]}, "data": {"columns": []}}, "teacher.columns needs data.columns"),
        (
            {"teacher": {"path": "theirs.keras", "augment": {"copies": 0}}},
            "teacher: augment is for a teacher that is trained; the model at path is taken as it is, leave it out",
        ),
        (
            {"teacher": {"columns": ["x", "hum"]}, "augment": {"layers": [{"class": "RandomOrientation"}]}},
            "augment: RandomOrientation needs sensors where teacher.columns is set",
        ),
        ({"data": {"on_short": "pad"}}, 'on_short = "pad" repeats the last row'),
    ],
)
def test_inputs_that_do_not_fit_are_refused(tmp_path, changes, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_config(raw_of(tmp_path, **changes))


def test_no_label_and_no_target_is_an_input(tmp_path):
    raw = raw_of(
        tmp_path, task="regression", data={"target_column": "temperature"}, teacher={"columns": ["temperature"]}
    )
    raw["distill"] = {}
    with pytest.raises(ValueError, match="names 'temperature', which is no channel: it is the target_column"):
        parse_config(raw)


def test_a_column_that_is_missing_is_named(tmp_path):
    hall(tmp_path)
    with pytest.raises(DataError, match="pressure"):
        prepare(parse_config(raw_of(tmp_path, teacher={"columns": ["pressure"]})))


def test_an_autoencoder_cannot_give_back_what_only_its_teacher_sees(tmp_path):
    raw = raw_of(tmp_path, task="anomaly", teacher={"family": "autoencoder"}, student={"family": "autoencoder"})
    raw["data"] = {**raw["data"], "healthy_files": "quick/*"}
    raw["data"].pop("split")
    with pytest.raises(ValueError, match=r"for task 'anomaly' take teacher\.detectors"):
        parse_config(raw)


@pytest.mark.slow
def test_a_search_teaches_by_what_the_teacher_gives_on_its_own_inputs(tmp_path):
    hall(tmp_path / "data", rows=600)
    raw = raw_of("data", teacher={"columns": list(MORE), "features": {"kind": "statistics", "window": 80}})
    (tmp_path / "c.toml").write_text(tomli_w.dumps(raw))
    result = invoke("search", tmp_path / "c.toml", "--flash", "8KiB", "--trials", 2, "--out", tmp_path / "found")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "found" / "search.json").read_text())
    data = prepare(load_config(tmp_path / "c.toml"))
    teacher = keras.saving.load_model(next((tmp_path / "found" / "windows").glob("*/teacher.keras")))
    kept = keras_kd.Recorded(next((tmp_path / "found" / "windows").glob("*-teacher")))
    taught = kept.targets(np.arange(len(kept)))["outputs"]
    np.testing.assert_allclose(taught, teacher.predict(data.train.of_teacher, verbose=0), atol=1e-4)
    # Judged on what it sees, the teacher knows by the temperature what its students hardly know.
    assert found["teacher_score"] > max(each["score"] or 0.0 for each in found["candidates"])
    chosen = load_config(tmp_path / "found" / "chosen.toml")
    assert chosen.teacher == load_config(tmp_path / "c.toml").teacher
    assert chosen.features.window == 16


@pytest.mark.slow
def test_detectors_of_other_inputs_teach_a_search_and_are_not_judged_by_it(tmp_path):
    hall(tmp_path, files=2, rows=600)
    raw = raw_of(tmp_path, task="anomaly")
    raw["data"] = {**raw["data"], "healthy_files": "quick/*"}
    raw["data"].pop("split")
    more = {"columns": list(MORE), "features": {"window": 40}}
    raw["teacher"] = {"detectors": ["pca_q"], "synthetic_windows": 400, **more}
    raw["student"] = {"sizes": [4], "epochs": 2}
    found = prepare_windows(raw, str(tmp_path / "windows" / "own"))
    assert found == {"teacher_score": None}
    result = try_candidate(
        raw, str(tmp_path / "windows" / "own"), {"flash": 8192, "ram": None, "macs": None}, "static", 3
    )
    assert result["state"] == "done"
    assert 0 < result["score"] <= 1
