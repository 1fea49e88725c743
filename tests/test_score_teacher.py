"""Teachers made of detectors: each by a formula written apart, targets out of fold, students that follow to the chip."""

import importlib.util
import json
import tomllib

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import invoke, made_once

from micro.config import load_config, parse_config
from micro.config.models import DETECTOR_WORDS
from micro.datasets.prepare import Windows, prepare
from micro.datasets.window_parts import Origins
from micro.detection.threshold import require_tail
from micro.errors import DataError
from micro.runs.detectors import DETECTORS, fitted
from micro.runs.finished import read_run
from micro.runs.score_teacher import (
    FOLDS,
    Member,
    combined,
    fit_score_teacher,
    folds_of,
    standardized,
    targets_of_scores,
)
from micro.runs.synthetic_windows import WAYS, synthesized

RNG = np.random.default_rng(5)
HEALTHY = RNG.normal(size=(90, 6)) @ np.diag([3.0, 2.0, 1.0, 0.3, 0.2, 0.1])
OTHERS = RNG.normal(size=(40, 6)) * 2.0

# One detector of every kind: a word, a class with arguments.
CONFIG = {
    "job": "rig",
    "seed": 7,
    "seeds": 1,
    "data": {
        "train_recordings": 12,
        "calibration_recordings": 8,
        "test_recordings": 6,
        "fault_recordings": 1,
        "seconds": 1.0,
    },
    "features": {"kind": ["spectrum", "moments"], "bands": 16},
    "teacher": {
        "detectors": ["neighbors", "pca_t2", {"class": "sklearn.svm.OneClassSVM", "nu": 0.05}],
        "synthetic_windows": 4000,
    },
    "student": {"sizes": [8, 4, 8], "epochs": 25, "batch_size": 128, "learning_rate": 0.003},
    "compress": [{"stage": "prune", "target_sparsity": 0.3, "epochs": 4}],
    "detect": {"false_alarm_rate": 0.02},
}


def toml_of(plain):
    import tomli_w

    return tomli_w.dumps(plain)


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    def make(folder):
        folder.mkdir(parents=True)
        (folder / "config.toml").write_text(toml_of(CONFIG))
        result = invoke("run", folder / "config.toml", "--out", folder / "run")
        assert result.exit_code == 0, result.output
        (folder / "said.txt").write_text(result.output)

    return made_once(tmp_path_factory, "score-teacher", make)


def numpy_of(word, healthy, rows):
    """Scores by their definitions."""
    distances = np.sort(np.linalg.norm(rows[:, None] - healthy[None], axis=2), axis=1)
    if word == "neighbors":
        return np.log(distances[:, :5].mean(axis=1))
    centred = healthy - healthy.mean(axis=0)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    variances = sizes**2 / (len(healthy) - 1)
    kept = int(np.searchsorted(np.cumsum(variances) / variances.sum(), 0.9)) + 1
    along = (rows - healthy.mean(axis=0)) @ directions[:kept].T
    if word == "pca_t2":
        return np.log(np.sum(along**2 / variances[:kept], axis=1))
    off = rows - healthy.mean(axis=0) - along @ directions[:kept]
    return np.log(np.mean(off**2, axis=1))


@pytest.mark.parametrize("word", ["neighbors", "pca_t2", "pca_q"])
def test_scores_are_those_of_their_definitions(word):
    np.testing.assert_allclose(fitted(word, HEALTHY, 0)(OTHERS), numpy_of(word, HEALTHY, OTHERS), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("word", DETECTORS)
def test_every_detector_gives_far_windows_more_and_the_same_again(word):
    near, far = HEALTHY[:20] * 0.5, HEALTHY[:20] * 0.5 + [30, -30, 30, -30, 30, 30]
    score = fitted(word, HEALTHY, 3)
    assert score(far).min() > score(near).max()
    assert np.array_equal(score(near), fitted(word, HEALTHY, 3)(near))


def test_a_config_has_the_words_that_there_are():
    assert set(DETECTOR_WORDS) == {*DETECTORS, "autoencoder"}


def test_a_class_of_scikit_learn_scores_as_the_word_for_it():
    word = fitted("one_class_svm", HEALTHY, 0)(OTHERS)
    given_class = fitted({"class": "sklearn.svm.OneClassSVM", "nu": 0.05, "gamma": "scale"}, HEALTHY, 0)(OTHERS)
    assert np.array_equal(np.argsort(word), np.argsort(given_class))


@pytest.mark.parametrize(
    ("detector", "message"),
    [
        ("sklearn.svm.OneClasSVM", "has no class 'OneClasSVM'"),
        ("sklearn.svn.OneClassSVM", "cannot be imported"),
        ("sklearn.svm.SVC", "is no detector"),
        ("sklearn.neighbors.LocalOutlierFactor", "novelty"),
        ({"class": "sklearn.svm.OneClassSVM", "mu": 0.1}, "mu"),
        ({"class": "sklearn.svm.OneClassSVM", "nu": 5.0}, "nu"),
    ],
)
def test_classes_that_cannot_be_used_are_named(detector, message):
    with pytest.raises(DataError, match=r"teacher\.detectors: ") as error:
        fitted(detector, HEALTHY, 0)
    assert message in str(error.value)


@pytest.mark.skipif(importlib.util.find_spec("pyod") is not None, reason="PyOD is installed")
def test_a_package_that_is_missing_is_named_with_how_to_get_it():
    with pytest.raises(DataError, match="pip install pyod"):
        fitted("pyod.models.ecod.ECOD", HEALTHY, 0)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 30)), min_size=1, max_size=14),
    st.integers(1, 3),
    st.booleans(),
)
@settings(max_examples=60)
def test_copies_of_a_window_are_in_its_fold_and_no_fold_is_all(pieces, copies, whole_files):
    origins, places = [], []
    start = {}
    for number, (name, count) in enumerate(pieces):
        origin = f"{number if whole_files else name}"
        first = start.get(origin, 0)
        for _ in range(copies):
            origins += [origin] * count
            places += range(first, first + count)
        start[origin] = first + count
    windows = Windows(np.zeros((len(origins), 2)), np.zeros(len(origins)), tuple(origins), np.array(places))
    folds = folds_of(windows, Origins())
    by_window = {}
    for origin, place, fold in zip(origins, places, folds):
        assert by_window.setdefault((origin, place), fold) == fold
    assert set(folds) <= set(range(FOLDS))
    if max(start.values()) >= FOLDS and len(start) < 2 * FOLDS:
        assert len(set(folds)) == FOLDS


def test_training_windows_are_scored_by_detectors_that_do_not_know_them():
    data = prepare(parse_config(CONFIG))
    config = parse_config({**CONFIG, "teacher": {"detectors": ["neighbors"], "synthetic_windows": 800}})
    names = []
    teacher = fit_score_teacher(config, data, 7, names.append)
    count = len(data.train)
    assert names == ["neighbors", "synthetic windows"]
    assert teacher.x.shape == (count + 800, *data.train.x.shape[1:])
    assert np.array_equal(teacher.x[:count], data.train.x)
    # Written apart: the mean distance to the five nearest windows of other folds, standardized. Each fold is whole recordings.
    folds, rows = folds_of(data.train, data.related), data.train.x.astype(np.float64)
    assert len(set(zip(data.train.origins, folds))) == len(set(data.train.origins)) == 12
    unseen = np.empty(count)
    for fold in range(FOLDS):
        others = rows[folds != fold]
        distances = np.sort(np.linalg.norm(rows[folds == fold][:, None] - others[None], axis=2), axis=1)
        unseen[folds == fold] = np.log(distances[:, :5].mean(axis=1))
    expected = np.clip((unseen - unseen.mean()) / unseen.std(), -4, 15)
    np.testing.assert_allclose(teacher.outputs[:count, 0], expected, atol=2e-3)


@pytest.mark.parametrize(("combine", "wanted"), [("mean", 1.5), ("max", 3.0)])
def test_scores_are_combined_as_asked(combine, wanted):
    members = {
        name: Member(lambda rows, value=value: np.full(len(rows), value), 0.0, 1.0)
        for name, value in (("one", 3.0), ("two", 0.0))
    }
    scores = standardized(members, np.zeros((5000, 2)))
    assert scores.shape == (5000, 2)
    np.testing.assert_allclose(combined(scores, combine), wanted)
    assert targets_of_scores(np.array([[99.0, 99.0], [-99.0, -99.0]]), combine).tolist() == [[15.0], [-4.0]]


@given(
    st.integers(2, 40), st.lists(st.integers(1, 7), min_size=1, max_size=2), st.integers(100, 400), st.integers(0, 99)
)
@settings(max_examples=40)
def test_synthetic_windows_have_the_shape_asked_for_and_are_the_same_again(count, shape, wanted, seed):
    x = np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)
    made = synthesized(x, wanted, seed)
    assert made.shape[1:] == x.shape[1:]
    assert made.dtype == np.float32
    assert wanted <= len(made) < wanted + len(WAYS)
    assert np.isfinite(made).all()
    assert np.array_equal(made, synthesized(x, wanted, seed))


def test_synthetic_windows_lie_around_healthy_ones_and_far_beyond():
    made = synthesized(HEALTHY.astype(np.float32), 8000, 0)
    score = fitted("neighbors", HEALTHY, 0)
    healthy, found = score(HEALTHY), score(made)
    assert np.quantile(found, 0.1) < np.quantile(healthy, 0.9)
    assert np.quantile(found, 0.9) > healthy.max()


def test_a_student_that_does_not_reconstruct_is_refused_before_any_work(tmp_path):
    (tmp_path / "config.toml").write_text(toml_of({**CONFIG, "student": {"family": "dense"}}))
    result = invoke("run", tmp_path / "config.toml", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "anomaly detection takes 'autoencoder'" in result.output
    assert not (tmp_path / "run").exists()


def test_too_few_windows_for_a_tail_are_named_before_any_work(tmp_path):
    few = {**CONFIG, "detect": {"method": "extreme"}, "data": {**CONFIG["data"], "calibration_recordings": 2}}
    (tmp_path / "config.toml").write_text(toml_of(few))
    result = invoke("run", tmp_path / "config.toml", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "too few to fit their tail on; about 200 are needed" in result.output
    assert not list(tmp_path.glob("run*"))


@given(st.integers(2, 400))
def test_a_tail_is_refused_as_its_fit_would_be(count):
    from micro.detection.threshold import calibrate

    scores = np.random.default_rng(count).normal(size=count)
    said = []
    for check in (lambda: calibrate(scores, 0.001, "extreme"), lambda: require_tail(count)):
        try:
            check()
            said.append("")
        except ValueError as error:
            said.append(str(error))
    assert said[0] == said[1]


@pytest.mark.slow
def test_a_search_gives_candidates_the_scores_of_detectors(tmp_path):
    small = {**CONFIG, "features": {"kind": "moments"}, "student": {"sizes": [3], "epochs": 6, "batch_size": 512}}
    (tmp_path / "config.toml").write_text(toml_of(small))
    arguments = ("--flash", "6KiB", "--trials", "2", "--workers", "1", "--out", tmp_path / "search")
    result = invoke("search", tmp_path / "config.toml", *arguments)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "search" / "search.json").read_text())
    assert 0.5 < found["teacher_score"] <= 1
    assert all(candidate["state"] != "failed" for candidate in found["candidates"])
    chosen = parse_config(tomllib.loads((tmp_path / "search" / "chosen.toml").read_text()), tmp_path / "search")
    assert chosen.teacher.detectors
    assert (chosen.distill.weight, chosen.distill.hard_weight) == (1.0, 0.0)
    assert all(stage.teacher for stage in chosen.compress)


@pytest.mark.slow
def test_each_machine_of_a_fleet_has_detectors_of_its_own(tmp_path):
    small = {**CONFIG, "features": {"kind": "moments"}, "student": {"sizes": [3], "epochs": 3, "batch_size": 512}}
    (tmp_path / "config.toml").write_text(toml_of(small))
    (tmp_path / "fleet.toml").write_text(
        'config = "config.toml"\n[[asset]]\nname = "one"\n[[asset]]\nname = "two"\n[asset.data]\nspeed = 1500.0\n'
    )
    wrong = {**small, "teacher": {"detectors": ["autoencoder", "sklearn.svm.OneClasSVM"]}}
    (tmp_path / "config.toml").write_text(toml_of(wrong))
    result = invoke("fleet", tmp_path / "fleet.toml", "--workers", "1", "--out", tmp_path / "hall")
    assert (result.exit_code, result.output.count("has no class 'OneClasSVM'")) == (2, 1)
    assert not (tmp_path / "hall").exists()
    (tmp_path / "config.toml").write_text(toml_of(small))
    result = invoke("fleet", tmp_path / "fleet.toml", "--workers", "1", "--out", tmp_path / "hall")
    assert result.exit_code in (0, 3), result.output
    assert not list((tmp_path / "hall").rglob("teacher.keras"))
    rows = json.loads((tmp_path / "hall" / "fleet.json").read_text())["rows"]
    assert [row["state"] for row in rows] == ["done", "done"]
    assert rows[0]["teacher"] != rows[1]["teacher"]


def test_a_students_error_follows_its_teacher_to_the_chip(run):
    report, config = read_run(run / "run")
    data = prepare(config)
    teacher = fit_score_teacher(config, data, config.seed, lambda name: None)
    student = keras.saving.load_model(run / "run" / "student.keras", compile=False)
    error = np.mean((data.test.x - student.predict(data.test.x, verbose=0)) ** 2, axis=1)
    assert np.corrcoef(np.log(error), np.log(teacher.errors(data.test.x)))[0, 1] > 0.9
    metrics = report.seeds[0].models
    assert metrics["student_int8"]["auc"] > metrics["teacher"]["auc"] - 0.03
    assert abs(metrics["student_int8"]["auc"] - metrics["student_compressed"]["auc"]) < 0.01
    assert {"detector: neighbors", "detector: pca_t2", "detector: OneClassSVM"} < set(metrics)
    assert report.parameters.teacher is None
    assert not (run / "run" / "teacher.keras").exists()


def test_report_and_terminal_show_detectors_student_and_reconstruction_side_by_side(run):
    said, page = (run / "said.txt").read_text(), (run / "run" / "report.html").read_text()
    for words in ("Teacher: detectors, combined", "detector: OneClassSVM", "Student, reconstruction alone"):
        assert words in said
        assert words in page


@pytest.mark.slow
def test_sensitivity_measures_the_score_that_the_student_follows(run):
    result = invoke("sensitivity", run / "run", "--out", run / "sensitivity.html")
    assert result.exit_code == 0, result.output
    assert (run / "sensitivity.html").exists()


def test_the_run_goes_on_to_firmware(run):
    result = invoke("new-firmware", run / "run", "--board", "cmake", "--out", run / "firmware")
    assert result.exit_code == 0, result.output


@pytest.mark.slow
def test_a_run_that_was_interrupted_gives_the_same_bytes(run, tmp_path):
    from micro.runs.start import run_pipeline

    def stop(stage, fraction):
        if "training alone" in stage:
            raise KeyboardInterrupt

    config = load_config(run / "config.toml")
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(config, tmp_path / "run", progress=stop)
    run_pipeline(config, tmp_path / "run", resume=True)
    manifests = [
        json.loads((place / "manifest.json").read_text())["sha256"] for place in (run / "run", tmp_path / "run")
    ]
    assert manifests[0] == manifests[1]
