"""SensorClassifier: a classifier of scikit-learn whose decisions are those of the C that it exports."""

import pickle
import shutil
import subprocess

import numpy as np
import pytest
from estimator_checks import passed
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from support import SANITIZERS, WARNINGS

import micro
from micro.detection.recognizer import Recognition, recognize
from micro.scikit_learn.saved import saved_bytes

HARNESS = """
#include <stdio.h>
#include "k_recognizer.h"
static k_recognizer state;
int main(void) {
  k_sample sample[K_CHANNELS];
  k_recognizer_reset(&state);
  while (fread(sample, sizeof sample, 1, stdin) == 1) {
    const k_status status = k_recognizer_push(&state, sample);
    if (status != K_WAITING) printf("%d %d\\n", (int)status, (int)state.recognized);
  }
  return 0;
}
"""
NAMES = np.array(["idle", "walk", "run"])
# No epoch: a fit takes the time of a conversion alone.
UNTRAINED = {"epochs": 0, "sizes": (2,)}


def rows(count, classes=3, features=4, seed=0):
    """Rows of classes that overlap a little, of features of unlike units."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, count)
    centres = np.random.default_rng(7).normal(size=(classes, features)) * 2
    return (centres[y] + rng.normal(size=(count, features))) * np.logspace(-1, 2, features), NAMES[y]


def waves(count, window, seed=0):
    """Windows of one channel: a slow or a fast sine."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, count)
    time = np.arange(window) + rng.uniform(0, 50, (count, 1))
    return (np.sin(time * np.where(y, 0.9, 0.3)[:, None]) + rng.normal(0, 0.3, (count, window)))[..., None], y


@pytest.fixture(scope="module")
def fitted():
    return micro.SensorClassifier(epochs=15, random_state=7).fit(*rows(300))


def compiled(folder):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    (folder / "main.c").write_text(HARNESS)
    sources = sorted(path.name for path in folder.glob("*.c"))
    command = ["gcc", *WARNINGS, *SANITIZERS, "-Wno-long-long", *sources, "-lm", "-o", "main"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "main"


def in_c(program, samples):
    done = subprocess.run([program], input=samples.tobytes(), capture_output=True, check=True)
    return np.array(done.stdout.split(), np.int64).reshape(-1, 2).T


def agrees(classifier, x, samples, folder):
    """Python and C give every window one class; of a tie C recognizes none, and of a fault neither."""
    classifier.export(folder, "k")
    statuses, recognized = in_c(compiled(folder), samples)
    outputs = classifier._outputs(x)
    tied = np.sort(outputs, axis=1)[:, -1] == np.sort(outputs, axis=1)[:, -2]
    assert (statuses == np.where(tied, Recognition.UNKNOWN, Recognition.RECOGNIZED)).all()
    assert not tied.all()
    np.testing.assert_array_equal(classifier.classes_[recognized[~tied]], classifier.predict(x)[~tied])


def test_the_exported_c_recognizes_what_predict_gives(fitted, tmp_path):
    x, y = rows(300, seed=1)
    agrees(fitted, x, x.astype(np.float32), tmp_path)
    assert set(fitted.predict(x)) == set(NAMES)
    assert fitted.score(x, y) > 0.8


@pytest.mark.parametrize(("window", "arithmetic"), [(37, "float32"), pytest.param(37, "fixed", marks=pytest.mark.slow)])
def test_two_classes_of_windows_of_an_odd_length_and_one_channel(tmp_path, window, arithmetic):
    front_end = micro.FrontEnd("moments", window, window, arithmetic=arithmetic, full_scale=4.0)
    x, y = waves(120, window)
    classifier = micro.SensorClassifier(front_end, **UNTRAINED, random_state=0).fit(x, y)
    new, _ = waves(100, window, seed=1)
    samples = front_end.counts(new) if arithmetic == "fixed" else new.astype(np.float32)
    agrees(classifier, new, samples, tmp_path)
    np.testing.assert_array_equal(classifier.predict(new.reshape(100, -1)), classifier.predict(new))
    assert classifier.predict(new).dtype == y.dtype


def test_probabilities_are_those_of_the_int8_model_and_name_the_class_that_is_predicted(fitted):
    x, _ = rows(100, seed=1)
    probabilities = fitted.predict_proba(x)
    assert probabilities.shape == (100, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(fitted.classes_, sorted(NAMES))
    np.testing.assert_array_equal(fitted.classes_[probabilities.argmax(axis=1)], fitted.predict(x))
    windows = fitted.firmware_.scaling(x[:, None].astype(np.float32)).reshape(100, -1)
    logits = fitted.converted_.predict(windows)
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(probabilities, raised / raised.sum(axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize("y", [NAMES[:2], NAMES[:2].astype(object), np.array([3, -1]), np.array([True, False])])
def test_a_saved_classifier_comes_back_whole_with_classes_of_any_kind(y, tmp_path):
    x, y = rows(40)[0], np.tile(y, 20)
    classifier = micro.SensorClassifier(**UNTRAINED, random_state=0).fit(x, y)
    loaded = micro.SensorClassifier.load(classifier.save(tmp_path / "c.zip"))
    for each in (loaded, pickle.loads(pickle.dumps(classifier))):
        assert each.get_params() == classifier.get_params()
        np.testing.assert_array_equal(each.predict_proba(x), classifier.predict_proba(x))
        np.testing.assert_array_equal(each.predict(x), classifier.predict(x))
        assert each.classes_.dtype == classifier.classes_.dtype
        assert saved_bytes(each._saved()) == saved_bytes(classifier._saved())


@pytest.mark.parametrize(
    ("parameters", "y", "says"),
    [
        ({}, np.zeros(40), "two classes or more apart, and y has 1 class"),
        ({}, np.linspace(0, 1, 40), "Unknown label type"),
        ({}, None, "requires y to be passed, but the target y is None"),
        ({"temperature": 0}, None, "temperature must be above 0, got 0"),
        ({"hard_weight": 2}, None, "hard_weight must be between 0 and 1, got 2"),
        ({"sizes": (0,)}, None, "sizes must be the units of each hidden layer, at least 1"),
        ({"sizes": "ab"}, None, "sizes must be the units"),
        ({"teacher": np}, None, "teacher must be a classifier of scikit-learn with predict_proba.*got module"),
        ({"front_end": micro.FrontEnd("moments", 9, 9)}, np.arange(40) % 2, r"X must have the shape \(n, 9, 1\)"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_trained(parameters, y, says):
    with pytest.raises(ValueError, match=says):
        micro.SensorClassifier(**parameters).fit(rows(40)[0], y)


def test_before_a_fit_there_is_nothing_to_export_or_save(tmp_path):
    for call in (lambda c: c.export(tmp_path / "c"), lambda c: c.save(tmp_path / "c.zip"), lambda c: c.predict([[0]])):
        with pytest.raises(NotFittedError):
            call(micro.SensorClassifier())


@pytest.mark.slow
def test_rows_without_weight_are_not_learned():
    x, y = rows(60)
    weights = np.where(y == "run", 0.0, 2.0)
    kept = y != "run"
    one = micro.SensorClassifier(epochs=1, sizes=(2,), random_state=0).fit(x, y, weights)
    other = clone(one).fit(x[kept], y[kept])
    assert one.classes_.tolist() == sorted(NAMES)
    assert one.firmware_.scaling == other.firmware_.scaling
    with pytest.raises(ValueError, match="two classes or more apart, and y has 1 class"):
        one.fit(x, y, np.where(y == "run", 1.0, 0.0))


CHEAP = (
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_no_attributes_set_in_init",
    "check_estimators_unfitted",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_mixin_order",
    "check_complex_data",
    "check_classifiers_one_label",
    "check_classifiers_regression_target",
    "check_requires_y_none",
    "check_estimators_empty_data_messages",
    "check_estimator_sparse_array",
    "check_parameters_default_constructible",
    "check_fit2d_1sample",
    "check_get_params_invariance",
    "check_set_params",
    "check_fit1d",
)


def test_it_passes_those_checks_of_scikit_learn_that_fit_nothing():
    assert passed(micro.SensorClassifier(**UNTRAINED), CHEAP) == set(CHEAP)


# A weight scales a row's part in the loss of its batch; a row that is there twice is in two batches, and counts twice in the
# scaling of features too.
WEIGHTS = "a row's weight scales its gradient, and a repeated row changes batches and scaling"


# Checks that ask for classes that are told apart, which takes training.
TRAINED = ("check_classifiers_train", "check_classifiers_classes")


@pytest.mark.slow
def test_it_is_an_estimator_as_scikit_learn_wants_one():
    from sklearn.utils.estimator_checks import check_estimator

    expected = {f"check_sample_weight_equivalence_on_{kind}_data": WEIGHTS for kind in ("dense", "sparse")}
    expected |= dict.fromkeys(TRAINED, "nothing was trained here; the next test trains for it")
    found = check_estimator(micro.SensorClassifier(**UNTRAINED), on_skip=None, expected_failed_checks=expected)
    ends = {each["check_name"]: each["status"] for each in found if each["status"] != "passed"}
    assert {name for name, status in ends.items() if status == "skipped"} <= {"check_array_api_input"}
    assert {name for name, status in ends.items() if status == "xfail"} <= set(expected)


@pytest.mark.slow
def test_trained_it_passes_the_checks_of_scikit_learn_that_ask_for_classes_told_apart():
    # As many steps as the blobs of these checks take.
    estimator = micro.SensorClassifier(epochs=15, sizes=(16,), batch_size=16, learning_rate=0.02)
    assert passed(estimator, TRAINED) == set(TRAINED)


@pytest.mark.slow
@pytest.mark.parametrize("state", ["fitted", "not fitted", "pipeline", "softmax", "logits"])
def test_a_student_learns_of_its_teacher(state):
    import keras
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = rows(400)
    new, _ = rows(300, seed=2)
    if state in ("softmax", "logits"):
        keras.utils.set_random_seed(0)
        scale = keras.layers.Normalization()
        scale.adapt(x)
        last = keras.layers.Dense(3, "softmax" if state == "softmax" else None)
        teacher = keras.Sequential([keras.Input((4,)), scale, last])
        teacher.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=state == "logits"))
        teacher.fit(x, np.searchsorted(sorted(NAMES), y), epochs=20, verbose=0)
        expected = np.array(sorted(NAMES))[teacher.predict(new, verbose=0).argmax(axis=1)]
    else:
        teacher = RandomForestClassifier(50, random_state=0)
        if state == "pipeline":
            teacher = make_pipeline(StandardScaler(), LogisticRegression())
        if state == "fitted":
            teacher.fit(x, y)
        expected = clone(teacher).fit(x, y).predict(new)
    # Labels count nothing: all that the student knows is its teacher's.
    student = micro.SensorClassifier(teacher=teacher, hard_weight=0.0, epochs=30, random_state=0)
    student.fit(x, y, groups=np.arange(400) // 10)
    assert (student.predict(new) == expected).mean() > 0.85
    if state == "not fitted":
        assert not hasattr(teacher, "estimators_")  # the user's own stays as it was


@pytest.mark.slow
def test_a_teacher_of_other_classes_is_refused():
    from sklearn.linear_model import LogisticRegression

    x, y = rows(60)
    with pytest.raises(
        ValueError, match=r"LogisticRegression tells \[0, 1\] apart, and y holds \['idle', 'run', 'walk'\]"
    ):
        micro.SensorClassifier(teacher=LogisticRegression().fit(x, np.arange(60) % 2)).fit(x, y)


@pytest.mark.slow
def test_cross_validation_and_pipelines_take_it():
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = rows(240)
    piped = make_pipeline(StandardScaler(), micro.SensorClassifier(epochs=10, random_state=0))
    assert cross_val_score(piped, x, y, cv=2).mean() > 0.6
    assert cross_val_score(piped, x, y == "run", cv=2, scoring="roc_auc").mean() > 0.8
    found = GridSearchCV(piped, {"sensorclassifier__epochs": [0, 10]}, cv=2, refit=False).fit(x, y)
    assert found.best_params_ == {"sensorclassifier__epochs": 10}


@pytest.mark.slow
def test_an_exported_project_passes_its_self_test_and_counts_as_it_is_told_to(fitted, tmp_path):
    x, _ = rows(80, seed=3)
    fitted.export(tmp_path / "c", "k", min_hits=2, history=3, suppression=2)
    statuses, recognized = in_c(compiled(tmp_path / "c"), x.astype(np.float32))
    from dataclasses import replace

    counting = replace(fitted.firmware_.decider, min_hits=2, history=3, suppression=2)
    expected = recognize(counting, counting.candidates(fitted._outputs(x)))
    assert [statuses.tolist(), recognized.tolist()] == [[int(each) for each in expected[0]], expected[1]]
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    fitted.export(tmp_path / "project", "motion", board="cmake")
    for command in (["cmake", "-B", "build"], ["cmake", "--build", "build"]):
        subprocess.run(command, cwd=tmp_path / "project", check=True, capture_output=True)
    (program,) = (p for p in (tmp_path / "project/build").iterdir() if p.is_file() and p.stat().st_mode & 0o100)
    done = subprocess.run([program], cwd=tmp_path, capture_output=True, text=True)
    assert "pass" in done.stdout.lower(), done.stdout
