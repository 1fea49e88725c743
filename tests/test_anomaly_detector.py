"""AnomalyDetector: an estimator of scikit-learn whose decisions are those of the C that it exports."""

import json
import pickle
import random
import re
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from estimator_checks import passed
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from support import SANITIZERS, WARNINGS

import micro
from micro.detection.detector import Status, decide
from micro.errors import ModelError
from micro.scikit_learn.saved import saved_bytes
from micro.scikit_learn.student import held_out, scores_of

FEATURES = 5
# As little as there is to train and to hold out.
TINY = {"epochs": 1, "sizes": (2,), "false_alarm_rate": 0.25, "calibration_fraction": 0.4}
HARNESS = """
#include <stdio.h>
#include "d_detector.h"
static d_detector state;
int main(void) {
  d_sample sample[D_CHANNELS];
  d_detector_reset(&state);
  while (fread(sample, sizeof sample, 1, stdin) == 1) {
    const d_status status = d_detector_push(&state, sample);
    if (status != D_WAITING) printf("%d %lld\\n", (int)status, (long long)state.score);
  }
  return 0;
}
"""


def rows(count, seed=0):
    """Healthy rows: two factors behind five features of unlike units."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(count, 2)) @ np.random.default_rng(99).normal(size=(2, FEATURES))
    return (mixed + 0.1 * rng.normal(size=(count, FEATURES))) * [1, 10, 0.1, 1000, 1] + [0, 5, 0, 300, -2]


def unusual(count):
    """Rows that are not: more and more noise of the features' own size, from none on."""
    noise = np.random.default_rng(3).normal(size=(count, FEATURES)) * [1, 10, 0.1, 1000, 1]
    return rows(count, 4) + np.linspace(0, 3, count)[:, None] * noise


@pytest.fixture(scope="module")
def fitted():
    return micro.AnomalyDetector(epochs=20, false_alarm_rate=0.05, random_state=7).fit(rows(300))


def compiled(folder):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    (folder / "main.c").write_text(HARNESS)
    sources = sorted(path.name for path in folder.glob("*.c") if path.name != "d_record.c")
    command = ["gcc", *WARNINGS, *SANITIZERS, "-Wno-long-long", *sources, "-lm", "-o", "main"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "main"


def in_c(program, samples):
    done = subprocess.run([program], input=samples.tobytes(), capture_output=True, check=True)
    return np.array(done.stdout.split(), np.int64).reshape(-1, 2).T


def test_the_exported_c_decides_as_predict_does(fitted, tmp_path):
    fitted.export(tmp_path, "d")
    x = np.concatenate([rows(100, 1), unusual(100), [[1e9, 0, 0, 0, 0], [0, -1e7, 0, 0, 0]]])
    statuses, scores = in_c(compiled(tmp_path), x.astype(np.float32))
    predicted = fitted.predict(x)
    assert set(predicted) == {1, -1}
    assert ((statuses == Status.HEALTHY) == (predicted == 1)).all()
    assert statuses[-2] == Status.FAULT_NOT_FINITE  # which nothing else here has
    unit = fitted.firmware_.decider.score.unit
    scored = statuses != Status.FAULT_NOT_FINITE
    np.testing.assert_array_equal(-fitted.score_samples(x)[scored], (scores * unit)[scored])


@pytest.mark.slow
def test_an_exported_alarm_counts_rows_as_it_is_told_to(fitted, tmp_path):
    fitted.export(tmp_path, "d", min_hits=2, history=3, clear_after=2)
    x = unusual(60)
    statuses, _ = in_c(compiled(tmp_path), x.astype(np.float32))
    detector = micro.make_detector(
        fitted.firmware_.decider.score, fitted.threshold_, min_hits=2, history=3, clear_after=2
    )
    expected = decide(detector, scores_of(fitted.firmware_, x[:, None]))
    assert statuses.tolist() == [int(status) for status in expected]
    assert statuses.tolist() != np.where(fitted.predict(x) == 1, Status.HEALTHY, Status.ALARM).tolist()


def test_predictions_scores_and_offset_agree(fitted):
    x = np.concatenate([rows(50, 1), unusual(50)])
    np.testing.assert_array_equal(fitted.predict(x), np.where(fitted.decision_function(x) < 0, -1, 1))
    np.testing.assert_allclose(fitted.decision_function(x), fitted.score_samples(x) - fitted.offset_, atol=1e-9)
    assert fitted.predict(rows(400, 2)).mean() > 0.6
    assert fitted.predict(unusual(100)[-20:]).mean() < -0.5


def test_the_threshold_is_the_conformal_one_of_rows_that_training_never_saw(fitted):
    x, seed = rows(300), int(np.random.RandomState(7).randint(2**31 - 1))
    held = held_out(len(x), None, fitted._recipe(), seed)
    scores = np.sort(-fitted.score_samples(x[held]))
    rank = int(np.ceil((held.sum() + 1) * 0.95 - 1e-9))
    assert held.sum() == 90
    assert fitted.threshold_.value == scores[rank - 1]


def test_same_seed_same_bytes_and_global_random_numbers_go_on(fitted):
    random.seed(5)
    np.random.seed(5)
    expected = (random.random(), np.random.random())
    random.seed(5)
    np.random.seed(5)
    again = clone(fitted).fit(rows(300))
    assert (random.random(), np.random.random()) == expected
    assert saved_bytes(again._saved()) == saved_bytes(fitted._saved())


def test_a_saved_detector_comes_back_whole(fitted, tmp_path):
    x = unusual(30)
    loaded = micro.AnomalyDetector.load(fitted.save(tmp_path / "d.zip"))
    pickled = pickle.loads(pickle.dumps(fitted))
    for each in (loaded, pickled):
        assert each.get_params() == fitted.get_params()
        np.testing.assert_array_equal(each.score_samples(x), fitted.score_samples(x))
        assert (each.threshold_, each.loss_) == (fitted.threshold_, fitted.loss_)
        assert each.converted_ == fitted.converted_
    one, other = (each.export(tmp_path / name, "d", board="cmake") for name, each in (("a", fitted), ("b", loaded)))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]


def test_a_pickle_holds_no_class_of_this_package_but_the_estimator(fitted):
    import pickletools

    strings = [arg for _, arg, _ in pickletools.genops(pickle.dumps(fitted)) if isinstance(arg, str)]
    assert {text for text in strings if text.startswith("micro")} == {"micro.scikit_learn.anomaly_detector"}


@pytest.mark.parametrize(
    "damage", ["text", "no model", "another format", "another model", "no numbers", "more windows", "no scaling"]
)
def test_what_is_no_saved_detector_is_refused(fitted, damage, tmp_path):
    path = fitted.save(tmp_path / "d.zip")
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    if damage == "no model":
        del entries["student_int8.tflite"]
    elif damage == "another format":
        entries["detector.json"] = entries["detector.json"].replace(b'"format": 1', b'"format": 2')
    elif damage == "more windows":
        entries["windows.npy"] = re.sub(rb"'shape': \(\d+", b"'shape': (9999", entries["windows.npy"])
    elif damage == "no scaling":
        rest = json.loads(entries["detector.json"])
        rest["scaling"] = {"centre": [0.0], "spread": [1.0]}
        entries["detector.json"] = json.dumps(rest).encode()
    elif damage == "another model":
        entries["detector.json"] = entries["detector.json"].replace(b'"channels": 5', b'"channels": 6')
    elif damage == "no numbers":
        entries["windows.npy"] = b"x"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    if damage == "text":
        path.write_text("hello")
    with pytest.raises(ModelError, match=r"d\.zip is no AnomalyDetector that was saved, or is damaged: "):
        micro.AnomalyDetector.load(path)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({}, r"false_alarm_rate = 0.01 needs 99 healthy rows held out of training, and 12 of n_samples = 40 are"),
        ({"false_alarm_rate": 0}, "false_alarm_rate must be between 0 and 1, got 0"),
        ({"calibration_fraction": 1.0}, "calibration_fraction must be between 0 and 1"),
        ({"epochs": 1.5}, "epochs must be an integer of at least 0, got 1.5"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"front_end": "spectrum"}, "front_end must be a micro.FrontEnd, got str"),
        (
            {"front_end": micro.FrontEnd("spectrum", 64, 64, 1, 1000.0, bands=4, decimate=2)},
            "decimate and filter are for streams",
        ),
        ({"teacher": random.Random()}, "teacher must be a detector of scikit-learn or PyOD.*got Random"),
        ({"front_end": micro.FrontEnd("moments", 64, 32)}, r"X must have the shape \(n, 64, 1\).*got \(40, 5\)"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_trained(parameters, says):
    with pytest.raises(ValueError, match=says):
        micro.AnomalyDetector(**parameters).fit(rows(40))


def test_groups_are_held_out_whole():
    groups = np.repeat(np.arange(10), 20)
    held = held_out(200, groups, micro.AnomalyDetector(false_alarm_rate=0.05)._recipe(), 0)
    assert held.sum() == 60
    assert all(len(set(held[groups == group])) == 1 for group in range(10))
    with pytest.raises(ValueError, match="n_samples = 200 in 1 group: all of them would be held out"):
        held_out(200, np.zeros(200), micro.AnomalyDetector(false_alarm_rate=0.05)._recipe(), 0)


def test_before_a_fit_there_is_nothing_to_export_or_save(tmp_path):
    for call in (
        lambda d: d.export(tmp_path / "c"),
        lambda d: d.save(tmp_path / "d.zip"),
        lambda d: d.predict(rows(3)),
    ):
        with pytest.raises(NotFittedError):
            call(micro.AnomalyDetector())


def test_an_export_names_what_does_not_fit(fitted, tmp_path):
    for arguments, says in (
        ({"board": "toaster"}, "board must be one of bare-cortex-m, .* got 'toaster'"),
        ({"runtime": "tflm"}, "runtime 'tflm' is for a project: name a board"),
        ({"name": "for"}, "name 'for' "),
        ({"min_hits": 3}, "min_hits and history must be 1 to 32"),
    ):
        with pytest.raises(ValueError, match=says):
            fitted.export(tmp_path / "c", **arguments)
        assert not (tmp_path / "c").exists()


# Without an epoch no network is traced and compiled, which takes most of a fit as small as those of scikit-learn's checks.
UNTRAINED = micro.AnomalyDetector(**TINY | {"epochs": 0})
# Checks that fit nothing, and so take no time, or refuse before training.
CHEAP = (
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_estimators_unfitted",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_mixin_order",
    "check_complex_data",
    "check_estimators_empty_data_messages",
    "check_estimator_sparse_tag",
    "check_estimator_sparse_array",
    "check_estimator_sparse_matrix",
    "check_parameters_default_constructible",
    "check_fit2d_1sample",
    "check_get_params_invariance",
    "check_set_params",
    "check_fit1d",
)


def test_it_passes_those_checks_of_scikit_learn_that_fit_nothing():
    assert passed(UNTRAINED, CHEAP) == set(CHEAP)


@pytest.mark.slow
def test_it_is_an_estimator_as_scikit_learn_wants_one():
    from sklearn.utils.estimator_checks import check_estimator

    found = check_estimator(UNTRAINED, on_skip=None)
    assert {each["status"] for each in found} <= {"passed", "skipped"}
    # Of arrays of other libraries, which SciPy takes only where an environment variable says so.
    assert {each["check_name"] for each in found if each["status"] == "skipped"} <= {"check_array_api_input"}


@pytest.mark.slow
def test_a_loaded_detector_predicts_without_a_training_framework(fitted, tmp_path):
    fitted.save(tmp_path / "d.zip")
    code = (
        "import sys, micro; print(micro.AnomalyDetector.load(sys.argv[1]).predict([[0] * 5])); "
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "d.zip"], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("arithmetic", ["float32", "fixed"])
def test_with_a_front_end_the_exported_c_takes_samples(tmp_path, arithmetic):
    front_end = micro.FrontEnd(
        ("spectrum", "moments"), 64, 64, channels=2, bands=4, arithmetic=arithmetic, full_scale=8.0
    )
    rng = np.random.default_rng(0)
    time = np.arange(200 * 64).reshape(200, 64, 1)
    windows = np.sin(time * [0.3, 0.5]) + rng.normal(0, 0.2, (200, 64, 2))
    detector = micro.AnomalyDetector(front_end, epochs=5, false_alarm_rate=0.05, random_state=0)
    detector.fit(windows, groups=np.repeat(np.arange(20), 10))
    detector.export(tmp_path, "d")
    windows[100:] *= np.linspace(1, 3, 100)[:, None, None]
    samples = front_end.counts(windows) if arithmetic == "fixed" else windows.astype(np.float32)
    statuses, _ = in_c(compiled(tmp_path), samples)
    predicted = detector.predict(windows)
    assert set(predicted) == {1, -1}
    assert ((statuses == Status.HEALTHY) == (predicted == 1)).all()
    np.testing.assert_array_equal(detector.predict(windows.reshape(200, -1)), predicted)


@pytest.mark.slow
def test_an_exported_project_passes_its_self_test(fitted, tmp_path):
    fitted.export(tmp_path / "project", "pump", board="cmake")
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    for command in (["cmake", "-B", "build"], ["cmake", "--build", "build"]):
        subprocess.run(command, cwd=tmp_path / "project", check=True, capture_output=True)
    (program,) = (p for p in (tmp_path / "project/build").iterdir() if p.is_file() and p.stat().st_mode & 0o100)
    done = subprocess.run([program], cwd=tmp_path, capture_output=True, text=True)
    assert "pass" in done.stdout.lower(), done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("state", ["fitted", "not fitted", "pipeline", "keras"])
def test_a_student_scores_as_its_teacher_does(state):
    import keras
    from scipy.stats import spearmanr
    from sklearn.neighbors import LocalOutlierFactor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = rows(400)
    if state == "keras":
        keras.utils.set_random_seed(0)
        size = np.array([1, 10, 0.1, 1000, 1])
        parts = [keras.layers.Rescaling(1 / size, -np.array([0, 5, 0, 300, -2]) / size), keras.layers.Dense(8, "relu")]
        teacher = keras.Sequential([keras.Input((FEATURES,)), *parts, keras.layers.Dense(1, kernel_initializer="ones")])
        expected = teacher.predict(unusual(300), verbose=0)[:, 0]
    else:
        teacher = IsolationForest(random_state=0)
        if state == "pipeline":
            teacher = make_pipeline(StandardScaler(), LocalOutlierFactor(novelty=True))
        if state == "fitted":
            teacher.fit(x)
        expected = -clone(teacher).fit(x).decision_function(unusual(300))
    detector = micro.AnomalyDetector(
        teacher=teacher, epochs=30, sizes=(16, 4, 16), false_alarm_rate=0.05, random_state=0
    )
    detector.fit(x)
    found = spearmanr(-detector.score_samples(unusual(300)), expected).statistic
    assert found > 0.8, found
    if state == "not fitted":
        assert not hasattr(teacher, "estimators_")  # the user's own stays as it was


@pytest.mark.slow
def test_cross_validation_and_pipelines_take_it():
    from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = np.concatenate([rows(200), unusual(100)[50:]])
    y = np.repeat([1, -1], [200, 50])
    piped = make_pipeline(StandardScaler(), micro.AnomalyDetector(epochs=10, false_alarm_rate=0.05, random_state=0))
    cv = StratifiedKFold(2, shuffle=True, random_state=0)
    scores = cross_val_score(piped, x, y, cv=cv, scoring="roc_auc")
    assert scores.mean() > 0.9, scores
    found = GridSearchCV(piped, {"anomalydetector__epochs": [1, 20]}, cv=cv, scoring="roc_auc", refit=False).fit(x, y)
    assert found.best_params_ == {"anomalydetector__epochs": 20}


@pytest.mark.slow
def test_rows_that_are_marked_as_outliers_are_not_learned():
    x, y = np.concatenate([rows(60), 50 + rows(20)]), np.repeat([1, -1], [60, 20])
    one, other = (micro.AnomalyDetector(**TINY, random_state=0) for _ in range(2))
    assert saved_bytes(one.fit(x, y)._saved()) == saved_bytes(other.fit(x[:60])._saved())
