"""The built-in jobs, and tables of a user's own, from recordings to scores."""

import json

import numpy as np
import pytest
from support import invoke

from micro.datasets import cwru


@pytest.fixture(scope="module")
def cwru_tables(tmp_path_factory, cwru_folder):
    """Real recordings as a user would export them: CSV files at 12 kHz."""
    folder = tmp_path_factory.mktemp("tables")
    for recording in cwru.load(cwru_folder, (0,)):
        if recording.label in ("normal", "outer_007", "inner_007"):
            name = recording.label.removesuffix("_007")
            np.savetxt(folder / f"{name}.csv", recording.samples, header="de", comments="", fmt="%.6f")
    assert len(list(folder.iterdir())) == 3
    return folder


@pytest.mark.slow
def test_the_table_job_learns_real_recordings_from_csv(tmp_path, cwru_tables):
    config = tmp_path / "table.toml"
    assert invoke("init", "table", "--out", config).exit_code == 0
    text = config.read_text().replace("recordings/*.csv", f"{cwru_tables}/*.csv").replace("seeds = 3", "seeds = 1")
    text = text.replace('# faulty_files = ["fault*.csv"]', 'faulty_files = ["outer.csv", "inner.csv"]')
    # The healthy machine was recorded for 20 s only: few held-out windows, so a modest rate.
    text = text.replace("hop = 512", "hop = 256").replace("false_alarm_rate = 0.02", "false_alarm_rate = 0.05")
    config.write_text(text.replace("epochs = 40", "epochs = 10").replace("epochs = 60", "epochs = 15"))
    result = invoke("run", config, "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["summary"]["student_int8"]["auc"]["mean"] > 0.99
    scored = json.loads(invoke("score", tmp_path / "run", cwru_tables / "outer.csv", "--json").stdout)
    assert np.mean([window["result"] == "alarm" for window in scored]) > 0.95


@pytest.fixture(scope="module")
def watch_folders(tmp_path_factory, watch):
    """Three of the seven exercises of shoulder_watch, a folder each, as CSV files that begin with the person's number."""
    folder = tmp_path_factory.mktemp("watch")
    with np.load(watch) as file:
        series = np.split(file["x"] * file["scale"], np.cumsum(file["length"])[:-1])
        names = file["y_names"][file["y"]]
        for number, (samples, person, name) in enumerate(zip(series, file["subject"], names)):
            if name in ("PEN", "ABD", "ROW"):
                (folder / name).mkdir(exist_ok=True)
                path = folder / name / f"p{person:02d}_{number}.csv"
                np.savetxt(path, samples[:900], delimiter=",", header="ax,ay,az,gx,gy,gz", comments="", fmt="%.4f")
    return folder


@pytest.mark.slow
def test_folders_of_gestures_become_a_classifier_with_an_alarm(tmp_path, watch_folders):
    """Real movements of ten people, each in files of their own; three are for the test."""
    config = tmp_path / "gestures.toml"
    assert invoke("init", "table", "--task", "classification", "--out", config).exit_code == 0
    text = (
        config.read_text().replace("recordings/*/*.csv", f"{watch_folders}/*/*.csv").replace("seeds = 3", "seeds = 1")
    )
    text = text.replace("# group =", "group =").replace('# healthy_classes = ["resting"]', 'healthy_classes = ["PEN"]')
    text = text.replace("# class_weights", "class_weights").replace("sizes = [64, 96]", "sizes = [24, 32]")
    config.write_text(text.replace("epochs = 40", "epochs = 12").replace("epochs = 60", "epochs = 20"))
    result = invoke("run", config, "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["data"]["class_names"] == ["ABD", "PEN", "ROW"]
    student = {name: each["mean"] for name, each in report["summary"]["student_int8"].items()}
    assert student["accuracy"] > 0.75
    assert 0 < student["calibration_error"] < 0.4
    assert abs(student["macro_f1"] - student["accuracy"]) < 0.15
    people = {row["origin"].split("/")[1].split("_")[0] for row in report["by_origin"]}
    assert len(people) == 3
    for row in report["by_origin"][::3]:
        scored = json.loads(invoke("score", tmp_path / "run", watch_folders / row["origin"], "--json").stdout)
        results = [window["result"] for window in scored]
        assert (len(results), results.count(row["state"])) == (row["windows"], round(row["accuracy"] * row["windows"]))
        assert [window["alarm"] for window in scored] == [result != "PEN" for result in results]
    assert invoke("new-firmware", tmp_path / "run", "--board", "cmake", "--out", tmp_path / "firmware").exit_code == 0


@pytest.mark.slow
def test_slow_process_data_of_eight_channels_works(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("plant1", "plant2"):
        level = rng.normal(size=8) * 5
        drift = np.cumsum(rng.normal(size=(4000, 8)), axis=0) * 0.002
        values = level + drift + rng.normal(size=(4000, 8)) * 0.1
        values[3500:, 2] += 1.5
        state = np.r_[np.zeros(3500), np.ones(500)][:, None]
        rows = np.hstack([np.arange(4000)[:, None] * 10.0, values, state])
        names = "t," + ",".join(f"ch{i}" for i in range(8)) + ",fault"
        np.savetxt(tmp_path / f"{name}.csv", rows, header=names, comments="", delimiter=",", fmt="%.5f")
    (tmp_path / "plant.toml").write_text(
        """
        job = "table"
        seeds = 1
        [data]
        files = "plant*.csv"
        time_column = "t"
        healthy_rows = [[0, 3000]]
        label_column = "fault"
        scaling = "per_file"
        [features]
        kind = "statistics"
        window = 16
        hop = 8
        [teacher]
        sizes = [32, 8, 32]
        epochs = 10
        [student]
        sizes = [8]
        epochs = 20
        learning_rate = 0.003
        [detect]
        false_alarm_rate = 0.05
        """
    )
    result = invoke("run", tmp_path / "plant.toml", "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["data"]["channels"] == [f"ch{i}" for i in range(8)]
    assert report["summary"]["student_int8"]["auc"]["mean"] > 0.9
    assert invoke("score", tmp_path / "run", tmp_path / "plant1.csv").exit_code == 0


def test_the_cwru_job_classifies_real_recordings(tmp_path, cwru_folder):
    config = tmp_path / "cwru.toml"
    assert invoke("init", "cwru", "--out", config).exit_code == 0
    text = config.read_text().replace('folder = "cwru"', f'folder = "{cwru_folder}"').replace("seeds = 3", "seeds = 1")
    config.write_text(text.replace("epochs = 30", "epochs = 8"))
    result = invoke("run", config, "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    teacher, student = (report["summary"][name]["accuracy"]["mean"] for name in ("teacher", "student_int8"))
    assert student > teacher - 0.01
    assert report["footprint"]["model_bytes"] < 16 * 1024
    assert (report["parity"]["samples"], report["parity"]["max_abs_difference"] <= 2) == (1000, True)
    np.savetxt(tmp_path / "inner.csv", cwru.read_mat(cwru_folder, 107)[:24_000], fmt="%.6f", header="de", comments="")
    scored = json.loads(invoke("score", tmp_path / "run", tmp_path / "inner.csv", "--json").stdout)
    assert {window["result"] for window in scored} == {"inner_007"}
