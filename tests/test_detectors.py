"""What detectors cannot teach, found before a run begins; classes of other packages; folds that share no samples."""

import sys
import types
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_score_teacher import CONFIG, HEALTHY, OTHERS, RNG

from micro.config import parse_config
from micro.datasets.prepare import Windows, prepare
from micro.datasets.window_parts import Origins
from micro.errors import DataError
from micro.runs.detectors import fitted, names_of
from micro.runs.score_teacher import check_detectors, fit_score_teacher, fitting_sets, folds_of
from micro.runs.train import examples_alone


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": {"detectors": ["neigbors"]}}, "did you mean 'neighbors'?"),
        ({"teacher": {"detectors": ["os.system"]}}, "a class such as sklearn.covariance.EllipticEnvelope"),
        ({"teacher": {"detectors": ["sklearn._private.Class"]}}, "a class such as"),
        ({"teacher": {"detectors": ["sklearn..svm.OneClassSVM"]}}, "a class such as"),
        ({"teacher": {"detectors": ["pyod.models.embedding.EmbeddingOD"]}}, "a class such as"),
        (
            {"teacher": {"detectors": [["neighbors"]]}},
            "detectors.0 must be a text, or a table with a class, got ['neighbors']",
        ),
        ({"teacher": {"detectors": [{"class": "neighbors"}]}}, "'neighbors' is a word and takes no arguments"),
        ({"teacher": {"detectors": ["autoencoder"], "family": "dense"}}, "names 'autoencoder', and family is 'dense'"),
        ({"teacher": {"detectors": [{"nu": 1}]}}, "teacher: detectors.0.class"),
        ({"teacher": {"detectors": ["pca_q", "pca_q"]}}, "names 'pca_q' twice"),
        ({"teacher": {"detectors": ["pca_q"], "path": "t.keras"}}, "detectors and path are two teachers"),
        ({"teacher": {"detectors": ["pca_q"], "devices": 2}}, "detectors are fitted on one device"),
        ({"teacher": {"combine": "max"}}, "combine is for a teacher made of detectors"),
        ({"teacher": {}, "distill": {"objective": "score_matching"}}, "name teacher.detectors"),
        ({"distill": {"objective": "reconstruction"}}, "takes objective 'score_matching'"),
        ({"distill": {"recipe": "kd"}}, "takes objective 'score_matching'"),
        (
            {"distill": {"objective": "score_matching", "hard_weight": 0.5}},
            "hard_weight must be 0 under teacher.detectors",
        ),
        ({"distill": {"objectives": [{"class": "ScoreMatching"}], "hard_weight": 0.5}}, "hard_weight must be 0"),
        ({"compress": [{"stage": "prune", "target_sparsity": 0.3, "teacher": False}]}, "would have the student forget"),
    ],
)
def test_contradictions_are_found_in_the_config(changes, message):
    with pytest.raises(ValueError) as error:
        parse_config({**CONFIG, **changes})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_detectors_are_for_anomalies_alone(tmp_path):
    raw = {"job": "table", "task": "classification", "data": {"files": "*.csv", "sample_rate": 1.0}, "student": {}}
    with pytest.raises(ValueError, match="detectors are for task 'anomaly'"):
        parse_config({**raw, "teacher": {"detectors": ["pca_q"]}}, tmp_path)


def windows_of(places, origins, x=None):
    x = RNG.normal(size=(len(places), 3)).astype("float32") if x is None else x
    return Windows(x, np.zeros(len(places)), tuple(origins), np.array(places))


@given(st.integers(1, 4), st.integers(20, 60), st.integers(0, 12), st.integers(1, 3))
@settings(max_examples=40)
def test_no_detector_was_fitted_on_samples_of_the_windows_that_it_scores(recordings, count, near, copies):
    places = [*range(count)] * recordings * copies
    origins = [name for name in "abcd"[:recordings] for _ in range(count)] * copies
    windows = windows_of(places, origins)
    for mine, others in fitting_sets(windows, folds_of(windows, Origins()), near, Origins()):
        for name in set(origins):
            at = np.array([origin == name for origin in origins])
            held, known = np.array(places)[mine & at], np.array(places)[others & at]
            if len(held) and len(known) and (near == 0 or others.sum() < (~mine).sum()):
                assert np.abs(held[:, None] - known[None]).min() > near


@pytest.mark.parametrize("recordings", [3, 12])
def test_no_detector_was_fitted_on_a_copy_of_what_it_scores_or_on_a_recording_that_overlaps(recordings):
    """Copies have their first one's folds; of a recording that overlaps nothing is fitted on, or it is in the same fold."""
    names = [f"r{number}" for number in range(recordings)] + ["copy", "part"]
    windows = windows_of([*range(50)] * len(names), [name for name in names for _ in range(50)])
    groups = {name: number for number, name in enumerate(names)} | {"copy": 0, "part": 1}
    origins = Origins(groups, {"r0": "r0", "copy": "r0"}, {"r1": {"part"}, "part": {"r1"}})
    folds = folds_of(windows, origins)
    of = {name: np.array([origin == name for origin in windows.origins]) for name in names}
    assert (folds[of["r0"]] == folds[of["copy"]]).all()
    for mine, others in fitting_sets(windows, folds, 2, origins):
        for name, other in (("r0", "copy"), ("copy", "r0")):
            held, known = windows.places[mine & of[name]], windows.places[others & of[other]]
            assert not len(held) or not len(known) or np.abs(held[:, None] - known[None]).min() > 2
        for name, other in (("r1", "part"), ("part", "r1")):
            assert not (mine & of[name]).any() or not (others & of[other]).any()


def config_with(*detectors):
    return parse_config({**CONFIG, "teacher": {"detectors": list(detectors), "epochs": 2, "sizes": [4]}})


@pytest.mark.parametrize(
    ("detectors", "x", "message"),
    [
        (["pca_q"], RNG.normal(size=(60, 1)), "pca_q gives all healthy windows the same score"),
        (["neighbors"], np.ones((60, 3)), "neighbors gives all healthy windows the same score"),
        (["sklearn.svm.OneClasSVM"], RNG.normal(size=(60, 3)), "has no class 'OneClasSVM'"),
        (["neighbors"], RNG.normal(size=(24, 3)), "need 25 healthy windows to train on, got 24"),
    ],
)
def test_what_cannot_teach_is_found_before_a_run_begins(detectors, x, message):
    windows = windows_of(range(len(x)), ["a"] * len(x), x.astype("float32"))
    with pytest.raises(DataError, match=message):
        check_detectors(config_with(*detectors), SimpleNamespace(train=windows, related=Origins()))


def test_copies_are_not_counted_as_windows():
    windows = windows_of([0] * 27, [f"{number % 9}" for number in range(27)])
    with pytest.raises(DataError, match="got 9"):
        check_detectors(config_with("neighbors"), SimpleNamespace(train=windows, related=Origins()))


def test_a_duplicated_channel_does_not_make_a_detector_measure_rounding():
    healthy = np.repeat(RNG.normal(size=(200, 2)), 2, axis=1)
    score = fitted("pca_q", np.concatenate([healthy, 0.3 * RNG.normal(size=(200, 1))], axis=1), 0)
    inside = np.concatenate([10 * healthy, np.zeros((200, 1))], axis=1)
    broken = inside.copy()
    broken[:, 0] += 3
    assert score(broken).mean() > score(inside).mean() + 1


@pytest.mark.slow
def test_an_autoencoder_among_detectors_is_the_network_of_the_section():
    config = config_with("autoencoder", "pca_t2")
    data = prepare(config)
    begun = []
    one, two = (fit_score_teacher(config, data, 3, begun.append) for _ in range(2))
    assert begun == ["autoencoder", "pca_t2", "synthetic windows"] * 2
    found = one.members["autoencoder"].judge(data.test.x)
    assert np.array_equal(found, two.members["autoencoder"].judge(data.test.x))
    faulty, healthy = (found[data.test.labels == label].mean() for label in (1, 0))
    assert faulty > healthy


class Stub:
    """As PyOD's detectors are: scores grow with anomaly, random numbers come from NumPy's global state."""

    scores = staticmethod(lambda rows: np.linalg.norm(rows, axis=1))

    def fit(self, x):
        self.drawn = np.random.normal(size=x.shape[1])

    def decision_function(self, rows):
        return type(self).scores(rows - self.drawn)


@pytest.fixture
def pyod(monkeypatch):
    base = type("BaseDetector", (), {"__module__": "pyod.models.base"})
    stub = types.ModuleType("pyod.models.stub")
    stub.STUB = type("STUB", (Stub, base), {})
    for name in ("pyod", "pyod.models"):
        package = types.ModuleType(name)
        package.__path__ = []
        monkeypatch.setitem(sys.modules, name, package)
    monkeypatch.setitem(sys.modules, "pyod.models.stub", stub)
    return stub.STUB


def test_scores_of_pyod_grow_with_anomaly_and_are_the_same_again(pyod):
    config = config_with("pyod.models.stub.STUB", "pca_t2")
    data = prepare(config)
    one, two = (fit_score_teacher(config, data, 3, lambda name: None) for _ in range(2))
    assert np.array_equal(one.outputs, two.outputs)
    assert one.members["STUB"].judge(data.test.x * 50).min() > one.members["STUB"].judge(data.test.x).max()


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (lambda rows: np.full(len(rows), np.nan), "STUB gives scores that are not finite"),
        (lambda rows: np.ones((len(rows), 2)), r"STUB gives scores of shape \("),
        (lambda rows: {}["missing"], "STUB: 'missing'"),
    ],
)
def test_scores_that_are_none_are_refused_by_name(pyod, monkeypatch, scores, message):
    monkeypatch.setattr(pyod, "scores", staticmethod(scores), raising=False)
    with pytest.raises(DataError, match=message):
        fitted("pyod.models.stub.STUB", HEALTHY, 0)(OTHERS)


def test_what_a_detector_prints_is_kept_from_the_result(capsys):
    fitted({"class": "sklearn.ensemble.IsolationForest", "n_estimators": 3, "verbose": 3}, HEALTHY, 0)(OTHERS)
    assert capsys.readouterr().out == ""


def test_one_table_is_a_list_of_one():
    one = parse_config({**CONFIG, "teacher": {"detectors": {"class": "sklearn.svm.OneClassSVM"}}})
    assert one.teacher.detectors == ({"class": "sklearn.svm.OneClassSVM"},)


def test_two_detectors_of_one_class_have_two_names():
    svm = "sklearn.svm.OneClassSVM"
    names = names_of(["pca_q", {"class": svm}, {"class": svm, "nu": 0.1}])
    assert names == ["pca_q", "OneClassSVM", "OneClassSVM 2"]


def test_the_student_without_a_teacher_learns_for_as_many_steps_from_its_own_windows():
    config = parse_config(CONFIG)
    data = prepare(config)
    examples, validation = examples_alone(config, data)
    count = len(data.train)
    assert len(examples.x) == len(examples.y) == count + config.teacher.synthetic_windows
    assert np.array_equal(examples.x, examples.y)
    assert np.array_equal(examples.x[:count], data.train.x)
    times = np.unique(examples.x, axis=0, return_counts=True)[1]
    assert (len(times), times.max() - times.min()) == (count, 1)
    assert np.array_equal(validation.x, data.validation.x)
    plain = parse_config({**CONFIG, "teacher": {}})
    assert np.array_equal(examples_alone(plain, data)[0].x, data.train.x)
