"""Runs side by side: what differs, whether figures can be compared, and whether a difference is more than chance."""

import csv
import json
import shutil

import numpy as np
import pytest
from support import invoke

from micro.errors import RunError
from micro.examination.compare import compare
from micro.examination.paired import areas, difference
from micro.runs.finished import read_run
from micro.runs.kept_scores import KeptScores, data_digests, read_scores


@pytest.fixture(scope="module")
def report(rig_run):
    return read_run(rig_run)[0]


def kept(rng, quality, recordings=12, windows=20, seed_of_recording=None):
    """Half healthy and half faulty recordings; faulty windows score `quality` higher, and each recording is a bit its own."""
    names = np.repeat([f"r{n}" for n in range(recordings)], windows)
    faulty = np.repeat(np.arange(recordings) % 2, windows)
    own = np.repeat(rng.normal(0, 0.5, recordings), windows) if seed_of_recording is None else seed_of_recording
    scores = quality * faulty + own + rng.normal(size=len(names))
    return KeptScores(names, np.tile(np.arange(windows), recordings), faulty[:, None].astype(float), scores[:, None])


def test_the_area_of_drawn_recordings_is_that_of_their_windows_repeated():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    recording, faulty, scores = rng.integers(0, 5, 60), rng.random(60) < 0.4, rng.integers(0, 9, 60).astype(float)
    weights = rng.integers(0, 4, (7, 5))
    again = [np.repeat(np.arange(60), row[recording]) for row in weights]
    wanted = [roc_auc_score(faulty[rows], scores[rows]) for rows in again]
    assert areas(weights, recording, faulty, scores) == pytest.approx(wanted)
    assert np.isnan(areas(weights, recording, faulty & False, scores)).all()


def test_a_real_difference_is_told_from_chance_and_none_is_not(report):
    rng = np.random.default_rng(1)
    one = kept(rng, 1.0)
    better = KeptScores(one.recordings, one.places, one.recorded, one.given + 1.5 * one.recorded)
    found = difference(report, one, better, None)
    assert found.sure
    assert 0 < found.low < found.difference < found.high
    assert found.says.endswith("more than chance")
    assert found.chance < 0.01
    noise = KeptScores(one.recordings, one.places, one.recorded, one.given + rng.normal(0, 0.3, one.given.shape))
    assert not difference(report, one, noise, None).sure
    # Five per cent of differences that are none are called one, not many more.
    sure = 0
    for _ in range(30):
        first, second = kept(rng, 1.0), kept(rng, 1.0)
        sure += difference(report, first, second, None).sure
    assert sure <= 5


def test_few_or_other_recordings_are_not_compared(report):
    rng = np.random.default_rng(2)
    few = difference(report, kept(rng, 1.0, 8), kept(rng, 5.0, 8), None)
    assert "of a state, and 5 are needed to tell that from chance" in few.says
    assert not few.sure
    assert difference(report, kept(rng, 1.0), kept(rng, 1.0), {"elsewhere"}) is None
    assert difference(report, kept(rng, 1.0), kept(rng, 1.0), {"r0", "r2"}) is None  # healthy ones alone
    # 'a.csv, run 3' is a part of the file a.csv.
    one = kept(rng, 1.0)
    runs = KeptScores(np.array([f"{name}, run 3" for name in one.recordings]), one.places, one.recorded, one.given)
    assert difference(report, runs, runs, {f"r{n}" for n in range(12)}).recordings == 12


def test_a_run_keeps_the_scores_that_its_figures_are_of(rig_run, report):
    found = read_scores(rig_run)
    known = found.recorded[:, 0] >= 0
    alike = np.zeros(known.sum(), int)
    (area,) = areas(np.ones((1, 1)), alike, found.recorded[known, 0] == 1, found.given[known, 0])
    assert area == pytest.approx(report.deployed["auc"])
    healthy = found.given[found.recorded[:, 0] == 0, 0]
    assert np.mean(healthy > report.threshold) == pytest.approx(report.deployed["false_alarm_rate"])
    assert len(found.recordings) == report.data.windows.test
    manifest = json.loads((rig_run / "manifest.json").read_text())
    assert manifest["data"] == data_digests(read_run(rig_run)[1])


@pytest.fixture
def two(rig_run, tmp_path):
    """A run, and one like it with another setting, a smaller threshold, and better scores."""
    for name in ("a", "b"):
        shutil.copytree(rig_run, tmp_path / name)
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    manifest["config"]["teacher"]["epochs"] = 99
    (tmp_path / "b" / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path / "a", tmp_path / "b"


def test_runs_stand_side_by_side_with_what_differs_alone(two):
    found = compare(two)
    assert [(row.name, row.values) for row in found.config] == [("teacher.epochs", (6, 99))]
    assert found.same_data is True
    assert found.data == ()
    assert found.pairs[0].difference.difference == 0
    assert "of a state, and 5 are needed to tell that from chance" in found.pairs[0].says  # four are healthy
    assert not any(row.differs for row in (*found.sizes, *found.metrics, *found.thresholds))
    typed = invoke("compare", *two)
    assert typed.exit_code == 0, typed.output
    assert "teacher.epochs" in typed.stdout
    assert "student.epochs" not in typed.stdout
    assert json.loads(invoke("compare", *two, "--json").stdout)["same_data"] is True


def test_thresholds_of_other_scalings_and_tests_of_other_sizes_are_said(two):
    def notes():
        return " ".join(compare(two).notes)

    assert "Thresholds are in" not in notes()
    assert "numbers of test windows" not in notes()
    report = json.loads((two[1] / "report.json").read_text())
    windows = report["data"]["windows"]
    report["scaling"]["spread"][0] *= 2.0
    windows["test"] += 1
    (two[1] / "report.json").write_text(json.dumps(report))
    assert f"numbers of test windows, {windows['test'] - 1:,}, {windows['test']:,}: their figures are not" in notes()
    assert "a higher threshold is not a stricter one" in notes()
    assert "Thresholds are in each run's own scores" in " ".join(invoke("compare", *two).output.split())


def test_bands_are_compared_where_features_have_some(two):
    for folder, kind, bands in ((two[0], ["moments"], 32), (two[1], "moments", 64)):
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["config"]["features"] |= {"kind": kind, "bands": bands, "high": 10.0 * bands}
        (folder / "manifest.json").write_text(json.dumps(manifest))
    assert [row.name for row in compare(two).config] == ["features.kind", "teacher.epochs"]


def test_the_difference_of_deployed_models_is_connected_with_the_figures_of_the_table(two):
    (said,) = [each for each in compare(two).notes if each.startswith("A difference is that of the deployed students")]
    assert "of each run's whole test" in said
    report = json.loads((two[1] / "report.json").read_text())
    now = report["threshold"]
    report["seeds"] = [*report["seeds"], *report["seeds"]]
    report["recalibration"] = {
        "times": 1,
        "trained_threshold": 0.1,
        "former_threshold": 0.1,
        "threshold": now,
        "factor": 2.0,
        "guarantee": "",
        "sessions": 1,
        "windows": 9,
        "false_alarm_rate": 0.1,
        "detection_rate": None,
    }
    (two[1] / "report.json").write_text(json.dumps(report))
    notes = " ".join(compare(two).notes)
    assert "means over seeds where a run has several" in notes
    assert f"{two[1]} was recalibrated after its training: the rates" in notes
    assert f"are of the former threshold, not of {now:.4g}; its AUC has no threshold" in notes


def test_of_other_data_the_recordings_whose_files_are_the_same_are_compared(two):
    names = sorted(set(read_scores(two[0]).recordings))
    assert len(names) > 2
    for folder, other in zip(two, ("0", "1")):
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["data"] = dict.fromkeys(names, "2" * 64) | {names[0]: other * 64}
        (folder / "manifest.json").write_text(json.dumps(manifest))
    found = compare(two)
    assert found.same_data is False
    assert found.pairs[0].difference.recordings == len(names) - 1


def test_runs_of_other_data_say_that_figures_cannot_be_compared(two):
    manifest = json.loads((two[1] / "manifest.json").read_text())
    manifest["data"] = {"simulated": "0" * 64}
    (two[1] / "manifest.json").write_text(json.dumps(manifest))
    found = compare(two)
    assert found.same_data is False
    assert [row.name for row in found.data] == ["simulated"]
    assert found.pairs[0].difference is None
    assert "cannot be compared" in found.pairs[0].says
    del manifest["data"]
    (two[1] / "manifest.json").write_text(json.dumps(manifest))
    assert compare(two).same_data is None
    (two[1] / "test_scores.csv").unlink()
    assert "has no test_scores.csv" in compare(two).pairs[0].says


def test_what_is_no_pair_of_runs_is_refused(two, tmp_path):
    for runs, says in (((two[0],), "two runs or more"), ((two[0], two[0]), "named twice"), ((two[0], tmp_path), "no")):
        with pytest.raises(RunError, match=says):
            compare(runs)
    with (two[0] / "test_scores.csv").open("a", newline="") as file:
        csv.writer(file).writerow(("r", "x", 1))
    with pytest.raises(RunError, match="is damaged"):
        compare(two)
