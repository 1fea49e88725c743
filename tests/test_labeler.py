"""Labels that hold at once: thresholds, counting and refusals as described."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micro.detection.labeler import NEVER, Labeler, Labeling, labeled, make_labeler, reported_labels
from micro.detection.outcome import decided, real_scores


@given(
    st.integers(2, 32), st.integers(1, 32), st.integers(1, 32), st.integers(0, 70), st.integers(0, 2**32 - 1), st.data()
)
def test_each_label_is_counted_by_itself_and_faults_change_nothing(labels, history, hits, count, seed, data):
    rng = np.random.default_rng(seed)
    hits = min(hits, history)
    holds = rng.random((count, labels)) < rng.random(labels)
    faulty = rng.choice([0, 3, 4, 6], count, p=[0.7, 0.1, 0.1, 0.1])
    labeler = Labeler(0.1, 0, tuple(f"l{n}" for n in range(labels)), (0,) * labels, hits, history)
    statuses, masks = labeled(labeler, holds, faulty)
    past: list[np.ndarray] = []
    for row, fault, status, mask in zip(holds, faulty, statuses, masks.tolist()):
        if fault:
            assert (status, mask) == (Labeling(fault), 0)
            continue
        past = [*past, row][-history:]
        wanted = tuple(f"l{n}" for n in range(labels) if sum(bool(each[n]) for each in past) >= hits)
        assert reported_labels(labeler.label_names, mask) == wanted
        assert status == (Labeling.LABELED if wanted else Labeling.NONE)


@given(st.integers(-128, 127), st.integers(0, 2**32 - 1))
def test_a_window_has_the_labels_whose_scores_are_above_their_thresholds(zero, seed):
    rng = np.random.default_rng(seed)
    outputs = rng.integers(-128, 128, (40, 3)).astype(np.int8)
    thresholds = (*rng.integers(-255, 256, 2).tolist(), NEVER)
    if thresholds == (NEVER,) * 3:
        return
    labeler = Labeler(0.25, zero, ("a", "b", "c"), thresholds)
    scores = labeler.scores(outputs)
    assert scores.tolist() == [[each - zero for each in row] for row in outputs.tolist()]
    assert labeler.holds(scores).tolist() == [
        [score > limit for score, limit in zip(row, thresholds)] for row in scores
    ]
    assert not labeler.holds(scores)[:, 2].any()
    np.testing.assert_allclose(labeler.logits(scores), scores / 4)
    np.testing.assert_allclose(labeler.probabilities(scores), 1 / (1 + np.exp(-scores / 4)))


def test_probabilities_of_extreme_logits_are_0_and_1():
    labeler = Labeler(1e30, 0, ("a", "b"), (0, 0))
    assert labeler.probabilities(np.array([[-255, 255]])).tolist() == [[pytest.approx(0, abs=1e-300), 1.0]]


def test_an_outcome_has_scores_of_each_label_and_a_mask():
    labeler = Labeler(0.5, 10, ("a", "b"), (0, 5), min_hits=2, history=2)
    outputs = np.array([[20, 20], [99, 99], [11, 15], [0, 16]], np.int8)
    outcome = decided(labeler, np.zeros((4, 3), np.int8), outputs, np.array([0, 3, 0, 0]))
    assert outcome.scores.tolist() == [[10, 10], [0, 0], [1, 5], [-10, 6]]
    assert outcome.labels.tolist() == [0, 0, 1, 0]
    assert [status.name for status in outcome.statuses] == ["NONE", "FAULT_NOT_FINITE", "LABELED", "NONE"]
    assert outcome.classes.tolist() == [-1] * 4
    assert real_scores(labeler, outcome.scores).tolist() == [[5, 5], [0, 0], [0.5, 2.5], [-5, 3]]


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3])
@settings(max_examples=5)
@given(st.integers(0, 2**32 - 1))
def test_few_windows_without_a_label_are_given_it(rate, seed):
    """Over many draws the fraction of fresh windows given a label that they do not have keeps to the rate, for each label."""
    rng = np.random.default_rng(seed)
    often = rng.uniform(0.1, 0.6, 3)
    given_it, without, right = np.zeros(3), np.zeros(3), 0.0

    def draw(count):
        labels = (rng.random((count, 3)) < often).astype(int)
        return np.clip(rng.normal(60 * labels - 20, 25), -128, 127).round().astype(np.int8), labels

    for _ in range(300):
        labeler = make_labeler(0.1, -7, ("a", "b", "c"), *draw(150), rate)
        outputs, labels = draw(200)
        holds = labeler.holds(labeler.scores(outputs))
        given_it += (holds & (labels == 0)).sum(axis=0)
        without += (labels == 0).sum(axis=0)
        right += float(holds[labels == 1].mean())
    assert (given_it / without < 1.1 * rate).all()
    assert right / 300 > 0.4


def test_too_few_windows_and_labels_that_all_windows_have_are_said():
    outputs = np.array([[9, 0], [0, 9], [3, 7]], np.int8)
    labeler = make_labeler(0.1, 1, ("a", "b"), outputs, np.array([[1, 1], [0, 1], [0, 1]]), 0.05)
    assert labeler.thresholds == (2, 0)
    assert labeler.guarantee.startswith("0 held-out windows without a label are too few to guarantee 5 %")


def test_a_label_can_be_reported_however_surely_the_model_errs():
    outputs = np.full((100, 2), 127, np.int8)
    outputs[:, 1] = np.arange(100)
    labeler = make_labeler(0.1, -20, ("a", "b"), outputs, np.zeros((100, 2), int), 0.05)
    assert labeler.thresholds == (146, 115)
    assert labeler.holds(labeler.scores(outputs)).mean(axis=0).tolist() == [1.0, 0.04]
    assert labeler.guarantee.endswith("; no guarantee for a, whose highest output too many windows without it reach")


WRONG = {
    "one label": ({"label_names": ("a",), "thresholds": (0,)}, "a labeler has 2 to 32 labels, got 1 label_names"),
    "33 labels": (
        {"label_names": tuple(map(str, range(33))), "thresholds": (0,) * 33},
        "a labeler has 2 to 32 labels, got 33",
    ),
    "empty name": ({"label_names": ("a", "")}, "label_names must be texts"),
    "alike": ({"label_names": ("a", "a")}, "label_names holds 'a' twice"),
    "thresholds": ({"thresholds": (1, 2, 3)}, "3 thresholds for 2 labels; give each label one"),
    "beyond": ({"thresholds": (1, 256)}, "thresholds must be integers from -255 to 255, got 256"),
    "below": ({"thresholds": (-256, 0)}, "thresholds must be integers from -255 to 255, got -256"),
    "fraction": ({"thresholds": (1, 0.5)}, "thresholds must be integers from -255 to 255, got 0.5"),
    "truth": ({"thresholds": (1, True)}, "thresholds must be integers from -255 to 255, got True"),
    "none": ({"thresholds": (255, 255)}, "thresholds are 255 for every label"),
    "zero": ({"zero": 128}, "zero must be -128 to 127, got 128"),
    "zero in part": ({"zero": 0.5}, "zero must be an integer, got 0.5"),
    "hits": ({"min_hits": 3, "history": 2}, "min_hits and history must be 1 to 32 windows"),
    "history": ({"history": 33}, "min_hits and history must be 1 to 32 windows"),
    "unit": ({"unit": 0.0}, "unit must be above 0"),
    "saturation": ({"saturation": -1.0}, "saturation must be above 0"),
    "max_saturated": ({"max_saturated": -1}, "max_saturated must be 0 to"),
    "guarantee": ({"guarantee": 5}, "guarantee must be text, got 5"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_makes_no_sense_is_refused(case):
    changed, says = WRONG[case]
    with pytest.raises(ValueError) as refused:
        Labeler(**{"unit": 1.0, "zero": 0, "label_names": ("a", "b"), "thresholds": (0, 0), **changed})
    assert says in str(refused.value)


UNUSABLE = {
    "rate": ({"false_accept_rate": 1.0}, "false_accept_rate must be between 0 and 1, got 1.0"),
    "outputs": ({"outputs": np.zeros((4, 3), "int8")}, r"outputs must have the shape \(4, 2\), a column for each"),
    "labels": ({"labels": np.zeros(4, int)}, r"labels must have the shape \(4, 2\).*got \(4,\)"),
    "other": ({"labels": np.full((4, 2), 2)}, "labels must be 0 or 1, got .*2"),
    "no label": ({"label_names": (), "outputs": np.zeros((4, 0)), "labels": np.zeros((4, 0))}, "2 to 32 labels"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_windows_that_no_threshold_comes_from_are_refused(case):
    changed, says = UNUSABLE[case]
    usual = {"outputs": np.zeros((4, 2), "int8"), "labels": np.zeros((4, 2), int), "false_accept_rate": 0.1}
    with pytest.raises(ValueError, match=says):
        make_labeler(**{"unit": 0.1, "zero": 0, "label_names": ("a", "b"), **usual, **changed})
