"""Known faults: which windows are learned from, which are never tested on, and what a run says of both."""

import json
import shutil

import numpy as np
import pytest
from support import invoke, made_once
from tables import columns, config_of, wave

from micro.config import parse_config
from micro.datasets.prepare import prepare
from micro.datasets.prepared import untested
from micro.errors import DataError
from micro.explore.holdout import search_windows
from micro.runs.known_faults import HEALTHY_EACH, learned_faults

ROWS = 600
SETTINGS = {
    "files": "*.csv",
    "sample_rate": 100.0,
    "healthy_files": "ok*.csv",
    "faulty_files": "bad*.csv",
    "known_faults": "bad_a1.csv",
}
RIG = {
    "job": "rig",
    "teacher": {},
    "student": {},
    "data": {
        "train_recordings": 4,
        "validation_recordings": 1,
        "calibration_recordings": 2,
        "test_recordings": 2,
        "fault_recordings": 1,
        "known_faults": 1,
        "severities": [0.25],
        "seconds": 1.0,
    },
}


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(("ok1", "ok2", "bad_a1", "bad_a2", "bad_b1")):
        (tmp_path / f"{name}.csv").write_text(columns(x=wave(ROWS, number) * (3 if name.startswith("bad") else 1)))
    return tmp_path


def test_known_faults_are_learned_from_and_nowhere_else(folder):
    data = prepare(config_of(folder, SETTINGS))
    without = prepare(
        config_of(folder, {**SETTINGS, "files": ["ok*.csv", "bad_a2.csv", "bad_b1.csv"], "known_faults": []})
    )
    assert set(data.faults.origins) == {"bad_a1.csv"}
    assert len(data.faults) == (ROWS - 16) // 8 + 1
    assert (data.faults.labels == 1).all()
    assert {name for name in data.test.origins if name.startswith("bad")} == {"bad_a2.csv", "bad_b1.csv"}
    # They change nothing else: neither the scaling nor what healthy windows are for.
    assert data.scaling == without.scaling
    for part in ("train", "validation", "calibration", "test"):
        np.testing.assert_array_equal(getattr(data, part).x, getattr(without, part).x)
    assert without.faults is None
    assert any(
        note.startswith(
            "learned from 74 windows of 1 recording as known faults: bad_a1.csv; the test has faulty windows of 2"
        )
        for note in data.notes
    )


def test_without_other_faults_the_test_says_what_it_cannot_tell(folder):
    data = prepare(config_of(folder, {**SETTINGS, "known_faults": ["bad*.csv"]}))
    assert not (data.test.labels == 1).any()
    assert "no faulty window" in untested(data)
    assert any(note.endswith("the test has no other fault.") for note in data.notes)


@pytest.mark.parametrize("healthy_files", ["ok*.csv", "*"])
def test_with_labels_rows_of_a_known_file_are_faults_or_healthy_and_never_tested_as_faults(folder, healthy_files):
    state = np.where(np.arange(ROWS) < 300, "healthy", "broken")
    for name in ("bad_a1", "bad_b1"):
        (folder / f"{name}.csv").write_text(
            columns(x=wave(ROWS, 9), state=state) if name == "bad_a1" else columns(x=wave(ROWS, 8), state=state)
        )
    for name in ("ok1", "ok2", "bad_a2"):
        text = "healthy" if name != "bad_a2" else "broken"
        (folder / f"{name}.csv").write_text(columns(x=wave(ROWS, len(name)) + float(name[-1]), state=[text] * ROWS))
    settings = {**SETTINGS, "healthy_files": healthy_files, "faulty_files": [], "label_column": "state"}
    data = prepare(config_of(folder, settings))
    assert set(data.faults.origins) == {"bad_a1.csv"}
    # Windows from row 292 on are faulty for half of their 16 rows, where no healthy row of them is learned from.
    first = 300 if healthy_files == "*" else 292
    assert len(data.faults) == len([start for start in range(0, ROWS - 15, 8) if start >= first])
    tested = {name for name, label in zip(data.test.origins, data.test.labels) if label == 1}
    assert tested == {"bad_a2.csv", "bad_b1.csv"}
    assert ("bad_a1.csv" in data.train.origins) == (healthy_files == "*")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"known_faults": "ok2.csv"}, "ok2.csv matches both healthy_files and known_faults"),
        ({"known_faults": "worse*.csv"}, r"known_faults: 'worse\*.csv' matches none of 5 files"),
        ({"known_faults": "twin.csv"}, r"twin.csv, which known_faults names, and bad_b1.csv hold the same bytes"),
        (
            {"healthy_rows": [0, 600], "known_faults": "bad_a1.csv"},
            "known_faults names bad_a1.csv: no row of it is faulty",
        ),
        (
            {"healthy_files": "*", "faulty_files": [], "label_column": "state", "known_faults": "bad_a*.csv"},
            "known_faults names bad_a2.csv: no row of it is faulty by column 'state'",
        ),
    ],
)
def test_what_cannot_be_known_is_named(folder, changes, says):
    if changes.get("label_column"):  # which bad_a2.csv lacks
        for seed, name in enumerate(("ok1", "ok2", "bad_a1", "bad_b1")):
            state = ["broken" if name.startswith("bad") else "healthy"] * ROWS
            (folder / f"{name}.csv").write_text(columns(x=wave(ROWS, seed), state=state))
        (folder / "bad_a2.csv").write_text(columns(x=wave(ROWS, 9)))
    if changes["known_faults"] == "twin.csv":
        shutil.copy(folder / "bad_b1.csv", folder / "twin.csv")
    with pytest.raises(DataError, match=says):
        prepare(config_of(folder, {**SETTINGS, **changes}))


@pytest.mark.parametrize("count", [1, 4, 40])
def test_one_window_in_ten_is_a_known_fault_however_many_there_are(folder, count):
    data = prepare(config_of(folder, {**SETTINGS, "known_faults": "bad_a1.csv"}, hop=16))
    few = data.faults.__class__(data.faults.x[:count], data.faults.labels[:count], data.faults.origins[:count])
    learned = learned_faults(data.__class__(**{**vars(data), "faults": few}))
    assert len(learned) == -(-len(data.train) // HEALTHY_EACH)
    used = {row.tobytes() for row in learned}
    assert used <= {row.tobytes() for row in few.x}
    assert len(used) == min(len(learned), len(few.x))


def test_the_rigs_known_faults_are_recordings_of_their_own():
    data = prepare(parse_config(RIG, "."))
    plain = prepare(parse_config({**RIG, "data": {**RIG["data"], "known_faults": 0}}, "."))
    assert set(data.faults.origins) == {f"known-{kind}-0.25g-0" for kind in ("outer", "inner", "ball", "cage")}
    np.testing.assert_array_equal(data.test.x, plain.test.x)
    np.testing.assert_array_equal(data.train.x, plain.train.x)
    tested = {row.tobytes() for row in data.test.x}
    assert not any(row.tobytes() in tested for row in data.faults.x)


def test_a_search_learns_from_the_faults_that_its_run_learns_from():
    """Of every severity, where it simulates as little for a test that is not looked at."""
    config = parse_config({**RIG, "data": {**RIG["data"], "severities": [0.25, 1.0]}})
    searched, _ = search_windows(config)
    assert set(searched.faults.origins) == set(prepare(config).faults.origins)


def process_files(folder):
    """A process of eight sensors that follow three hidden states. The fault moves one state: the sensors still agree with each
    other, so that an autoencoder reconstructs it well unless it knows better."""
    rng = np.random.default_rng(5)
    mixing = rng.normal(size=(3, 8))
    for name, windows, moved in (("ok", 2500, 0), ("bad_a1", 60, 4), ("bad_a2", 300, 4)):
        states = rng.normal(size=(windows, 3)) * (0.5 if moved else 1) + [0, 0, moved]
        sensors = np.repeat(states @ mixing, 8, axis=0) + 0.3 * rng.normal(size=(8 * windows, 8))
        (folder / f"{name}.csv").write_text(columns(**{f"s{k}": sensors[:, k].round(4) for k in range(8)}))


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Makes runs, each once: under a network or detectors, with known faults or without."""

    def run(teacher, known):
        def make(folder):
            import tomli_w

            folder.mkdir(parents=True)
            process_files(folder)
            data = {**SETTINGS, "files": ["ok.csv", "bad_a2.csv"]}
            data |= {"files": "*.csv"} if known else {"known_faults": []}
            detectors = {"detectors": ["pca_q"], "synthetic_windows": 2000}
            network = {"sizes": [24, 6, 24], "epochs": 30, "learning_rate": 0.005}
            raw = {
                "job": "table",
                "seeds": 1,
                "data": data,
                "features": {"kind": "statistics", "window": 8, "hop": 8},
                "teacher": network if teacher == "network" else detectors,
                "student": {"sizes": [12], "epochs": 20, "batch_size": 64, "learning_rate": 0.005},
                "compress": [{"stage": "prune", "target_sparsity": 0.3, "epochs": 3, "teacher": teacher != "network"}],
            }
            (folder / "config.toml").write_text(tomli_w.dumps(raw))
            result = invoke("run", folder / "config.toml", "--out", folder / "run")
            assert result.exit_code == 0, result.output

        return made_once(tmp_path_factory, f"known-faults-{teacher}-{known}", make)

    return run


def areas_of(folder):
    models = json.loads((folder / "run" / "report.json").read_text())["seeds"][0]
    return {name: models[name]["auc"] for name in ("teacher", "student_int8", "alone_int8")}


@pytest.mark.slow
def test_a_run_finds_what_it_knows_in_recordings_that_it_does_not_know_to_the_chip(runs):
    folder = runs("network", True)
    areas = areas_of(folder)
    assert min(areas.values()) > 0.97, areas
    notes = " ".join(json.loads((folder / "run" / "report.json").read_text())["data"]["notes"])
    assert "learned from 60 windows of 1 recording as known faults: bad_a1.csv" in notes
    assert "the student without a teacher learned from them too" in notes


@pytest.mark.slow
def test_without_them_it_finds_little_and_a_student_of_detectors_learns_them_too(runs):
    for teacher in ("network", "detectors"):
        before, after = (areas_of(runs(teacher, known)) for known in (False, True))
        for name in ("student_int8", "alone_int8"):
            assert after[name] > before[name] + 0.05, (teacher, name, before, after)


@pytest.mark.slow
def test_sensitivity_and_search_take_known_faults(runs, tmp_path):
    folder = runs("network", True)
    result = invoke("sensitivity", folder / "run", "--out", tmp_path / "page.html")
    assert result.exit_code == 0, result.output
    result = invoke("search", folder / "config.toml", "--flash", "16KiB", "--trials", 2, "--out", tmp_path / "found")
    assert result.exit_code == 0, result.output
